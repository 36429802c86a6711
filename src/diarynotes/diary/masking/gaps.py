"""What stands between the pieces of one number: signs, hesitation, and words.

Some words stand for a sign ("dash"); others only link ("then") and stand between any two numbers as well. Knows nothing
of numbers.
"""

from __future__ import annotations

import re
from enum import IntEnum

from diarynotes.diary.masking.number_words import words_pattern

_SIGNS = r"[\s,.\-–—―ー·/()]{0,5}"
_HESITATION = r"\b(?:um+|uh+m*|er+m?|äh+m?|euh|eh)\b"
_FOR_SIGNS = (
    "dash hyphen space strich bindestrich leerzeichen tiret espace guion guión espacio trattino spazio streepje "
    "koppelteken spatie hífen traço espaço kreska myślnik spacja oh"
)
"""An "oh" is a nought where English is spoken; where a segment was taken for another language it may still be one."""
_LINKS = (
    "then and minus slash dot wait sorry und dann warte schrägstrich et puis ensuite attends pardon y luego espera "
    "perdón e poi aspetta en dan wacht depois espere oraz potem czekaj"
)
_JOINT = f"{_HESITATION}|{words_pattern(tuple(_FOR_SIGNS.split()))}"
_LINK = f"{_JOINT}|{words_pattern(tuple(_LINKS.split()))}"
_BESIDE = r"[\s,.…-]{1,3}"
_SPARSE = re.compile(rf"{_SIGNS}(?:{_HESITATION}{_BESIDE})?", re.IGNORECASE)
_JOINED = re.compile(rf"{_SIGNS}(?:(?:{_JOINT}){_BESIDE}){{0,2}}", re.IGNORECASE)
_LINKED = re.compile(rf"{_SIGNS}(?:(?:{_LINK}){_BESIDE}){{0,3}}", re.IGNORECASE)
_WORDS = re.compile(r"[\s,.…-]*[^\W\d_]+(?:[\s,.…-]+[^\W\d_]+)*[\s,.…-]*")


class Gap(IntEnum):
    """What parts two numbers; the more, the less they are pieces of one."""

    SIGNS = 0
    WORDS_FOR_SIGNS = 1
    LINKS = 2


def read_gap(text: str, start: int, end: int) -> Gap | None:
    """What `text[start:end]` holds; None where it is something else, so that nothing goes on behind it."""
    if _SPARSE.fullmatch(text, start, end):
        return Gap.SIGNS
    if not _LINKED.fullmatch(text, start, end):
        return None
    return Gap.WORDS_FOR_SIGNS if _JOINED.fullmatch(text, start, end) else Gap.LINKS


def drop_words(text: str) -> str:
    """Figures with a comma in the place of the words between them."""
    return _WORDS.sub(", ", text)
