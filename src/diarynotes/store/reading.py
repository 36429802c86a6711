"""The read side, for people: notes by owner, day and id; what a list of notes shows beside each.

Knows the tables; changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date
from typing import Any

from sqlalchemy import Engine, func, select

from diarynotes.models import Recording, RecordingId, Transcript
from diarynotes.store.database import begin
from diarynotes.store.facts import HeardWindows, StoredNote
from diarynotes.store.results import (
    read_findings,
    read_heard,
    read_newest_transcripts,
    read_recordings,
    read_transcripts,
    to_note,
)
from diarynotes.store.tables import NoteRow, RecordingRow, UsageRow

_recordings: Any = RecordingRow.__table__  # type: ignore[attr-defined]
_notes: Any = NoteRow.__table__  # type: ignore[attr-defined]
_usages: Any = UsageRow.__table__  # type: ignore[attr-defined]


def find_notes(
    engine: Engine,
    *,
    owner: str | None = None,
    since: date | None = None,
    until: date | None = None,
    prefix: str | None = None,
    file_name: str | None = None,
    recording_ids: Sequence[RecordingId] | None = None,
    limit: int | None = None,
) -> list[StoredNote]:
    """Current notes, newest day first.

    `since` and `until` are days, `prefix` begins a note's or a recording's id, `file_name` is the last part of where
    the recording lies.
    """
    wanted = [_notes.c.is_current]
    if owner is not None:
        wanted.append(_notes.c.owner == owner)
    if since is not None:
        wanted.append(_notes.c.day >= since)
    if until is not None:
        wanted.append(_notes.c.day <= until)
    if prefix is not None:
        begins = _notes.c.id.startswith(prefix, autoescape=True)
        wanted.append(begins | _notes.c.recording_id.startswith(prefix, autoescape=True))
    if file_name is not None:
        lies_there = _recordings.c.uri.endswith(f"/{file_name}", autoescape=True)
        wanted.append(_notes.c.recording_id.in_(select(_recordings.c.id).where(lies_there)))
    if recording_ids is not None:
        wanted.append(_notes.c.recording_id == func.any(list(recording_ids)))
    return _read(engine, wanted, limit)


def find_recordings(engine: Engine, ids: Sequence[RecordingId]) -> dict[RecordingId, Recording]:
    """Recordings by id; those that are not known are left out."""
    with begin(engine) as connection:
        return read_recordings(connection, ids)


def find_transcripts(engine: Engine, ids: Sequence[RecordingId]) -> dict[RecordingId, Transcript]:
    """What was heard last in each of these recordings; those that nobody has heard yet are left out."""
    with begin(engine) as connection:
        return read_newest_transcripts(connection, ids)


def find_heard(engine: Engine, ids: Sequence[RecordingId]) -> dict[RecordingId, HeardWindows]:
    """What was heard so far in those of these recordings that have no transcript yet."""
    with begin(engine) as connection:
        return read_heard(connection, ids)


def _read(engine: Engine, wanted: Sequence[Any], limit: int | None) -> list[StoredNote]:
    newest = (_notes.c.day.desc(), _notes.c.recording_id)
    with begin(engine) as connection:
        notes = connection.execute(select(_notes).where(*wanted).order_by(*newest).limit(limit)).all()
        ids = [row.recording_id for row in notes]
        found = read_recordings(connection, ids)
        said = read_transcripts(connection, [row.transcript_id for row in notes])
        findings = read_findings(connection, [row.id for row in notes])
        # an unknown price among them makes the sum unknown
        sums = select(_usages.c.recording_id, func.sum(_usages.c.usd), func.bool_or(_usages.c.usd.is_(None)))
        mine = _usages.c.recording_id == func.any(ids)
        booked = connection.execute(sums.where(mine).group_by(_usages.c.recording_id))
        usd = {key: None if unknown else total for key, total, unknown in booked}
    return [
        StoredNote(
            to_note(row, findings.get(row.id, ())),
            found[row.recording_id],
            said[row.transcript_id],
            usd.get(row.recording_id, 0),
            row.written_at.astimezone(UTC),
        )
        for row in notes
    ]
