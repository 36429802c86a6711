"""The numbers that a text says, in figures or in English words.

A number is one value however it is written: "two and a half", "2.5", "2,5" and "2½" are all 5/2, "minus five" and "-5"
are -5. Knows nothing of units or dates: "the ninth" and "nine" are both 9.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from itertools import takewhile
from typing import TypeAlias

from diarynotes.diary.words import DETERMINERS

_UNITS = {
    word: value
    for value, words in enumerate(
        "zero|nought|naught|nil one|first two|second three|third four|fourth five|fifth six|sixth seven|seventh "
        "eight|eighth nine|ninth ten|tenth eleven|eleventh twelve|twelfth thirteen|thirteenth fourteen|fourteenth "
        "fifteen|fifteenth sixteen|sixteenth seventeen|seventeenth eighteen|eighteenth nineteen|nineteenth".split()
    )
    for word in words.split("|")
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
_VALUES = _UNITS | _TENS
_NUMBERS = _UNITS.keys() | _TENS.keys() | _SCALES.keys()
_TOKEN = re.compile(r"\d+(?:st|nd|rd|th)\b|\d+(?:[.,:]\d+)*|[^\W\d_]+(?:['’][^\W\d_]+)*|[.!?;,]")

_NOISE = re.compile(r"u+h+m*|u+m+|erm+|hmm+")
_GROUPED = re.compile(r"[1-9]\d{0,2}(?:(?:,\d{3})+(?:\.\d+)?|(?:\.\d{3}){2,}(?:,\d+)?)")
_DECIMAL = re.compile(r"(\d+)[.,](\d+)")
_ORDINAL = re.compile(r"(\d+)(?:st|nd|rd|th)")
_LONGEST = 16
"""Characters from which a row of figures is a code, not a number to reckon with."""
_MINUS = frozenset(["minus", "−"])
_SHARES = {
    ("a", "half"): Fraction(1, 2),
    ("half",): Fraction(1, 2),
    ("a", "quarter"): Fraction(1, 4),
    ("three", "quarters"): Fraction(3, 4),
}
"""What may follow a whole number and "and"."""
_SIGNS = {"½": Fraction(1, 2), "¼": Fraction(1, 4), "¾": Fraction(3, 4), "⅓": Fraction(1, 3), "⅔": Fraction(2, 3)}
_JOINTS = _SIGNS.keys() | frozenset("point and half /".split())
"""Words and signs that may make one number of those beside them."""
_BELOW = frozenset([2, 3, 4, 8])
"""What may stand below the line of a fraction; "6/10" is rather a mark."""
_NO_DECIMAL = DETERMINERS | frozenset("some any which what each every no".split())
"""Words after which a "point" is a thing: "at that point five people left"."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A number in plain figures, and the tokens that say it: from `start` up to, not with, `stop`.

    What is not whole is written as a fraction in lowest terms, "5/2", so that equal values are equal texts.
    """

    value: str
    start: int
    stop: int

    @property
    def small(self) -> int | None:
        """Its value where that is 0 to 99, as of hours and minutes."""
        return int(self.value) if len(self.value) <= 2 and self.value.isdecimal() else None


def read_numbers(text: str, *, joined: bool = True) -> frozenset[str]:
    """Every number in `text` in plain figures: "forty two thousand" is "42000", "9:30" is "9" and "30".

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
            found.add(join_figures(run))
    return frozenset(found)


def join_figures(run: Sequence[Figure]) -> str:
    """The figures of a run as one, as a code is said in pieces: "zero four four" is 44."""
    return "".join(figure.value for figure in run).lstrip("0") or "0"


def is_number_word(word: str) -> bool:
    """Whether a folded word is a number or a part of one."""
    return word in _NUMBERS or word[:1].isdecimal()


def find_runs(tokens: Sequence[str]) -> list[list[Figure]]:
    """Numbers in the order said, those with nothing between them in one list; `tokens` are folded words and signs."""
    runs: list[list[Figure]] = [[]]
    words: list[_Word] = []
    before = ""
    steps = iter(enumerate(tokens))
    for place, word in steps:
        if word in _NUMBERS:
            words.append((word, place, place + 1))
        elif word[0].isdecimal():
            parts = _read_numeral(word)
            if len(parts) == 1 and len(word) < _LONGEST:
                words.append((parts[0], place, place + 1))
            else:
                runs[-1] += [*_read_words(words), *(Figure(part, place, place + 1) for part in parts)]
                words = []
        elif word in _JOINTS and (words or word != "and") and (joint := _read_joint(tokens, place, words)):
            runs[-1] += joint[:-1]
            words = [(joint[-1].value, joint[-1].start, joint[-1].stop)]
            for _ in range(place + 1, joint[-1].stop):
                next(steps)
        elif not (words or runs[-1]) or _NOISE.fullmatch(word):
            continue  # no number is there to be ended, or a filler, which ends none
        elif word != "and" or not (before == "and" or (before in _SCALES and _goes_on(tokens, place + 1))):
            runs[-1] += _read_words(words)
            runs.append([])
            words = []
        before = word
    runs[-1] += _read_words(words)
    return [_sign(run, tokens) for run in runs if run]


_Word: TypeAlias = tuple[str, int, int]
"""A number word or a value in figures, with the tokens that say it."""


def _goes_on(tokens: Sequence[str], at: int) -> bool:
    """Whether the next word is one of a number: after fillers, and after an "and" that is stuttered."""
    return is_number_word(next((word for word in tokens[at:] if word != "and" and not _NOISE.fullmatch(word)), ""))


