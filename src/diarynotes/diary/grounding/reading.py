"""A text as the checks read it: its words and signs in order, and what follows from them, each reckoned once.

Knows nothing of which text is held against which.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property, lru_cache

from diarynotes.diary.figures import Figure, find_runs, is_number_word, join_figures
from diarynotes.diary.grounding.gloss import GLOSSED, gloss
from diarynotes.diary.grounding.lexicon import lemma, synonyms
from diarynotes.diary.grounding.parts import split_clauses
from diarynotes.diary.grounding.signs import Token, read_tokens, says_something
from diarynotes.diary.words import MONTHS, STOPWORDS, WEEKDAYS

_LONG_WORD = 4
"""Letters from which on a word of a language without a list of small words counts as content."""
_ALIKE = 5
"""Letters that two roots must share from their beginning to count as one: "celebration" and "celebrate"."""
_DAYS = frozenset(WEEKDAYS) | frozenset(MONTHS)
_SMALL = STOPWORDS | frozenset(
    "therefore however afterwards meanwhile eventually nevertheless otherwise despite besides overall regarding "
    "according several apart else everywhere anywhere somewhere nowhere once twice whether unless whereas "
    "half past quarter o'clock am pm noon midday midnight minute minutes hour hours".split()
)


class Piece:
    """A text as it stands, and the ISO 639 code of its language, "" where that is not known."""

    def __init__(self, text: str, language: str) -> None:
        self.text = text
        self.language = language

    @cached_property
    def facts(self) -> Piece:
        """The same with its numbers, times and days as in English; a segment is read for several sentences."""
        return Piece(gloss(self.text, self.language), "en")


class Reading:
    """What the checks want to know of a text; each answer is made when it is first asked for.

    `language` is that of most of it; small words are known of English alone. `pieces` are what `tokens` were read from.
    """

    def __init__(self, tokens: Iterable[Token], *, language: str = "en", pieces: Sequence[Piece] = ()) -> None:
        self._tokens = tokens
        self.language = language
        self.english = language == "en"
        self._pieces = pieces

    @cached_property
    def tokens(self) -> tuple[Token, ...]:
        """The words and signs in order."""
        return tuple(self._tokens)

    @cached_property
    def facts(self) -> Reading:
        """The text with its numbers, times and days as in English; itself where that is what it is."""
        if GLOSSED.isdisjoint([piece.language for piece in self._pieces]):
            return self
        pieces = [piece.facts for piece in self._pieces]
        return Reading(read_tokens(" ".join(piece.text for piece in pieces)), pieces=pieces)

    @cached_property
    def text(self) -> str:
        """The text as it stands, its words one blank apart."""
        return " ".join(" ".join(piece.text for piece in self._pieces).split())

    @cached_property
    def letters(self) -> str:
        """The text without blanks."""
        return "".join(self.text.split())

    @cached_property
    def plain(self) -> list[str]:
        """Words folded, and signs, in order."""
        return [token.word for token in self.tokens]

    @cached_property
    def clauses(self) -> list[list[Token]]:
        """The words by clause."""
        return split_clauses(self.tokens, self.language)

    @cached_property
    def words(self) -> frozenset[str]:
        """The words, folded."""
        return frozenset([token.word for token in self.tokens if token.is_word])

    @cached_property
    def roots(self) -> frozenset[str]:
        """The roots of the words."""
        return frozenset(map(lemma, self.words))

    @cached_property
    def content(self) -> list[str]:
        """The roots of the words that say something of their own, in order."""
        return [lemma(token.word) for token in self.tokens if self.is_content(token)]

    @cached_property
    def runs(self) -> list[list[Figure]]:
        """The numbers, those said one after the other in one list."""
        return find_runs(self.plain)

    @cached_property
    def numbers(self) -> frozenset[str]:
        """The values of all numbers; those of a run also joined, because codes are said in pieces."""
        return self.values | frozenset(join_figures(run) for run in self.runs if len(run) > 1)

    @cached_property
    def values(self) -> frozenset[str]:
        """The values of the numbers one by one."""
        return frozenset(figure.value for run in self.runs for figure in run)

    @cached_property
    def capitals(self) -> frozenset[str]:
        """The words that have a capital within a sentence, where it means something; without "I" and days."""
        return frozenset(
            token.word
            for token in self.tokens
            if token.is_capital and not token.is_first and token.word not in STOPWORDS and token.word not in _DAYS
        )

    @cached_property
    def _beginnings(self) -> frozenset[str]:
        return frozenset(root[:_ALIKE] for root in self.roots if len(root) >= _ALIKE)

    def holds(self, root: str) -> bool:
        """Whether a word of this root, or one that may stand for it, is in the text."""
        return (
            root in self.roots
            or (len(root) >= _ALIKE and root[:_ALIKE] in self._beginnings)
            or not self.roots.isdisjoint(synonyms(root))
        )

    def is_content(self, token: Token) -> bool:
        """Whether a word says something of its own: no small word, number, day or word of the clock."""
        return token.is_word and is_content(token.word, self.english)


@lru_cache(maxsize=8192)
def is_content(word: str, english: bool) -> bool:
    """The same of a folded word."""
    if is_number_word(word) or word in _DAYS:
        return False
    if not english:
        return len(word) >= _LONG_WORD or says_something(word)
    return word not in _SMALL and "'" not in word
