"""Clock times in a text, written or spoken: "9:30", "half past nine" and "nine thirty" are one.

Reads English words, and figures in any language. Knows nothing of days. A time is minutes after midnight or noon, 0 to
719, and which half of the day where that was said.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from diarynotes.diary.figures import Figure
from diarynotes.diary.grounding.reading import Reading

_HOUR_MIN, _HALF_DAY_MIN = 60, 720
_MORNING = frozenset(["morning"])
_LATER = frozenset("afternoon evening tonight".split())
_PARTS = _MORNING | _LATER
NAMED = {"noon": "pm", "midday": "pm", "midnight": "am"}
_WRITTEN = re.compile(r"(\d\d?)([:.])([0-5]\d)")
_NEAR = 4
"""Words after a time in which "in the morning" still belongs to it."""


class Time(NamedTuple):
    """A clock time and its tokens from `start` up to `stop`; `is_sure` where it can be nothing else."""

    minute: int
    half: str
    start: int
    stop: int
    is_sure: bool

    def agrees(self, other: Time) -> bool:
        """Whether both may be the same moment of a day."""
        return self.minute == other.minute and (not self.half or not other.half or self.half == other.half)


def find_times(text: Reading) -> list[Time]:
    """Every clock time; a bare number that may be an hour counts as one that is not sure."""
    plain, figures = text.plain, {figure.start: figure for run in text.runs for figure in run}
    found: list[Time] = []
    for run in text.runs:
        for place, figure in enumerate(run):
            time = _read_time(plain, run, place, figure)
            if time:
                found.append(time)
    if not text.words.isdisjoint(NAMED):
        found += [Time(0, NAMED[word], at, at + 1, True) for at, word in enumerate(plain) if word in NAMED]
    return found + _read_parts(plain, figures)


def _read_time(plain: list[str], run: list[Figure], place: int, figure: Figure) -> Time | None:
    following = run[place + 1] if place + 1 < len(run) else None
    if place and run[place - 1].start == figure.start:
        return None  # the second half of what is written with a sign
    if written := _WRITTEN.fullmatch(plain[figure.start]):
        hour, minutes = int(written[1]), int(written[3])
        return _make(plain, hour, minutes, figure.start, figure.stop, sure=written[2] == ":") if hour <= 24 else None
    if figure.small is None or figure.small > 24 or (following and following.start == figure.start):
        return None
    hour, minute = figure.small, following.small if following else None
    if following and minute is not None and 10 <= minute < _HOUR_MIN:
        return _make(plain, hour, minute, figure.start, following.stop, sure=False)
    after = plain[figure.stop : figure.stop + 1]
    return _make(plain, hour, 0, figure.start, figure.stop, sure=after in (["o'clock"], ["am"], ["pm"]))


def _make(plain: list[str], hour: int, minute: int, start: int, stop: int, *, sure: bool) -> Time:
    half, end = _read_half(plain, stop)
    if hour == 0 or 12 < hour <= 24:
        half = "am" if hour in (0, 24) else "pm"
    return Time(hour % 12 * 60 + minute, half, start, end, sure or end > stop)


def _read_half(plain: list[str], stop: int) -> tuple[str, int]:
    """The half of the day that the words after a time name, and where these end if they can name nothing else."""
    stop += plain[stop : stop + 1] == ["o'clock"]
    after = plain[stop : stop + _NEAR]
    if after[:1] in (["am"], ["pm"]):
        return after[0], stop + 1
    if after[1:4:2] == [".", "."][: len(after[1:4:2])] and after[2:3] == ["m"] and after[:1] in (["a"], ["p"]):
        return f"{after[0]}m", stop + 3
    if _PARTS.isdisjoint(after):
        return "", stop
    near = set(after[: next((n for n, word in enumerate(after) if not word[0].isalnum()), len(after))])
    return ("am" if near & _MORNING else "pm" if near & _LATER else ""), stop


def _read_parts(plain: list[str], figures: dict[int, Figure]) -> list[Time]:
    """ "half past nine", "quarter to ten", "ten minutes to eight", "half nine"."""
    found: list[Time] = []
    for place, hour in figures.items():
        at = place - 1
        word = plain[at] if place else ""
        is_to = word in ("to", "before", "of")
        if not (is_to or word in ("past", "after", "half")) or not 1 <= (hour.small or 0) <= 12:
            continue
        minutes, start = (30, at) if word == "half" else _read_minutes(plain, figures, at)
        if minutes is not None:
            value = (hour.small or 0) % 12 * 60 + (-minutes if is_to else minutes)
            half, stop = _read_half(plain, hour.stop)
            # "nine to six" may be hours of work, "half an hour after six" no time at all
            is_sure = word in ("past", "half") or bool({"quarter", "minutes"} & set(plain[start:at]))
            found.append(Time(value % _HALF_DAY_MIN, half, start, stop, is_sure))
    return found


def _read_minutes(plain: list[str], figures: dict[int, Figure], at: int) -> tuple[int | None, int]:
    start = at - 2 if plain[at - 1 : at] in (["minutes"], ["minute"]) else at - 1
    before = plain[start] if start >= 0 else ""
    if before in ("half", "quarter"):
        return (30 if before == "half" else 15), start
    for place in (start, start - 1):
        figure = figures.get(place)
        if figure and figure.stop == start + 1 and figure.small is not None and figure.small < _HOUR_MIN:
            return figure.small, place
    return None, at
