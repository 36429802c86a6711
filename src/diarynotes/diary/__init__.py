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

from diarynotes.diary.chain import expand_chain, split_name
from diarynotes.diary.exchange import Exchange
from diarynotes.diary.grounding import check_note, ground_draft
from diarynotes.diary.render import note_as_json, note_as_markdown
from diarynotes.diary.router import Answer, Private, ask_in_turn, ask_together, ask_writers
from diarynotes.diary.sharing import Memo
from diarynotes.diary.transcript_file import read_transcript
from diarynotes.diary.writer import SharingWriter, Writer
from diarynotes.errors import BadSettings, WriterFailed
from diarynotes.models import DiaryNote, Transcript

__all__ = [
    "WRITERS",
    "Answer",
    "Exchange",
    "Memo",
    "Private",
    "SharingWriter",
    "Writer",
    "ask_in_turn",
    "ask_together",
    "ask_writers",
    "check_note",
    "expand_chain",
    "finish_note",
    "ground_draft",
    "note_as_json",
    "note_as_markdown",
    "open_writer",
    "open_writers",
    "read_transcript",
    "split_name",
    "write_note",
]

WRITERS: Mapping[str, str] = MappingProxyType(
    {
        "openai": "openai_compatible",
        "mistral": "openai_compatible",
        "server": "openai_compatible",
        "anthropic": "anthropic",
        "llama_cpp": "llama_cpp",
        "extractive": "extractive",
    }
)
"""The writers that can be named in the settings, and the module of this package that each is a backend of.

`server` is any other that speaks as OpenAI's does, such as Ollama, vLLM or llama.cpp's.
"""

_LAST_RESORT = "extractive"
_LEAST_LEFT = 1 / 3
"""A model most of whose sentences were never said has not written this note, even if a few were."""
_NO_OPTIONS: Mapping[str, Mapping[str, Any]] = MappingProxyType({})


def open_writer(name: str, /, **options: Any) -> Writer:
    """Opens a writer, `name` being its own or `writer:model`; `options` are the arguments of its `Backend`.

    Raises: BadSettings for a name that is not in `WRITERS`; NotInstalled when its library is missing.
    """
    writer, model = split_name(name)
    if writer not in WRITERS:
        raise BadSettings("writers", f"'{writer}' is no writer; known are {', '.join(WRITERS)}")
    if model and writer == _LAST_RESORT:
        raise BadSettings("writers", f"'{writer}' has no models to choose from")
    chosen = {"model": model} if model else {}
    return cast(Writer, import_module(f"{__name__}.{WRITERS[writer]}").Backend(**options | chosen))


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
            writers.append(opened.enter_context(closing(open_writer(name, **options.get(split_name(name)[0], {})))))
            if not (cloud or writers[-1].local):
                raise BadSettings("writers", f"'{name}' sends what was said to another's machine, and cloud is off")
        opened.pop_all()
        return tuple(writers)


def write_note(
    transcript: Transcript,
    *,
    day: date,
    writers: Sequence[Writer],
    private: Private | None = None,
    exchange: Exchange | None = None,
) -> DiaryNote:
    """Writes the note of `transcript` with the first writer that answers, grounded and checked.

    A writer on another's machine sees placeholders in place of what `private` asks to mask. Calls to models go through
    `exchange`; without one they are made at once and in no book. Raises: WriterFailed only when every writer failed,
    which a chain that ends in `extractive` never does.
    """
    return ask_in_turn(
        writers,
        transcript,
        day=day,
        private=private or Private(),
        exchange=exchange,
        finish=lambda answer: finish_note(answer, transcript, day=day),
    )


def finish_note(answer: Answer, transcript: Transcript, *, day: date) -> DiaryNote:
    """The note of an answer: grounded in the transcript, and checked.

    Raises: WriterFailed for a model's answer of which hardly a sentence is left: it is no note of this speech.
    """
    grounded = ground_draft(answer.draft, transcript, day=day)
    writer = answer.writer
    if not writer.degraded:
        _expect_most(writer.name, written=len(answer.draft.body), left=len(grounded.draft.body))
    note = DiaryNote(
        id=DiaryNote.identify(transcript.id, writer.name, writer.model, writer.prompt_version),
        transcript_id=transcript.id,
        recording_id=transcript.recording_id,
        day=day,
        draft=grounded.draft,
        writer=writer.name,
        model=writer.model,
        prompt_version=writer.prompt_version,
        degraded=answer.degraded,
        findings=(*answer.findings, *grounded.findings),
        grounded_share=grounded.share,
    )
    return replace(note, findings=(*note.findings, *check_note(note, transcript)))


def _expect_most(writer: str, *, written: int, left: int) -> None:
    """Raises WriterFailed where fewer than `_LEAST_LEFT` of the sentences that were written have stayed, or none."""
    if not left or left < _LEAST_LEFT * written:
        raise WriterFailed(writer, f"of {written} sentences that it wrote only {left} tell what was said", "bad_output")
