"""Cuts a text into clauses by its signs and small words.

Knows where a new subject begins a clause in English alone; German, French and Spanish are cut at words such as "but",
other languages at signs. Knows nothing of what is said in the clauses.
"""

from __future__ import annotations

from collections.abc import Sequence

from diarynotes.diary.grounding.lexicon import is_past
from diarynotes.diary.grounding.signs import Token
from diarynotes.diary.words import AUXILIARIES, CONJUNCTIONS, PREPOSITIONS

_OPENERS = frozenset("but because if when while although though unless whereas which who whether where however".split())
_LINKS = frozenset("and or so then that as before after until since than".split())
_PEOPLE = frozenset("i he she we they".split())
_THINGS = frozenset("it that this there you".split())
_BREAKS = frozenset(".,;:!?…—–()。！？，")
_OPENERS_ABROAD = {
    "de": frozenset("aber weil denn wenn als während obwohl dass damit sondern bevor nachdem".split()),
    "fr": frozenset("mais parce car quand lorsque puisque pendant tandis comme".split()),
    "es": frozenset("pero porque cuando mientras aunque sino pues".split()),
}
_STARTS = _OPENERS | _LINKS | _PEOPLE | _THINGS


def split_clauses(tokens: Sequence[Token], language: str = "en") -> list[list[Token]]:
    """The words by clause: cut at signs, at words such as "because", and in English before a new subject or verb."""
    if language != "en":
        return _cut(tokens, _OPENERS_ABROAD.get(language, frozenset()))
    clauses: list[list[Token]] = [[]]
    for at, token in enumerate(tokens):
        if token.word in _BREAKS:
            clauses.append([])
        elif token.is_word:
            may_begin = token.word in _STARTS or "'" in token.word
            if may_begin and _begins(tokens, at) and not _is_bare(clauses[-1]):
                clauses.append([])
            clauses[-1].append(token)
    return [clause for clause in clauses if clause]


def _cut(tokens: Sequence[Token], openers: frozenset[str]) -> list[list[Token]]:
    clauses: list[list[Token]] = [[]]
    for token in tokens:
        if token.word in _BREAKS or token.word in openers:
            clauses.append([])
        if token.is_word:
            clauses[-1].append(token)
    return [clause for clause in clauses if clause]


def _begins(tokens: Sequence[Token], at: int) -> bool:
    """Whether a clause begins at this word, one of those with which it may."""
    word = tokens[at].word
    after = tokens[at + 1].word if at + 1 < len(tokens) else ""
    before = tokens[at - 1].word if at else ""
    further = tokens[at + 2].word if at + 2 < len(tokens) else ""
    if word in _OPENERS:
        return True
    if word in _LINKS:
        return (
            _is_subject(after, further)
            or after in _THINGS
            or (word == "and" and (after in AUXILIARIES or is_past(after) or after == "then" or is_past(further)))
        )
    return (
        _is_subject(word, after) and before not in AUXILIARIES and before not in _LINKS and before not in PREPOSITIONS
    )


def _is_subject(word: str, after: str) -> bool:
    bare = word.partition("'")[0]
    if bare in _PEOPLE:
        return True
    return bare in _THINGS and ("'" in word or after in AUXILIARIES)


def _is_bare(tokens: Sequence[Token]) -> bool:
    """Whether nothing but small words has been said yet, so that no clause can end here."""
    return all(token.word in CONJUNCTIONS or token.word in _OPENERS or token.word in _LINKS for token in tokens)
