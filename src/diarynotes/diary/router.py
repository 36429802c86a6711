"""The chain of writers: asks one after the other and takes the first answer.

Knows nothing of what a writer does, nor of checks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from diarynotes.diary.writer import Writer
from diarynotes.errors import BadSettings, WriterFailed
from diarynotes.models import Draft, Finding, Transcript


@dataclass(frozen=True, slots=True)
class Answer:
    """A draft, who wrote it, whether it is second best, and which writers failed before."""

    draft: Draft
    writer: Writer
    degraded: bool
    findings: tuple[Finding, ...]


def ask_writers(writers: Sequence[Writer], transcript: Transcript, *, day: date) -> Answer:
    """The first draft that comes; it is degraded when its writer is, or when another was wanted before it.

    Raises: WriterFailed, the last one's, when every writer failed; BadSettings for an empty chain.
    """
    if not writers:
        raise BadSettings("writers", "name at least one")
    findings: list[Finding] = []
    for number, writer in enumerate(writers):
        try:
            draft = writer.write(transcript, day=day)
        except WriterFailed as error:
            if number == len(writers) - 1:
                raise
            findings.append(_report_failure(error))
        else:
            return Answer(draft, writer, writer.degraded or number > 0, tuple(findings))
    raise AssertionError("the last writer either answers or raises")


def _report_failure(error: WriterFailed) -> Finding:
    message = f"The writer {error.writer} gave no note, so the next one was asked."
    return Finding("writer_failed", "info", f"writer {error.writer}", message)
