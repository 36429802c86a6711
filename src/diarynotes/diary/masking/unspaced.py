"""Finds listed names in scripts whose words are not parted by spaces, or hold signs that pass for no letters.

Chinese, Japanese, Korean, Thai and their neighbours, and the scripts of India. Knows no words there: a name is found
wherever its signs stand, within another word too.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator

from diarynotes.diary.masking.spans import Hit

_SIGNS = (
    "\u0900-\u0eff\u1000-\u11ff\u1780-\u17ff\u3005-\u3007\u3040-\u30fa\u30fc-\u30ff\u31f0-\u31ff\u3400-\u4dbf"
    "\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
)
_UNSPACED = re.compile(f"[{_SIGNS}]")
_PARTED = re.compile(r"[\s・･·=.,'’-]+")
_GAP = r"[\s・･·=.'’-]{0,2}"


def blank_unspaced(text: str) -> str:
    """The text with spaces for all signs of such scripts; as long as it was."""
    return text if text.isascii() else _UNSPACED.sub(" ", text)


def find_unspaced(text: str, names: Iterable[str]) -> Iterator[Hit]:
    """Every place where one of the names stands that are written in such a script, whole or one of its parts."""
    forms = {form for name in names if _UNSPACED.search(name) for form in _forms(name)}
    if forms and _UNSPACED.search(text):
        for match in re.finditer("|".join(sorted(forms, key=lambda form: (-len(form), form))), text, re.IGNORECASE):
            yield Hit(*match.span(), "PERSON", unicodedata.normalize("NFC", _PARTED.sub("", match[0])).casefold())


def _forms(name: str) -> Iterator[str]:
    """Patterns for a name and for its parts, accents set apart or not."""
    parts = [part for part in _PARTED.split(name) if part]
    # a single sign is in many words, so that it is only a name between other signs
    wholes = [f"(?<![{_SIGNS}]){re.escape(name)}(?![{_SIGNS}])"] if len(name) == 1 else []
    for form in ("NFC", "NFD"):
        written = [re.escape(unicodedata.normalize(form, part)) for part in parts]
        yield from wholes or [_GAP.join(written)]
        yield from (text for part, text in zip(parts, written, strict=True) if len(part) > 1 and _UNSPACED.search(part))
