"""Several short memos of one owner written in one call: the rules are sent once, and each memo gets its own note back.

A note that does not come apart cleanly (missing, twice, or with a line of another memo) is given up here, to be written
alone. Knows no vendor and no price; whoever calls decides for which memos it is worth it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import date

from diarynotes.diary.language_model import Ask, Limits, Paid
from diarynotes.diary.note_shape import NotThisShape, SharedShape, draft_from, read_shape
from diarynotes.diary.numbered import Line, count_tokens, estimate_tokens, number_lines
from diarynotes.diary.prompt import ask_for_notes
from diarynotes.models import Draft, Transcript, Usage

_LEAST_MEMOS = 2
_COUNTED = tuple(field.name for field in fields(Usage) if field.name.endswith("_tokens"))


@dataclass(frozen=True, slots=True)
class Memo:
    """A transcript and the day that it is a memo of."""

    transcript: Transcript
    day: date


def join_memos(memos: Sequence[Memo]) -> Transcript:
    """The memos' segments one after the other, so that what is private gets one placeholder in all of them.

    The joined transcript has the language of the first; the others should have the same.
    """
    segments = tuple(segment for memo in memos for segment in memo.transcript.segments)
    return replace(memos[0].transcript, segments=segments)


def write_drafts(
    ask: Ask, joined: Transcript, memos: Sequence[Memo], *, limits: Limits, paid: Paid
) -> list[Draft | None]:
    """The draft of each memo as the model writes it in one call; None for a memo that must be written alone.

    `joined` holds the segments of all memos (`join_memos`), masked where that is needed, and evidence counts those. The
    usage of the call is divided among the drafts by the length of what was said, to the token; so is that of an answer
    in `paid` for which nobody has been billed.

    Raises: WriterFailed.
    """
    groups = _divide(joined, memos)
    speech, spoken = sum(map(count_tokens, groups)), sum(map(bool, groups))
    if speech > limits.part_tokens or spoken < _LEAST_MEMOS:
        return [None] * len(memos)
    messages = ask_for_notes([(memo.day, lines) for memo, lines in zip(memos, groups, strict=True)], joined.language)
    found = paid.find(messages)
    if found is not None:
        return _divide_usage(found.unbilled, _come_apart(found.text, groups), groups)
    reply = ask(messages, SharedShape, limits.answer_tokens(speech, notes=spoken))
    drafts = _come_apart(reply.text, groups)
    if any(drafts):
        paid.keep(messages, reply.text)
    return _divide_usage([reply.usage], drafts, groups)


def _divide(joined: Transcript, memos: Sequence[Memo]) -> list[tuple[Line, ...]]:
    """The lines of each memo, numbered through all of them."""
    lines = number_lines(joined)
    groups, start = [], 0
    for memo in memos:
        end = start + len(memo.transcript.segments)
        groups.append(tuple(line for line in lines if start <= line.number < end))
        start = end
    return groups


def _come_apart(text: str, groups: Sequence[Sequence[Line]]) -> list[Draft | None]:
    """The draft of each group of lines; None where there is not exactly one, or it names lines of another group."""
    try:
        notes = read_shape(text, SharedShape).notes
    except NotThisShape:
        return [None] * len(groups)
    counts = Counter(note.memo for note in notes)
    drafts: list[Draft | None] = [None] * len(groups)
    for note in notes:
        place = note.memo - 1
        if counts[note.memo] == 1 and 0 <= place < len(groups):
            draft, problems = draft_from(note, numbers=frozenset(line.number for line in groups[place]))
            drafts[place] = None if problems else draft
    return drafts


def _divide_usage(
    usages: Sequence[Usage], drafts: Sequence[Draft | None], groups: Sequence[Sequence[Line]]
) -> list[Draft | None]:
    """Each draft with its part of the calls; the parts add up to the whole, whoever is left to be written alone."""
    weights = [
        0 if draft is None else sum(estimate_tokens(line.text) for line in lines) or 1
        for draft, lines in zip(drafts, groups, strict=True)
    ]
    parts = zip(*(_divide_call(usage, weights) for usage in usages), strict=True) if usages else [()] * len(drafts)
    return [draft and replace(draft, usage=part) for draft, part in zip(drafts, parts, strict=True)]


def _divide_call(usage: Usage, weights: Sequence[int]) -> list[Usage]:
    divided: list[dict[str, int]] = [{} for _ in weights]
    for name in _COUNTED:
        left, weight_left = getattr(usage, name), sum(weights)
        for part, weight in zip(divided, weights, strict=True):
            part[name] = round(left * weight / weight_left) if weight else 0
            left, weight_left = left - part[name], weight_left - weight
    return [Usage(usage.provider, usage.model, **part) for part in divided]
