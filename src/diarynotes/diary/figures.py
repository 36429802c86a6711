"""The numbers that a text says, in figures or in English words.

Knows nothing of units or dates: "the ninth" and "nine" are both 9.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_UNITS = {
    word: value
    for value, words in enumerate(
        "zero|oh one|first two|second three|third four|fourth five|fifth six|sixth seven|seventh eight|eighth "
        "nine|ninth ten|tenth eleven|eleventh twelve|twelfth thirteen|thirteenth fourteen|fourteenth "
        "fifteen|fifteenth sixteen|sixteenth seventeen|seventeenth eighteen|eighteenth nineteen|nineteenth".split()
    )
    for word in words.split("|")
    if word != "oh"
}
_TENS = {
    word: value
    for value, words in zip(
        range(20, 100, 10),
        "twenty|twentieth thirty|thirtieth forty|fortieth fifty|fiftieth sixty|sixtieth seventy|seventieth "
        "eighty|eightieth ninety|ninetieth".split(),
        strict=True,
    )
    for word in words.split("|")
}
_SCALES = {"hundred": 100, "thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000, "dozen": 12}
_NUMBERS = _UNITS.keys() | _TENS.keys() | _SCALES.keys()
_TOKEN = re.compile(r"\d+(?:[.,:]\d+)*|[^\W\d_]+(?:['’][^\W\d_]+)*|[.!?;,]")

_NOISE = re.compile(r"u+h+m*|u+m+|erm+|hmm+")
_THOUSANDS = re.compile(r",(?=\d{3})")
_LONGEST = 16
"""Characters from which a row of figures is a code, not a number to reckon with."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A number in plain figures, and the tokens that say it: from `start` up to, not with, `stop`."""

    value: str
    start: int
    stop: int

    @property
    def small(self) -> int | None:
        """Its value where that is 0 to 99, as of hours and minutes."""
        return int(self.value) if len(self.value) <= 2 and self.value.isdecimal() else None


def read_numbers(text: str, *, joined: bool = True) -> frozenset[str]:
    """Every number in `text` in plain figures: "forty two thousand" is "42000", "9.30" is "9" and "30".

    With `joined`, numbers that follow each other are also given as one ("four four nine two" holds "4492" as well as
    "4", "9", "2"), because codes, years and telephone numbers are said in pieces: right for what was said, not for
    what a note claims. Without it, a "one" on its own is left out: it is seldom a number.
    """
    tokens = [word.lower() for word in _TOKEN.findall(text.replace("-", " "))]
    found: set[str] = set()
    for run in find_runs(tokens):
        values = [figure.value for figure in run]
        if not joined and values == ["1"]:
            continue
        found.update(values)
        if joined and len(values) > 1:
            found.add("".join(values))
    return frozenset(found)


def is_number_word(word: str) -> bool:
    """Whether a folded word is a number or a part of one."""
    return word in _NUMBERS or word[:1].isdigit()


def find_runs(tokens: Sequence[str]) -> list[list[Figure]]:
    """Numbers in the order said, those with nothing between them in one list; `tokens` are folded words and signs."""
    runs: list[list[Figure]] = [[]]
    words: list[tuple[str, int]] = []
    before = ""
    for place, word in enumerate(tokens):
        if word in _NUMBERS:
            words.append((word, place))
        elif word[0].isdigit():
            figures = _THOUSANDS.sub("", word)
            if figures.isdecimal() and len(word) < _LONGEST:
                words.append((figures, place))
            else:
                parts = [part.lstrip("0") or "0" for part in re.split(r"[.:]", figures)]
                runs[-1] += [*_read_words(words), *(Figure(part, place, place + 1) for part in parts)]
                words = []
        elif not (words or runs[-1]) or _NOISE.fullmatch(word):
            continue  # no number is there to be ended, or a filler, which ends none
        elif word != "and" or not (before == "and" or (before in _SCALES and _goes_on(tokens, place + 1))):
            runs[-1] += _read_words(words)
            runs.append([])
            words = []
        before = word
    runs[-1] += _read_words(words)
    return [run for run in runs if run]


def _goes_on(tokens: Sequence[str], at: int) -> bool:
    """Whether the next word is one of a number: after fillers, and after an "and" that is stuttered."""
    return is_number_word(next((word for word in tokens[at:] if word != "and" and not _NOISE.fullmatch(word)), ""))


def _read_words(words: list[tuple[str, int]]) -> list[Figure]:
    """The numbers in a row of number words: a word that cannot carry the number on begins the next one."""
    numbers: list[Figure] = []
    total, part, room = 0, 0, 0  # `room`: what the next word must be smaller than to belong to `part`
    start, stop = -1, -1
    for word, place in words:
        scale = _SCALES.get(word)
        value = 0 if scale else int(word) if word.isdecimal() else _UNITS.get(word, _TENS.get(word, 0))
        # "one hundred hundred" are two numbers
        is_next = part >= scale if scale else value >= room or value == 0
        if start >= 0 and is_next:
            numbers.append(Figure(str(total + part), start, stop))
            total, part, start = 0, 0, -1
        start, stop = place if start < 0 else start, place + 1
        if not scale:
            part, room = part + value, 10 if word in _TENS else 0
            continue
        part = max(part, 1) * scale
        room = 100 if scale == 100 else 0
        if scale >= 1000:
            total, part, room = total + part, 0, scale
    return [*numbers, Figure(str(total + part), start, stop)] if start >= 0 else []
