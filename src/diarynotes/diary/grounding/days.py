"""Days in a text: weekdays, months, "tomorrow" and "yesterday", that were not said, nor are meant by what was.

Reads English. "Thursday" is carried by "tomorrow" in a memo of a Wednesday; without the memo's day it is not.
"""

from __future__ import annotations

from datetime import date

from diarynotes.diary.dates import find_dates, shift
from diarynotes.diary.grounding.reading import Reading
from diarynotes.diary.words import MONTHS, WEEKDAYS

_TODAY = frozenset("today tonight".split())
_AMBIGUOUS = frozenset(["may", "march"])
_PARTS = frozenset("morning afternoon evening".split())
_WEEKDAYS = {form: day for day in WEEKDAYS for form in (day, f"{day}s")}
_MONTHS = frozenset(MONTHS)
_NEAR_DAYS = 7
_IN_FIGURES = 2


def find_wrong_days(claim: Reading, said: Reading, day: date | None) -> bool:
    """Whether `claim` names a day or month that `said` neither names nor means, counted from `day`."""
    offsets = _offsets(claim)
    meant = _offsets(said) if offsets else set()  # a todo is held against the whole speech, which takes a walk
    weekdays, months = _weekdays(claim) - _weekdays(said), _months(claim) - _months(said, generous=True)
    strange = offsets - meant
    if not (strange or weekdays or months):
        return False
    if strange == {0} and not weekdays and not months:  # the note is of today: it may say so
        return bool(meant)
    dates = dates_meant(said, day)
    if weekdays - {WEEKDAYS[it.weekday()] for it in dates}:
        return True
    if months - {MONTHS[it.month - 1] for it in dates} and not _may_be_month(months, said, day):
        return True
    return any(not day or shift(day, offset) not in dates for offset in strange - {0})


def dates_meant(said: Reading, day: date | None) -> frozenset[date]:
    """The dates that the words mean when `day` is the memo's; the day itself where they name no other."""
    if not day:
        return frozenset()
    named = find_dates(said.text, day)
    past = {
        it for back in range(1, _NEAR_DAYS + 1) if (it := shift(day, -back)) and WEEKDAYS[it.weekday()] in said.words
    }
    found = named | past | {it for offset in _offsets(said) if (it := shift(day, offset))}
    is_named = _weekdays(said) or _months(said, generous=True)
    return frozenset(found if found or is_named else {day})


def date_numbers(claim: Reading, said: Reading, day: date | None) -> frozenset[str]:
    """The numbers that a date in `claim` may hold because of the days meant by what was said, as figures.

    The day of the month and the year beside the name of a month; all three where a date is written in figures.
    """
    is_figures = any(len(run) > _IN_FIGURES for run in claim.runs)
    if not (is_figures or _months(claim)):
        return frozenset()
    dates = dates_meant(said, day)
    return frozenset(
        str(value) for it in dates for value in ((it.day, it.month, it.year) if is_figures else (it.day, it.year))
    )


def _offsets(text: Reading) -> set[int]:
    """Days from the memo's own, for words such as "yesterday"."""
    found: set[int] = set()
    if text.words.isdisjoint(_RELATIVE):
        return found
    plain = text.plain
    for at, word in enumerate(plain):
        if word in ("tomorrow", "yesterday"):
            is_far = plain[at - 3 : at] in (["the", "day", "after"], ["the", "day", "before"])
            is_far = is_far or plain[max(at - 2, 0) : at] in (["day", "after"], ["day", "before"])
            found.add((1 if word == "tomorrow" else -1) * (2 if is_far else 1))
        elif word == "night" and plain[at - 1 : at] == ["last"]:
            found.add(-1)
        elif word in _TODAY or (word in _PARTS and plain[at - 1 : at] == ["this"]):
            found.add(0)
    return found


_RELATIVE = _TODAY | _PARTS | {"tomorrow", "yesterday", "night"}


def _weekdays(text: Reading) -> set[str]:
    return {_WEEKDAYS[word] for word in text.words & _WEEKDAYS.keys()}


def _months(text: Reading, *, generous: bool = False) -> set[str]:
    found = set(text.words & _MONTHS)
    if generous or not found & _AMBIGUOUS:
        return found
    for at, token in enumerate(text.tokens):
        if token.word in found & _AMBIGUOUS and not _is_month(text, at):
            found.discard(token.word)
    return found


def _is_month(text: Reading, at: int) -> bool:
    """Whether "may" or "march" is the month: a capital within the sentence, or a number or "in" beside it."""
    token = text.tokens[at]
    return token.is_capital and (not token.is_first or "".join(text.plain[at + 1 : at + 2])[:1].isdigit())


def _may_be_month(months: set[str], said: Reading, day: date | None) -> bool:
    """Whether a month that was left out may be meant: a number was said, and the month is this one or the next."""
    if not day or not said.numbers or _months(said, generous=True):
        return False
    return months <= {MONTHS[day.month - 1], MONTHS[day.month % 12]}
