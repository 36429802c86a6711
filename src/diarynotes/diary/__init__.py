"""Writes the note: a chain of writers makes a draft, grounding keeps what was said, checks say what is odd.

Knows nothing of where transcripts come from nor where notes go. A backend is a module here whose class is `Backend`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from importlib import import_module
from typing import Any, cast

from diarynotes.diary.grounding import check_note, ground
from diarynotes.diary.render import note_as_json, note_as_markdown
from diarynotes.diary.router import ask_writers
from diarynotes.diary.transcript_file import read_transcript
from diarynotes.diary.writer import Writer
from diarynotes.errors import BadSettings
from diarynotes.models import DiaryNote, Transcript

__all__ = [
    "WRITERS",
    "Writer",
    "check_note",
    "ground",
    "note_as_json",
    "note_as_markdown",
    "open_writer",
    "open_writers",
    "read_transcript",
    "write_note",
]

WRITERS = ("extractive",)
"""The writers that can be named in the settings; each is a module of this package."""

_LAST_RESORT = "extractive"


def open_writer(name: str, **options: Any) -> Writer:
    """Opens a writer; `options` are the arguments of its `Backend`.

    Raises: BadSettings for a name that is not in `WRITERS`; NotInstalled when its library is missing.
    """
    if name not in WRITERS:
        raise BadSettings("writers", f"'{name}' is no writer; known are {', '.join(WRITERS)}")
    return cast(Writer, import_module(f"{__name__}.{name}").Backend(**options))


def open_writers(names: Sequence[str]) -> tuple[Writer, ...]:
    """Opens a chain; the writer that needs no model ends every chain, so that a note always arrives.

    Raises: as `open_writer`.
    """
    chain = tuple(dict.fromkeys((*names, _LAST_RESORT)))
    return tuple(open_writer(name) for name in chain)


def write_note(transcript: Transcript, *, day: date, writers: Sequence[Writer]) -> DiaryNote:
    """Writes the note of `transcript` with the first writer that answers, grounded and checked.

    Raises: WriterFailed only when every writer failed, which a chain that ends in `extractive` never does.
    """
    answer = ask_writers(writers, transcript, day=day)
    draft, dropped = ground(answer.draft, transcript)
    writer = answer.writer
    note = DiaryNote(
        id=DiaryNote.identify(transcript.id, writer.name, writer.model, writer.prompt_version),
        transcript_id=transcript.id,
        recording_id=transcript.recording_id,
        day=day,
        draft=draft,
        writer=writer.name,
        model=writer.model,
        prompt_version=writer.prompt_version,
        degraded=answer.degraded,
        findings=(*answer.findings, *dropped),
    )
    return replace(note, findings=(*note.findings, *check_note(note, transcript)))
