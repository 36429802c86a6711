"""Negation: whether a clause says the contrary of the clause that was said.

After NegEx (Chapman et al. 2001, doi 10.1006/jbin.2001.1029): a cue such as "not" reaches the words after it, up to
six, until a word such as "but" ends its scope; phrases such as "not only" are no cues. Instead of single terms, whole
clauses are compared: each is laid beside the spoken clause with which it shares most, and both must be negated or
neither, a word and its opposite counting as one turn more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from diarynotes.diary.grounding.lexicon import lemma, opposites, synonyms
from diarynotes.diary.grounding.reading import Reading, is_content
from diarynotes.diary.grounding.signs import Token
from diarynotes.diary.words import AUXILIARIES, CONJUNCTIONS, DETERMINERS, NEGATIONS, PREPOSITIONS, PRONOUNS, STOPWORDS

_CUES = {
    "en": NEGATIONS | frozenset("barely scarcely rarely seldom none".split()),
    "de": frozenset("nicht kein keine keinen keinem keiner nie niemals niemand nichts weder ohne kaum".split()),
    "fr": frozenset("pas jamais rien personne aucun aucune sans ni".split()),
    "es": frozenset("no nunca jamás nada nadie ningún ninguna sin tampoco".split()),
}
_BOTH_WAYS = frozenset("nothing nobody none neither no".split())
"""Cues that negate the verb before them too: "I said nothing"."""
_AFTER_THE_VERB = {
    "en": _BOTH_WAYS,
    "de": frozenset("nicht nie niemals nichts niemand kaum".split()),
    "fr": frozenset("pas jamais rien personne".split()),
}
"""Cues that bear on the verb before them as well: "ich schlafe nicht", "je ne dors pas"."""
_LINKS = frozenset("and but und oder et ou y o".split())
"""Words that end what a "not" bears on."""
_AUXILIARIES_ABROAD = frozenset(
    "habe hast haben habt hatte hatten werde wird werden wurde wurden sind waren kann kannst konnte können muss musste "
    "müssen soll sollte sollen will wollte wollen darf dürfen möchte avons avez avait avais étais était étaient sommes "
    "êtes suis sont peux peut veux veut dois doit".split()
)
"""German and French verbs that say too little to be what a "not" after them bears on."""
_NO_CUES = frozenset(
    {("not", "only"), ("no", "doubt"), ("no", "wonder"), ("no", "matter"), ("never", "mind"), ("can't", "wait")}
    | {("nothing", "but"), ("not", "just"), ("cannot", "wait"), ("why", "don't"), ("couldn't", "wait")}
)
_RAISING = frozenset(map(lemma, "think believe suppose expect reckon imagine".split()))
"""Verbs before which a "not" belongs to what follows: "I don't think it is late"."""
_IMPLIED = frozenset(
    map(
        lemma,
        "forget fail refuse miss avoid skip stop lack unable decline cancel prevent quit impossible deny lose out "
        "instead without badly until till except left".split(),
    )
)
"""Words that say a "not" without one, or take one back."""
_SCOPE = 6
_FORMS_OF_BE = frozenset("being having doing".split())
_LIGHT = STOPWORDS - PRONOUNS - DETERMINERS - PREPOSITIONS - AUXILIARIES - CONJUNCTIONS - NEGATIONS
_CONTENT_WEIGHT, _LIGHT_WEIGHT, _PRONOUN_WEIGHT = 3.0, 1.0, 0.5
_ENOUGH = 1.0
TWO_WORDS = 6.0
"""What two clauses share that have two words in common."""
_SAME = 0.01


@dataclass(frozen=True, slots=True)
class Clause:
    """A clause's roots by weight, whether it is negated, and the roots that the negation bears on."""

    weights: dict[str, float]
    negated: bool
    heads: frozenset[str]


def may_turn(claim: Reading, said: Reading) -> bool:
    """Whether the clauses must be compared at all: either text has a "not", or a word whose opposite was said."""
    cues = _CUES.get(claim.language, frozenset())
    for text in (claim, said):
        if not cues.isdisjoint(text.words) or any(word.endswith("n't") for word in text.words):
            return True
    return any(not said.roots.isdisjoint(opposites(root)) for root in claim.roots - said.roots)


def is_turned(claim: Sequence[Clause], said: Sequence[Clause], *, least: float = _ENOUGH) -> bool:
    """Whether a clause of `claim` lost or gained a negation, or says the opposite, of the one that carries it.

    `least` is the weight that two clauses must share to be about the same thing: 3 a word, 1 a small verb.
    """
    spoken = frozenset(root for clause in said for root in clause.weights)
    return any(_is_clause_turned(clause, said, spoken, least) for clause in claim)


def find_like(claim: Sequence[Clause], text: Reading) -> list[Clause]:
    """The clauses of a long text that share a content word with one of `claim`."""
    roots = {root for clause in claim for root, weight in clause.weights.items() if weight == _CONTENT_WEIGHT}
    clauses = text.clauses
    words = {word for word in text.words if lemma(word) in roots}
    alike = [at for at, tokens in enumerate(clauses) if any(token.word in words for token in tokens)]
    # with their neighbours, because "I don't think" bears on what follows
    near = sorted({at + step for at in alike for step in (-1, 0, 1) if 0 <= at + step < len(clauses)})
    return _read_clauses([clauses[at] for at in near], text)


