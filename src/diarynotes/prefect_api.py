"""Finds the Prefect API that flows report to: the one the user configured, or a temporary one of our own.

The one module of the package that knows Prefect. The temporary server is Prefect's own, in a child process that ends
with us however we end; Prefect's built-in one outlives a killed parent. It starts while the caller does other things.
"""

from __future__ import annotations

import fcntl
import logging
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO

from diarynotes.errors import StorageFailed
from diarynotes.telemetry import forbid_telemetry

_START_TIMEOUT_S = 120.0
_DRAIN_S = 30.0
_THIS_MACHINE = ("127.0.0.1", "localhost")
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Asks without a proxy, whatever the environment says."""
_SERVER_SETTINGS = {
    "PREFECT_UI_ENABLED": "0",
    "PREFECT__SERVER_EPHEMERAL": "1",  # Prefect's own mark: no schedulers and other services for many users
    "PREFECT_API_BLOCKS_REGISTER_ON_START": "false",  # imports every integration: 1.5 s of a start of 5 s
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_BATCH_SIZE": "200",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_READ_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_FLUSH_INTERVAL": "1",
    "PREFECT_SERVER_SERVICES_TRIGGERS_READ_BATCH_SIZE": "100",
}


def past_proxies(environment: Mapping[str, str]) -> dict[str, str]:
    """What to add to an environment with a proxy in it, so that servers on this machine are asked without it.

    A proxy could not reach them, and would see their secret. Some programs read one of the two names, some the other.
    """
    lower, upper = environment.get("no_proxy", ""), environment.get("NO_PROXY", "")
    return {"no_proxy": _add_hosts(lower or upper), "NO_PROXY": _add_hosts(upper or lower)}


def _add_hosts(no_proxy: str) -> str:
    hosts = [host.strip() for host in no_proxy.split(",") if host.strip()]
    return no_proxy if "*" in hosts else ",".join(dict.fromkeys([*hosts, *_THIS_MACHINE]))


def quiet_prefect() -> None:
    """Sets what Prefect reads from the environment at import, where the user has not: quiet, and nothing sent home.

    Errors reach the person once, as a sentence of ours; Prefect would print them twice more, with their tracebacks.
    Its client asks a server on this machine without any proxy.
    """
    forbid_telemetry()
    os.environ.update(past_proxies(os.environ))
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "CRITICAL")
    os.environ.setdefault("PREFECT_LOGGING_INTERNAL_LEVEL", "CRITICAL")


def configured_url() -> str | None:
    """The API that the user's Prefect profile or environment names; None where there is none."""
    quiet_prefect()
    from prefect.settings import get_current_settings

    return get_current_settings().api.url or None


class TemporaryServer:
    """Prefect's API server on a free loopback port, its history in SQLite under `folder`; starts without waiting."""

    def __init__(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._starting = (folder / "starting.lock").open("w")
        except OSError as error:
            raise StorageFailed(str(folder), error.strerror or str(error)) from error
        # Two servers that migrate one fresh database at the same moment break each other.
        fcntl.flock(self._starting, fcntl.LOCK_EX)
        self._log = folder / "server.log"
        self._port = _free_port()
        self._process = self._launch(folder / "prefect.db")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/api"

    def wait(self) -> None:
        """Returns when the server answers. Raises: StorageFailed, with where its log is, if it does not come up."""
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise StorageFailed(str(self._log), "Prefect's temporary server did not start; its log is there")
            time.sleep(0.05)
        self._starting.close()

    def stop(self) -> None:
        self._starting.close()
        self._process.terminate()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdin:
            self._process.stdin.close()

    def _launch(self, database: Path) -> subprocess.Popen[bytes]:
        environment = {
            **os.environ,
            **_SERVER_SETTINGS,
            "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{database}",
        }
        with self._log.open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "diarynotes.prefect_api", str(self._port)],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for us; the server ends after our last report
            )

    def _answers(self) -> bool:
        try:
            with _DIRECT.open(f"{self.url}/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False


@contextmanager
def reporting_to(url: str, *, tag: str = "") -> Iterator[None]:
    """Flows that run inside the block report to `url`, bearing `tag`, and their reports arrive before it ends.

    Prefect's heartbeat is off: its crash detection is not relied on (our leases are), and it costs a second at each
    flow's end.
    """
    from prefect import tags
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker
    from prefect.settings import PREFECT_API_URL, PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    changes: AbstractContextManager[object] = temporary_settings(
        {PREFECT_API_URL: url, PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}
    )
    # It warns, on the person's screen, of events that it is still sending; the block waits for those anyway.
    logging.getLogger("EventsWorker").setLevel(logging.ERROR)
    with changes, tags(*filter(None, [tag])):
        try:
            yield
        finally:
            EventsWorker.drain_all(timeout=_DRAIN_S, at_exit=False)
            APILogWorker.drain_all(timeout=_DRAIN_S, at_exit=False)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _end_with(parent: IO[bytes]) -> None:
    parent.read()  # returns when the parent's end of the pipe is closed, which its death does too
    os._exit(0)


def _serve(port: int) -> None:
    import uvicorn  # comes with Prefect's server

    threading.Thread(target=_end_with, args=(sys.stdin.buffer,), daemon=True).start()
    uvicorn.run(
        "prefect.server.api.server:create_app",
        factory=True,
        host="127.0.0.1",
        port=port,
        log_level="error",
        lifespan="on",
    )


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
