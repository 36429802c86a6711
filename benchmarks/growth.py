"""Whether a recording costs more the more there are: runs beside ever more that landed before, and ever larger runs.

Every figure is of a real `diarynotes run` with the scripted engine, which takes no time of its own, over recordings of
two seconds, on the embedded Postgres and a Prefect server of its own. All recordings lie on the same thirty days, as
with many owners, so days and months grow too. The work of the processor is counted for the run and all below it, for
Postgres and for the Prefect server apart; it tells more than the clock where others share the machine. The diary that
is there before is made of copies of a run's rows in Postgres, from which the warehouse is made anew.

    python benchmarks/growth.py [--json FILE] [--beside 0,1000,5000,20000] [--new 1000] [--at-once 100,1000,5000]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
import wave
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import psutil
from sqlalchemy import text

from diarynotes.audio import decode
from diarynotes.models import SAMPLE_RATE
from diarynotes.prefect_api import TemporaryServer
from diarynotes.settings import load_settings
from diarynotes.store import open_store
from diarynotes.store.embedded import stop_embedded
from diarynotes.store.store import Store

EXAMPLES = Path(__file__).parents[1] / "examples" / "voice-notes"
_DAYS = 30
_SECONDS = 2
_LOOK_S = 0.5
_HEAD = """; ms a recording, work of one core
before   new    clock    work     run  postgres  prefect  commits  peak MB  prefect MB"""
_TEMPLATE = "warm-up"
"""Whose recordings are copied."""
_COPIES = {
    "recordings": "'id', md5(row.id || n)::uuid, 'owner', 'copy-' || n % 200,"
    " 'uri', row.uri || n, 'sha256', md5(row.id || n)",
    "jobs": "'recording_id', md5(row.recording_id || n)::uuid",
    "transcripts": "'id', md5(row.id || n)::uuid, 'recording_id', md5(row.recording_id || n)::uuid",
    "notes": "'id', md5(row.id || n)::uuid, 'recording_id', md5(row.recording_id || n)::uuid,"
    " 'transcript_id', md5(row.transcript_id || n)::uuid, 'owner', 'copy-' || n % 200",
}
"""What is different in the copies, by table. A copy's ids come of the template's and its number."""
_KEYS = {"recordings": "id"}
_COPY = """
insert into {table}
select made.*
from {table} as row
join jobs on jobs.recording_id = row.{key} and jobs.state = 'landed'
join recordings as origin on origin.id = row.{key} and origin.owner = :template
cross join generate_series(cast(:first as integer) + 1, cast(:first as integer) + cast(:copies as integer)) as n
cross join lateral jsonb_populate_record(null::{table}, to_jsonb(row) || jsonb_build_object({changes})) as made
"""


@dataclass(frozen=True, slots=True)
class Step:
    """A run over `recordings` new ones beside `before` old ones. Work is in seconds of one core, memory in MB."""

    before: int
    recordings: int
    wall_s: float
    run_work_s: float
    postgres_work_s: float
    prefect_work_s: float
    commits: int
    peak_run_mb: float
    prefect_mb: float

    @property
    def work_ms(self) -> float:
        """Milliseconds of one core for a recording, everything included."""
        return 1000 * (self.run_work_s + self.postgres_work_s + self.prefect_work_s) / self.recordings


def main() -> None:
    arguments = _read_arguments()
    with tempfile.TemporaryDirectory(prefix="diarynotes-growth-") as folder:
        bench = Bench(Path(folder))
        print(f"runs over {arguments.new} new recordings beside what landed before{_HEAD}", flush=True)
        growing = _print_each(bench.grow(_read_sizes(arguments.beside), arguments.new))
        print(f"\nsingle runs in empty homes{_HEAD}", flush=True)
        at_once = _print_each(bench.run_at_once(size) for size in _read_sizes(arguments.at_once))
    figures = {
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
        "growing": [asdict(step) for step in growing],
        "at_once": [asdict(step) for step in at_once],
    }
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(figures, indent=1) + "\n")
    print(f"\nwritten to {arguments.json}")


class Bench:
    """Homes, servers and recordings below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._speech = np.concatenate(
            [np.array(decode(path, spool=folder).open().pcm) for path in sorted(EXAMPLES.glob("*.flac"))]
        )
        self._made = 0

    def grow(self, sizes: Sequence[int], new: int) -> Iterator[Step]:
        """Runs over `new` recordings in one home that holds more and more, each of an owner of its own."""
        with self._place() as place:
            place.run(self._record(20), _TEMPLATE)
            for before in sizes:
                place.fill(before)
                yield place.run(self._record(new), f"owner-{before}", before=before)

    def run_at_once(self, count: int) -> Step:
        with self._place() as place:
            place.run(self._record(20), _TEMPLATE)
            return place.run(self._record(count), "owner")

    def _record(self, count: int) -> Path:
        """A new folder of so many different cuts of speech."""
        notes = self.folder / f"notes-{self._made}"
        notes.mkdir()
        for _ in range(count):
            self._made += 1
            day, minute, second = self._made % _DAYS + 1, self._made // 60 % 60, self._made % 60
            # A stride prime to the speech's length makes every cut a different one.
            start = self._made * 7919 % (len(self._speech) - _SECONDS * SAMPLE_RATE)
            with wave.open(
                str(notes / f"2026-05-{day:02d}T10-{minute:02d}-{second:02d} {self._made}.wav"), "wb"
            ) as out:
                out.setnchannels(1)
                out.setsampwidth(2)
                out.setframerate(SAMPLE_RATE)
                out.writeframes(self._speech[start : start + _SECONDS * SAMPLE_RATE].tobytes())
        return notes

    @contextmanager
    def _place(self) -> Iterator[Place]:
        home = Path(tempfile.mkdtemp(prefix="home-", dir=self.folder))
        (home / "prefect-home").mkdir()
        server = TemporaryServer(self.folder / f"server-{home.name}")
        server.wait()
        settings = load_settings({}, home=home)
        try:
            with open_store(settings.database_url, settings.home) as store:
                yield Place(home, server, store)
        finally:
            server.stop()
            stop_embedded(home / "postgres")


