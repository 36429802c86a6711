"""How far what was heard is from what was said, and whether a score orders clips as their errors do.

Pure arithmetic on words and numbers; knows nothing of engines, clips or files.
"""

from __future__ import annotations

import functools
import statistics
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from diarynotes.errors import NotInstalled

MIN_CLIPS = 5
"""Fewer cannot tell: of 4 even a perfect order comes about by chance once in 12 times, of 5 once in 60."""
RESAMPLES = 2000
SURE = 0.95
"""How likely a difference must be no chance to be called one."""
UNSPACED = frozenset({"zh", "yue", "ja", "th", "lo", "my"})
"""Written without spaces: letters are counted in place of words, as in Whisper's paper, appendix C."""


@dataclass(frozen=True, slots=True)
class WordErrors:
    """Words wrong (changed, missing or added) of words said."""

    wrong: int
    words: int

    @property
    def rate(self) -> float | None:
        """The word error rate, which passes 1 where more is added than was said; None where nothing was said."""
        return self.wrong / self.words if self.words else None

    def __add__(self, other: WordErrors) -> WordErrors:
        return WordErrors(self.wrong + other.wrong, self.words + other.words)


def count_word_errors(said: str, heard: str, language: str = "en") -> WordErrors:
    """Levenshtein's distance over the words, after Whisper's own normaliser on both sides.

    English has one of its own that knows its spellings, numbers and contractions; other languages (ISO 639-1) share a
    basic one that drops case, signs and what stands in brackets.

    The first call imports whisper, and with it torch, for seconds. Raises NotInstalled where it is missing.
    """
    normalize = _normalizer(language)
    wanted, found = normalize(said).split(), normalize(heard).split()
    return WordErrors(measure_distance(wanted, found), len(wanted))


def measure_distance(wanted: Sequence[str], found: Sequence[str]) -> int:
    """The fewest words to change, leave out or add (Levenshtein's distance)."""
    row = list(range(len(found) + 1))
    for i, word in enumerate(wanted, start=1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(found, start=1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (word != other))
    return row[-1]


def correlate_ranks(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Spearman's rank correlation, -1 to 1; equal values share their mean rank.

    None where it says nothing: with fewer than `MIN_CLIPS` pairs, or where one side does not vary.
    """
    if len(first) < MIN_CLIPS or len(set(first)) == 1 or len(set(second)) == 1:
        return None
    return statistics.correlation(_rank(first), _rank(second))


def count_as_fewer(first: Sequence[WordErrors], second: Sequence[WordErrors]) -> float:
    """How likely the first has fewer errors than the second on clips of this kind, 0 to 1; both heard the same clips.

    The share of drawings of as many clips, with putting back, in which it has; a draw counts half (Bisani and Ney,
    2004, "Bootstrap estimates for confidence intervals in ASR performance evaluation", section 4).
    """
    more = np.array([b.wrong - a.wrong for a, b in zip(first, second, strict=True)])
    if not more.size:
        return 0.5
    drawn = np.random.default_rng(0).integers(more.size, size=(RESAMPLES, more.size))
    return float((np.sign(more[drawn].sum(axis=1)) + 1).mean() / 2)


def _rank(values: Sequence[float]) -> list[float]:
    """The place of each value, counted from 1; equal ones share the mean of their places."""
    ordered = sorted(values)
    return [ordered.index(value) + (ordered.count(value) + 1) / 2 for value in values]


@functools.cache
def _normalizer(language: str) -> Callable[[str], str]:
    try:
        from whisper.normalizers import BasicTextNormalizer, EnglishTextNormalizer
    except ImportError as error:
        raise NotInstalled("openai-whisper", "pip install openai-whisper") from error
    normalizer: Callable[[str], str]
    if language != "en":
        normalizer = BasicTextNormalizer(split_letters=language in UNSPACED)
        return normalizer
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it reads its spellings and leaves the file open
        normalizer = EnglishTextNormalizer()
    return normalizer
