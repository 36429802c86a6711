"""The queue: who may work on which recording, and how a stage's result and the job's next state are stored as one.

Knows the states of a job and the tables behind them; knows no engine, no writer and no order of stages beyond the
state that each result leads to.

A claim counts `attempt` up. Every later write names that attempt and the state in which the job was claimed; where no
row matches, somebody else has taken the job over, nothing is written, and LeaseLost is raised.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, Row, TextClause, text

from diarynotes.errors import DiarynotesError, LeaseLost
from diarynotes.models import Cost, DiaryNote, Job, JobState, Recording, RecordingId, Transcript, Usage
from diarynotes.store import results
from diarynotes.store.database import begin
from diarynotes.store.facts import JobLine
from diarynotes.store.tables import plain_text
from diarynotes.store.worker import Worker

RETRY_DELAYS_S = (60, 300, 1800)
"""Seconds before the first, second and third retry; after the last one the job is dead."""

END_STATES: frozenset[JobState] = frozenset({"landed", "quarantined", "dead", "discarded", "erased"})
"""States that no worker leaves on its own."""

_JOB = "recording_id, state, attempt, failures, resume_state, next_attempt_at, error_code, error_message, updated_at"

# A claim is void when its lease has run out, or at once when its worker's advisory lock is gone: the worker is dead.
_CLAIM = text(f"""
with living as materialized (
    select (classid::bigint << 32) | objid::bigint as worker
    from pg_locks
    where locktype = 'advisory' and objsubid = 1 and granted
      and database = (select oid from pg_database where datname = current_database())
),
free as (
    select recording_id
    from jobs
    where (state = :state or (state = 'waiting' and resume_state = :state and next_attempt_at <= now()))
      and (worker is null or lease_until < now() or worker not in (select worker from living))
      and (cast(:ids as text[]) is null or recording_id = any(cast(:ids as text[])))
    order by priority, recorded_at, recording_id
    limit :limit
    for update skip locked
)
update jobs
set state = :state, attempt = attempt + 1, worker = :worker, lease_until = now() + make_interval(secs => :lease_s),
    resume_state = null, next_attempt_at = null, updated_at = now()
from free
where jobs.recording_id = free.recording_id
returning {", ".join("jobs." + name.strip() for name in _JOB.split(","))}, jobs.priority, jobs.recorded_at
""")  # noqa: S608

_HELD = "where recording_id = :id and attempt = :attempt and state = :held and worker is not null"

_MOVE = text(f"""
update jobs
set state = :state, worker = null, lease_until = null, failures = 0, error_code = null, error_message = null,
    updated_at = now()
{_HELD} returning {_JOB}
""")  # noqa: S608

_LAND = text(f"""
update jobs
set state = 'landed', landed_attempt = attempt, worker = null, lease_until = null, failures = 0, error_code = null,
    error_message = null, updated_at = now()
{_HELD} returning {_JOB}
""")  # noqa: S608

_QUARANTINE = text(f"""
update jobs
set state = 'quarantined', worker = null, lease_until = null, error_code = :code, error_message = :message,
    updated_at = now()
{_HELD} returning {_JOB}
""")  # noqa: S608

_POSTPONE = text(f"""
update jobs
set state = case when failures < cardinality(cast(:delays as float8[])) then 'waiting' else 'dead' end,
    next_attempt_at = now() + make_interval(secs => (cast(:delays as float8[]))[failures + 1]),
    failures = failures + 1, resume_state = state, worker = null, lease_until = null,
    error_code = :code, error_message = :message, updated_at = now()
{_HELD} returning {_JOB}
""")  # noqa: S608

_RELEASE = text(f"""
update jobs set worker = null, lease_until = null, updated_at = now()
{_HELD} returning {_JOB}
""")  # noqa: S608

_RETRY = text(f"""
update jobs
set state = case when state = 'quarantined' then 'received' else coalesce(resume_state, 'received') end,
    failures = 0, resume_state = null, next_attempt_at = null, error_code = null, error_message = null,
    updated_at = now()