def read_clauses(text: Reading) -> list[Clause]:
    """The clauses of `text` with their negations; none is negated in a language whose cues are not known."""
    return _read_clauses(text.clauses, text)


def _read_clauses(clauses: Sequence[Sequence[Token]], text: Reading) -> list[Clause]:
    cues = _CUES.get(text.language, frozenset())
    read: list[Clause] = []
    raised = False
    for tokens in clauses:
        clause = _read_clause(tokens, cues, text)
        content = {root for root, weight in clause.weights.items() if weight >= _LIGHT_WEIGHT}
        if clause.negated and content and content <= _RAISING:
            raised = True
            continue
        if raised:
            heads = clause.heads or frozenset(content)
            clause, raised = Clause(clause.weights, not clause.negated, heads), False
        read.append(clause)
    return read


def _read_clause(tokens: Sequence[Token], cues: frozenset[str], text: Reading) -> Clause:
    weights: dict[str, float] = {}
    heads: set[str] = set()
    negated, reach, last = False, 0, ""
    for at, token in enumerate(tokens):
        word = token.word
        if (word in cues or word.endswith("n't")) and _is_cue(tokens, at):
            negated, reach = True, _SCOPE
            if last and word in _AFTER_THE_VERB.get(text.language, ()):
                heads.add(last)
            continue
        weight, root = _weigh(word, text.english)
        reach -= 1
        if weight:
            weights[root] = weight
            if weight >= _LIGHT_WEIGHT:
                last = last if word in _AUXILIARIES_ABROAD else root
                if reach >= 0:
                    heads.add(root)
                    reach = 0 if weight >= _CONTENT_WEIGHT else reach
        if word in _LINKS:
            reach, last = 0, ""
    return Clause(weights, negated, frozenset(heads))


def _is_cue(tokens: Sequence[Token], at: int) -> bool:
    """Whether a word that may be a "not" is one here."""
    word, after = tokens[at].word, tokens[at + 1].word if at + 1 < len(tokens) else ""
    return (word, after) not in _NO_CUES and not (word == "no" and not after)


@lru_cache(maxsize=8192)
def _weigh(word: str, english: bool) -> tuple[float, str]:
    """How much a word says of what its clause is about, and its root."""
    bare = word.partition("'")[0]
    root = lemma(bare)
    if is_content(word, english) or word[0].isdigit():
        return (0.0 if word in _FORMS_OF_BE else _CONTENT_WEIGHT), root
    if not english:
        return 0.0, root
    if word in _LIGHT:
        return _LIGHT_WEIGHT, root
    if word in STOPWORDS:
        return (_PRONOUN_WEIGHT if bare in PRONOUNS else 0.0), root
    return _CONTENT_WEIGHT, root


def _is_clause_turned(claim: Clause, said: Sequence[Clause], spoken: frozenset[str], least: float) -> bool:
    terms = [_Term.of(root, weight, spoken) for root, weight in claim.weights.items()]
    compared = [_compare(terms, clause) for clause in said]
    best = max((score for score, _ in compared), default=0.0)
    if best < least:
        return False
    return all(
        _differ(claim, clause, flips)
        for clause, (score, flips) in zip(said, compared, strict=True)
        if score >= best - _SAME
    )


def has_lost_denial(claim: Sequence[Clause], said: Sequence[Clause]) -> bool:
    """Whether what was only ever said with a "not" is told without one, in a clause that tells more than that."""
    if any(clause.negated for clause in claim):
        return False
    told = frozenset(root for clause in claim for root in clause.weights)
    for clause in said:
        content = frozenset(root for root in clause.heads if clause.weights.get(root) == _CONTENT_WEIGHT)
        plain = any(content & other.weights.keys() for other in said if not other.negated)
        if clause.negated and content and content <= told and not plain and not _IMPLIED & told:
            return True
    return False


class _Term(NamedTuple):
    """A root of a clause with what may stand in its place, and what would turn the clause round."""

    root: str
    weight: float
    synonyms: frozenset[str]
    opposites: frozenset[str]

    @classmethod
    def of(cls, root: str, weight: float, spoken: frozenset[str]) -> _Term:
        if weight < _LIGHT_WEIGHT:
            return cls(root, weight, frozenset(), frozenset())
        return cls(root, weight, synonyms(root), frozenset() if root in spoken else opposites(root))


def _compare(claim: Sequence[_Term], said: Clause) -> tuple[float, int]:
    """How much two clauses share, and how many words of one are the opposite of a word of the other."""
    score, flips, roots = 0.0, 0, said.weights.keys()
    for root, weight, alike, contrary in claim:
        if root in roots:
            score += weight
        elif alike and not roots.isdisjoint(alike):
            score += weight * 0.9
        elif contrary and not roots.isdisjoint(contrary):
            score += weight
            flips += 1
    return score, flips


def _differ(claim: Clause, said: Clause, flips: int) -> bool:
    """Whether one of two clauses about the same thing denies what the other says."""
    if (claim.negated + said.negated + flips) % 2 == 0:
        return False
    if flips:
        return True
    denying, plain = (claim, said) if claim.negated else (said, claim)
    if _IMPLIED & (plain.weights.keys() - denying.weights.keys()):
        return False
    return any(root in plain.weights or not plain.weights.keys().isdisjoint(synonyms(root)) for root in denying.heads)
