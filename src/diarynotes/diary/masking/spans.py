"""Stretches of text that are private, and who claimed which first.

Knows nothing of what makes a stretch private.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

_EDGES = " \n\t,;."


@dataclass(frozen=True, slots=True)
class Hit:
    """The private thing at `text[start:end]`; `key` is the same for every way of writing the same thing."""

    start: int
    end: int
    kind: str
    key: str = field(repr=False)


class Claims:
    """The hits of one text, none of which overlap: what was claimed first stays, later ones get what is left."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._taken = bytearray(len(text))
        self._hits: list[Hit] = []

    def __iter__(self) -> Iterator[Hit]:
        """The hits in the order of the text."""
        return iter(sorted(self._hits, key=lambda hit: hit.start))

    def is_free(self, start: int, end: int) -> bool:
        """Whether nobody claimed any of `text[start:end]`."""
        return self._taken.find(1, start, end) < 0

    def blot(self, edges: str) -> str:
        """The text, each hit replaced by as many signs, the first and last of them `edges`."""
        parts, end = [], 0
        for hit in self:
            length = hit.end - hit.start
            parts += [self._text[end : hit.start], edges[0], "·" * (length - 2), edges[1] * (length > 1)]
            end = hit.end
        return "".join([*parts, self._text[end:]])

    def claim_all(self, hits: Iterable[Hit]) -> None:
        """Claims each hit; of one that overlaps an earlier one the free pieces, where they hold a letter or figure."""
        for hit in hits:
            if self.is_free(hit.start, hit.end):
                self._take(hit)
            else:
                self._claim_rest(hit)

    def free_parts(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """The stretches of `text[start:end]` that nobody claimed and that are no mere spaces."""
        while start < end:
            stop = self._taken.find(1, start, end)
            stop = end if stop < 0 else stop
            if self._text[start:stop].strip():
                yield start, stop
            start = self._taken.find(0, stop, end)
            start = end if start < 0 else start

    def _claim_rest(self, hit: Hit) -> None:
        for start, stop in list(self.free_parts(hit.start, hit.end)):
            piece = self._text[start:stop]
            # half a word is an ending, not a thing of its own
            is_cut = start > 0 and self._text[start - 1].isalnum() and piece[0].isalnum()
            inner = piece.strip(_EDGES)
            if not is_cut and any(sign.isalnum() for sign in inner):
                first = start + piece.index(inner)
                self._take(Hit(first, first + len(inner), hit.kind, inner.casefold()))

    def _take(self, hit: Hit) -> None:
        # a hit that ended in a line break would reach into the next segment
        words = self._text[hit.start : hit.end]
        lead, tail = len(words) - len(words.lstrip()), len(words) - len(words.rstrip())
        hit = Hit(hit.start + lead, hit.end - tail, hit.kind, hit.key)
        if hit.start >= hit.end:
            return
        self._taken[hit.start : hit.end] = b"\x01" * (hit.end - hit.start)
        self._hits.append(hit)
