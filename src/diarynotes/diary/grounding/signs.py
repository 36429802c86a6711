"""The words and signs of a text, each with what the checks need to know of it.

Knows nothing of what the words mean.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from diarynotes.diary.words import AUXILIARIES

_TOKEN = re.compile(
    r"[^\W\d_]+(?:['’][^\W\d_]+)*|\d+(?:(?:st|nd|rd|th)\b|(?:[.,:]\d+)*)|(?<![^\s(])[-−]\d+(?:[.,:]\d+)*|[^\w\s]"
)
_ENDS = frozenset('.!?…。！？:"“”„«»')


class Token(NamedTuple):
    """A word or a sign: as it stands, and folded without the "'s" of an owner; `is_first` in its sentence or not."""

    text: str
    word: str
    is_word: bool
    is_capital: bool
    is_first: bool


def read_tokens(text: str) -> tuple[Token, ...]:
    """The words and signs of `text`: "twenty-one" reads as it is said, without its hyphen, and "-5" as "minus 5"."""
    tokens: list[Token] = []
    is_first = True
    for piece in _TOKEN.findall(text):
        if piece[0].isalnum():
            tokens.append(_read_word(piece, is_first))
            is_first = False
        elif len(piece) > 1:
            tokens += (Token(piece[0], "minus", False, False, False), _read_word(piece[1:], False))
            is_first = False
        elif piece != "-":
            tokens.append(Token(piece, piece, False, False, False))
            is_first = is_first or piece in _ENDS
    return tuple(tokens)


@lru_cache(maxsize=8192)  # a note says again what was said
def _read_word(piece: str, is_first: bool) -> Token:
    word = piece.lower().replace("’", "'")
    bare = word if word in AUXILIARIES else word.removesuffix("'s")
    return Token(piece, bare, True, piece[0].isupper(), is_first)
