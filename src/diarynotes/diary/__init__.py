"""Writes the note: a chain of writers makes a draft, grounding keeps what was said, checks say what is odd.

Knows nothing of where transcripts come from nor where notes go. A backend is a module here whose class is `Backend`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import date
from importlib import import_module
from types import MappingProxyType
from typing import Any, cast

from diarynotes.diary.grounding import check_note, ground
from diarynotes.diary.render import note_as_json, note_as_markdown
from diarynotes.diary.router import Private, ask_writers
from diarynotes.diary.transcript_file import read_transcript
from diarynotes.diary.writer import Writer
from diarynotes.errors import BadSettings
from diarynotes.models import DiaryNote, Transcript

__all__ = [
    "WRITERS",
    "Private",
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

WRITERS: Mapping[str, str] = MappingProxyType(
    {
        "openai": "openai_compatible",
        "mistral": "openai_compatible",
        "server": "openai_compatible",
        "anthropic": "anthropic",
        "extractive": "extractive",
    }
)
"""The writers that can be named in the settings, and the module of this package that each is a backend of.

`server` is any other that speaks as OpenAI's does, such as Ollama, vLLM or llama.cpp's.
"""

_LAST_RESORT = "extractive"
_NO_OPTIONS: Mapping[str, Mapping[str, Any]] = MappingProxyType({})


def open_writer(name: str, /, **options: Any) -> Writer:
    """Opens a writer; `options` are the arguments of its `Backend`.

    Raises: BadSettings for a name that is not in `WRITERS`; NotInstalled when its library is missing.
    """
    if name not in WRITERS:
        raise BadSettings("writers", f"'{name}' is no writer; known are {', '.join(WRITERS)}")
    return cast(Writer, import_module(f"{__name__}.{WRITERS[name]}").Backend(**options))


def open_writers(
    names: Sequence[str], options: Mapping[str, Mapping[str, Any]] = _NO_OPTIONS, *, cloud: bool = True
) -> tuple[Writer, ...]:
    """Opens a chain, to be closed; the writer that needs no model ends every chain, so that a note always arrives.

    `options` are the arguments of each writer's `Backend`, by its name. Without `cloud` no writer may send anything to
    another's machine. Raises: as `open_writer`; BadSettings for a writer that is not allowed to.
    """
    chain = tuple(dict.fromkeys((*names, _LAST_RESORT)))
    with ExitStack() as opened:
        writers = []
        for name in chain:
            writers.append(opened.enter_context(closing(open_writer(name, **options.get(name, {})))))
            if not (cloud or writers[-1].local):
                raise BadSettings("writers", f"'{name}' sends what was said to another's machine, and cloud is off")
        opened.pop_all()
        return tuple(writers)


def write_note(
    transcript: Transcript, *, day: date, writers: Sequence[Writer], private: Private | None = None
) -> DiaryNote:
    """Writes the note of `transcript` with the first writer that answers, grounded and checked.

    A writer on another's machine sees placeholders in place of what `private` asks to mask. Raises: WriterFailed only
    when every writer failed, which a chain that ends in `extractive` never does.
    """
    answer = ask_writers(writers, transcript, day=day, private=private or Private())
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