class Place:
    """A home with its Postgres, which stays up between runs, and a Prefect server."""

    def __init__(self, home: Path, server: TemporaryServer, store: Store) -> None:
        self._store = store
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("DIARYNOTES_", "PREFECT_"))}
        self._environment = {
            **kept,
            "DIARYNOTES_HOME": str(home),
            "PREFECT_HOME": str(home / "prefect-home"),
            "PREFECT_API_URL": server.url,
            "PREFECT_LOGGING_LEVEL": "CRITICAL",
            "DO_NOT_TRACK": "1",
        }
        self._postgres = psutil.Process(int((home / "postgres" / "data" / "postmaster.pid").read_text().split()[0]))
        port = int(server.url.split(":")[2].split("/")[0])
        self._prefect = _find_listener(port)

    def fill(self, count: int) -> None:
        """Brings what has landed to at least `count`, by copies."""
        there = self._store.jobs.count().get("landed", 0)
        if there < count:
            templates = self._count_templates()
            with self._store.engine.begin() as connection:
                for table, changes in _COPIES.items():
                    sql = _COPY.format(table=table, changes=changes, key=_KEYS.get(table, "recording_id"))
                    values = {"first": there, "copies": -(-(count - there) // templates), "template": _TEMPLATE}
                    connection.execute(text(sql), values)
            self._store.rebuild()
            with self._store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.execute(text("vacuum analyze"))

    def _count_templates(self) -> int:
        with self._store.engine.connect() as connection:
            sql = "select count(*) from recordings join jobs on id = recording_id where owner = :o and state = 'landed'"
            return int(connection.execute(text(sql), {"o": _TEMPLATE}).scalar_one())

    def run(self, notes: Path, owner: str, *, before: int = 0) -> Step:
        count = len(list(notes.iterdir()))
        books = (_work_s(self._postgres), _work_s(self._prefect), self._count_commits())
        begun = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "diarynotes", "run", str(notes), "--owner", owner, "--engine", "scripted", "--json"],
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        memory = Memory(process.pid)
        _, status, used = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        # 3: some was set aside, because nobody happens to speak in these two seconds
        assert process.returncode in (0, 3), process.returncode
        self._let_settle()
        return Step(
            before=before,
            recordings=count,
            wall_s=wall_s,
            run_work_s=used.ru_utime + used.ru_stime,
            postgres_work_s=_work_s(self._postgres) - books[0],
            prefect_work_s=_work_s(self._prefect) - books[1],
            commits=self._count_commits() - books[2],
            peak_run_mb=memory.stop(),
            prefect_mb=sum(one.memory_info().rss for one in _tree(self._prefect)) / 1e6,
        )

    def _count_commits(self) -> int:
        """Transactions that clients of the database have committed so far."""
        with self._store.engine.connect() as connection:
            connection.execute(text("select pg_stat_clear_snapshot()"))
            sql = "select xact_commit from pg_stat_database where datname = current_database()"
            return int(connection.execute(text(sql)).scalar_one())

    def _let_settle(self, quiet_share: float = 0.05) -> None:
        """Waits until the Prefect server has written down what it was told, because that work is the run's too."""
        for _ in range(60):
            before = _work_s(self._prefect)
            time.sleep(1)
            if _work_s(self._prefect) - before < quiet_share:
                return


class Memory:
    """The most that a process and all below it took at once, as proportional set size in MB."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._peak_mb = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def stop(self) -> float:
        self._over.set()
        self._thread.join()
        return self._peak_mb

    def _look(self) -> None:
        while not self._over.wait(_LOOK_S):
            try:
                sizes = [one.memory_full_info().pss for one in _tree(psutil.Process(self._pid))]
            except psutil.Error:
                continue  # one of them ended while it was looked at
            self._peak_mb = max(self._peak_mb, sum(sizes) / 1e6)


def _tree(top: psutil.Process) -> list[psutil.Process]:
    return [top, *top.children(recursive=True)]


def _work_s(top: psutil.Process) -> float:
    """Processor seconds of a process and all below it, those that have ended included."""
    total = 0.0
    for process in _tree(top):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue  # its parent counts it from now on
        total += times.user + times.system + times.children_user + times.children_system
    return total


def _find_listener(port: int) -> psutil.Process:
    for connection in psutil.net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
            return psutil.Process(connection.pid)
    raise RuntimeError("nobody listens there")


def _print_each(steps: Iterable[Step]) -> list[Step]:
    """The steps, each shown as soon as it is done."""
    done = []
    for step in steps:
        done.append(step)
        each = 1000 / step.recordings
        print(
            f"{step.before:6} {step.recordings:5} {step.wall_s * each:8.1f} {step.work_ms:7.1f}"
            f" {step.run_work_s * each:7.1f} {step.postgres_work_s * each:9.2f} {step.prefect_work_s * each:8.2f}"
            f" {step.commits / step.recordings:8.1f} {step.peak_run_mb:8.0f} {step.prefect_mb:11.0f}",
            flush=True,
        )
    if len(done) > 1:
        print(
            f"last against first: work {done[-1].work_ms / done[0].work_ms:.2f} (at most 1.3),"
            f" memory {done[-1].peak_run_mb / done[0].peak_run_mb:.2f}"
        )
    return done


def _read_sizes(names: str) -> list[int]:
    return [int(name) for name in names.split(",") if name]


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, default=Path("bench-results/growth.json"))
    parser.add_argument("--beside", default="0,1000,5000,20000", help="how many have landed before, with commas")
    parser.add_argument("--new", type=int, default=1_000, help="how many new ones a run is over")
    parser.add_argument("--at-once", default="100,1000,5000", help="sizes of single runs, separated by commas")
    return parser.parse_args()


if __name__ == "__main__":
    main()
