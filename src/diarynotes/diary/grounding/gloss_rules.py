"""What a rule of rewriting is: a pattern, and what takes the place of what it finds.

Knows no language.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

Replacement: TypeAlias = str | Callable[[re.Match[str]], str]
Rule: TypeAlias = tuple[str, Replacement]
Compiled: TypeAlias = tuple[re.Pattern[str], Replacement]


def compile_rules(rules: Iterable[Rule]) -> tuple[Compiled, ...]:
    """The rules, to be applied in their order to a text in small letters."""
    return tuple((re.compile(pattern), replacement) for pattern, replacement in rules)


def replace_words(words: Mapping[str, str], *, ending: str = "") -> Rule:
    """The rule that puts a word or phrase in the place of another; `ending` is a pattern of what may follow it."""
    longest_first = sorted(words, key=len, reverse=True)
    return rf"\b({'|'.join(longest_first)}){ending}\b", lambda match: words[match[1]]
