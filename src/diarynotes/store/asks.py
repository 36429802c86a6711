"""Which recordings a run of another pool was asked for, so that nobody asks for a second one while the first may come.

Knows the table; whether such a run is still to come is the asker's business. An ask holds for a recording as it stood
then (its attempt): whoever claims it ends the ask, since what is left of it afterwards is another matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Column, Engine, Integer, Text, text
from sqlmodel import Field

from diarynotes.models import Job, RecordingId
from diarynotes.store.database import begin
from diarynotes.store.tables import Table, clock_column


class AskRow(Table, table=True):
    """`run` is the idempotency key under which the run was asked for."""

    __tablename__ = "asks"

    recording_id: str = Field(sa_column=Column(Text, primary_key=True))
    attempt: int = Field(sa_column=Column(Integer, nullable=False))
    run: str = Field(sa_column=Column(Text, nullable=False, index=True))
    asked_at: datetime | None = Field(default=None, sa_column=clock_column())


# In the order of the key, so that two who ask for the same never wait for each other.
_RESERVE = text("""
insert into asks (recording_id, attempt, run)
select recording_id, attempt, :run
from unnest(cast(:ids as text[]), cast(:attempts as integer[])) as wanted (recording_id, attempt)
order by recording_id
on conflict (recording_id) do update
set attempt = excluded.attempt, run = excluded.run, asked_at = clock_timestamp()
where asks.attempt <> excluded.attempt
returning recording_id
""")

_PRUNE = text("""
delete from asks using jobs where jobs.recording_id = asks.recording_id and jobs.attempt <> asks.attempt
""")

_OPEN = text("""
select run, extract(epoch from clock_timestamp() - min(asked_at))::float8 as age_s from asks group by run
""")

_FORGET = text("delete from asks where run = any(cast(:runs as text[])) returning recording_id")


class Asks:
    """Every method is one transaction; StorageFailed where Postgres fails."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def reserve(self, jobs: Sequence[Job], run: str) -> set[RecordingId]:
        """Those of `jobs` for which nobody has asked yet as they stand; `run` is to be asked for over them."""
        values = {"ids": [job.recording_id for job in jobs], "attempts": [job.attempt for job in jobs], "run": run}
        with begin(self._engine) as connection:
            return set(connection.scalars(_RESERVE, values))

    def open(self) -> dict[str, float]:
        """The runs of which something that they were asked for was not taken up yet, and how long ago that was, s."""
        with begin(self._engine) as connection:
            connection.execute(_PRUNE)
            return {row.run: row.age_s for row in connection.execute(_OPEN)}

    def forget(self, runs: Sequence[str]) -> list[RecordingId]:
        """These runs will not come, or have ended: what they left, for which others may be asked now."""
        with begin(self._engine) as connection:
            return list(connection.scalars(_FORGET, {"runs": list(runs)}))
