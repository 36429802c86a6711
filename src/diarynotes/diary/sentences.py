"""Turns segments into sentences, each with the numbers of the segments that it came from.

Two kinds of speech recognition arrive here: text with full stops and capitals, and words without either. Nothing is
changed but white space; `tidy` makes the sentences readable, `corrections` joins what belongs together.
"""

from __future__ import annotations

import re
from bisect import bisect_right

from diarynotes.diary.clauses import hangs, split_run
from diarynotes.diary.words import WORD, fold
from diarynotes.models import Segment, Sentence, Transcript

_END = re.compile(r"(?<=[.!?…])[\"'”’)\]]*\s+|(?<=[。！？])")
_ABBREVIATION = re.compile(
    r"(?:\b(?:dr|mr|mrs|ms|prof|st|no|vs|etc|approx|e\.g|i\.e|a\.m|p\.m)|\b[a-z])\.$", re.IGNORECASE
)  # fmt: skip
_SENTENCE_SIGN = re.compile(r"[.!?…。！？]")
_WORDS_A_SIGN = 40
"""A text with fewer sentence signs than one in so many words counts as unpunctuated."""
_LONGEST_WORDS = 60
"""A sentence longer than this is split as if it had no punctuation: its full stops were missed."""


def is_punctuated(transcript: Transcript) -> bool:
    """Whether the engine wrote full stops."""
    text = transcript.text
    return len(_SENTENCE_SIGN.findall(text)) * _WORDS_A_SIGN >= max(len(text.split()), 1)


def split_sentences(transcript: Transcript) -> list[Sentence]:
    """The sentences in the order said; segments without words give none."""
    segments = [
        (number, _clean(segment)) for number, segment in enumerate(transcript.segments) if WORD.search(segment.text)
    ]
    pieces = _join_punctuated(segments) if is_punctuated(transcript) else _join_bare(segments)
    return [part for piece in pieces for part in _shorten(piece)]


def _clean(segment: Segment) -> str:
    return " ".join(segment.text.split())


def _join_punctuated(segments: list[tuple[int, str]]) -> list[Sentence]:
    """Segments run on until a sentence sign, or until one starts with a capital that nothing led up to."""
    sentences: list[Sentence] = []
    held: list[tuple[int, str]] = []
    for number, text in segments:
        if held and _starts_anew(held[-1][1], text):
            sentences += _split_text(held)
            held = []
        held.append((number, text))
    return sentences + _split_text(held)


def _starts_anew(before: str, text: str) -> bool:
    if _SENTENCE_SIGN.match(before[-1]) and not _ABBREVIATION.search(before):
        return True
    first = WORD.findall(text)[0]
    return first[0].isupper() and not first.startswith(("I'", "I’")) and first != "I" and not hangs(before)


def _split_text(held: list[tuple[int, str]]) -> list[Sentence]:
    starts: list[int] = []
    length = 0
    for _, text in held:
        starts.append(length)
        length += len(text) + 1
    whole = " ".join(text for _, text in held)
    sentences, begin = [], 0
    for match in [*_END.finditer(whole), None]:
        stop = match.start() if match else len(whole)
        if match and _ABBREVIATION.search(whole[begin:stop]):
            continue
        if WORD.search(whole[begin:stop]):
            first, last = bisect_right(starts, begin) - 1, bisect_right(starts, max(stop - 1, begin)) - 1
            evidence = tuple(number for number, _ in held[first : last + 1])
            sentences.append(Sentence(whole[begin:stop].strip(), evidence))
        begin = match.end() if match else len(whole)
    return sentences


def _join_bare(segments: list[tuple[int, str]]) -> list[Sentence]:
    """A pause ends a sentence unless its last word hangs in the air ("with", "the") or the next cannot begin one."""
    runs: list[list[tuple[int, str]]] = []
    for number, text in segments:
        if runs and (hangs(runs[-1][-1][1]) or fold(text)[0] in ("of", "than")):
            runs[-1].append((number, text))
        else:
            runs.append([(number, text)])
    return [Sentence(" ".join(text for _, text in run), tuple(number for number, _ in run)) for run in runs]


def _shorten(sentence: Sentence) -> list[Sentence]:
    """Splits what the engine ran together; the parts of a long run keep all its evidence, which is few segments."""
    words = sentence.text.split()
    if len(words) <= _LONGEST_WORDS and _SENTENCE_SIGN.search(sentence.text):
        return [sentence]
    return [Sentence(part, sentence.evidence) for part in split_run(words)]
