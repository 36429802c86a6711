"""A transcript as the checks read it: each segment once, and any few of them as one text.

Knows nothing of the note.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import chain

from diarynotes.diary.clauses import hangs
from diarynotes.diary.figures import is_number_word
from diarynotes.diary.grounding.reading import Piece, Reading
from diarynotes.diary.grounding.signs import Token, read_tokens
from diarynotes.diary.words import looks_english
from diarynotes.models import Transcript

_BEFORE = 6
"""Segments before a sentence's own in which somebody may have been named whom it calls "he"."""
_LONGEST_WORD = 40
"""Characters from a segment's end in which its last word is looked for."""
_PAUSE = Token(".", ".", False, False, False)


class Memo:
    """The words of a transcript; what is said in it may be asked for by segment numbers.

    `language` is the transcript's, `languages` are those that are spoken in it.
    """

    def __init__(self, transcript: Transcript) -> None:
        self.segments = transcript.segments
        code = _code(transcript.language)
        self.language = code if code not in ("en", "") else "en" if looks_english(transcript.text[:20_000]) else ""
        heard = {
            own: self.language if _code(own or "") in ("", code) else _code(own or "")
            for own in {segment.language for segment in transcript.segments}
        }
        self._pieces = [Piece(segment.text, heard[segment.language]) for segment in transcript.segments]
        self.languages = tuple(dict.fromkeys((self.language, *sorted(heard.values()))))
        self._tokens = [_read_segment(segment.text) for segment in transcript.segments]

    def read(self, text: str, *, language: str | None = None) -> Reading:
        """A text of the note, by default in the language of the transcript."""
        language = self.language if language is None else language
        return Reading(read_tokens(text), language=language, pieces=(Piece(text, language),))

    def said(self, evidence: tuple[int, ...]) -> Reading:
        """What was said in these segments."""
        numbers = sorted(evidence)
        pieces = [self._pieces[number] for number in numbers]
        tokens = chain.from_iterable(self._tokens[number] for number in numbers)
        return Reading(tokens, language=self._most_spoken(pieces), pieces=pieces)

    def before(self, evidence: tuple[int, ...]) -> Reading:
        """What was said shortly before the last of these segments, and in it."""
        last = max(evidence)
        return self.said(tuple(range(max(0, last - _BEFORE), last + 1)))

    @cached_property
    def whole(self) -> Reading:
        """All that was said."""
        return Reading(chain.from_iterable(self._tokens), language=self.language, pieces=self._pieces)

    def _most_spoken(self, pieces: Sequence[Piece]) -> str:
        """The language in which most of a few segments was said."""
        if len(self.languages) == 1:
            return self.language
        spoken: dict[str, int] = {}
        for piece in pieces:
            spoken[piece.language] = spoken.get(piece.language, 0) + len(piece.text)
        return max(spoken, key=lambda language: spoken[language])


def _code(language: str) -> str:
    return language.lower()[:2]


def _read_segment(text: str) -> tuple[Token, ...]:
    """A segment's tokens; the pause after it ends a clause unless its last word asks for more."""
    tokens = read_tokens(text)
    if not tokens or hangs(text[-_LONGEST_WORD:]) or is_number_word(tokens[-1].word):
        return tokens
    return (*tokens, _PAUSE)
