"""How much of a text's words were said, and whether a part of it says what nobody said.

Goes by words alone: a part is a clause, or a row of words one after the other. Knows nothing of their meaning.
"""

from __future__ import annotations

from collections.abc import Sequence

from diarynotes.diary.grounding.lexicon import kinds, lemma
from diarynotes.diary.grounding.reading import Reading
from diarynotes.diary.grounding.signs import Token

_ROW = 3
"""Words in a row, small ones aside, that were not said: from here on something was added."""
_CLAUSE = 2
"""Words of a clause of which none was said: from here on the clause was added."""
_LONG_CLAUSE, _LEAST_SAID = 4, 0.25
"""A clause of so many words counts as added when no larger share of them was said."""
_LIGHT_VERBS = frozenset(
    map(lemma, "go get come make take say tell think know want need feel see keep give put".split())
)
"""Verbs that say little, but tell which clause is meant: "made it" and "made it to the top"."""
_STANDS_FOR = frozenset("it that this these those there he she they him her them his one ones its their".split())
"""Words of speech in whose place a note may name what they mean, which was said before."""


def share_said(claim: Reading, said: Reading) -> float:
    """The share of the content words of `claim` that `said` holds, 0 to 1; 1 where it has none."""
    return sum(map(said.holds, claim.content)) / len(claim.content) if claim.content else 1.0


def count_content(text: Reading) -> int:
    """How many content words a text has."""
    return len(text.content)


def has_addition(claim: Reading, said: Reading, near: Reading) -> bool:
    """Whether a clause, or a row of words, of `claim` was not said; `near` is what was said shortly before too.

    Fewer new words are enough when the rest of `claim` already tells all that was said: then there is nothing left
    that they could be other words for.
    """
    unsaid = frozenset(root for root in claim.content if not said.holds(root))
    if not unsaid:
        return False
    clauses = [[lemma(token.word) for token in tokens if claim.is_content(token)] for tokens in claim.clauses]
    means_more = not said.words.isdisjoint(_STANDS_FOR)
    untold = _count_untold(claim, said)
    row = 0
    for tokens, roots in zip(claim.clauses, clauses, strict=True):
        hits = [root not in unsaid or near.holds(root) for root in roots]
        for place, hit in enumerate(hits):
            row = 0 if hit else row + 1
            if row >= _ROW or (min(row, place + 1) >= _CLAUSE and row > untold):
                return True
        size, told = len(roots), sum(hits)
        if (size >= _CLAUSE and not told) or (size >= _LONG_CLAUSE and told <= _LEAST_SAID * size):
            return True
        strange = hits if means_more else [root not in unsaid for root in roots]
        if size > untold and not any(strange) and (size >= _CLAUSE or not _shares_verb(tokens, said)):
            return True
    return False


def _shares_verb(tokens: Sequence[Token], said: Reading) -> bool:
    return any(root in said.roots for root in _LIGHT_VERBS.intersection(lemma(token.word) for token in tokens))


def _count_untold(claim: Reading, said: Reading) -> int:
    """How many of the content words that were said `claim` does not hold."""
    return sum(not claim.holds(root) for root in set(said.content))


def has_other_kind(claim: Reading, said: Reading) -> bool:
    """Whether a word was put in the place of another of its kind: "evening" for "morning", "sister" for "brother"."""
    known = kinds()
    if known.keys().isdisjoint(claim.roots - said.roots):
        return False
    ours = {known[root] for root in claim.roots if root in known}
    theirs = {known[root] for root in said.roots if root in known}
    left_out = {kind for kind, _ in theirs - ours}
    return any(kind in left_out for kind, _ in ours - theirs)
