"""A transcript as numbered lines, and lines in parts that fit a model's window.

Knows no model and no tokenizer. A line's number is that of its segment, so evidence needs no translating back; segments
without words are left out, and those numbers are then no evidence.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from diarynotes.models import Transcript

_BYTES_A_TOKEN = 3
"""UTF-8 bytes that a token holds at the least, as a rule. OpenAI counts 4 letters of English to a token
(help.openai.com, "What are tokens and how to count them"), Anthropic 3.5 (its glossary); letters of other scripts have
2 or 3 bytes and are rarely more than a token each."""
_LINE_TOKENS = 4
"""What a line's number and its mark may take."""
_MARK = re.compile(r"<(?=\s*/?\s*(?:transcript|parts))", re.IGNORECASE)
_BREAK = re.compile(r"(?<=[.!?…。！？])\s+|\s+")


@dataclass(frozen=True, slots=True)
class Line:
    """The words of a segment and its number in the transcript."""

    number: int
    text: str

    def __str__(self) -> str:
        return f"{self.number} | {self.text}"


def number_lines(transcript: Transcript) -> tuple[Line, ...]:
    """The segments that hold words as lines: one line each, and no text in them that could end the transcript."""
    cleaned = (Line(number, _clean(segment.text)) for number, segment in enumerate(transcript.segments))
    return tuple(line for line in cleaned if line.text)


def estimate_tokens(text: str) -> int:
    """About how many tokens a text has, rather too many than too few: a token for every 3 bytes of UTF-8.

    Too few for long runs of digits and for scripts that a model's tokenizer does not know.
    """
    return -(-len(text.encode()) // _BYTES_A_TOKEN)


def count_tokens(lines: Iterable[Line]) -> int:
    """About how many tokens of a prompt the lines take, with their numbers."""
    return sum(map(_cost, lines))


def split_lines(lines: Sequence[Line], *, limit_tokens: int) -> list[tuple[Line, ...]]:
    """The lines in as few runs as fit `limit_tokens` each, about equally long; every word is in one of them.

    A line that is longer than that is cut between words, or within one where there is no space, and each piece keeps
    the line's number.
    """
    pieces = [piece for line in lines for piece in _cut(line, limit_tokens)]
    total = count_tokens(pieces)
    parts = -(-total // limit_tokens) or 1
    even = min(limit_tokens, -(-total // parts) + max(map(_cost, pieces), default=0) // 2)
    runs: list[list[Line]] = []
    used = 0
    for piece in pieces:
        if not runs or used + _cost(piece) > even:
            runs.append([])
            used = 0
        runs[-1].append(piece)
        used += _cost(piece)
    return [tuple(run) for run in runs]


def halve_lines(lines: Sequence[Line]) -> list[tuple[Line, ...]]:
    """Two halves of the lines, or of the words of a single one; one run where nothing is left to divide."""
    return split_lines(lines, limit_tokens=max(_LINE_TOKENS + 1, -(-count_tokens(lines) // 2) + _LINE_TOKENS))


def _clean(text: str) -> str:
    """One line of valid Unicode; what looks like the mark around a transcript loses its bracket."""
    valid = text.encode("utf-8", "replace").decode()
    return _MARK.sub("‹", " ".join(valid.replace("\x00", " ").split()))


def _cost(line: Line) -> int:
    return _LINE_TOKENS + estimate_tokens(line.text)


def _cut(line: Line, limit_tokens: int) -> Iterator[Line]:
    room_bytes = max(1, limit_tokens - _LINE_TOKENS) * _BYTES_A_TOKEN
    if len(line.text.encode()) <= room_bytes:
        yield line
        return
    piece = ""
    for word in _BREAK.split(line.text):
        for chunk in _chop(word, room_bytes):
            longer = f"{piece} {chunk}" if piece else chunk
            if len(longer.encode()) > room_bytes:
                yield Line(line.number, piece)
                longer = chunk
            piece = longer
    yield Line(line.number, piece)


def _chop(word: str, room_bytes: int) -> Iterator[str]:
    """The word, or pieces of it where it alone is too long; a sign has at most 4 bytes."""
    size = len(word) if len(word.encode()) <= room_bytes else max(1, room_bytes // 4)
    return (word[start : start + size] for start in range(0, len(word), size or 1))
