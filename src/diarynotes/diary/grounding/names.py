"""Names in a text: people, places, family, that were not said where it says they were.

Follows the entity check of Nan et al. 2021 (arXiv 2102.09130, EACL): the share of a summary's names that stand in its
source, here for each sentence alone. Goes by capitals and by the lists of names and towns; "he" may become the name of
somebody who was spoken of shortly before.
"""

from __future__ import annotations

from collections.abc import Collection

from diarynotes.diary.grounding.lexicon import lemma, synonyms
from diarynotes.diary.grounding.reading import Reading
from diarynotes.diary.grounding.signs import Token
from diarynotes.diary.lists import given_names, toponyms
from diarynotes.diary.words import MONTHS, STOPWORDS, WEEKDAYS

_DAYS = frozenset(WEEKDAYS) | frozenset(MONTHS)
_NO_NAMES = STOPWORDS | _DAYS
_THIRD = frozenset(
    "he she they him her them his their hers theirs himself herself themselves who he'd he'll she'd she'll they'd "
    "they'll they're they've".split()
)
_DO = frozenset(
    "said says told tells asked asks called calls rang phoned phones came comes laughed laughs cried cries smiled "
    "wants wanted thinks thought texted texts emailed wrote writes sent sends brought brings promised agreed offered "
    "hugged answered replied explained invited suggested married knows loves loved hates feels looked will gave "
    "gives".split()
)
"""What people do: after the first word of a sentence it tells a name from another word."""
_WORD_CASE = 0.6
"""Share of the longer words with a capital from which on a heading is written in capitals that mean nothing."""


def find_names(text: Reading, known: Collection[str]) -> list[str]:
    """The words of `text` that name somebody or something, folded; `known` are those that were said with a capital."""
    heading = is_title_case(text)
    return [
        token.word
        for at, token in enumerate(text.tokens)
        if token.is_capital and (_is_name(token, known, heading=heading) or _acts(text, at))
    ]


def is_title_case(text: Reading) -> bool:
    """Whether nearly every longer word has a capital, as in English headings."""
    long = [token for token in text.tokens if len(token.word) > 3 and not token.is_first and token.word not in _DAYS]
    return len(long) > 2 and sum(token.is_capital for token in long) >= _WORD_CASE * len(long)


def is_said(name: str, said: Reading) -> bool:
    """Whether a name, or another word for the same one such as "Mum" and "mother", is among the words."""
    if name in said.words or lemma(name) in said.roots:
        return True
    return name not in given_names() and not said.roots.isdisjoint(synonyms(lemma(name)))


def may_be_meant(name: str, claim: list[str], said: Reading, before: Reading, known: Collection[str]) -> bool:
    """Whether `name` may be who a "he" or "she" in `said` means: spoken of shortly before, and nobody left out for it.

    `claim` are all the names of the sentence.
    """
    if not is_said(name, before) or said.words.isdisjoint(_THIRD):
        return False
    present = {word for word in said.words if word in known or word in given_names()} - _NO_NAMES
    return present <= set(claim)


def _acts(text: Reading, at: int) -> bool:
    """Whether a capital, the first word of a sentence, does what only people do: "Zelda called", "Zelda and I"."""
    token, after = text.tokens[at], text.plain[at + 1 : at + 3]
    if not token.is_first or token.word in _NO_NAMES or token.word.endswith(("ed", "ing", "s")):
        return False
    return token.text[1:].islower() and (not _DO.isdisjoint(after[:1]) or after == ["and", "i"])


def _is_name(token: Token, known: Collection[str], *, heading: bool) -> bool:
    """Whether a capital names somebody or something."""
    word = token.word
    if len(word) < 2 or word in _NO_NAMES or "'" in word:
        return False
    if token.is_first or heading:
        return word in known or word in given_names() or (word,) in toponyms()
    return True