where state in ('waiting', 'dead', 'quarantined')
  and (cast(:ids as text[]) is null or recording_id = any(cast(:ids as text[])))
  and (cast(:states as text[]) is null or state = any(cast(:states as text[])))
returning {_JOB}
""")  # noqa: S608

# The attempt is counted up, so that whoever works on it just now writes nothing any more.
_DISCARD = text(f"""
update jobs
set state = 'discarded', attempt = attempt + 1, worker = null, lease_until = null, resume_state = null,
    next_attempt_at = null, updated_at = now()
where recording_id = any(cast(:ids as text[])) and state not in ('landed', 'discarded', 'erased')
returning {_JOB}
""")  # noqa: S608

_LIST = text(f"""
select {", ".join("jobs." + name.strip() for name in _JOB.split(","))}, recordings.owner, recordings.uri
from jobs join recordings on recordings.id = jobs.recording_id
where (cast(:ids as text[]) is null or recording_id = any(cast(:ids as text[])))
  and (cast(:states as text[]) is null or state = any(cast(:states as text[])))
  and (cast(:owner as text) is null or owner = :owner)
order by jobs.priority, jobs.recorded_at, recording_id
limit :limit
""")  # noqa: S608

_COUNT = text("select state, count(*) from jobs group by state")


class Jobs:
    """The queue as one worker sees it. Every method is one transaction; StorageFailed where Postgres fails."""

    def __init__(self, engine: Engine, worker: Worker) -> None:
        self._engine = engine
        self._worker = worker

    # -- claiming and giving back -------------------------------------------------------------------------------------

    def claim(self, state: JobState, *, ids: Sequence[RecordingId] | None = None, limit: int = 100) -> list[Job]:
        """Up to `limit` free jobs in `state`, and waiting ones whose time has come, most urgent and oldest first."""
        values = {"state": state, "ids": _list(ids), "limit": limit}
        values |= {"worker": self._worker.number, "lease_s": self._worker.lease_s}
        with begin(self._engine) as connection:
            rows = connection.execute(_CLAIM, values).all()
        return [_job(row) for row in sorted(rows, key=lambda row: (row.priority, row.recorded_at, row.recording_id))]

    def release(self, job: Job) -> Job:
        """Give a claim back unharmed: another worker may have it at once, and no failure is counted."""
        with begin(self._engine) as connection:
            return _write(connection, _RELEASE, job)

    # -- a stage's result and the next state, as one --------------------------------------------------------------------

    def store_validated(self, job: Job, recording: Recording) -> Job:
        """The recording was decoded and can be transcribed: keep its media and quality."""
        with begin(self._engine) as connection:
            moved = _write(connection, _MOVE, job, {"state": "validated"})
            results.put_recording(connection, recording)
            return moved

    def store_transcript(self, job: Job, transcript: Transcript, usages: Sequence[Usage | Cost] = ()) -> Job:
        """The recording was transcribed. A `Usage` without a price is booked as unknown."""
        with begin(self._engine) as connection:
            moved = _write(connection, _MOVE, job, {"state": "transcribed"})
            results.put_transcript(connection, transcript)
            results.put_costs(connection, job.recording_id, "engine", usages)
            return moved

    def store_note(self, job: Job, note: DiaryNote, costs: Sequence[Cost] = ()) -> Job:
        """The note was written and checked: it is the current one now, an earlier one becomes history."""
        with begin(self._engine) as connection:
            moved = _write(connection, _MOVE, job, {"state": "written"})
            results.put_note(connection, note)
            results.put_costs(connection, job.recording_id, "writer", costs)
            return moved

    def store_landed(self, job: Job) -> Job:
        """The warehouse holds what `job` landed."""
        with begin(self._engine) as connection:
            return _write(connection, _LAND, job)

    def store_all_landed(self, jobs: Sequence[Job]) -> list[Job]:
        """`store_landed` for a chunk in one transaction; those taken over by others are left out of the answer."""
        moved = []
        with begin(self._engine) as connection:
            for job in sorted(jobs, key=lambda job: job.recording_id):
                row = connection.execute(_LAND, _fence(job)).one_or_none()
                if row is not None:
                    moved.append(_job(row))
        return moved

    def quarantine(self, job: Job, error: Exception) -> Job:
        """Set the recording aside: it is at fault, and only its maker can mend it."""
        with begin(self._engine) as connection:
            return _write(connection, _QUARANTINE, job, _describe(error))

    def postpone(self, job: Job, error: Exception, delays: Sequence[float] = RETRY_DELAYS_S) -> Job:
        """Try again from the same state after the next of `delays` (seconds); dead when they are used up."""
        with begin(self._engine) as connection:
            return _write(connection, _POSTPONE, job, {"delays": list(delays), **_describe(error)})

    # -- what a person does -----------------------------------------------------------------------------------------------

    def retry(self, ids: Sequence[RecordingId] | None = None, *, states: Sequence[JobState] | None = None) -> list[Job]:
        """Put waiting, dead and quarantined jobs back to where they stopped, with a fresh count of failures."""
        values = {"ids": _list(ids), "states": _list(states)}
        with begin(self._engine) as connection:
            return [_job(row) for row in connection.execute(_RETRY, values)]

    def discard(self, ids: Sequence[RecordingId]) -> list[Job]:
        """Give recordings up that have not landed; a worker busy with one of them loses it."""
        with begin(self._engine) as connection:
            return [_job(row) for row in connection.execute(_DISCARD, {"ids": list(ids)})]

    # -- looking ------------------------------------------------------------------------------------------------------------

    def list(
        self,
        ids: Sequence[RecordingId] | None = None,
        *,
        states: Sequence[JobState] | None = None,
        owner: str | None = None,
        limit: int | None = None,
    ) -> list[JobLine]:
        """Jobs by id, state and owner, in the order in which they are claimed."""
        values = {"ids": _list(ids), "states": _list(states), "owner": owner, "limit": limit}
        with begin(self._engine) as connection:
            rows = connection.execute(_LIST, values).all()
        return [JobLine(_job(row), row.owner, row.uri) for row in rows]

    def count(self) -> dict[JobState, int]:
        """How many jobs are in each state; states without one are left out."""
        with begin(self._engine) as connection:
            return {state: number for state, number in connection.execute(_COUNT)}

    def pending(self, ids: Sequence[RecordingId] | None = None) -> list[Job]:
        """Those that a worker can take on now or holds: neither in an end state nor waiting."""
        working: tuple[JobState, ...] = ("received", "validated", "transcribed", "written")
        return [line.job for line in self.list(ids, states=working)]


def _write(connection: Connection, statement: TextClause, job: Job, values: Mapping[str, Any] | None = None) -> Job:
    row = connection.execute(statement, {**_fence(job), **(values or {})}).one_or_none()
    if row is None:
        raise LeaseLost(job.recording_id, job.attempt)
    return _job(row)


def _fence(job: Job) -> dict[str, Any]:
    return {"id": job.recording_id, "attempt": job.attempt, "held": job.state}


def _describe(error: Exception) -> dict[str, str]:
    """Code and message of one of our errors; of a foreign one the name alone, since its text may quote a diary."""
    if isinstance(error, DiarynotesError):
        return {"code": error.code, "message": plain_text(str(error))}
    return {"code": "bug", "message": type(error).__name__}


def _job(row: Row[Any]) -> Job:
    job = Job(*row[:9])
    return replace(job, next_attempt_at=_utc(job.next_attempt_at), updated_at=_utc(job.updated_at))


def _utc(moment: datetime | None) -> datetime | None:
    from datetime import UTC

    return moment.astimezone(UTC) if moment else None


def _list(values: Sequence[str] | None) -> list[str] | None:
    return None if values is None else list(values)
