"""Writing and reading the nouns in Postgres: recordings, transcripts, notes with their findings, the cost ledger.

Works inside a transaction that the caller holds. Knows the tables; knows no states and no leases.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import UTC
from typing import Any

from sqlalchemy import Connection, Row, Text, bindparam, exists, func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from diarynotes.models import PERSON, Cost, DiaryNote, Finding, Recording, RecordingId, Transcript, Usage, WindowText
from diarynotes.store.facts import HeardWindows, UsageStage
from diarynotes.store.tables import (
    FindingRow,
    HeardWindowRow,
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
_heard: Any = HeardWindowRow.__table__  # type: ignore[attr-defined]
_usages: Any = UsageRow.__table__  # type: ignore[attr-defined]


_RECORDING = [field.name for field in fields(Recording)]
_TRANSCRIPT = [field.name for field in fields(Transcript)]
_NOTE = [field.name for field in fields(DiaryNote) if field.name != "findings"]
_USAGE = [field.name for field in fields(Usage)]


def _upsert(table: Any, columns: Sequence[str], **computed: Any) -> Any:
    """An insert of `columns` by name and of what the server computes; a row with the same id is replaced."""
    statement = insert(table).values({name: bindparam(name) for name in columns} | computed)
    changed = {name: statement.excluded[name] for name in (*columns, *computed) if name != "id"}
    return statement.on_conflict_do_update(index_elements=["id"], set_=changed)


def _owner_of(parameter: str) -> Any:
    return select(_recordings.c.owner).where(_recordings.c.id == bindparam(parameter, type_=Text)).scalar_subquery()


# built once: putting a statement together takes longer than Postgres takes to run it
_LEARN = (
    update(_recordings)
    .where(_recordings.c.id == bindparam("this"))
    .values({name: bindparam(name) for name in ("media", "quality", "recorded_at", "recorded_at_source")})
)
_PUT_TRANSCRIPT = _upsert(_transcripts, _TRANSCRIPT, heard_at=func.clock_timestamp())
# what is current still, after `_SUPERSEDE`, is a person's, which no other writer's note supersedes
_another_stands = exists().where(
    _notes.c.recording_id == bindparam("recording_id", type_=Text),
    _notes.c.is_current,
    _notes.c.id != bindparam("id", type_=Text),
)
_PUT_NOTE = _upsert(
    _notes, _NOTE, owner=_owner_of("recording_id"), is_current=~_another_stands, written_at=func.clock_timestamp()
)
_SUPERSEDE = text("""
with day_kept as (
    update jobs set days = array_append(array_remove(days, cast(:note_day as date)), cast(:note_day as date))
    where recording_id = :recording
)
update notes set is_current = false
where recording_id = :recording and is_current and id <> :note and (writer <> :person or :writer = :person)
""")
_STEP_BACK = text("update notes set is_current = false where recording_id = :recording and is_current")
_STEP_FORWARD = text("""
update notes set is_current = true
where id = (
    select id from notes where recording_id = :recording and writer <> :person order by written_at desc, id limit 1
)
""")
_PUT_HEARD = insert(_heard).values({name: bindparam(name) for name in ("recording_id", "key", "number", "text")})
_DROP_HEARD = text("delete from heard_windows where recording_id = any(cast(:ids as text[]))")
_DROP_FINDINGS = text("delete from findings where note_id = :note")
_PUT_FINDINGS = insert(_findings)
_PUT_USAGES = insert(_usages).values(
    {name: bindparam(name) for name in ("recording_id", "stage", "usd", "price_source", *_USAGE)}
    | {"owner": _owner_of("recording_id")}
)


def put_recording(connection: Connection, recording: Recording) -> None:
    """Keep what was learned of a recording by decoding it; what identifies it stays as registered."""
    learned = {name: getattr(recording, name) for name in ("media", "quality", "recorded_at", "recorded_at_source")}
    connection.execute(_LEARN, {"this": recording.id, **learned})


def put_heard(
    connection: Connection, recording_id: RecordingId, key: str, texts: Mapping[int, Sequence[WindowText]]
) -> None:
    """Keep what was just heard in some windows of a recording, by their numbers."""
    rows = [
        {"recording_id": recording_id, "key": key, "number": number, "text": heard}
        for number, found in texts.items()
        for heard in found
    ]
    if rows:
        connection.execute(_PUT_HEARD, rows)


def drop_heard(connection: Connection, recording_ids: Sequence[RecordingId]) -> None:
    """Forget what was heard in windows: the transcript is there, or will never be."""
    connection.execute(_DROP_HEARD, {"ids": list(recording_ids)})


def put_transcript(connection: Connection, transcript: Transcript) -> None:
    """Store a transcript; the same one again replaces itself."""
    drop_heard(connection, [transcript.recording_id])
    connection.execute(_PUT_TRANSCRIPT, {name: getattr(transcript, name) for name in _TRANSCRIPT})


def put_note(connection: Connection, note: DiaryNote) -> None:
    """Make `note` the recording's current one, with its findings; the one before stays as history.

    A person's is superseded by a person's alone: any other note becomes history at once.
    """
    about = {"recording": note.recording_id, "note": note.id, "note_day": note.day}
    connection.execute(_SUPERSEDE, about | {"writer": note.writer, "person": PERSON})
    connection.execute(_PUT_NOTE, {name: getattr(note, name) for name in _NOTE})
    connection.execute(_DROP_FINDINGS, {"note": note.id})
    if note.findings:
        connection.execute(
            _PUT_FINDINGS,
            [
                {"note_id": note.id, "number": number, "code": finding.code, "severity": finding.severity}
                | {"place": plain_text(finding.where), "message": plain_text(finding.message)}
                for number, finding in enumerate(note.findings)
            ],
        )


def replace_note(connection: Connection, note: DiaryNote) -> None:
    """As `put_note`, but `note` becomes the current one whoever wrote it and the one before."""
    connection.execute(_STEP_BACK, {"recording": note.recording_id})
    put_note(connection, note)


def restore_note(connection: Connection, recording_id: RecordingId) -> None:
    """Make the newest note that is no person's the current one again; there has to be one."""
    connection.execute(_STEP_BACK, {"recording": recording_id})
    connection.execute(_STEP_FORWARD, {"recording": recording_id, "person": PERSON})


