"""Writes the numbers, times and days of a German, French or Spanish text as English writes them.

"halb zehn" becomes "9:30", "am dritten Juli" "am 3 July", so that one set of checks reads four languages. All other
words stay as they are. Knows the forms that are listed in the modules beside it, and no grammar.
"""

from __future__ import annotations

import re
from functools import cache

from diarynotes.diary.grounding.gloss_clock import CLOCK
from diarynotes.diary.grounding.gloss_days import day_rules
from diarynotes.diary.grounding.gloss_numbers import number_rules
from diarynotes.diary.grounding.gloss_rules import Compiled, compile_rules, rewrite

GLOSSED = frozenset(["de", "fr", "es"])
"""The languages, by their ISO 639 codes, that can be written so."""

_HYPHEN = re.compile(r"(?<=\w)-(?=[^\W\d])|(?<=[^\W\d])-(?=\w)")


def gloss(text: str, language: str) -> str:
    """`text` in small letters with its numbers, times and days as in English; as it is where it is not in `GLOSSED`."""
    if language not in GLOSSED:
        return text
    return rewrite(_HYPHEN.sub(" ", text.lower().replace("’", "'")), _rules(language))


@cache
def _rules(language: str) -> tuple[Compiled, ...]:
    return compile_rules((*number_rules(language), *CLOCK[language], *day_rules(language)))
