"""The words and signs of a text, each with what the checks need to know of it.

Where a script has no blanks between words, or endings that grow into them, each two neighbouring characters count as a
word. Knows nothing of what the words mean.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from diarynotes.diary.words import AUXILIARIES

_TOKEN = re.compile(
    r"[^\W\d_]+(?:['’][^\W\d_]+)*|\d+(?:(?:st|nd|rd|th)\b|(?:[.,:]\d+)*)|(?<![^\s(])[-−]\d+(?:[.,:]\d+)*|[^\w\s]"
)
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff"
    "\U00020000-\U0003ffff]+"
)
"""Thai, Lao, Burmese, Khmer, Japanese, Chinese, and Korean, whose words carry their endings."""
_HIRAGANA = re.compile("[\u3040-\u309f\u30fc]+")
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
            if piece.isascii():
                tokens.append(_read_word(piece, is_first))
            else:
                tokens += [_read_word(word, is_first) for word in _split_unspaced(piece)]
            is_first = False
        elif len(piece) > 1:
            tokens += (Token(piece[0], "minus", False, False, False), _read_word(piece[1:], False))
            is_first = False
        elif piece != "-":
            tokens.append(Token(piece, piece, False, False, False))
            is_first = is_first or piece in _ENDS
    return tuple(tokens)


def is_unspaced(text: str) -> bool:
    """Whether a text holds a script in which words do not stand apart."""
    return not text.isascii() and bool(_UNSPACED.search(text))


def says_something(word: str) -> bool:
    """Whether a word of such a script is more than grammar: two characters, not both of them hiragana."""
    return len(word) > 1 and is_unspaced(word) and not _HIRAGANA.fullmatch(word)


@lru_cache(maxsize=8192)
def _split_unspaced(piece: str) -> tuple[str, ...]:
    """ "iPhone山田さん" as "iPhone", "山田", "田さ", "さん"."""
    words: list[str] = []
    start = 0
    for match in _UNSPACED.finditer(piece):
        run = match[0]
        words += [piece[start : match.start()], *([run] if len(run) == 1 else map("".join, pairwise(run)))]
        start = match.end()
    return tuple(filter(None, (*words, piece[start:])))


@lru_cache(maxsize=8192)  # a note says again what was said
def _read_word(piece: str, is_first: bool) -> Token:
    word = piece.lower().replace("’", "'")
    bare = word if word in AUXILIARIES else word.removesuffix("'s")
    return Token(piece, bare, True, piece[0].isupper(), is_first)