def put_costs(
    connection: Connection, recording_id: RecordingId, stage: UsageStage, costs: Sequence[Usage | Cost]
) -> None:
    """Book what a stage used."""
    priced = [cost if isinstance(cost, Cost) else Cost(cost, None, "") for cost in costs]
    if not priced:
        return
    connection.execute(
        _PUT_USAGES,
        [
            {"recording_id": recording_id, "stage": stage, "usd": cost.usd, "price_source": cost.price_source}
            | {name: getattr(cost.usage, name) for name in _USAGE}
            for cost in priced
        ],
    )


# -- reading ----------------------------------------------------------------------------------------------------------


def _to_recording(row: Row[Any]) -> Recording:
    values = {name: getattr(row, name) for name in _RECORDING}
    return Recording(**values | {"recorded_at": row.recorded_at.astimezone(UTC)})


def _to_transcript(row: Row[Any]) -> Transcript:
    return Transcript(**{name: getattr(row, name) for name in _TRANSCRIPT})


def to_note(row: Row[Any], findings: Sequence[Finding]) -> DiaryNote:
    return DiaryNote(**{name: getattr(row, name) for name in _NOTE}, findings=tuple(findings))


def to_cost(row: Row[Any]) -> Cost:
    return Cost(Usage(**{name: getattr(row, name) for name in _USAGE}), row.usd, row.price_source)


def read_recordings(connection: Connection, ids: Sequence[RecordingId]) -> dict[RecordingId, Recording]:
    """The recordings among `ids` that exist."""
    rows = connection.execute(select(_recordings).where(_recordings.c.id == func.any(list(ids))))
    return {row.id: _to_recording(row) for row in rows}


def read_transcripts(connection: Connection, ids: Iterable[str]) -> dict[str, Transcript]:
    """Transcripts by their own ids."""
    rows = connection.execute(select(_transcripts).where(_transcripts.c.id == func.any(list(ids))))
    return {row.id: _to_transcript(row) for row in rows}


def read_newest_transcripts(connection: Connection, ids: Sequence[RecordingId]) -> dict[RecordingId, Transcript]:
    """What was heard last in each of these recordings."""
    mine = _transcripts.c.recording_id == func.any(list(ids))
    newest = (_transcripts.c.recording_id, _transcripts.c.heard_at.desc())
    first = select(_transcripts).prefix_with(text("distinct on (recording_id)"))
    rows = connection.execute(first.where(mine).order_by(*newest))
    return {row.recording_id: _to_transcript(row) for row in rows}


def read_heard(connection: Connection, ids: Sequence[RecordingId]) -> dict[RecordingId, HeardWindows]:
    """What was kept of recordings without a transcript, by recording, by key and by number of the window."""
    found: dict[RecordingId, HeardWindows] = {}
    mine = select(_heard).where(_heard.c.recording_id == func.any(list(ids))).order_by(_heard.c.id)
    for row in connection.execute(mine):
        windows = found.setdefault(row.recording_id, {}).setdefault(row.key, {})
        windows.setdefault(row.number, []).append(row.text)
    return found


def read_findings(connection: Connection, note_ids: Iterable[str]) -> dict[str, list[Finding]]:
    """Findings by note."""
    mine = _findings.c.note_id == func.any(list(note_ids))
    found: dict[str, list[Finding]] = {}
    for row in connection.execute(select(_findings).where(mine).order_by(_findings.c.note_id, _findings.c.number)):
        found.setdefault(row.note_id, []).append(Finding(row.code, row.severity, row.place, row.message))
    return found


def read_current_notes(connection: Connection, recording_ids: Sequence[RecordingId]) -> dict[RecordingId, DiaryNote]:
    """The current note of each recording that has one."""
    mine = _notes.c.recording_id == func.any(list(recording_ids))
    rows = connection.execute(select(_notes).where(mine, _notes.c.is_current)).all()
    findings = read_findings(connection, [row.id for row in rows])
    return {row.recording_id: to_note(row, findings.get(row.id, ())) for row in rows}


def read_costs(connection: Connection, recording_ids: Sequence[RecordingId]) -> dict[RecordingId, list[Cost]]:
    """Everything that was booked for each recording, oldest first."""
    booked: dict[RecordingId, list[Cost]] = {}
    mine = _usages.c.recording_id == func.any(list(recording_ids))
    for row in connection.execute(select(_usages).where(mine).order_by(_usages.c.id)):
        booked.setdefault(row.recording_id, []).append(to_cost(row))
    return booked
