"""The chain of writers: asks one after the other and takes the first answer.

One on another's machine is asked with placeholders for what is private. Knows nothing of what a writer does, nor of
checks; what a call may cost, and whether it is tried again, is the exchange's business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import partial
from types import MappingProxyType
from typing import TypeAlias, TypeVar

from diarynotes.diary.caller import Caller
from diarynotes.diary.exchange import Exchange
from diarynotes.diary.masking import Mask, mask_transcript
from diarynotes.diary.sharing import Memo, join_memos
from diarynotes.diary.writer import SharingWriter, Writer
from diarynotes.errors import BadSettings, DiarynotesError, WriterFailed
from diarynotes.models import Draft, Finding, Transcript, Usage

_Finished = TypeVar("_Finished")
_Unmask: TypeAlias = Callable[[Draft], tuple[Draft, tuple[Finding, ...]]]
_NOTHING: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Private:
    """What is masked beside what every mask finds: an owner's own list of names; where telephone numbers belong."""

    names: tuple[str, ...] = ()
    region: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A draft, who wrote it, whether it is second best, and what came of the writers before.

    The draft's usage includes what those used that failed. `masked` is how many things of each kind the writer was not
    shown.
    """

    draft: Draft
    writer: Writer
    degraded: bool
    findings: tuple[Finding, ...]
    masked: Mapping[str, int] = field(default_factory=dict)


def ask_writers(
    writers: Sequence[Writer],
    transcript: Transcript,
    *,
    day: date,
    private: Private,
    exchange: Exchange | None = None,
) -> Answer:
    """The first draft that comes, as it came (`ask_in_turn`)."""
    return ask_in_turn(writers, transcript, day=day, private=private, exchange=exchange, finish=lambda answer: answer)


def ask_in_turn(
    writers: Sequence[Writer],
    transcript: Transcript,
    *,
    day: date,
    private: Private,
    finish: Callable[[Answer], _Finished],
    exchange: Exchange | None = None,
) -> _Finished:
    """What `finish` makes of the first draft of which it makes anything.

    The draft is degraded when its writer is, or when another was wanted before it. Calls to models go through
    `exchange`; without one they are made at once and in no book. An error that nobody foresaw, around a writer or in
    `finish`, counts as the writer's.

    Raises: WriterFailed, the last one's, when every writer failed; BadSettings for an empty chain; StorageFailed where
    the books cannot be kept.
    """
    if not writers:
        raise BadSettings("writers", "name at least one")
    asking = _Asking(transcript, day, private, exchange)
    findings: list[Finding] = []
    spent: tuple[Usage, ...] = ()
    for number, writer in enumerate(writers):
        try:
            draft, seen = _blame(writer, partial(asking.ask, writer))
            whole = replace(draft, usage=(*spent, *draft.usage))
            degraded = writer.degraded or number > 0
            answer = Answer(whole, writer, degraded, (*findings, *seen), asking.masked_for(writer))
            return _finish(writer, finish, answer, draft.usage)
        except WriterFailed as error:
            spent += error.usage
            if number == len(writers) - 1:
                raise
            findings.append(_report_failure(error))
    raise AssertionError("the last writer either answers or raises")


def ask_together(
    writer: SharingWriter, memos: Sequence[Memo], *, private: Private, exchange: Exchange | None = None
) -> list[Answer | None]:
    """What the writer makes of several short memos of one owner in one call; None for each that must go alone."""
    joined = join_memos(memos)
    asking = _Asking(joined, memos[0].day, private, exchange)
    try:
        drafts = _blame(writer, partial(asking.ask_together, writer, memos))
    except WriterFailed:
        return [None] * len(memos)
    answers: list[Answer | None] = []
    start = 0
    for memo, found in zip(memos, drafts, strict=True):
        if found is None:
            answers.append(None)
        else:
            draft = _count_from(found[0], start)
            answers.append(Answer(draft, writer, writer.degraded, found[1], asking.masked_for(writer)))
        start += len(memo.transcript.segments)
    return answers


class _Asking:
    """One transcript on its way through the chain; it is masked once, for the first writer that must not see it."""

    def __init__(self, transcript: Transcript, day: date, private: Private, exchange: Exchange | None) -> None:
        self._transcript, self._day, self._private, self._exchange = transcript, day, private, exchange
        self._masked: tuple[Transcript, Mask] | None = None

    def ask(self, writer: Writer) -> tuple[Draft, tuple[Finding, ...]]:
        """The writer's draft, and what went wrong with the placeholders in it."""
        shown, unmask = self._mask_for(writer)
        return unmask(writer.write(shown, day=self._day, caller=self._caller(writer)))

    def ask_together(
        self, writer: SharingWriter, memos: Sequence[Memo]
    ) -> list[tuple[Draft, tuple[Finding, ...]] | None]:
        """The same for several memos, of which this transcript is made."""
        shown, unmask = self._mask_for(writer)
        drafts = writer.write_together(shown, memos, caller=self._caller(writer))
        return [None if draft is None else unmask(draft) for draft in drafts]

    def _mask_for(self, writer: Writer) -> tuple[Transcript, _Unmask]:
        """What the writer may see, and the way back."""
        if writer.local:
            return self._transcript, lambda draft: (draft, ())
        if self._masked is None:
            self._masked = mask_transcript(self._transcript, names=self._private.names, region=self._private.region)
        masked, mask = self._masked
        return masked, mask.unmask

    def masked_for(self, writer: Writer) -> Mapping[str, int]:
        """How many things of each kind this writer is not shown."""
        return _NOTHING if writer.local or self._masked is None else self._masked[1].kinds

    def _caller(self, writer: Writer) -> Caller | None:
        if self._exchange is None:
            return None
        return self._exchange.connect(writer.name, local=writer.local, masked=self.masked_for(writer))


def _finish(
    writer: Writer, finish: Callable[[Answer], _Finished], answer: Answer, usage: tuple[Usage, ...]
) -> _Finished:
    """What `finish` makes of an answer; where it turns it down, `usage` is told, which was paid for it all the same."""
    try:
        return _blame(writer, partial(finish, answer), usage)
    except WriterFailed as error:
        raise WriterFailed(error.writer, error.why, error.kind, error.retry_after_s, usage) from error


def _blame(writer: Writer, act: Callable[[], _Finished], usage: tuple[Usage, ...] = ()) -> _Finished:
    """What `act` gives; an error of no kind of ours is the writer's, told by its type: its words may quote a diary."""
    try:
        return act()
    except DiarynotesError:
        raise
    except Exception as error:
        kind = type(error).__name__
    # outside of the handler: the error must not be found behind this one
    raise WriterFailed(writer.name, f"something went wrong that nobody foresaw ({kind})", "unavailable", None, usage)


def _count_from(draft: Draft, start: int) -> Draft:
    """The draft with evidence that counts from its own first segment, which is number `start` of several memos'."""
    body = tuple(replace(part, evidence=tuple(number - start for number in part.evidence)) for part in draft.body)
    return replace(draft, body=body)


def _report_failure(error: WriterFailed) -> Finding:
    message = f"The writer {error.writer} gave no note ({error.why}), so the next one was asked."
    return Finding("writer_failed", "info", f"writer {error.writer}", message)
