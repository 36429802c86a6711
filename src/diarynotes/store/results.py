"""Writing and reading the nouns in Postgres: recordings, transcripts, notes with their findings, the cost ledger.

Works inside a transaction that the caller holds. Knows the tables; knows no states and no leases.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields
from datetime import UTC
from typing import Any

from sqlalchemy import Connection, Row, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from diarynotes.models import Cost, DiaryNote, Finding, Recording, RecordingId, Transcript, Usage
from diarynotes.store.facts import UsageStage
from diarynotes.store.tables import (
    FindingRow,
    JobRow,
    NoteRow,
    RecordingRow,
    TranscriptRow,
    UsageRow,
    plain_text,
)

_recordings: Any = RecordingRow.__table__  # type: ignore[attr-defined]
_transcripts: Any = TranscriptRow.__table__  # type: ignore[attr-defined]
_notes: Any = NoteRow.__table__  # type: ignore[attr-defined]
_findings: Any = FindingRow.__table__  # type: ignore[attr-defined]
_usages: Any = UsageRow.__table__  # type: ignore[attr-defined]
_jobs: Any = JobRow.__table__  # type: ignore[attr-defined]


def put_recording(connection: Connection, recording: Recording) -> None:
    """Keep what was learned of a recording by decoding it; what identifies it stays as registered."""
    learned: dict[str, Any] = {"media": recording.media, "quality": recording.quality}
    learned |= {"recorded_at": recording.recorded_at, "recorded_at_source": recording.recorded_at_source}
    connection.execute(update(_recordings).where(_recordings.c.id == recording.id).values(**learned))


def put_transcript(connection: Connection, transcript: Transcript) -> None:
    """Store a transcript; the same one again replaces itself."""
    row = {name: getattr(transcript, name) for name in _TRANSCRIPT} | {"heard_at": func.clock_timestamp()}
    connection.execute(_upsert(_transcripts, row, ["id"]))


def put_note(connection: Connection, note: DiaryNote) -> None:
    """Make `note` the recording's current one, with its findings; the one before stays as history."""
    recording, current = note.recording_id, _notes.c.is_current
    connection.execute(
        update(_notes)
        .where(_notes.c.recording_id == recording, current, _notes.c.id != note.id)
        .values(is_current=False)
    )
    owner = select(_recordings.c.owner).where(_recordings.c.id == recording).scalar_subquery()
    row = {name: getattr(note, name) for name in _NOTE}
    row |= {"owner": owner, "is_current": True, "written_at": func.clock_timestamp()}
    connection.execute(_upsert(_notes, row, ["id"]))
    _put_findings(connection, note)
    days = func.array_append(func.array_remove(_jobs.c.days, note.day), note.day)
    connection.execute(update(_jobs).where(_jobs.c.recording_id == recording).values(days=days))


def _put_findings(connection: Connection, note: DiaryNote) -> None:
    connection.execute(delete(_findings).where(_findings.c.note_id == note.id))
    if note.findings:
        connection.execute(
            insert(_findings),
            [
                {"note_id": note.id, "number": number, "code": finding.code, "severity": finding.severity}
                | {"place": plain_text(finding.where), "message": plain_text(finding.message)}
                for number, finding in enumerate(note.findings)
            ],
        )


def put_costs(
    connection: Connection, recording_id: RecordingId, stage: UsageStage, costs: Sequence[Usage | Cost]
) -> None:
    """Book what a stage used."""
    if not costs:
        return
    owner = connection.scalar(select(_recordings.c.owner).where(_recordings.c.id == recording_id))
    priced = [cost if isinstance(cost, Cost) else Cost(cost, None, "") for cost in costs]
    connection.execute(
        insert(_usages),
        [
            {"recording_id": recording_id, "owner": owner, "stage": stage}
            | {name: getattr(cost.usage, name) for name in _USAGE}
            | {"usd": cost.usd, "price_source": cost.price_source}
            for cost in priced
        ],
    )


# -- reading ----------------------------------------------------------------------------------------------------------


def to_recording(row: Row[Any]) -> Recording:
    values = {name: getattr(row, name) for name in _RECORDING}
    return Recording(**values | {"recorded_at": row.recorded_at.astimezone(UTC)})


def to_transcript(row: Row[Any]) -> Transcript:
    return Transcript(**{name: getattr(row, name) for name in _TRANSCRIPT})


def to_note(row: Row[Any], findings: Sequence[Finding]) -> DiaryNote:
    return DiaryNote(**{name: getattr(row, name) for name in _NOTE}, findings=tuple(findings))


def to_cost(row: Row[Any]) -> Cost:
    return Cost(Usage(**{name: getattr(row, name) for name in _USAGE}), row.usd, row.price_source)


def read_recordings(connection: Connection, ids: Sequence[RecordingId]) -> dict[RecordingId, Recording]:
    """The recordings among `ids` that exist."""
    rows = connection.execute(select(_recordings).where(_recordings.c.id.in_(ids)))
    return {row.id: to_recording(row) for row in rows}


def read_transcripts(connection: Connection, ids: Iterable[str]) -> dict[str, Transcript]:
    """Transcripts by their own ids."""
    rows = connection.execute(select(_transcripts).where(_transcripts.c.id.in_(list(ids))))
    return {row.id: to_transcript(row) for row in rows}


def read_newest_transcript(connection: Connection, recording_id: RecordingId) -> Transcript | None:
    """What was heard last in a recording."""
    mine = _transcripts.c.recording_id == recording_id
    row = connection.execute(select(_transcripts).where(mine).order_by(_transcripts.c.heard_at.desc()).limit(1)).first()
    return to_transcript(row) if row else None


def read_findings(connection: Connection, note_ids: Iterable[str]) -> dict[str, list[Finding]]:
    """Findings by note."""
    mine = _findings.c.note_id.in_(list(note_ids))
    found: dict[str, list[Finding]] = {}
    for row in connection.execute(select(_findings).where(mine).order_by(_findings.c.note_id, _findings.c.number)):
        found.setdefault(row.note_id, []).append(Finding(row.code, row.severity, row.place, row.message))
    return found


def read_current_notes(connection: Connection, recording_ids: Sequence[RecordingId]) -> dict[RecordingId, DiaryNote]:
    """The current note of each recording that has one."""
    mine = _notes.c.recording_id.in_(recording_ids)
    rows = connection.execute(select(_notes).where(mine, _notes.c.is_current)).all()
    findings = read_findings(connection, [row.id for row in rows])
    return {row.recording_id: to_note(row, findings.get(row.id, ())) for row in rows}


def read_costs(connection: Connection, recording_ids: Sequence[RecordingId]) -> dict[RecordingId, list[Cost]]:
    """Everything that was booked for each recording, oldest first."""
    booked: dict[RecordingId, list[Cost]] = {}
    mine = _usages.c.recording_id.in_(recording_ids)
    for row in connection.execute(select(_usages).where(mine).order_by(_usages.c.id)):
        booked.setdefault(row.recording_id, []).append(to_cost(row))
    return booked


def _upsert(table: Any, row: dict[str, Any], key: list[str]) -> Any:
    statement = insert(table).values(**row)
    return statement.on_conflict_do_update(index_elements=key, set_={k: v for k, v in row.items() if k not in key})


_RECORDING = [field.name for field in fields(Recording)]
_TRANSCRIPT = [field.name for field in fields(Transcript)]
_NOTE = [field.name for field in fields(DiaryNote) if field.name != "findings"]
_USAGE = [field.name for field in fields(Usage)]
