"""Numbers that follow each other, as one row of figures: "double five, dash oh one" and "55-01" are both 5501.

Knows nothing of what a number is for. Times, dates and amounts of money end a row, so that they never belong to one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise

from diarynotes.diary.masking.gaps import Gap, read_gap
from diarynotes.diary.masking.number_words import (
    PLUS,
    double_pattern,
    number_pattern,
    read_double,
    read_number,
    words_pattern,
)
from diarynotes.diary.masking.spans import Claims
from diarynotes.diary.masking.stretches import Stretch

_MONTHS = (
    "january february march april may june july august september october november december "
    "jan feb mar apr jun jul aug sep sept oct nov dec januar februar märz mai juni juli oktober dezember "
    "janvier février mars avril juin juillet août septembre octobre novembre décembre "
    "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre"
)
_MORE_MONTHS = {
    "it": "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre dicembre",
    "nl": "januari februari maart mei augustus",
    "pt": "janeiro fevereiro março maio junho julho setembro outubro novembro dezembro",
    "pl": "stycznia lutego marca kwietnia maja czerwca lipca sierpnia września października listopada grudnia",
}
"""Those that are only looked for in their own language, which spares the others time."""
_UNIT = (
    r"(?:euros?|eur|dollars?|usd|pounds?|quid|pence|cents?|francs?|bucks|kronor|percent|per cent|prozent|pour cent"
    r"|hundred|thousand|million|billion|grand|tausend|millionen|mille|millions|mil|millones|hundert|cien"
    r"|km|kilomet(?:er|re)s?|met(?:er|re)s?|miles?|feet|foot|inch(?:es)?|kg|kilos?|grams?|gramm|lit(?:er|re)s?|degrees?"
    r"|grad|steps|people|times|hours?|minutes?|seconds?|days?|weeks?|months?|years?|calories|points?|pages?|words"
    r"|złot\w{1,3}|zł|reais|mila|duizend|tysi\w{2,3}|milion\w{1,2}|miljoen|milhões|uur|uren|or[ea]|godzin\w?|giorni|dagen"
    r"|dias|anni|jaar|anos|lat|minut\w{0,2}|minuten|persone|mensen|pessoas|osób|chilometri|metri|kilometr\w{1,2}"
    r"|o'clock|uhr|heures?|horas?|a\.?m\.?|p\.?m\.?)\b"
)
_MOST_TOKENS = 64
"""A row that goes on is cut here; no number that means somebody is as long."""


@dataclass(frozen=True, slots=True)
class Number:
    """One number of a row: the figures that `text[start:end]` stands for."""

    start: int
    end: int
    figures: str
    is_word: bool
    is_double: bool = False
    is_plus: bool = False
    gap: Gap = Gap.SIGNS
    """What parts it from the number before it."""


@dataclass(frozen=True, slots=True)
class Run:
    """Numbers with hardly anything between them."""

    numbers: tuple[Number, ...]

    @property
    def start(self) -> int:
        return self.numbers[0].start

    @property
    def end(self) -> int:
        return self.numbers[-1].end

    @property
    def figures(self) -> str:
        return "".join(number.figures for number in self.numbers)

    @property
    def widest(self) -> Gap:
        """What it is most likely to fall apart at."""
        return max([number.gap for number in self.numbers[1:]], default=Gap.SIGNS)

    def split(self, gap: Gap) -> list[Run]:
        """The runs between such gaps and wider ones."""
        first = [place for place, number in enumerate(self.numbers) if number.gap >= gap or not place]
        return [Run(self.numbers[start:end]) for start, end in pairwise([*first, len(self.numbers)])]


def read_runs(text: str, claims: Claims, stretches: Sequence[Stretch]) -> list[Run]:
    """The rows of numbers in what nobody has claimed, in the order of the text."""
    runs: list[list[Number]] = []
    end = -1
    for number in (number for stretch in stretches for number in _read_numbers(text, stretch)):
        if number is None:
            end = -1
            continue
        if not claims.is_free(number.start, number.end):
            continue
        goes_on = end >= 0 and len(runs[-1]) < _MOST_TOKENS and not number.is_plus
        goes_on = goes_on and claims.is_free(end, number.start)
        gap = read_gap(text, end, number.start) if goes_on else None
        if gap is not None:
            runs[-1].append(replace(number, gap=gap) if gap else number)
        else:
            runs.append([number])
        end = number.end
    return [Run(tuple(run)) for run in runs]


def _read_numbers(text: str, stretch: Stretch) -> Iterator[Number | None]:
    """Each number; None for an ordinary time, date or amount, which ends a row."""
    language = stretch.language
    for match in _pattern(language).finditer(text, stretch.start, stretch.end):
        start, end = match.span()
        if match["ordinary"] is not None:
            yield None
        elif match["plus"] is not None:
            yield Number(start, end, "", is_word=match["plus"] != "+", is_plus=True)
        elif match["figures"] is not None:
            yield Number(start, end, _plain(match["figures"]), is_word=False)
        elif match["double"] is not None:
            once = _plain(match["once"]) if match["once"][0].isdigit() else read_number(match["once"], language)
            figures = once * read_double(match["double"]) if len(once) == 1 else once
            yield Number(start, end, figures, is_word=True, is_double=True)
        else:
            yield Number(start, end, read_number(match["word"], language), is_word=True)


def _plain(figures: str) -> str:
    return "".join(str(int(figure)) for figure in figures)


@cache
def _pattern(language: str) -> re.Pattern[str]:
    word = number_pattern(language)
    return re.compile(
        r"(?=[\d$€£¥+]|\b\w)(?:"  # within a word nothing begins, so that the branches need not be tried there
        rf"(?P<ordinary>{_ordinary_pattern(language)})|(?P<plus>{PLUS})|(?P<double>{double_pattern()})[\s-]+(?P<once>\d|{word})"
        rf"|(?P<figures>\d+)|(?P<word>{word}))",
        re.IGNORECASE,
    )


def _ordinary_pattern(language: str) -> str:
    """A pattern for times, dates and amounts."""
    month = rf"{words_pattern(tuple(_MONTHS.split() + _MORE_MONTHS.get(language, '').split()))}\.?"
    month_first = rf"{month}\s+\d{{1,2}}(?:st|nd|rd|th)?\b(?:,?\s+(?:19|20)\d\d\b)?"
    ordinary = "|".join(
        (
            r"(?<![\d.:/-])\d{1,2}[:h]\d\d(?::\d\d)?(?:\s?[ap]\.?m\b)?(?![\d:])",
            r"(?<![\d./-])(?:0?[1-9]|[12]\d|3[01])(?P<sign>[./-])(?:0?[1-9]|[12]\d|3[01])(?P=sign)(?:(?:19|20)\d\d|\d\d)(?![./-]?\d)",
            r"(?<![\d./-])(?:19|20)\d\d(?P<mark>[./-])(?:0?[1-9]|1[0-2])(?P=mark)(?:0?[1-9]|[12]\d|3[01])(?![./-]?\d)",
            rf"\b\d{{1,2}}(?:st|nd|rd|th|er|\.)?\s+(?:of\s+|de\s+)?{month},?(?:\s+(?:de\s+)?(?:19|20)\d\d\b)?",
            r"[$€£¥]\s?\d+(?:[.,]\d+)*",
            rf"(?<![\d+])\d+(?:[., ]\d{{3}})*(?:[.,]\d+)?\s?(?:[$€£¥%°]|{_UNIT})",
        )
    )
    return rf"(?:(?=[\d$€£¥])(?:{ordinary})|{month_first})"
