"""Postgres against the warehouse: what is missing, stale or left over, and a warehouse made anew.

Knows both sides; decides nothing about when to look.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from sqlalchemy import Connection, Engine, text

from diarynotes.errors import StorageFailed
from diarynotes.models import Finding, Job, RecordingId
from diarynotes.store.database import begin
from diarynotes.store.facts import Landing
from diarynotes.store.land import TABLES
from diarynotes.store.results import read_costs, read_current_notes, read_recordings, read_transcripts
from diarynotes.store.warehouse import Warehouse

_CHUNK = 500
"""Recordings read from Postgres at a time."""

Rows: TypeAlias = tuple[int, int]
"""Attempt, and how many rows of a table carry it for one recording."""

_LANDED = text("""
select j.recording_id, j.landed_attempt, jsonb_array_length(t.segments) as segments,
    (select count(*) from usages u where u.recording_id = j.recording_id) as costs
from jobs j
join notes n on n.recording_id = j.recording_id and n.is_current
join transcripts t on t.id = n.transcript_id
where j.state = 'landed'
""")

# Between two states a recording may have landed already, or not yet again: neither is wrong.
_UNSETTLED = text("""
select recording_id from jobs
where state in ('written', 'waiting', 'dead') or (landed_attempt is not null and state not in ('landed', 'erased'))
""")

_ALL_LANDED = text("""
select recording_id, landed_attempt from jobs
where landed_attempt is not null and state <> 'erased'
  and (cast(:ids as text[]) is null or recording_id = any(cast(:ids as text[])))
""")


def read_landings(engine: Engine, jobs: Sequence[Job]) -> list[Landing]:
    """What Postgres holds of `jobs`, as the warehouse wants it; jobs without a note are left out."""
    with begin(engine) as connection:
        return _landings(connection, {job.recording_id: job.attempt for job in jobs})


def verify(engine: Engine, warehouse: Warehouse) -> tuple[Finding, ...]:
    """Where the warehouse differs from what Postgres says has landed; empty when they agree.

    Codes: `warehouse_missing`, `warehouse_stale` (another attempt, or another number of rows), `warehouse_extra`,
    `warehouse_torn` (a table cannot be read).
    """
    with begin(engine) as connection:
        landed = {row.recording_id: row for row in connection.execute(_LANDED)}
        unsettled = set(connection.scalars(_UNSETTLED))
    findings: list[Finding] = []
    for table in TABLES:
        expected = {key: (row.landed_attempt, _expected_rows(table, row)) for key, row in landed.items()}
        try:
            present = _present(warehouse, table)
        except StorageFailed as failure:
            findings.append(Finding("warehouse_torn", "error", table, str(failure)))
            continue
        findings += _compare(table, {key: rows for key, rows in expected.items() if rows[1]}, present, unsettled)
    return tuple(findings)


def rebuild(engine: Engine, warehouse: Warehouse) -> None:
    """Make the warehouse anew from Postgres, beside the old one, and put it into its place."""
    place = warehouse.folder
    fresh = Warehouse(place.with_name(f".{place.name}-{uuid.uuid4().hex}"))
    try:
        for landings in read_landed(engine):
            fresh.land(landings)
        _swap(fresh.folder, place)
    except OSError as failure:
        raise StorageFailed(str(place), failure.strerror or type(failure).__name__) from failure
    finally:
        shutil.rmtree(fresh.folder, ignore_errors=True)
    # whatever landed in the old folder meanwhile lands again; what is there already costs nothing
    for landings in read_landed(engine):
        warehouse.land(landings)


def read_landed(engine: Engine, ids: Sequence[RecordingId] | None = None) -> Iterator[list[Landing]]:
    """What has landed, of all recordings or of `ids`, under the attempts that it landed under; in chunks."""
    values = {"ids": None if ids is None else list(ids)}
    with begin(engine) as connection:
        attempts = {row.recording_id: row.landed_attempt for row in connection.execute(_ALL_LANDED, values)}
    known = sorted(attempts)
    for start in range(0, len(known), _CHUNK):
        with begin(engine) as connection:
            landings = _landings(connection, {key: attempts[key] for key in known[start : start + _CHUNK]})
        yield landings  # when the transaction is over: whoever takes them may be a while


def _landings(connection: Connection, attempts: dict[RecordingId, int]) -> list[Landing]:
    ids = list(attempts)
    recordings = read_recordings(connection, ids)
    notes = read_current_notes(connection, ids)
    transcripts = read_transcripts(connection, {note.transcript_id for note in notes.values()})
    costs = read_costs(connection, ids)
    statement = text("select recording_id, days from jobs where recording_id = any(cast(:ids as text[]))")
    days = {row.recording_id: tuple(row.days) for row in connection.execute(statement, {"ids": ids})}
    return [
        Landing(
            recordings[key], transcripts[note.transcript_id], note, tuple(costs.get(key, ())), attempts[key], days[key]
        )
        for key, note in notes.items()
    ]


def _expected_rows(table: str, row: Any) -> int:
    counts = {"segments": row.segments, "costs": row.costs}
    return int(counts.get(table, 1))


def _present(warehouse: Warehouse, table: str) -> dict[RecordingId, set[Rows]]:
    frame = warehouse.read(table).group_by("recording_id", "attempt").len().collect()
    present: dict[RecordingId, set[Rows]] = {}
    for recording_id, attempt, rows in frame.iter_rows():
        present.setdefault(recording_id, set()).add((attempt, rows))
    return present


def _compare(
    table: str, expected: dict[RecordingId, Rows], present: dict[RecordingId, set[Rows]], unsettled: set[RecordingId]
) -> Iterator[Finding]:
    for key in sorted(expected.keys() - present.keys()):
        yield Finding("warehouse_missing", "error", f"{table}/{key}", f"Recording {key} is missing from {table}.")
    for key in sorted(expected.keys() & present.keys()):
        if present[key] != {expected[key]}:
            yield Finding("warehouse_stale", "error", f"{table}/{key}", f"{table} holds other rows of {key}.")
    for key in sorted(present.keys() - expected.keys() - unsettled):
        yield Finding("warehouse_extra", "error", f"{table}/{key}", f"{table} holds {key}, which has not landed.")


def _swap(fresh: Path, place: Path) -> None:
    old = place.with_name(f".{place.name}-{uuid.uuid4().hex}")
    fresh.mkdir(exist_ok=True)
    if place.exists():
        os.rename(place, old)
    os.rename(fresh, place)
    shutil.rmtree(old, ignore_errors=True)
