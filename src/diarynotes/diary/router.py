"""The chain of writers: asks one after the other and takes the first answer.

One on another's machine is asked with placeholders for what is private. Knows nothing of what a writer does, nor of
checks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

from diarynotes.diary.masking import mask_transcript
from diarynotes.diary.writer import Writer
from diarynotes.errors import BadSettings, WriterFailed
from diarynotes.models import Draft, Finding, Transcript, Usage


@dataclass(frozen=True, slots=True)
class Private:
    """What is masked beside what every mask finds: an owner's own list of names; where telephone numbers belong."""

    names: tuple[str, ...] = ()
    region: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A draft, who wrote it, whether it is second best, and what came of the writers before.

    The draft's usage includes what those used that failed.
    """

    draft: Draft
    writer: Writer
    degraded: bool
    findings: tuple[Finding, ...]


def ask_writers(writers: Sequence[Writer], transcript: Transcript, *, day: date, private: Private) -> Answer:
    """The first draft that comes; it is degraded when its writer is, or when another was wanted before it.

    Raises: WriterFailed, the last one's, when every writer failed; BadSettings for an empty chain.
    """
    if not writers:
        raise BadSettings("writers", "name at least one")
    findings: list[Finding] = []
    spent: tuple[Usage, ...] = ()
    for number, writer in enumerate(writers):
        try:
            draft, seen = _ask(writer, transcript, day, private)
        except WriterFailed as error:
            spent += error.usage
            if number == len(writers) - 1:
                raise
            findings.append(_report_failure(error))
        else:
            draft = replace(draft, usage=(*spent, *draft.usage))
            return Answer(draft, writer, writer.degraded or number > 0, (*findings, *seen))
    raise AssertionError("the last writer either answers or raises")


def _ask(writer: Writer, transcript: Transcript, day: date, private: Private) -> tuple[Draft, tuple[Finding, ...]]:
    """The writer's draft, and what went wrong with the placeholders in it."""
    if writer.local:
        return writer.write(transcript, day=day), ()
    masked, mask = mask_transcript(transcript, names=private.names, region=private.region)
    return mask.unmask(writer.write(masked, day=day))


def _report_failure(error: WriterFailed) -> Finding:
    message = f"The writer {error.writer} gave no note, so the next one was asked."
    return Finding("writer_failed", "info", f"writer {error.writer}", message)
