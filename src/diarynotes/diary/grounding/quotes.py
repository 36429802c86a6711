"""Words in quotation marks that were not said so.

Knows only words in their order; fillers, case and signs do not count. Works in every language.
"""

from __future__ import annotations

import re

from diarynotes.diary.grounding.reading import Reading
from diarynotes.diary.grounding.signs import read_tokens

_QUOTE = re.compile(
    r"[\"“„«»](?P<double>[^\"“”„«»]+)[\"”“»«]|(?<![\w])[‘'](?P<single>[^‘’'\"“”]*(?:\w['’]\w[^‘’'\"“”]*)*)[’'](?!\w)"
)
_ASIDE = re.compile(r"\b(?:you know|i mean)\b")
_FILLERS = frozenset("um uh er erm hmm like well so oh ah yeah okay ok".split())


def find_wrong_quotes(text: str, said: Reading) -> bool:
    """Whether `text` quotes what was not said word for word."""
    quotes = [match["double"] or match["single"] or "" for match in _QUOTE.finditer(text)]
    if not quotes:
        return False
    whole, bare = (f" {' '.join(words)} " for words in _both(said))
    for quote in quotes:
        full, short = _both(Reading(read_tokens(quote)))
        if full and f" {' '.join(full)} " not in whole and not (short and f" {' '.join(short)} " in bare):
            return True
    return False


def _both(text: Reading) -> tuple[list[str], list[str]]:
    """The words as they are, and without fillers."""
    words = [token.text.lower().replace("’", "'") for token in text.tokens if token.is_word]
    return words, [word for word in _ASIDE.sub("", " ".join(words)).split() if word not in _FILLERS]
