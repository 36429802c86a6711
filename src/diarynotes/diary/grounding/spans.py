"""The days that vague words may mean: "next week", "at the weekend", "in a few days", "by Christmas".

Reads English. Such words name no date, but a date that lies within them was not invented.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable, Iterator
from datetime import MAXYEAR, date
from typing import TypeAlias

from diarynotes.diary.dates import COUNT, read_count
from diarynotes.diary.words import MONTHS

_Span: TypeAlias = tuple[int, int]
"""The first and the last day, as the calendar counts them from the year 1, so that no span runs out of it."""

_WEEK_DAYS, _SATURDAY, _YEAR_MONTHS = 7, 5, 12
_A_FEW_DAYS = 7
_HOLIDAYS = (
    # month and day, and how many days before and after belong to it
    (r"christmas|xmas|boxing day", 12, 25, 1, 1),
    (r"new year", 1, 1, 1, 0),
    (r"valentine", 2, 14, 0, 0),
    (r"halloween", 10, 31, 0, 0),
    (r"bonfire night", 11, 5, 0, 0),
)
_BEFORE_EASTER, _AFTER_EASTER = 2, 1


def is_within(due: date, text: str, day: date) -> bool:
    """Whether `due` lies within the days that some words of `text` may mean, reckoned from `day`."""
    return any(first <= due.toordinal() <= last for first, last in _find_spans(text, day))


def _find_spans(text: str, day: date) -> Iterator[_Span]:
    for pattern, read in _RULES:
        for match in pattern.finditer(text):
            yield from read(match, day)


def _weeks(first: int, last: int) -> Callable[[re.Match[str], date], Iterator[_Span]]:
    """The weeks from Monday to Sunday so many after this one; nothing before `day`."""

    def read(_: re.Match[str], day: date) -> Iterator[_Span]:
        monday = day.toordinal() - day.weekday()
        yield max(monday + first * _WEEK_DAYS, day.toordinal()), monday + last * _WEEK_DAYS + _WEEK_DAYS - 1

    return read


def _weekends(*weeks: int) -> Callable[[re.Match[str], date], Iterator[_Span]]:
    def read(_: re.Match[str], day: date) -> Iterator[_Span]:
        saturday = day.toordinal() - day.weekday() + _SATURDAY
        yield from ((saturday + week * _WEEK_DAYS, saturday + week * _WEEK_DAYS + 1) for week in weeks)

    return read


def _days(first: int, last: int) -> Callable[[re.Match[str], date], Iterator[_Span]]:
    return lambda _, day: iter([(day.toordinal() + first, day.toordinal() + last)])


def _read_within(match: re.Match[str], day: date) -> Iterator[_Span]:
    days = read_count(match["count"]) * (_WEEK_DAYS if match["unit"].lower().startswith("week") else 1)
    yield day.toordinal(), day.toordinal() + days


def _months(ahead: int) -> Callable[[re.Match[str], date], Iterator[_Span]]:
    def read(_: re.Match[str], day: date) -> Iterator[_Span]:
        months = day.month - 1 + ahead
        yield from _month(day.year + months // _YEAR_MONTHS, months % _YEAR_MONTHS + 1)

    return read


def _read_month(match: re.Match[str], day: date) -> Iterator[_Span]:
    """The month and the day before it, by which what is due "before June" is due."""
    month = MONTHS.index(match["month"].lower()) + 1
    for first, last in _month(day.year + (month < day.month), month):
        yield first - 1, last


def _month(year: int, month: int) -> Iterator[_Span]:
    if year <= MAXYEAR:
        first = date(year, month, 1).toordinal()
        yield first, first + calendar.monthrange(year, month)[1] - 1


def _holiday(month: int, number: int, before: int, after: int) -> Callable[[re.Match[str], date], Iterator[_Span]]:
    def read(_: re.Match[str], day: date) -> Iterator[_Span]:
        for year in _years(day):
            middle = date(year, month, number).toordinal()
            yield middle - before, middle + after

    return read


def _read_easter(_: re.Match[str], day: date) -> Iterator[_Span]:
    for year in _years(day):
        sunday = _easter(year)
        yield sunday - _BEFORE_EASTER, sunday + _AFTER_EASTER


def _easter(year: int) -> int:
    """Easter Sunday of the western churches, after the anonymous Gregorian computus (Meeus, 1991)."""
    century, rest = divmod(year, 100)
    epact = (19 * (year % 19) + century - century // 4 - (century - (century + 8) // 25 + 1) // 3 + 15) % 30
    offset = (32 + 2 * (century % 4) + 2 * (rest // 4) - epact - rest % 4) % 7
    shift = epact + offset - 7 * ((year % 19 + 11 * epact + 22 * offset) // 451) + 114
    return date(year, shift // 31, shift % 31 + 1).toordinal()


def _years(day: date) -> range:
    return range(day.year, min(day.year + 1, MAXYEAR) + 1)


_MONTH = rf"(?:in|by|before|until|till|during|early|late|mid|this|next|of) (?P<month>{'|'.join(MONTHS)})"
_RULES = tuple(
    (re.compile(rf"\b(?:{pattern})\b", re.IGNORECASE), read)
    for pattern, read in (
        (r"next week", _weeks(1, 1)),
        (r"week after next", _weeks(2, 2)),
        (r"this week|(?:in|during|end of) the week", _weeks(0, 0)),
        (r"next (?:few|couple of) weeks", _weeks(0, 3)),
        (r"(?:this|the|at) weekend", _weekends(0)),
        (r"next weekend", _weekends(0, 1)),
        (r"next (?:few|couple of) days|a few days", _days(1, _A_FEW_DAYS)),
        (r"in the morning|first thing", _days(0, 1)),
        (rf"(?:within|in the next|over the next) {COUNT} (?P<unit>days?|weeks?)", _read_within),
        (r"this month", _months(0)),
        (r"next month|in a month", _months(1)),
        (_MONTH, _read_month),
        *((words, _holiday(*when)) for words, *when in _HOLIDAYS),
        (r"easter", _read_easter),
    )
)
