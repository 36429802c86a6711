"""A Postgres older than its warehouse, as after a copy of it was restored: what it has forgotten is brought back.

A claim is on disk before its attempt can be in the warehouse. So an attempt there that Postgres has not counted up to
is one that it has forgotten, and there is no other way to come by one. What has landed under it comes back out of the
warehouse, which then is the only place that holds it: no note is lost, and none is paid for again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, TypeAlias

from sqlalchemy import Connection, Engine, text

from diarynotes.models import Cost, RecordingId
from diarynotes.store.database import begin
from diarynotes.store.facts import Landing
from diarynotes.store.land import TABLES
from diarynotes.store.read_back import make_landings
from diarynotes.store.registry import register_again
from diarynotes.store.repair import read_landed
from diarynotes.store.results import put_costs, put_transcript, read_costs, replace_note
from diarynotes.store.warehouse import Warehouse

_CHUNK = 200
"""Recordings that are brought back in one transaction."""

Ahead: TypeAlias = dict[RecordingId, int]
"""The attempt under which each recording is in the warehouse."""

_AHEAD = text("""
select seen.id
from unnest(cast(:ids as text[]), cast(:attempts as integer[])) as seen (id, attempt)
left join jobs on jobs.recording_id = seen.id
where jobs.attempt is null or (jobs.attempt < seen.attempt and jobs.state <> 'erased')
order by seen.id
""")

# Whoever holds the job loses it, as to an edit: what it is about to make has been made.
_LANDED = text("""
update jobs
set state = 'landed', attempt = :attempt, landed_attempt = :attempt, worker = null, lease_until = null, failures = 0,
    crashes = 0, resume_state = null, next_attempt_at = null, error_code = null, error_message = null,
    updated_at = now()
where recording_id = :id and attempt < :attempt and state <> 'erased'
""")

# A landing that was broken off: what Postgres holds lands once more, under an attempt that counts.
_OVERTAKE = text("""
update jobs
set state = case when state = 'landed' then 'written' else state end,
    attempt = :attempt, worker = null, lease_until = null, updated_at = now()
where recording_id = :id and attempt < :attempt and state <> 'erased'
""")


@dataclass(frozen=True, slots=True)
class Recovered:
    """Recordings that Postgres had forgotten of: `ids` are landed again, `broken_off` had landed in part only."""

    ids: tuple[RecordingId, ...] = ()
    broken_off: tuple[RecordingId, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.ids or self.broken_off)


def find_forgotten(engine: Engine, warehouse: Warehouse) -> list[RecordingId]:
    """The recordings that the warehouse holds under attempts of which Postgres knows nothing. Raises StorageFailed."""
    return list(_find_ahead(engine, warehouse)[0])


def recover_forgotten(engine: Engine, warehouse: Warehouse) -> Recovered:
    """Bring back what Postgres has forgotten. Finds nothing in ordinary times; several may do it at once.

    Raises StorageFailed. What was broken off and is unknown to Postgres is left to whoever registers it again.
    """
    ahead, days = _find_ahead(engine, warehouse)
    done: list[RecordingId] = []
    broken_off: list[RecordingId] = []
    for chunk in _chunks(list(ahead)):
        landings = [
            landing
            for landing in _read(warehouse, chunk, {days[key] for key in chunk})
            if landing.attempt == ahead[landing.recording.id]
        ]
        whole = {landing.recording.id for landing in landings}
        torn = [key for key in chunk if key not in whole]
        with begin(engine) as connection:
            done += [landing.recording.id for landing in landings if _bring_back(connection, landing)]
            broken_off += [
                key for key in torn if connection.execute(_OVERTAKE, {"id": key, "attempt": ahead[key]}).rowcount
            ]
        for again in read_landed(engine, sorted(whole)):
            warehouse.land(again)  # what was not kept word for word, if anything; else this writes nothing
    return Recovered(tuple(sorted(done)), tuple(sorted(broken_off)))


def _find_ahead(engine: Engine, warehouse: Warehouse) -> tuple[Ahead, dict[RecordingId, date]]:
    """Attempts and days of what is ahead. The warehouse is read first: what lands meanwhile was claimed before."""
    rows = warehouse.read(TABLES[0]).select("recording_id", "attempt", "day").collect()
    if not rows.height:
        return {}, {}
    values = {"ids": rows["recording_id"].to_list(), "attempts": rows["attempt"].to_list()}
    with begin(engine) as connection:
        ids = set(connection.scalars(_AHEAD, values))
    found = [row for row in sorted(rows.iter_rows(), key=lambda row: row[:2]) if row[0] in ids]
    return {key: attempt for key, attempt, _ in found}, {key: day for key, _, day in found}


def _read(warehouse: Warehouse, ids: Sequence[RecordingId], days: set[date]) -> list[Landing]:
    import polars as pl

    wanted = pl.Series(ids).implode()
    frames: dict[str, Any] = {}
    for table in TABLES:
        rows = warehouse.scan(table, warehouse.files(table, days)).collect()
        frames[table] = rows.filter(pl.col("recording_id").is_in(wanted))
    return make_landings(frames)


def _bring_back(connection: Connection, landing: Landing) -> bool:
    """False where somebody else has done it just now."""
    register_again(connection, landing.recording)
    here = {"id": landing.recording.id, "attempt": landing.attempt}
    if not connection.execute(_LANDED, here).rowcount:
        return False
    put_transcript(connection, landing.transcript)
    replace_note(connection, landing.note)
    for stage, costs in _forgotten_costs(connection, landing).items():
        put_costs(connection, landing.recording.id, stage, costs)  # type: ignore[arg-type]
    return True


def _forgotten_costs(connection: Connection, landing: Landing) -> dict[str, list[Cost]]:
    """What was booked since, by stage; the lines of a bill never change, and new ones come after the old ones."""
    known = len(read_costs(connection, [landing.recording.id]).get(landing.recording.id, ()))
    found: dict[str, list[Cost]] = {}
    for cost in landing.costs[known:]:
        heard = cost.usage.provider == "local" and cost.usage.model == landing.transcript.model
        found.setdefault("engine" if heard else "writer", []).append(cost)
    return found


def _chunks(ids: Sequence[RecordingId]) -> Iterator[Sequence[RecordingId]]:
    for start in range(0, len(ids), _CHUNK):
        yield ids[start : start + _CHUNK]
