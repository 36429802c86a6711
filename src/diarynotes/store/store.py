"""The store as one thing: engine, worker, jobs, warehouse and snapshot of one home, opened and closed together.

Holds no logic of its own; each method is one call into the module that knows.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, date, tzinfo
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from zoneinfo import ZoneInfo

from sqlalchemy import Engine, insert

import diarynotes.store.degraded as degraded
import diarynotes.store.entries as entries
import diarynotes.store.ledger as ledger
import diarynotes.store.reading as reading
import diarynotes.store.registry as registry
import diarynotes.store.repair as repair
import diarynotes.store.snapshot as snapshot
import diarynotes.store.versions as versions
from diarynotes.calls import Breaker, BudgetPeriod, LedgerLine
from diarynotes.errors import StorageFailed
from diarynotes.models import DayEntry, Finding, Job, Recording, RecordingId, Transcript
from diarynotes.store.asks import Asks
from diarynotes.store.database import begin, open_database
from diarynotes.store.desk import Desk
from diarynotes.store.drops import Drops
from diarynotes.store.facts import (
    Experience,
    Fruitless,
    HeardWindows,
    KnownSource,
    Landing,
    NoteVersion,
    Registered,
    SourceFacts,
    StaleDay,
    StoredEntry,
    StoredNote,
)
from diarynotes.store.jobs import Jobs
from diarynotes.store.recover import Recovered, find_forgotten, recover_forgotten
from diarynotes.store.tables import CheckResultRow, plain
from diarynotes.store.warehouse import Warehouse
from diarynotes.store.watermarks import Watermarks
from diarynotes.store.worker import LEASE_S, Worker


class Store:
    """Everything that diarynotes keeps. A context manager; safe to share between threads, not between processes."""

    def __init__(
        self,
        engine: Engine,
        home: Path,
        *,
        lease_s: float = LEASE_S,
        embedded: Path | None = None,
        zone: ZoneInfo | None = None,
    ) -> None:
        self.engine = engine
        self.home = home
        self.worker = Worker(engine, lease_s=lease_s)
        self.jobs = Jobs(engine, self.worker)
        self.drops = Drops(engine, self.worker)
        self.watermarks = Watermarks(engine)
        self.asks = Asks(engine)
        self._zone: tzinfo = zone or UTC
        self.desk = Desk(engine, self._zone)
        self.warehouse = Warehouse(home / "warehouse")
        self.snapshot_path = home / "diarynotes.duckdb"
        self._embedded = embedded

    @classmethod
    def open(
        cls, database_url: str | None, home: Path, *, lease_s: float | None = None, zone: ZoneInfo | None = None
    ) -> Self:
        """See `diarynotes.store.open_store`."""
        lease_s = LEASE_S if lease_s is None else lease_s
        if database_url is not None:
            return cls(open_database(database_url), home, lease_s=lease_s, zone=zone)
        from diarynotes.store.embedded import start_embedded, stop_embedded

        folder = home / "postgres"
        url = start_embedded(folder)
        try:
            return cls(open_database(url), home, lease_s=lease_s, embedded=folder, zone=zone)
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
        return registry.register(self.engine, found, worker=self.worker.number) if found else []

    def forbid_cloud(self, ids: Sequence[RecordingId]) -> None:
        """Nothing of these recordings may be sent to another's machine from now on."""
        registry.forbid_cloud(self.engine, ids)

    def known_sources(self, uris: Sequence[str], *, owner: str) -> dict[str, KnownSource]:
        """What is known of those of `uris` that `owner` has had registered."""
        return registry.known_sources(self.engine, uris, owner=owner)

    def call_by(self, recording_id: RecordingId, uri: str) -> None:
        """The recording lies in another place than before, by which it is called from now on."""
        registry.call_by(self.engine, recording_id, uri)

    def landings(self, jobs: Sequence[Job]) -> list[Landing]:
        """What Postgres holds of claimed `jobs`, ready for `warehouse.land`."""
        return repair.read_landings(self.engine, jobs)

    def land(self, jobs: Sequence[Job]) -> list[Job]:
        """Bring claimed `jobs` into the warehouse and mark them landed; those lost to others are left out."""
        self.put_landings(self.landings(jobs))
        return self.jobs.store_all_landed(jobs)

    def put_landings(self, landings: Sequence[Landing]) -> None:
        """Bring landings of claimed jobs into the warehouse, whose claims are void where it has newer ones."""
        if not self.warehouse.land(landings):
            # Overtaken by another worker, of which Postgres knows; or by what Postgres has forgotten, which comes
            # back then and voids the claim: either way nothing is marked landed that the warehouse does not hold.
            self.recover()

    def store_check(self, suite: str, subject: str, *, success: bool, details: dict[str, Any]) -> None:
        """Keep how a suite of data checks ended; `details` hold counts and column names, never rows."""
        row = {"suite": suite, "subject": subject, "success": success, "details": plain(details)}
        with begin(self.engine) as connection:
            connection.execute(insert(CheckResultRow), [row])

    def entry_turn(self, owner: str, day: date) -> AbstractContextManager[StaleDay | None]:
        """The day as it stands, if it is stale and this process may write its entry; no other may meanwhile."""
        return entries.take_turn(self.engine, owner, day)

    def put_entry(self, entry: DayEntry, answers: Collection[str] = ()) -> bool:
        """Make `entry` its day's current one; false where a person's stands there or the notes are others by now.

        `answers` are the keys of the kept answers whose use is the entry's.
        """
        return entries.put_entry(self.engine, entry, answers)

    def drop_entry(self, owner: str, day: date) -> bool:
        """The day has lost all its notes: its entry becomes history. False where it has notes, or a person's entry."""
        return entries.drop_entry(self.engine, owner, day)

    # -- out ----------------------------------------------------------------------------------------------------------

    def recordings(self, ids: Sequence[RecordingId]) -> dict[RecordingId, Recording]:
        """Recordings by id; those that are not known are left out."""
        return reading.find_recordings(self.engine, ids)

    def places(self, ids: Sequence[RecordingId]) -> dict[RecordingId, list[SourceFacts]]:
        """Where each of these recordings was seen, the latest first."""
        return registry.places(self.engine, ids)

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
        file_name: str | None = None,
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
            file_name=file_name,
            recording_ids=recording_ids,
            limit=limit,
        )

    def versions(self, recording_id: RecordingId) -> list[NoteVersion]:
        """Every note that was written of a recording, the first one first."""
        return versions.find_versions(self.engine, recording_id)

    def degraded(
        self,
        *,
        owner: str | None = None,
        since: date | None = None,
        until: date | None = None,
        ids: Sequence[RecordingId] | None = None,
    ) -> list[RecordingId]:
        """The landed recordings (among `ids`) whose current note is degraded, newest day first."""
        return degraded.find_degraded(self.engine, owner=owner, since=since, until=until, ids=ids)

    def count_poorly_heard(
        self, *, owner: str | None = None, since: date | None = None, until: date | None = None
    ) -> int:
        """How many current notes rest on a transcript that is degraded itself."""
        return degraded.count_poorly_heard(self.engine, owner=owner, since=since, until=until)

    def experience(self) -> dict[tuple[str, str], Experience]:
        """What the latest answers of models took, by writer and model."""
        return degraded.find_experience(self.engine)

    def fruitless(self, ids: Sequence[RecordingId]) -> list[Fruitless]:
        """Which models were asked in vain for the notes of these recordings."""
        return degraded.find_fruitless(self.engine, ids)

    def ledger(
        self,
        *,
        since: date | None = None,
        until: date | None = None,
        owner: str | None = None,
        recording_id: RecordingId | None = None,
        elsewhere: bool = False,
        limit: int | None = None,
    ) -> list[LedgerLine]:
        """Calls to models, newest first; `since` and `until` are the first and the last day wanted.

        `elsewhere` leaves out models of one's own, which nothing leaves the machine for.
        """
        return ledger.find_calls(
            self.engine,
            self._zone,
            since=since,
            until=until,
            owner=owner,
            recording_id=recording_id,
            elsewhere=elsewhere,
            limit=limit,
        )

    def breakers(self) -> list[Breaker]:
        """The writers and models that failed since they last answered."""
        return ledger.find_breakers(self.engine)

    def spent(self, owner: str, period: BudgetPeriod) -> Decimal:
        """What `owner` (empty: all) has spent on models so far today or this month, USD."""
        return ledger.find_spent(self.engine, self._zone, owner, period)

    def stale_days(self, recording_ids: Sequence[RecordingId] | None = None) -> list[StaleDay]:
        """The days whose entry does not show their notes; without one, only those of `recording_ids` (None: all)."""
        return entries.find_stale(self.engine, recording_ids)

    def degraded_entries(self) -> list[tuple[str, date, str, str]]:
        """Owner, day, writer and model of entries that were joined by a lesser writer from notes that were not."""
        return entries.find_degraded(self.engine)

    def reopen_entry(self, owner: str, day: date) -> None:
        """The day's entry is stale from now on, unless it is a person's."""
        entries.reopen(self.engine, owner, day)

    def left_days(self, *, idle_s: float = 60.0) -> list[tuple[str, date]]:
        """Owners and days whose entry whoever landed the notes has not written within `idle_s`, nor anybody else."""
        return entries.find_left(self.engine, idle_s=idle_s)

    def owners(self) -> list[str]:
        """Everybody who has a note."""
        return entries.find_owners(self.engine)

    def entries(
        self,
        *,
        owner: str | None = None,
        since: date | None = None,
        until: date | None = None,
        history: bool = False,
    ) -> list[StoredEntry]:
        """Current entries, newest day first; with `history` the superseded ones too, each day's newest first."""
        return entries.find_entries(self.engine, owner=owner, since=since, until=until, history=history)

    # -- the derived side ---------------------------------------------------------------------------------------------

    def verify(self) -> tuple[Finding, ...]:
        """Where the warehouse differs from Postgres."""
        return repair.verify(self.engine, self.warehouse)

    def forgotten(self) -> list[RecordingId]:
        """What the warehouse holds and Postgres has forgotten, as after an older copy of the database was restored."""
        return find_forgotten(self.engine, self.warehouse)

    def recover(self) -> Recovered:
        """Bring what Postgres has forgotten back out of the warehouse."""
        return recover_forgotten(self.engine, self.warehouse)

    def mend(self) -> None:
        """Make Postgres and the warehouse agree: what Postgres has forgotten comes back, what else differs is derived.

        Raises StorageFailed where something forgotten cannot be read: the warehouse then stays as it is.
        """
        try:
            forgotten = self.forgotten()
        except StorageFailed:  # the table of notes cannot be read: what it alone may hold is beyond help
            forgotten = []
        if forgotten:
            self.recover()
        if self.verify():
            self.rebuild()

    def rebuild(self) -> None:
        """Make the warehouse anew from Postgres."""
        repair.rebuild(self.engine, self.warehouse)

    def snapshot(self) -> Path:
        """Build the DuckDB file anew where it does not show how things stand, and return where it lies."""
        stand = f"tables {self.warehouse.versions()}, {self.jobs.stand()}, {entries.read_stand(self.engine)}"
        if snapshot.read_stand(self.snapshot_path) != stand:
            snapshot.build_snapshot(self.snapshot_path, self.warehouse, self.jobs.pages(), self.entries(), stand=stand)
        return self.snapshot_path

    def query(self, sql: str, *, limit: int = 1000) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Columns and rows of a read-only query on the snapshot."""
        return snapshot.query_snapshot(self.snapshot_path, sql, limit=limit)
