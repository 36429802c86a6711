"""Masks what is private before a transcript leaves the machine: names, numbers and addresses become placeholders.

Works on patterns, checksums, cues and lists, the forms of speech included ("john at example dot com"); it does not
understand what is said. A name that is in no list and behind no telling word stays. Knows nothing of who reads the
masked transcript, nor whether it is to be masked at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from diarynotes.diary.masking.addresses import find_addresses
from diarynotes.diary.masking.internet import find_internet
from diarynotes.diary.masking.mask import Mask
from diarynotes.diary.masking.names import find_names
from diarynotes.diary.masking.number_words import READ
from diarynotes.diary.masking.numbers import find_numbers
from diarynotes.diary.masking.placeholders import KINDS, LITERAL, find_placeholders, make_placeholder
from diarynotes.diary.masking.signs import plain_signs
from diarynotes.diary.masking.spans import Claims, Hit
from diarynotes.diary.masking.stretches import Stretch, read_stretches
from diarynotes.models import Transcript

__all__ = ["KINDS", "Mask", "mask_transcript"]


def mask_transcript(
    transcript: Transcript, *, names: Sequence[str] = (), region: str | None = None
) -> tuple[Transcript, Mask]:
    """The transcript with placeholders for what is private, and the mask that puts the words back.

    `names` are the owner's own list: people, and whatever else must never be seen; in any case and spacing. `region`
    (ISO 3166, two letters) is where telephone numbers without a country code belong; None takes the usual ones of the
    language. Each segment is read in its own language, in the transcript's where it has none. The same thing has the
    same placeholder in all segments. Time grows linearly with the text.
    """
    texts = [segment.text for segment in transcript.segments]
    text, plain_texts = "\n".join(texts), [plain_signs(text) for text in texts]
    plain = "\n".join(plain_texts)
    stretches = read_stretches(transcript)
    claims = Claims(text)
    claims.claim_all(Hit(start, end, LITERAL, text[start:end]) for start, end, _ in find_placeholders(text))
    claims.claim_all(find_internet(plain, stretches))
    # a house number would else be taken for the beginning or end of a longer number
    claims.claim_all(find_addresses(plain, stretches))
    claims.claim_all(find_numbers(plain, claims, stretches, region=region))
    claims.claim_all(find_names(plain_texts, stretches, names=names))
    _claim_lookalikes(text, claims)
    given = _Placeholders()
    masked = [given.fill(part, hits) for part, hits in _by_segment(texts, claims)]
    segments = tuple(
        replace(segment, text=part) for segment, (part, _) in zip(transcript.segments, masked, strict=True)
    )
    return replace(transcript, segments=segments), Mask(
        given.values, [used for _, used in masked], unread=_find_unread(stretches)
    )


def _find_unread(stretches: Iterable[Stretch]) -> list[str]:
    """The languages, where they are known, whose numbers are not known as words."""
    return sorted({stretch.language for stretch in stretches} - {*READ, ""})


def _claim_lookalikes(text: str, claims: Claims) -> None:
    """Claims what looks like a placeholder only now that its neighbour is gone: "ID 2Anna" leaves "ID 2"."""
    while True:
        seen = find_placeholders(claims.blot("[]"))
        left = [part for start, end, _ in seen for part in claims.free_parts(start, end)]
        if not left:
            return
        claims.claim_all(Hit(start, end, LITERAL, text[start:end]) for start, end in left)


class _Placeholders:
    """Gives out placeholders: one number for each thing, one letter for each way of writing it."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self._numbers: dict[tuple[str, str], int] = {}
        self._counts: dict[str, int] = {}
        self._forms: dict[tuple[str, int], dict[str, str]] = {}

    def fill(self, text: str, hits: Iterable[Hit]) -> tuple[str, frozenset[str]]:
        """The text with its hits replaced, and the placeholders that it now holds."""
        parts, end, used = [], 0, []
        for hit in hits:
            used.append(self._name(hit, text[hit.start : hit.end]))
            parts += [text[end : hit.start], used[-1]]
            end = hit.end
        return "".join([*parts, text[end:]]), frozenset(used)

    def _name(self, hit: Hit, words: str) -> str:
        number = self._numbers.get((hit.kind, hit.key))
        if number is None:
            number = self._counts[hit.kind] = self._counts.get(hit.kind, 0) + 1
            self._numbers[hit.kind, hit.key] = number
        forms = self._forms.setdefault((hit.kind, number), {})
        if words not in forms:
            forms[words] = make_placeholder(hit.kind, number, len(forms))
            self.values[forms[words]] = words
        return forms[words]


def _by_segment(texts: Sequence[str], claims: Claims) -> Iterable[tuple[str, list[Hit]]]:
    """Each segment's text with its own hits; a hit that reaches over a border is cut there, for each part goes back."""
    rest = list(claims)[::-1]
    start = 0
    for text in texts:
        end = start + len(text)
        mine: list[Hit] = []
        while rest and rest[-1].start < end:
            hit = rest.pop()
            if hit.end <= start:  # nothing of it stands in an empty segment
                continue
            if hit.start < start:
                hit = replace(hit, start=start)
            mine.append(replace(hit, start=hit.start - start, end=min(hit.end, end) - start))
            if hit.end > end + 1:  # the sign between two segments belongs to neither
                rest.append(replace(hit, start=end + 1, key=f"{hit.key}\n{hit.end - end}"))
                mine[-1] = replace(mine[-1], key=f"{hit.key}\n{end - hit.start}")
        yield text, mine
        start = end + 1
