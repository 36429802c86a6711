"""The history of a recording's note: every version that was ever written of it. Reads only."""

from __future__ import annotations

from datetime import UTC
from typing import Any

from sqlalchemy import Engine, select

from diarynotes.models import RecordingId
from diarynotes.store.database import begin
from diarynotes.store.facts import NoteVersion
from diarynotes.store.results import read_findings, to_note
from diarynotes.store.tables import NoteRow

_notes: Any = NoteRow.__table__  # type: ignore[attr-defined]


def find_versions(engine: Engine, recording_id: RecordingId) -> list[NoteVersion]:
    """All notes of a recording, the first one first; one that was written again counts from then."""
    mine = select(_notes).where(_notes.c.recording_id == recording_id).order_by(_notes.c.written_at, _notes.c.id)
    with begin(engine) as connection:
        rows = connection.execute(mine).all()
        findings = read_findings(connection, [row.id for row in rows])
    return [
        NoteVersion(to_note(row, findings.get(row.id, ())), row.written_at.astimezone(UTC), row.is_current)
        for row in rows
    ]
