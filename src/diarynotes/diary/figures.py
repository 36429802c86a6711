"""The numbers that a text says, in figures or in English words.

Knows nothing of units or dates: "the ninth" and "nine" are both 9.
"""

from __future__ import annotations

import re
from itertools import pairwise

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
_TOKEN = re.compile(r"\d+(?:[.,:]\d+)*|[^\W\d_]+(?:['’][^\W\d_]+)*|[.!?;,]")

_NOISE = re.compile(r"u+h+m*|u+m+|erm+|hmm+")
_THOUSANDS = re.compile(r",(?=\d{3})")
_LONGEST = 16
"""Characters from which a row of figures is a code, not a number to reckon with."""


def read_numbers(text: str, *, joined: bool = True) -> frozenset[str]:
    """Every number in `text` in plain figures: "forty two thousand" is "42000", "9.30" is "9" and "30".

    With `joined`, numbers that follow each other are also given as one ("four four nine two" holds "4492" as well as
    "4", "9", "2"), because codes, years and telephone numbers are said in pieces: right for what was said, not for
    what a note claims. Without it, a "one" on its own is left out: it is seldom a number.
    """
    found: set[str] = set()
    for run in _runs(text):
        if not joined and run == ["1"]:
            continue
        found.update(run)
        if joined and len(run) > 1:
            found.add("".join(run))
    return frozenset(found)


def is_number_word(word: str) -> bool:
    """Whether a folded word is a number or a part of one."""
    return word in _UNITS or word in _TENS or word in _SCALES or word[:1].isdigit()


def _runs(text: str) -> list[list[str]]:
    """Numbers in the order said, those with nothing between them in one list."""
    runs: list[list[str]] = [[]]
    words: list[str] = []
    spoken = [word.lower() for word in _TOKEN.findall(text.replace("-", " "))]
    # neither a filler nor a stutter ends a number: "two um hundred and and five"
    fluent = [word for word in spoken if not _NOISE.fullmatch(word)]
    tokens = [word for before, word in pairwise(["", *fluent]) if not before == word == "and"]
    for before, word, after in zip(["", *tokens], tokens, [*tokens[1:], ""], strict=False):
        figures = _THOUSANDS.sub("", word)
        if is_number_word(word) and (figures.isdecimal() or not word[0].isdigit()) and len(word) < _LONGEST:
            words.append(figures)
        elif word == "and" and before in _SCALES and is_number_word(after):
            continue
        else:
            runs[-1] += _read_words(words)
            words = []
            if word[0].isdigit():
                runs[-1] += [part.lstrip("0") or "0" for part in re.split(r"[.:]", figures)]
            elif runs[-1]:
                runs.append([])
    runs[-1] += _read_words(words)
    return [run for run in runs if run]


def _read_words(words: list[str]) -> list[str]:
    """The numbers in a row of number words: a word that cannot carry the number on begins the next one."""
    numbers: list[str] = []
    total, part, room = 0, 0, 0  # `room`: what the next word must be smaller than to belong to `part`
    started = False
    for word in words:
        scale = _SCALES.get(word)
        if scale:
            if part >= scale:  # "one hundred hundred" are two numbers
                numbers.append(str(total + part))
                total, part = 0, 0
            part = max(part, 1) * scale
            room = 100 if scale == 100 else 0
            if scale >= 1000:
                total, part, room = total + part, 0, scale
        else:
            value = int(word) if word.isdecimal() else _UNITS.get(word, _TENS.get(word, 0))
            if started and (value >= room or value == 0):
                numbers.append(str(total + part))
                total, part = 0, 0
            part, room = part + value, 10 if word in _TENS else 0
        started = True
    return [*numbers, str(total + part)] if started else []
