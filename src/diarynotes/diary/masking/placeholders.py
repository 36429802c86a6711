"""What stands for a private thing: `[PERSON_1]`, and how a damaged one is still read.

An English word in capitals, an underscore and a number in square brackets: language models know the form from
anonymised texts, split it into few tokens, and copy it as one thing; nobody says it aloud. A letter tells two ways of
writing one thing apart: `[PERSON_1]` "Anna" and `[PERSON_1B]` "Anna Berg", so that each goes back as it was said.
"""

from __future__ import annotations

import re

KINDS = ("PERSON", "PHONE", "EMAIL", "CARD", "IBAN", "ID", "ADDRESS", "URL", "IP", "NUMBER")
"""What is masked; `NUMBER` is a long number that identifies something but is none of the others."""
LITERAL = "TEXT"
"""Stands for words of the speech that look like a placeholder themselves."""

_KIND = "|".join((*KINDS, LITERAL))
_NUMBER = r"(?P<{0}n>\d{{1,6}})(?P<{0}form>[A-Z]{{0,2}})"
_FORM = re.compile(
    # with one of these it begins; looking for them first spares most of a text the branches
    r"(?=[\\\[<{【]|(?<![A-Za-z0-9])(?i:[PECIAUNT]))(?:"
    # in brackets of any kind nearly anything between word and number will do
    rf"(?P<esc>\\)?[\[<{{【]\s*(?i:(?P<b>{_KIND})(?:\\?[_\s:#-])*{_NUMBER.format('b')})\s*"
    r"(?(esc)\\[\]>}】]|(?:[\]>}】]|(?![A-Za-z0-9])))"
    # without them an underscore must say that this is no ordinary word, or capitals
    rf"|(?<![A-Za-z0-9])(?i:(?P<u>{_KIND})\\?_\s?{_NUMBER.format('u')})(?:\\?\]|(?![A-Z0-9]))"
    rf"|(?<![A-Za-z0-9_])(?P<s>{_KIND})[ -]?{_NUMBER.format('s')}(?![A-Za-z0-9]))"
)

_VARIANT = re.compile(r"(?<=\d)[A-Z]+(?=\]$)")


def make_placeholder(kind: str, number: int, variant: int) -> str:
    """The placeholder of the thing `number` of `kind` (from 1) in its way of writing `variant` (from 0)."""
    return f"[{kind}_{number}{_letters(variant)}]"


def find_placeholders(text: str) -> list[tuple[int, int, str]]:
    """Start, end and right form of everything in `text` that is a placeholder, damaged ones included.

    "[Person 1]", "PERSON_1", "PERSON 1", "[PERSON_1", "\\[PERSON\\_1\\]" and "{PHONE-2}" are read; "person 1" is not,
    for it is what people say.
    """
    return [(*match.span(), _read(match)) for match in _FORM.finditer(text)]


def base_form(placeholder: str) -> str:
    """The placeholder of the same thing as it was first written."""
    return _VARIANT.sub("", placeholder)


def kind_of(placeholder: str) -> str:
    """The kind that a placeholder names."""
    return placeholder[1:].partition("_")[0]


def _read(match: re.Match[str]) -> str:
    group = next(group for group in "bus" if match[group])
    number, form = int(match[f"{group}n"]), match[f"{group}form"].upper()
    return f"[{match[group].upper()}_{number}{form}]"


def _letters(variant: int) -> str:
    """ "" for the first way of writing, then B to Z, AA to ZZ."""
    if variant == 0:
        return ""
    if variant < 26:
        return chr(65 + variant)
    first, second = divmod(variant - 26, 26)
    return chr(65 + first % 26) + chr(65 + second)
