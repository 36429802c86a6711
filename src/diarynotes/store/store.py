"""The store as one thing: engine, worker, jobs, warehouse and snapshot of one home, opened and closed together.

Holds no logic of its own; each method is one call into the module that knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sqlalchemy import Engine, insert

import diarynotes.store.reading as reading
import diarynotes.store.registry as registry
import diarynotes.store.repair as repair
import diarynotes.store.snapshot as snapshot
from diarynotes.models import Finding, Job, Recording, RecordingId, Transcript
from diarynotes.store.database import begin, open_database
from diarynotes.store.facts import HeardWindows, KnownSource, Landing, Registered, SourceFacts, StoredNote
from diarynotes.store.jobs import Jobs
from diarynotes.store.tables import CheckResultRow, plain
from diarynotes.store.warehouse import Warehouse
from diarynotes.store.worker import LEASE_S, Worker


class Store:
    """Everything that diarynotes keeps. A context manager; safe to share between threads, not between processes."""

    def __init__(self, engine: Engine, home: Path, *, lease_s: float = LEASE_S, embedded: Path | None = None) -> None:
        self.engine = engine
        self.home = home
        self.worker = Worker(engine, lease_s=lease_s)
        self.jobs = Jobs(engine, self.worker)
        self.warehouse = Warehouse(home / "warehouse")
        self.snapshot_path = home / "diarynotes.duckdb"
        self._embedded = embedded

    @classmethod
    def open(cls, database_url: str | None, home: Path, *, lease_s: float | None = None) -> Self:
        """See `diarynotes.store.open_store`."""
        lease_s = LEASE_S if lease_s is None else lease_s
        if database_url is not None:
            return cls(open_database(database_url), home, lease_s=lease_s)
        from diarynotes.store.embedded import start_embedded, stop_embedded

        folder = home / "postgres"
        url = start_embedded(folder)
        try:
            return cls(open_database(url), home, lease_s=lease_s, embedded=folder)
        except BaseException:
            stop_embedded(folder)
            raise

    def close(self) -> None:
        """Let go of claims and connections; the embedded Postgres stops when nobody else uses it."""
        self.worker.close()
        self.engine.dispose()
        if self._embedded is not None:
            from diarynotes.store.embedded import stop_embedded

            folder, self._embedded = self._embedded, None
            stop_embedded(folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- in -----------------------------------------------------------------------------------------------------------

    def register(self, found: Sequence[tuple[Recording, SourceFacts]]) -> list[Registered]:
        """Make recordings known and give each new one a job, in one transaction; answers in the order of `found`."""
        return registry.register(self.engine, found)

    def known_sources(self, uris: Sequence[str], *, owner: str) -> dict[str, KnownSource]:
        """What is known of those of `uris` that `owner` has had registered."""
        return registry.known_sources(self.engine, uris, owner=owner)

    def landings(self, jobs: Sequence[Job]) -> list[Landing]:
        """What Postgres holds of claimed `jobs`, ready for `warehouse.land`."""
        return repair.read_landings(self.engine, jobs)

    def land(self, jobs: Sequence[Job]) -> list[Job]:
        """Bring claimed `jobs` into the warehouse and mark them landed; those lost to others are left out."""
        self.warehouse.land(self.landings(jobs))
        return self.jobs.store_all_landed(jobs)

    def store_check(self, suite: str, subject: str, *, success: bool, details: dict[str, Any]) -> None:
        """Keep how a suite of data checks ended; `details` hold counts and column names, never rows."""
        row = {"suite": suite, "subject": subject, "success": success, "details": plain(details)}
        with begin(self.engine) as connection:
            connection.execute(insert(CheckResultRow), [row])

    # -- out ----------------------------------------------------------------------------------------------------------

    def recordings(self, ids: Sequence[RecordingId]) -> dict[RecordingId, Recording]:
        """Recordings by id; those that are not known are left out."""
        return reading.find_recordings(self.engine, ids)

    def transcripts(self, ids: Sequence[RecordingId]) -> dict[RecordingId, Transcript]:
        """What was heard last in each of these recordings; those that nobody has heard yet are left out."""
        return reading.find_transcripts(self.engine, ids)

    def heard_windows(self, ids: Sequence[RecordingId]) -> dict[RecordingId, HeardWindows]:
        """What was heard so far in those of these recordings that have no transcript yet."""
        return reading.find_heard(self.engine, ids)

    def notes(
        self,
        *,
        owner: str | None = None,
        since: date | None = None,
        until: date | None = None,
        prefix: str | None = None,
        recording_ids: Sequence[RecordingId] | None = None,
        limit: int | None = None,
    ) -> list[StoredNote]:
        """Current notes, newest day first; `prefix` begins a note's or a recording's id."""
        return reading.find_notes(
            self.engine,
            owner=owner,
            since=since,
            until=until,
            prefix=prefix,
            recording_ids=recording_ids,
            limit=limit,
        )

    # -- the derived side ---------------------------------------------------------------------------------------------

    def verify(self) -> tuple[Finding, ...]:
        """Where the warehouse differs from Postgres."""
        return repair.verify(self.engine, self.warehouse)

    def rebuild(self) -> None:
        """Make the warehouse anew from Postgres."""
        repair.rebuild(self.engine, self.warehouse)

    def snapshot(self) -> Path:
        """Build the DuckDB file anew where it does not show how things stand, and return where it lies."""
        stand = f"tables {self.warehouse.versions()}, {self.jobs.stand()}"
        if snapshot.read_stand(self.snapshot_path) != stand:
            snapshot.build_snapshot(self.snapshot_path, self.warehouse, self.jobs.list(), stand=stand)
        return self.snapshot_path

    def query(self, sql: str, *, limit: int = 1000) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Columns and rows of a read-only query on the snapshot."""
        return snapshot.query_snapshot(self.snapshot_path, sql, limit=limit)
