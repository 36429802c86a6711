"""The queue: who may work on which recording, and how a stage's result and the job's next state are stored as one.

Knows the states of a job and the tables behind them; knows no engine, no writer and no order of stages beyond the
state that each result leads to.

A claim counts `attempt` up. Every later write names that attempt and the state in which the job was claimed; where no
row matches, somebody else has taken the job over, nothing is written, and LeaseLost is raised.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeAlias

from sqlalchemy import Connection, Engine, Row, TextClause

import diarynotes.store.jobs_sql as sql
import diarynotes.store.results as results
from diarynotes.errors import DiarynotesError, LeaseLost
from diarynotes.models import (
    PERSON,
    Cost,
    DiaryNote,
    Job,
    JobState,
    Recording,
    RecordingId,
    Transcript,
    Usage,
    WindowText,
)
from diarynotes.store.database import begin
from diarynotes.store.desk import bill_answers
from diarynotes.store.facts import JobLine
from diarynotes.store.tables import plain_text
from diarynotes.store.worker import Worker

RETRY_DELAYS_S = (60, 300, 1800)
"""Seconds before the first, second and third retry; after the last one the job is dead."""

JobList: TypeAlias = list[Job]
JobLines: TypeAlias = list[JobLine]

RETRIABLE: frozenset[JobState] = frozenset({"waiting", "dead", "quarantined", "discarded"})
"""States that a person may have a recording tried again from."""

_FAILED: tuple[JobState, ...] = ("waiting", "dead", "quarantined")


class Jobs:
    """The queue as one worker sees it. Every method is one transaction; StorageFailed where Postgres fails."""

    def __init__(self, engine: Engine, worker: Worker, connection: Connection | None = None) -> None:
        self._engine = engine
        self._worker = worker
        self._connection = connection

    @contextmanager
    def together(self) -> Iterator[Jobs]:
        """A queue whose calls share one transaction: a chunk of results costs one write to the disk instead of many.

        LeaseLost leaves the others' results untouched when it is caught inside the block; any other error undoes the
        block as a whole.
        """
        with begin(self._engine) as connection:
            yield Jobs(self._engine, self._worker, connection)

    @contextmanager
    def _begin(self) -> Iterator[Connection]:
        if self._connection is not None:
            yield self._connection
            return
        with begin(self._engine) as connection:
            yield connection

    def _relax(self, connection: Connection) -> None:
        """Do not wait for the disk: what is lost when the server itself dies within half a second is made again.

        Notes and landings wait, and what came before them is on disk with them. A shared transaction waits once.
        """
        if self._connection is None:
            connection.execute(sql.RELAX)

    # -- claiming and giving back -------------------------------------------------------------------------------------

    def claim(self, state: JobState, *, ids: Sequence[RecordingId] | None = None, limit: int = 100) -> JobList:
        """Up to `limit` free jobs in `state`, and waiting ones whose time has come, most urgent and oldest first.

        Those that the last worker died or froze on are left out: see `claim_suspects`.
        """
        return self._claim(sql.CLAIM, state, ids, limit)

    def claim_suspects(self, state: JobState, *, ids: Sequence[RecordingId] | None = None, limit: int = 1) -> JobList:
        """As `claim`, of those that the last worker died or froze on; whoever takes one should hold little else.

        Each such takeover counts `crashes` up; getting on with it, or success, sets them back.
        """
        return self._claim(sql.CLAIM_SUSPECTS, state, ids, limit)

    def suspects(self, state: JobState, ids: Sequence[RecordingId] | None = None) -> dict[RecordingId, int]:
        """What `claim_suspects` would take, and the crashes of each with the one that it is free by."""
        values = {"state": state, "ids": _list(ids), "worker": self._worker.number}
        with self._begin() as connection:
            return {row.recording_id: row.crashes for row in connection.execute(sql.SUSPECTS, values)}

    def _claim(self, statement: TextClause, state: JobState, ids: Sequence[RecordingId] | None, limit: int) -> JobList:
        values: dict[str, Any] = {"state": state, "ids": _list(ids), "limit": limit}
        values |= {"worker": self._worker.number, "lease_s": self._worker.lease_s}
        with self._begin() as connection:
            rows = connection.execute(statement, values).all()
        self._worker.hold(jobs=[(row.recording_id, row.attempt) for row in rows])
        return [_job(row) for row in sorted(rows, key=lambda row: (row.priority, row.recorded_at, row.recording_id))]

    def release(self, job: Job) -> Job:
        """Give a claim back unharmed: another worker may have it at once, and no failure is counted.

        Where Postgres is gone, it runs out.
        """
        self.let_go([job])
        with self._begin() as connection:
            return _write(connection, sql.RELEASE, job)

    def let_go(self, jobs: Sequence[Job]) -> None:
        """Nobody here works on these any more: claims that could not be given back run out."""
        self._worker.let_go(jobs=[(job.recording_id, job.attempt) for job in jobs])

    # -- a stage's result and the next state, as one ------------------------------------------------------------------

    def store_validated(self, job: Job, recording: Recording) -> Job:
        """The recording was decoded and can be transcribed: keep its media and quality."""
        with self._begin() as connection:
            self._relax(connection)
            moved = _write(connection, sql.MOVE, job, {"state": "validated"})
            results.put_recording(connection, recording)
            return moved

    def keep_heard(self, job: Job, key: str, texts: Mapping[int, Sequence[WindowText]]) -> None:
        """Some windows of the recording were heard; kept until its transcript is stored or it is set aside."""
        with self._begin() as connection:
            self._relax(connection)
            if _write(connection, sql.HOLD, job).crashes:
                connection.execute(sql.TRUST, {"id": job.recording_id})
            results.put_heard(connection, job.recording_id, key, texts)

    def store_transcript(self, job: Job, transcript: Transcript, usages: Sequence[Usage | Cost] = ()) -> Job:
        """The recording was transcribed. A `Usage` without a price is booked as unknown."""
        with self._begin() as connection:
            self._relax(connection)
            moved = _write(connection, sql.MOVE, job, {"state": "transcribed"})
            results.put_transcript(connection, transcript)
            results.put_costs(connection, job.recording_id, "engine", usages)
            return moved

    def store_note(
        self, job: Job, note: DiaryNote, costs: Sequence[Cost] = (), *, answers: Collection[str] = ()
    ) -> Job:
        """The note was written and checked: it is the current one now, an earlier one becomes history.

        Where a person's note is current it stays so, and this one is history from the beginning. `answers` are the keys
        of the kept answers whose use is among `costs`: no other bill will have it.
        """
        with self._begin() as connection:
            moved = _write(connection, sql.MOVE, job, {"state": "written"})
            results.put_note(connection, note)
            results.put_costs(connection, job.recording_id, "writer", costs)
            bill_answers(connection, answers, job.recording_id)
            return moved

    def store_landed(self, job: Job) -> Job:
        """The warehouse holds what `job` landed."""
        with self._begin() as connection:
            return _write(connection, sql.LAND, job)

    def store_all_landed(self, jobs: Sequence[Job]) -> JobList:
        """`store_landed` for a chunk in one transaction; those taken over by others are left out of the answer."""
        moved = []
        with self._begin() as connection:
            for job in sorted(jobs, key=lambda job: job.recording_id):
                row = connection.execute(sql.LAND, _fence(job)).one_or_none()
                if row is not None:
                    moved.append(_job(row))
        return moved

    def quarantine(self, job: Job, error: Exception) -> Job:
        """Set the recording aside: it is at fault, and only its maker can mend it."""
        with self._begin() as connection:
            moved = _write(connection, sql.QUARANTINE, job, _describe(error))
            results.drop_heard(connection, [job.recording_id])
            return moved

    def postpone(self, job: Job, error: Exception, delays: Sequence[float] = RETRY_DELAYS_S) -> Job:
        """Try again from the same state after the next of `delays` (seconds); dead when they are used up."""
        with self._begin() as connection:
            return _write(connection, sql.POSTPONE, job, {"delays": list(delays), **_describe(error)})

    # -- what a person does -------------------------------------------------------------------------------------------

    def retry(self, ids: Sequence[RecordingId] | None = None, *, states: Sequence[JobState] | None = None) -> JobList:
        """Put jobs back to where they stopped, with a fresh count of failures; quarantined ones to the beginning.

        Those among `ids` in one of `states`, which are some of RETRIABLE; without them all that wait, are dead or are
        quarantined, while what a person has discarded must be asked for.
        """
        wanted = _FAILED if states is None else [state for state in states if state in RETRIABLE]
        values = {"ids": _list(ids), "states": list(wanted)}
        with self._begin() as connection:
            return [_job(row) for row in connection.execute(sql.RETRY, values)]

    def discard(self, ids: Sequence[RecordingId]) -> JobList:
        """Give recordings up that have not landed; a worker busy with one of them loses it. `retry` undoes it."""
        with self._begin() as connection:
            moved = [_job(row) for row in connection.execute(sql.DISCARD, {"ids": list(ids)})]
            results.drop_heard(connection, [job.recording_id for job in moved])
            return moved

    def store_edit(self, note: DiaryNote) -> Job | None:
        """What a person has made of a recording's note, to be landed; a worker busy with the recording loses it.

        None, and nothing is stored, where the recording is on its way to its first note, or given up.
        """
        with self._begin() as connection:
            row = connection.execute(sql.EDIT, {"id": note.recording_id}).one_or_none()
            if row is None:
                return None
            results.put_note(connection, note)
            return _job(row)

    def drop_edits(self, recording_id: RecordingId) -> Job | None:
        """The newest note that is no person's becomes the current one again, to be landed; the edits stay as history.

        None, and nothing is changed, where the current note is no person's, or there is no other.
        """
        with self._begin() as connection:
            row = connection.execute(sql.DROP_EDITS, {"id": recording_id, "person": PERSON}).one_or_none()
            if row is None:
                return None
            results.restore_note(connection, recording_id)
            return _job(row)

    # -- looking ------------------------------------------------------------------------------------------------------

    def list(
        self,
        ids: Sequence[RecordingId] | None = None,
        *,
        states: Sequence[JobState] | None = None,
        owner: str | None = None,
        limit: int | None = None,
    ) -> JobLines:
        """Jobs by id, state and owner, in the order in which they are claimed."""
        values = {"ids": _list(ids), "states": _list(states), "owner": owner, "limit": limit}
        with self._begin() as connection:
            rows = connection.execute(sql.LIST, values).all()
        return [JobLine(_job(row), row.owner, row.uri) for row in rows]

    def pages(self, size: int = 5_000) -> Iterator[JobLines]:
        """All jobs by the recordings' ids, so many at a time; each as it stands when its page is read."""
        after = ""
        while True:
            with self._begin() as connection:
                rows = connection.execute(sql.PAGE, {"after": after, "limit": size}).all()
            if not rows:
                return
            yield [JobLine(_job(row), row.owner, row.uri) for row in rows]
            after = rows[-1].recording_id

    def count(self, ids: Sequence[RecordingId] | None = None) -> dict[JobState, int]:
        """How many jobs, of these recordings or of all, are in each state; states without one are left out."""
        with self._begin() as connection:
            return {row.state: row.jobs for row in connection.execute(sql.COUNT, {"ids": _list(ids)})}

    def stand(self) -> str:
        """Differs whenever a job has moved."""
        with self._begin() as connection:
            count, newest = connection.execute(sql.STAND).one()
        return f"{count} jobs, {newest.isoformat() if newest else 'never'}"

    def claimable(
        self, ids: Sequence[RecordingId] | None = None, *, unasked: bool = False, limit: int | None = None
    ) -> Sequence[RecordingId]:
        """Recordings that nobody works on though something is left to be done, most urgent and oldest first.

        With `unasked`, without those that another run was asked for (`Asks`).
        """
        values = {"ids": _list(ids), "unasked": unasked, "limit": limit}
        with self._begin() as connection:
            return connection.scalars(sql.CLAIMABLE, values).all()

    def stranded(self, *, idle_s: float, unasked: bool = False, limit: int | None = None) -> Sequence[RecordingId]:
        """Recordings that somebody should take up now, most urgent and oldest first; `unasked` as in `claimable`.

        Their worker has died or frozen, or who was going to work on them has died, their wait for the next try is over,
        or nobody has touched them for `idle_s`.
        """
        values = {"idle_s": idle_s, "unasked": unasked, "limit": limit}
        with self._begin() as connection:
            return connection.scalars(sql.STRANDED, values).all()

    def pending(self, ids: Sequence[RecordingId] | None = None) -> JobList:
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
    job = Job(*tuple(row)[:10])
    return replace(job, next_attempt_at=_utc(job.next_attempt_at), updated_at=_utc(job.updated_at))


def _utc(moment: datetime | None) -> datetime | None:
    return moment.astimezone(UTC) if moment else None


def _list(values: Sequence[str] | None) -> list[str] | None:
    return None if values is None else list(values)
