"""A sentence as words with what the search for names needs to know of each.

Knows nothing of names themselves.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from diarynotes.diary.words import WORD


class Token(NamedTuple):
    """A word as it stands (`text`), folded and without a final "'s" (`word`), and what stands around it."""

    text: str
    word: str
    is_capital: bool
    is_first: bool
    is_possessive: bool
    follows_sign: bool


def read_tokens(text: str) -> list[Token]:
    """The words of one sentence or several; the one after a sentence sign counts as a first one."""
    tokens: list[Token] = []
    end = 0
    for match in WORD.finditer(text):
        start, stop = match.span()
        gap = text[end:start]
        is_plain = gap == " "  # as nearly all of them are
        is_first = not tokens or (not is_plain and any(sign in gap for sign in ".!?…"))
        tokens.append(_read_word(match[0], is_first, not is_plain and bool(gap.strip())))
        end = stop
    return tokens


@lru_cache(maxsize=8192)  # most words of hours of speech were said before
def _read_word(said: str, is_first: bool, follows_sign: bool) -> Token:
    folded = said.lower().replace("’", "'")
    bare = folded.removesuffix("'s")
    return Token(said[: len(bare)], bare, said[0].isupper(), is_first, bare != folded, follows_sign)
