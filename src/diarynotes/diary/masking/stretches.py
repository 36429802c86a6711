"""The parts of a text that are each in one language.

Knows nothing of what is private in them. Segments of one language that follow each other are one stretch, so that most
transcripts are a single one.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from operator import attrgetter
from typing import NamedTuple

from diarynotes.models import Transcript


class Stretch(NamedTuple):
    """`text[start:end]` and the two letters of its language (ISO 639)."""

    start: int
    end: int
    language: str


def read_stretches(transcript: Transcript) -> list[Stretch]:
    """The stretches of the segments' texts as they are when one sign joins them; at least one."""
    stretches = [Stretch(0, 0, _short(transcript.language))]
    start = 0
    for segment in transcript.segments:
        end = start + len(segment.text)
        language = _short(segment.language or transcript.language)
        last = stretches[-1]
        if language == last.language or not last.end:
            stretches[-1] = Stretch(last.start, end, language)
        else:
            stretches.append(Stretch(start, end, language))
        start = end + 1
    return stretches


def language_at(stretches: Sequence[Stretch], place: int) -> str:
    """The language of the stretch in which `place` lies."""
    return stretches[bisect_right(stretches, place, key=attrgetter("start")) - 1].language


def _short(language: str) -> str:
    return language.lower()[:2]
