"""The date that a few words mean: "tomorrow", "by Friday", "the thirtieth of June", "in two weeks", "2026-06-30".

Written here because dateparser reads neither ordinals in words nor a day inside a longer phrase. Gives nothing rather
than a guess: "soon", "next week" and "at the weekend" are no dates.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable, Iterator
from datetime import date, timedelta

from diarynotes.diary.words import MONTHS, WEEKDAYS

_ORDINALS = (
    *"first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth".split(),
    *"fifteenth sixteenth seventeenth eighteenth nineteenth twentieth".split(),
    *(f"twenty {unit}" for unit in "first second third fourth fifth sixth seventh eighth ninth".split()),
    *("thirtieth", "thirty first"),
)
_COUNTS = {word: value for value, word in enumerate("one two three four five six seven eight nine ten".split(), 1)} | {
    "a": 1,
    "an": 1,
    "a couple of": 2,
}
_ORDINAL = rf"(?P<day>{'|'.join(sorted(_ORDINALS, key=len, reverse=True)).replace(' ', '[ -]')}|\d\d?(?:st|nd|rd|th))"
_MONTH = rf"(?P<month>{'|'.join(MONTHS)})"
_DAY = rf"(?P<weekday>{'|'.join(WEEKDAYS)})"
COUNT = rf"(?P<count>{'|'.join(sorted(_COUNTS, key=len, reverse=True))}|\d\d?)"
"""A pattern for what `read_count` reads, as the group "count"."""
_YEAR = r"(?:,? (?P<year>[12]\d{3}))?"
# after an ordinal alone, a word that is counted makes it no date: "the second part"
_NO_NOUN = r"(?=\s*(?:$|[,.;!?]|\b(?:and|at|in|because|before|but|by|from|if|so|then|to|until|with)\b))"


def find_date(text: str, day: date) -> date | None:
    """The first date that `text` names, reckoned from `day`; None where it names none.

    A weekday is the next one after `day`; "next" puts it into the week after. A date without a year is the next of its
    kind, `day` itself included.
    """
    found: list[tuple[int, int, date]] = []
    for order, (pattern, read) in enumerate(_RULES):
        for match in pattern.finditer(text):
            value = read(match, day)
            if value is not None:
                found.append((match.start(), order, value))
                break
    return min(found)[2] if found else None


def find_dates(text: str, day: date) -> frozenset[date]:
    """Every date that `text` may name, reckoned from `day`; "next Friday" and 6/7/2026 may be two."""
    found = {value for pattern, read in _RULES for match in pattern.finditer(text) if (value := read(match, day))}
    for match in _FIGURES.finditer(text):
        found.update(_either_way(match))
    for match in _NEXT_WEEKDAY.finditer(text):
        soon = shift(day, (WEEKDAYS.index(match["weekday"].lower()) - day.weekday() - 1) % 7 + 1)
        found |= {it for it in (soon, soon and shift(soon, 7)) if it}
    return frozenset(found)


def _read_weekday(match: re.Match[str], day: date) -> date | None:
    ahead = (WEEKDAYS.index(match["weekday"].lower()) - day.weekday() - 1) % 7 + 1
    if match["which"] and match["which"].lower() == "last":
        return None
    if match["which"] and match["which"].lower() == "next":
        ahead = 7 - day.weekday() + WEEKDAYS.index(match["weekday"].lower())
    return shift(day, ahead + (7 if match["week"] else 0))


def _read_month_day(match: re.Match[str], day: date) -> date | None:
    month = MONTHS.index(match["month"].lower()) + 1
    number = _read_ordinal(match["day"])
    if match["year"]:
        return _make(int(match["year"]), month, number)
    return next(
        (it for year in range(day.year, day.year + 5) if (it := _make(year, month, number)) and it >= day), None
    )


def _read_iso(match: re.Match[str], _: date) -> date | None:
    return _make(int(match["year"]), int(match["month"]), int(match["day"]))


def _read_figures(match: re.Match[str], _: date) -> date | None:
    """A date in figures, unless it may as well be read the American way."""
    found = set(_either_way(match))
    return found.pop() if len(found) == 1 else None


def _either_way(match: re.Match[str]) -> Iterator[date]:
    """21/06/2026 with the day before the month, as most of the world writes it, or after."""
    first, second, year = int(match["first"]), int(match["second"]), int(match["year"])
    year += 2000 if year < 100 else 0
    return (it for it in (_make(year, second, first), _make(year, first, second)) if it)


def _read_ordinal_alone(match: re.Match[str], day: date) -> date | None:
    number = _read_ordinal(match["day"])
    months = ((day.year + (day.month - 1 + ahead) // 12, (day.month - 1 + ahead) % 12 + 1) for ahead in range(3))
    return next((it for year, month in months if (it := _make(year, month, number)) and it >= day), None)


def _read_ahead(match: re.Match[str], day: date) -> date | None:
    return shift(day, read_count(match["count"]) * (7 if match["unit"].lower().startswith("week") else 1))


def read_count(text: str) -> int:
    """What a match of `COUNT` counts."""
    return _COUNTS.get(text.lower()) or int(text)


def _read_ordinal(text: str) -> int:
    word = text.lower().replace("-", " ")
    return _ORDINALS.index(word) + 1 if word in _ORDINALS else int(re.sub(r"\D", "", word))


def _make(year: int, month: int, number: int) -> date | None:
    try:
        return date(year, month, number)
    except ValueError:
        return None


def shift(day: date, days: int) -> date | None:
    """The date so many days later; None where the calendar ends before."""
    try:
        return day + timedelta(days=days)
    except OverflowError:
        return None


def _rule(
    pattern: str, read: Callable[[re.Match[str], date], date | None]
) -> tuple[re.Pattern[str], Callable[[re.Match[str], date], date | None]]:
    return re.compile(rf"\b{pattern}\b", re.IGNORECASE), read


_FIGURES = re.compile(r"\b(?P<first>\d\d?)(?P<sign>[./-])(?P<second>\d\d?)(?P=sign)(?P<year>[12]\d{3}|\d\d)\b")
_RULES = (
    _rule(r"the day after tomorrow", lambda _, day: shift(day, 2)),
    _rule(r"(?<!day after )tomorrow", lambda _, day: shift(day, 1)),
    _rule(r"today|tonight|this (?:morning|afternoon|evening)", lambda _, day: day),
    _rule(rf"in {COUNT} (?P<unit>days?|weeks?)(?: time)?", _read_ahead),
    _rule(rf"(?:(?P<which>next|this|last) )?{_DAY}(?P<week> week)?", _read_weekday),
    _rule(rf"{_ORDINAL} (?:of )?{_MONTH}{_YEAR}", _read_month_day),
    _rule(rf"{_MONTH} (?:the )?{_ORDINAL}{_YEAR}", _read_month_day),
    _rule(rf"(?P<day>\d\d?) {_MONTH}{_YEAR}", _read_month_day),
    _rule(rf"{_MONTH} (?P<day>\d\d?)\b{_YEAR}", _read_month_day),
    _rule(rf"(?:on|by|before|until|till) the {_ORDINAL}{_NO_NOUN}", _read_ordinal_alone),
    _rule(rf"(?:is|due|for|from) the (?P<day>\d\d?(?:st|nd|rd|th)){_NO_NOUN}", _read_ordinal_alone),
    _rule(r"(?P<year>[12]\d{3})-(?P<month>\d\d)-(?P<day>\d\d)", _read_iso),
    (_FIGURES, _read_figures),
    _rule(
        r"(?:the )?end of (?:the|this) month",
        lambda _, day: day.replace(day=calendar.monthrange(day.year, day.month)[1]),
    ),
)
_NEXT_WEEKDAY = re.compile(rf"\bnext {_DAY}\b", re.IGNORECASE)
