"""A sentence as words with what the search for names needs to know of each.

Knows nothing of names themselves.
"""

from __future__ import annotations

from dataclasses import dataclass

from diarynotes.diary.words import WORD


@dataclass(frozen=True, slots=True)
class Token:
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
        gap = text[end : match.start()]
        folded = match[0].lower().replace("’", "'")
        bare = folded.removesuffix("'s")
        tokens.append(
            Token(
                text=match[0][: len(bare)],
                word=bare,
                is_capital=match[0][0].isupper(),
                is_first=not tokens or any(sign in gap for sign in ".!?…"),
                is_possessive=bare != folded,
                follows_sign=bool(gap.strip()),
            )
        )
        end = match.end()
    return tokens
