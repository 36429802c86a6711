"""Reads the mood off the words: VADER's lexicon, with what speech says without meaning it taken out.

Knows nothing of voices. It reads English; of other languages it sees little and then says neutral.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from diarynotes.diary.words import fold
from diarynotes.models import Mood

# Scored by VADER, but in speech mostly fillers, hedges, or words of lists and work
_NO_FEELING = (
    "like likes liked okay ok okey well yeah yes honest honestly kind want wants wanted pretty forget cancel number "
    "no matter natural share shared sharing play played playing agree agreed agrees interest solid true clear clearly "
    "please help helps dear important cut cutting hand novel special sure top security super shares stop stops leave "
    "easy block blocks pay fire gun alone weird certain certainly bright join big number numbers problem problems"
).split()
_FEELING = {
    "nervous": -1.6, "late": -0.4, "hurts": -1.4, "tired": -1.3, "cried": -1.8, "heartbroken": -3.0,
    "exhausted": -2.0, "overwhelmed": -2.0, "funeral": -1.8, "cemetery": -0.6, "grave": -0.8, "miss": -1.8,
    "misses": -1.6, "missed": -1.4, "homesick": -2.0, "sleepless": -1.6, "jetlagged": -0.8,
    "stuck": -1.2, "leaks": -0.6,
}  # fmt: skip
_SLEEPLESS = re.compile(r"\b(?:can['’]?t|cannot|couldn['’]t|didn['’]t|haven['’]t) sle(?:ep|pt)\b", re.IGNORECASE)
_AT_THE_END = re.compile(
    r"\b(?:can['’]?t|cannot|couldn['’]t) (?:keep|go on|take (?:it|this|any)|cope|stand|do this|stop crying)\b",
    re.IGNORECASE,
)
_NOT_BAD = 0.4
"""What is left of a good score that comes from a negation alone: "wasn't sad" is not "was happy"."""
_CLEAR = 0.05
"""A sentence with a smaller compound score carries no feeling (VADER's own threshold)."""
_OWN_WEIGHT = 2.0
"""How much more a sentence counts in which the speaker tells how they feel."""
_OWN_FEELING = re.compile(
    r"\b(?:i'm|i am|i was|i feel|i felt|i've been|i love|i loved|i hate|i hated|i miss|i missed|i enjoyed|i cried|"
    r"we're|we were|made me|makes me)\b",
    re.IGNORECASE,
)
_JOINT = re.compile(r"\s+and\s+", re.IGNORECASE)  # of "but", VADER itself takes account
_MIXED = 0.5
"""How much of the stronger side the weaker one must reach for a mood to be mixed."""


class MoodReader:
    """Holds the lexicon, which takes some 20 ms to read; use one for many notes."""

    def __init__(self) -> None:
        from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer  # type: ignore[import-untyped]

        self._vader = SentimentIntensityAnalyzer()
        for word in _NO_FEELING:
            self._vader.lexicon.pop(word, None)
        self._vader.lexicon.update(_FEELING)

    def score(self, text: str) -> float:
        """How a sentence feels, from -1 (bad) to 1 (good); 0.0 where it holds no feeling."""
        text = _AT_THE_END.sub("exhausted", _SLEEPLESS.sub("sleepless", text))
        compound = float(self._vader.polarity_scores(text)["compound"])
        if compound > 0 and self._has_nothing_good(text):
            compound *= _NOT_BAD
        return compound if abs(compound) >= _CLEAR else 0.0

    def _has_nothing_good(self, text: str) -> bool:
        return all(self._vader.lexicon.get(word, 0.0) <= 0 for word in fold(text))

    def _clauses(self, text: str) -> list[str]:
        """A sentence that is glad and sorry at once in its parts, so that the one does not hide the other."""
        values = [self._vader.lexicon.get(word, 0.0) for word in fold(text)]
        return [text, *_JOINT.split(text)] if values and min(values) < 0 < max(values) else [text, ""]

    def read(self, texts: Sequence[str]) -> Mood:
        """The mood of all sentences together: mixed where good and bad are near one another in strength.

        The score is the weighted mean of the sentences that carry feeling, drawn towards 0 by those that carry none.
        """
        good, bad, weights = 0.0, 0.0, 0.0
        for text in texts:
            weight = _OWN_WEIGHT if _OWN_FEELING.search(text) else 1.0
            scores = [self.score(clause) for clause in self._clauses(text)]
            good += weight * max(*scores, 0.0)
            bad -= weight * min(*scores, 0.0)
            weights += weight if any(scores) else 0.25
        score = round((good - bad) / weights, 3) if weights else 0.0
        strength = max(good, bad)
        if strength < 0.3 or strength / max(len(texts), 1) < 0.04:
            return Mood("neutral", score)
        if min(good, bad) >= _MIXED * strength:
            return Mood("mixed", score)
        return Mood("positive" if good > bad else "negative", score)
