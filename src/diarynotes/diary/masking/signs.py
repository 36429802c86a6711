"""Writes signs that look alike in one way, so that a number is found whatever hyphens, digits or brackets it is set in.

One sign becomes one sign: what is found in the plain text stands at the same place in the text itself.
"""

from __future__ import annotations

_HYPHENS = "‐‑‒−﹣"
"""Hyphens, the figure dash and the minus; other dashes part words and years, and stay."""
_INVISIBLE = "\u00ad\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff"
"""Marks of direction and joints, which telephones put around the numbers that they copy."""
_WIDE = range(0xFF01, 0xFF5F)
"""The signs of ASCII as wide as a Chinese one, in the order of ASCII."""
_PLAIN = (
    dict.fromkeys(map(ord, _HYPHENS), "-")
    | dict.fromkeys(map(ord, _INVISIBLE), " ")
    | {wide: chr(wide - _WIDE.start + ord("!")) for wide in _WIDE}
    | {ord("、"): ",", ord("\u3000"): " "}
)


def plain_signs(text: str) -> str:
    """The text with plain hyphens, figures and brackets; as long as it was."""
    return text if text.isascii() else text.translate(_PLAIN)
