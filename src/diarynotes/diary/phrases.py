"""Finds what a text is about: noun phrases, ranked by how often and how early they are said.

Goes by articles and prepositions, for want of a tagger; what it gives are always the speaker's own words in a row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from diarynotes.diary.figures import is_number_word
from diarynotes.diary.tokens import Token
from diarynotes.diary.words import DETERMINERS, MONTHS, PREPOSITIONS, STOPWORDS, WEEKDAYS, stem

_DULL = frozenset(
    "day days week weeks month months year years morning evening afternoon night time times minute minutes hour hours "
    "moment end beginning start part half rest lunch dinner breakfast weekend side point fact case number second "
    "third last next same good bad big small new old nice great long short whole real right wrong idea reason "
    "work mum mom dad euros dollars pounds degrees place places people person name front top bottom middle row "
    "course past quarter tired back forth life hand hands lot head care control charge total order use fun love "
    "trouble general particular".split()
) | frozenset((*WEEKDAYS, *MONTHS))
_QUALITIES = frozenset(
    "new old big small good bad nice great long short whole real same other next last first second third little "
    "late early quick single different".split()
)
_OPENERS = (DETERMINERS | PREPOSITIONS | frozenset("much more some any no many".split())) - {"to"}
_LONGEST = 3


@dataclass(frozen=True, slots=True)
class Phrase:
    """A noun phrase: its words as said, the stem of its last word, and the sentence it stands in."""

    words: tuple[str, ...]
    head: str
    sentence: int


def find_phrases(sentences: Iterable[Sequence[Token]], *, but: Collection[str] = ()) -> list[Phrase]:
    """All noun phrases in the order said, without those that name what is in `but` (folded words)."""
    found: list[Phrase] = []
    for number, tokens in enumerate(sentences):
        index = 1
        while index < len(tokens):
            end = _read_run(tokens, index, but) if _opens(tokens, index) else index
            words = tuple(_keep_case(token) for token in tokens[index:end])
            while words and words[0].lower() in _QUALITIES:
                words = words[1:]
            if words and words[-1].lower() not in _DULL:
                found.append(Phrase(words, stem(words[-1].lower()), number))
            index = max(end, index + 1)
    return found


def rank_topics(phrases: Sequence[Phrase], *, most: int = 5) -> tuple[str, ...]:
    """The phrases that matter most, at most `most`, one for each head; more often, earlier and longer is better."""
    counts = Counter(phrase.head for phrase in phrases)
    best: dict[str, tuple[float, int, str]] = {}
    for order, phrase in enumerate(phrases):
        score = counts[phrase.head] + 0.4 * (len(phrase.words) - 1) + 1.0 / (1 + phrase.sentence)
        entry = (-score, order, " ".join(phrase.words))
        best[phrase.head] = min(best.get(phrase.head, entry), entry)
    ranked = sorted(best.values())
    return tuple(text for _, _, text in ranked[:most])


def _opens(tokens: Sequence[Token], index: int) -> bool:
    before = tokens[index - 1]
    if tokens[index].follows_sign:
        return False
    return before.word in _OPENERS or before.is_possessive or is_number_word(before.word) or before.word in _QUALITIES


def _read_run(tokens: Sequence[Token], index: int, but: Collection[str]) -> int:
    end = index
    while end < len(tokens) and end - index < _LONGEST:
        token = tokens[end]
        if end > index and (token.follows_sign or _is_verb_like(token.word)):
            break
        if token.word in STOPWORDS or token.word in but or is_number_word(token.word) or token.word.endswith("ly"):
            break
        end += 1
    return end


def _keep_case(token: Token) -> str:
    return token.text if token.is_capital and not token.is_first else token.word


def _is_verb_like(word: str) -> bool:
    return (len(word) > 4 and word.endswith(("ed", "ing"))) or word in _VERBS


_VERBS = frozenset(
    "leaks hurts barks runs looks works ran sent wrote left lost found broke fell sat stood bought paid met said "
    "called asked looked worked started stopped opened closed helps ends begins says comes goes wants needs".split()
)
