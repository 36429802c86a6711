"""A transcript as the checks read it: each segment once, and any few of them as one text.

Knows nothing of the note.
"""

from __future__ import annotations

from functools import cached_property
from itertools import chain

from diarynotes.diary.clauses import hangs
from diarynotes.diary.figures import is_number_word
from diarynotes.diary.grounding.reading import Reading
from diarynotes.diary.grounding.signs import Token, read_tokens
from diarynotes.diary.words import looks_english
from diarynotes.models import Transcript

_BEFORE = 6
"""Segments before a sentence's own in which somebody may have been named whom it calls "he"."""
_LONGEST_WORD = 40
"""Characters from a segment's end in which its last word is looked for."""
_PAUSE = Token(".", ".", False, False, False)


class Memo:
    """The words of a transcript; what is said in it may be asked for by segment numbers."""

    def __init__(self, transcript: Transcript) -> None:
        self.segments = transcript.segments
        code = transcript.language.lower()[:2]
        self.language = code if code not in ("en", "") else "en" if looks_english(transcript.text[:20_000]) else ""
        self.english = self.language == "en"
        self._tokens = [_read_segment(segment.text) for segment in transcript.segments]

    def read(self, text: str) -> Reading:
        """A text of the note, in the language of the transcript."""
        return Reading(read_tokens(text), language=self.language)

    def said(self, evidence: tuple[int, ...]) -> Reading:
        """What was said in these segments."""
        tokens = chain.from_iterable(self._tokens[number] for number in sorted(evidence))
        return Reading(tokens, language=self.language)

    def before(self, evidence: tuple[int, ...]) -> Reading:
        """What was said shortly before the last of these segments, and in it."""
        last = max(evidence)
        return self.said(tuple(range(max(0, last - _BEFORE), last + 1)))

    @cached_property
    def whole(self) -> Reading:
        """All that was said."""
        return Reading(chain.from_iterable(self._tokens), language=self.language)


def _read_segment(text: str) -> tuple[Token, ...]:
    """A segment's tokens; the pause after it ends a clause unless its last word asks for more."""
    tokens = read_tokens(text)
    if not tokens or hangs(text[-_LONGEST_WORD:]) or is_number_word(tokens[-1].word):
        return tokens
    return (*tokens, _PAUSE)
