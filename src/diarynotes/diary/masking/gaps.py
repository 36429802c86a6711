"""What stands between the pieces of one number: signs, hesitation, and words.

Some words stand for a sign ("dash"); others only link ("then") and stand between any two numbers as well. Knows nothing
of numbers.
"""

from __future__ import annotations

import re

from diarynotes.diary.masking.number_words import words_pattern

_SIGNS = r"[\s,.\-–—―ー·/()]{0,5}"
_HESITATION = r"\b(?:um+|uh+m*|er+m?|äh+m?|euh|eh|oh)\b"
"""An "oh" is a nought where English is spoken; where a segment was taken for another language it may still be one."""
_FOR_SIGNS = (
    "dash hyphen space strich bindestrich leerzeichen tiret espace guion guión espacio trattino spazio streepje "
    "koppelteken spatie hífen traço espaço kreska myślnik spacja"
)
_LINKS = (
    "then and minus slash dot wait sorry und dann warte schrägstrich et puis ensuite attends pardon y luego espera "
    "perdón e poi aspetta en dan wacht depois espere oraz potem czekaj"
)
_JOINT = f"{_HESITATION}|{words_pattern(tuple(_FOR_SIGNS.split()))}"
_LINK = f"{_JOINT}|{words_pattern(tuple(_LINKS.split()))}"
_JOINED = re.compile(rf"{_SIGNS}(?:(?:{_JOINT})[\s,.…-]{{1,3}}){{0,2}}", re.IGNORECASE)
_LINKED = re.compile(rf"{_SIGNS}(?:(?:{_LINK})[\s,.…-]{{1,3}}){{0,3}}", re.IGNORECASE)
_WORDS = re.compile(r"[\s,.…-]*[^\W\d_]+(?:[\s,.…-]+[^\W\d_]+)*[\s,.…-]*")


def is_joined(text: str, start: int, end: int) -> bool:
    """Whether `text[start:end]` parts the pieces of one number and hardly anything else."""
    return _JOINED.fullmatch(text, start, end) is not None


def is_linked(text: str, start: int, end: int) -> bool:
    """Whether `text[start:end]` may part the pieces of one number, as it may part two numbers."""
    return _LINKED.fullmatch(text, start, end) is not None


def drop_words(text: str) -> str:
    """Figures with a comma in the place of the words between them."""
    return _WORDS.sub(", ", text)