@lru_cache(maxsize=4096)
def _read_numeral(word: str) -> tuple[str, ...]:
    """The values of what is written in figures; several where the signs in it are of a clock, a date or a version."""
    if ordinal := _ORDINAL.fullmatch(word):
        return (ordinal[1],)
    if _GROUPED.fullmatch(word):
        sign = "." if word.count(".") > 1 else ","
        word = word.replace(sign, "").replace(",", ".")
    if (decimal := _DECIMAL.fullmatch(word)) and len(word) < _LONGEST:
        return (str(Fraction(int(decimal[1] + decimal[2]), 10 ** len(decimal[2]))),)
    return (word,) if word.isdecimal() else tuple(part.lstrip("0") or "0" for part in re.split(r"[.,:]", word))


def _read_joint(tokens: Sequence[str], at: int, words: Sequence[_Word]) -> list[Figure]:
    """The number that the word at `at` makes of its neighbours, after those before it in `words`; [] for none."""
    found = _read_words(words) if words and words[-1][2] == at else []
    whole = Fraction(found[-1].value) if found and found[-1].value.isdecimal() else None
    value, stop = _read_decimals(tokens, at, whole) if tokens[at] == "point" else _read_share(tokens, at, whole)
    if not value:
        return []
    if tokens[at] == "/" and len(found) > 1:  # "2 1/2"
        return [*found[:-2], Figure(str(Fraction(found[-2].value) + value), found[-2].start, stop)]
    return [*found[:-1], Figure(str(value), found[-1].start if found else at, stop)]


def _read_decimals(tokens: Sequence[str], at: int, whole: Fraction | None) -> tuple[Fraction | None, int]:
    """ "two point five", "point seventy five": the value, and where its words end."""
    if whole is None and (at and tokens[at - 1] in _NO_DECIMAL):
        return None, at
    following = [_read_digits(word) for word in tokens[at + 1 : at + _LONGEST]]
    digits = "".join(takewhile(lambda digit: len(digit) == 1, following))
    stop = at + 1 + len(digits)
    if not digits and following:
        digits, stop = following[0], stop + 1
        if tokens[at + 1] in _TENS and following[1:] and len(following[1]) == 1:
            digits, stop = digits[0] + following[1], stop + 1
    if not 0 < len(digits) < _LONGEST:
        return None, at
    return (whole or 0) + Fraction(int(digits), 10 ** len(digits)), stop


def _read_digits(word: str) -> str:
    if word.isdecimal() or word == "oh":
        return "0" if word == "oh" else word
    value = _VALUES.get(word)
    return "" if value is None or word.endswith(("st", "nd", "rd", "th")) else str(value)


def _read_share(tokens: Sequence[str], at: int, whole: Fraction | None) -> tuple[Fraction | None, int]:
    """ "two and a half", "2½", "half a million", "1/2": the value, and where its words end."""
    word = tokens[at]
    if word in _SIGNS:
        return (whole or 0) + _SIGNS[word], at + 1
    after = tuple(tokens[at + 1 : at + 3])
    if word == "and" and whole is not None:
        share = next((words for words in _SHARES if after[: len(words)] == words), None)
        return (whole + _SHARES[share], at + 1 + len(share)) if share else (None, at)
    if word == "half" and whole is None and after[:1] == ("a",) and after[1:] and after[1] in _SCALES:
        return Fraction(1, 2), at + 2
    if word == "/" and whole and after and after[0].isdecimal() and after[1:] != ("/",) and len(after[0]) == 1:
        below = int(after[0])
        return (Fraction(whole, below), at + 2) if below in _BELOW and whole < below else (None, at)
    return None, at


def _read_words(words: Sequence[_Word]) -> list[Figure]:
    """The numbers in a row of number words: a word that cannot carry the number on begins the next one."""
    numbers: list[Figure] = []
    total, part, room = 0, 0, 0  # `room`: what the next word must be smaller than to belong to `part`
    below = 1  # what all is to be divided by
    start, stop = -1, -1
    for word, first, last in words:
        scale = _SCALES.get(word)
        value = 0 if scale else _VALUES.get(word)
        divisor = 1
        if value is None:
            value, divisor = _read_value(word)
        # "one hundred hundred" are two numbers
        is_next = part >= scale * below if scale else value >= room or value == 0 or divisor > 1 or below > 1
        if start >= 0 and is_next:
            numbers.append(Figure(_divide(total + part, below), start, stop))
            total, part, below, start = 0, 0, 1, -1
        start, stop = first if start < 0 else start, last
        if not scale:
            part, below, room = part + value, divisor, 10 if word in _TENS else 0
            continue
        part = max(part, 1) * scale
        if part % below == 0:  # "two point five million" is whole
            part, below = part // below, 1
        room = 100 if scale == 100 else 0
        if scale >= 1000:
            total, part, room = total + part, 0, scale
    return [*numbers, Figure(_divide(total + part, below), start, stop)] if start >= 0 else []


def _read_value(figures: str) -> tuple[int, int]:
    """What is above and below the line of a value in figures."""
    above, _, below = figures.partition("/")
    return int(above), int(below or 1)


def _divide(above: int, below: int) -> str:
    return str(above) if below == 1 else str(Fraction(above, below))


def _sign(run: list[Figure], tokens: Sequence[str]) -> list[Figure]:
    """The run with the sign before its first number."""
    first = run[0]
    if not first.start or tokens[first.start - 1] not in _MINUS:
        return run
    return [replace(first, value=f"-{first.value}", start=first.start - 1), *run[1:]]
