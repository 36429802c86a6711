"""The world that chaos happens in: every server and worker as a process, and the deeds that are done to them.

Keeps a timeline of what was done, so that a failure can be told and played again.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import psutil

from diarynotes import prefect_api
from diarynotes.errors import StorageFailed
from diarynotes.store import Drop as Told
from diarynotes.store import open_store
from diarynotes.store.embedded import start_embedded, stop_embedded
from diarynotes.store.store import Store
from tests.acceptance.chaos.clouds import Clouds
from tests.acceptance.chaos.nursery import Nursery, WorkerProcess
from tests.acceptance.chaos.plan import Drop, Step
from tests.acceptance.chaos.processes import answers, end_family, plain_environment
from tests.acceptance.chaos.witness import install
from tests.ports import find_port

BUCKET = "notes"
ZONE = "Europe/Berlin"
LEASE_S = 10.0
FROZEN_S = 13.0
SMALLEST_FILE_BYTES = 2048
"""What fits into a file while the disk counts as full."""
CONCURRENCY = 4
_PATIENCE_S = 240.0


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that was done, from when to when (s, monotonic); `worker` is whom it was done to, None: to all."""

    at_s: float
    until_s: float
    what: str
    worker: int | None = None


@dataclass
class World:
    """Everything that runs. `home` and `folder` (for logs, dropped files, the Prefect server's data) are its own."""

    home: Path
    folder: Path
    contents: Sequence[bytes]
    clouds: Clouds
    workers_wanted: int = 3
    began_s: float = field(default_factory=time.monotonic)
    storm_s: float = 0.0
    happenings: list[Happening] = field(default_factory=list)
    workers: list[WorkerProcess] = field(default_factory=list)
    in_bucket: dict[str, bytes] = field(default_factory=dict)
    _started: int = 0
    _later: list[tuple[float, Callable[[], None]]] = field(default_factory=list)
    _ports: dict[str, int] = field(default_factory=dict)
    _servers: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _nursery: Nursery | None = None
    _store: Store | None = None

    # -- from the beginning to the end --------------------------------------------------------------------------------

    def open(self) -> None:
        """Starts all servers, then the workers."""
        self.home.mkdir(parents=True)
        self._ports = {name: find_port() for name in ("bucket", "prefect")}
        self._start_bucket()
        self._start_prefect()
        start_embedded(self.home / "postgres")
        self._answer("prefect", f"{self.prefect_url}/health")
        self._store = open_store(None, self.home, lease_s=LEASE_S)
        install(self._store.engine)
        self._nursery = Nursery(self.folder, self.worker_environment())
        for _ in range(self.workers_wanted):
            self._start_worker()
        self.began_s = time.monotonic()

    @property
    def store(self) -> Store:
        assert self._store is not None
        return self._store

    @property
    def prefect_url(self) -> str:
        return f"http://127.0.0.1:{self._ports['prefect']}/api"

    @property
    def bucket_url(self) -> str:
        return f"http://127.0.0.1:{self._ports['bucket']}"

    def stop_workers(self) -> list[int]:
        """Lets the workers end in order; their statuses."""
        (self.folder / "stop").touch()
        assert self._nursery is not None
        statuses = [worker.wait() for worker in self.workers]
        self._nursery.close()
        return statuses

    def close(self) -> None:
        """Ends whatever still runs."""
        for worker in self.workers:
            if worker.status is None:
                with suppress(psutil.Error):
                    end_family(worker.pid)
                worker.wait()
        if self._nursery is not None:
            self._nursery.close()
        self._amazon.close()
        for name in list(self._servers):
            self._end_server(name)
        if self._store is not None:
            self._store.close()
        stop_embedded(self.home / "postgres")

    # -- dropping -----------------------------------------------------------------------------------------------------

    def drop(self, drops: Sequence[Drop]) -> None:
        """Puts files into the bucket, or beside it and tells the inbox of them."""
        told = []
        for drop in drops:
            content = self.contents[drop.content]
            if drop.into_bucket:
                self._put(f"{drop.owner}/{drop.name}", content)
            else:
                path = self.folder / "dropped" / drop.owner / drop.name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
                told.append(Told(drop.owner, str(path)))
        if told:
            self._insist(lambda: self.store.drops.put(told))

    def _put(self, key: str, content: bytes) -> None:
        self.in_bucket[key] = content
        self._amazon.put_object(Bucket=BUCKET, Key=key, Body=content)

    @cached_property
    def _amazon(self) -> Any:
        from botocore.session import Session

        return Session().create_client(  # takes half a second
            "s3",
            endpoint_url=self.bucket_url,
            region_name="us-east-1",
            aws_access_key_id="k",
            aws_secret_access_key="k",
        )

    def _insist(self, act: Callable[[], Any]) -> Any:
        """Until Postgres is there."""
        end = time.monotonic() + _PATIENCE_S
        while True:
            try:
                return act()
            except StorageFailed:
                if time.monotonic() > end:
                    raise
                self.wait(0.2)

    # -- time ---------------------------------------------------------------------------------------------------------

    def wait(self, seconds: float) -> None:
        """Goes on with what is due meanwhile, such as a thaw."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._do_what_is_due()
            time.sleep(0.05)

    def wait_until(self, holds: Callable[[], bool], what: str, deadline_s: float = _PATIENCE_S) -> None:
        end = time.monotonic() + deadline_s
        while not holds():
            assert time.monotonic() < end, f"{what} did not come within {deadline_s:.0f} s\n{self.tell()}"
            self.wait(0.2)

    def _do_what_is_due(self) -> None:
        due = [entry for entry in self._later if entry[0] <= time.monotonic()]
        self._later = [entry for entry in self._later if entry not in due]
        for _, act in due:
            act()

    def end_all_deeds(self) -> None:
        """Waits for thaws and the like."""
        while self._later:
            self.wait(0.2)

    # -- deeds --------------------------------------------------------------------------------------------------------

    def do(self, step: Step) -> None:
        """One step of the plan: drops, a pause, and the deed."""
        self.clouds.stormy = step.stormy
        self.drop(step.drops)
        self.wait(step.pause_s)
        deed, _, how = step.deed.partition(" ")
        begun = time.monotonic()
        {
            "kill": lambda: self._kill(step.whom),
            "freeze": lambda: self._freeze(step.whom),
            "disk": lambda: self._fill_disk(step.whom, step.lasts_s),
            "postgres": lambda: self._stop_postgres(how, step.lasts_s),
            "bucket": lambda: self._stop_bucket(step.lasts_s),
            "prefect": lambda: self._stop_prefect(step.lasts_s),
        }[deed]()
        if deed not in ("kill", "freeze", "disk"):
            self.happenings.append(Happening(begun, time.monotonic(), step.deed))

    def _pick(self, whom: int) -> WorkerProcess:
        self.wait_until(lambda: any(worker.up for worker in self.workers), "a worker that is up")
        ready = [worker for worker in self.workers if worker.up]
        return ready[whom % len(ready)]

    def _kill(self, whom: int) -> None:
        worker = self._pick(whom)
        now = time.monotonic()
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait()
        self.happenings.append(Happening(now, now, "kill", worker.number))
        self.workers.remove(worker)
        self._start_worker()

    def _freeze(self, whom: int) -> None:
        worker = self._pick(whom)
        now = time.monotonic()
        os.kill(worker.pid, signal.SIGSTOP)
        worker.frozen = True
        self.happenings.append(Happening(now, now + FROZEN_S, "freeze", worker.number))

        def thaw() -> None:
            worker.frozen = False
            if worker.status is None:
                os.kill(worker.pid, signal.SIGCONT)

        self._later.append((now + FROZEN_S, thaw))

    def _fill_disk(self, whom: int, lasts_s: float) -> None:
        """For one worker and all its children no file can grow, as on a full disk."""
        worker = self._pick(whom)
        now = time.monotonic()
        family = [psutil.Process(worker.pid), *psutil.Process(worker.pid).children(recursive=True)]
        self._limit_files(family, SMALLEST_FILE_BYTES)
        self.happenings.append(Happening(now, now + lasts_s, "disk", worker.number))
        self._later.append((now + lasts_s, lambda: self._limit_files(family, resource.RLIM_INFINITY)))

    @staticmethod
    def _limit_files(family: Sequence[psutil.Process], most_bytes: int) -> None:
        for process in family:
            with suppress(psutil.Error, ProcessLookupError):
                _, hard = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
                soft = hard if hard != resource.RLIM_INFINITY and most_bytes == resource.RLIM_INFINITY else most_bytes
                resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (soft, hard))

    def _stop_postgres(self, how: str, lasts_s: float) -> None:
        pid = int((self.home / "postgres" / "data" / "postmaster.pid").read_text().split("\n")[0])
        server = psutil.Process(pid)
        server.send_signal(signal.SIGQUIT if how == "immediate" else signal.SIGINT)
        server.wait(_PATIENCE_S)
        self.wait(lasts_s)
        start_embedded(self.home / "postgres")
        stop_embedded(self.home / "postgres")  # it was in use by this process before; this is no second use

    def _stop_bucket(self, lasts_s: float) -> None:
        """It keeps nothing on disk, so all that was ever put is put again."""
        self._end_server("bucket")
        self.wait(lasts_s)
        self._start_bucket()
        for key, content in self.in_bucket.items():
            self._put(key, content)

    def _stop_prefect(self, lasts_s: float) -> None:
        self._end_server("prefect")
        self.wait(lasts_s)
        self._start_prefect()  # which takes a while longer to answer

    # -- processes ----------------------------------------------------------------------------------------------------

    def _start_bucket(self) -> None:
        self._start_server("bucket", ["moto.server", "-H", "127.0.0.1", "-p", str(self._ports["bucket"])], {})
        self._answer("bucket", f"{self.bucket_url}/moto-api/")
        self._amazon.create_bucket(Bucket=BUCKET)

    def _start_prefect(self) -> None:
        database = f"sqlite+aiosqlite:///{self.folder / 'prefect.db'}"
        self._start_server(
            "prefect",
            ["diarynotes.prefect_api", str(self._ports["prefect"])],
            prefect_api._SERVER_SETTINGS
            | {"PREFECT_SERVER_DATABASE_CONNECTION_URL": database, "PREFECT_HOME": str(self.folder / "prefect")},
        )

    def _start_server(self, name: str, module: list[str], settings: dict[str, str]) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self._servers[name] = subprocess.Popen(
                [sys.executable, "-m", *module],
                env=plain_environment() | settings,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
            )

    def _end_server(self, name: str) -> None:
        server = self._servers.pop(name)
        server.kill()
        server.communicate()

    def _answer(self, name: str, url: str) -> None:
        self.wait_until(lambda: answers(url), f"the {name} server")

    def _start_worker(self) -> None:
        self._started += 1
        assert self._nursery is not None
        self.workers.append(self._nursery.hatch(self._started, self.clouds.settings(self._started)))

    def worker_environment(self) -> dict[str, str]:
        """What all workers are set up by."""
        return plain_environment() | {
            "DIARYNOTES_HOME": str(self.home),
            "DIARYNOTES_TIMEZONE": ZONE,
            "DIARYNOTES_ENGINE": "scripted",
            "DIARYNOTES_BUCKETS": f"s3://{BUCKET}",
            "DIARYNOTES_LEASE_S": str(LEASE_S),
            "DIARYNOTES_RETRY_DELAYS_S": "1,2,4,8",
            "DIARYNOTES_SNAPSHOT_AGE_S": "5",
            "DIARYNOTES_WRITER_CONCURRENCY": str(CONCURRENCY),
            "DIARYNOTES_WORKERS": "1",
            "PREFECT_API_URL": self.prefect_url,
            "PREFECT_HOME": str(self.folder / "prefect"),
            "AWS_ENDPOINT_URL": self.bucket_url,
            "AWS_ACCESS_KEY_ID": "k",
            "AWS_SECRET_ACCESS_KEY": "k",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_MAX_ATTEMPTS": "2",
        }

    # -- telling ------------------------------------------------------------------------------------------------------

    def tell(self) -> str:
        """What happened when, and what the workers complained of last."""
        lines = [
            f"{event.at_s - self.began_s:7.2f} s {event.what} {'' if event.worker is None else event.worker}"
            for event in self.happenings
        ]
        for log in sorted(self.folder.glob("worker-*.log"), key=lambda path: int(path.stem.split("-")[1])):
            lines += [f"{log.stem}: {line}" for line in log.read_text(errors="replace").splitlines()[-4:]]
        return "\n".join(lines)
