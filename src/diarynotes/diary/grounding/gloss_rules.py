"""What a rule of rewriting is: a pattern, and what takes the place of what it finds.

Knows no language.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, TypeAlias

Replacement: TypeAlias = str | Callable[[re.Match[str]], str]
Rule: TypeAlias = tuple[str, Replacement]

_DIGIT = re.compile(r"\d")


class Compiled(NamedTuple):
    """A rule ready to be applied; one with figures in its pattern is spared a text that has none."""

    pattern: re.Pattern[str]
    replacement: Replacement
    needs_digit: bool


def compile_rules(rules: Iterable[Rule]) -> tuple[Compiled, ...]:
    """The rules, to be applied in their order."""
    return tuple(Compiled(re.compile(pattern), replacement, r"\d" in pattern) for pattern, replacement in rules)


def rewrite(text: str, rules: Iterable[Compiled]) -> str:
    """A text in small letters with every rule applied to it."""
    has_digit = bool(_DIGIT.search(text))
    for pattern, replacement, needs_digit in rules:
        if has_digit or not needs_digit:
            text, count = pattern.subn(replacement, text)
            has_digit = has_digit or (count > 0 and bool(_DIGIT.search(text)))
    return text


def replace_words(words: Mapping[str, str], *, ending: str = "") -> Rule:
    """The rule that puts a word or phrase in the place of another; `ending` is a pattern of what may follow it."""
    longest_first = sorted(words, key=len, reverse=True)
    return rf"\b({'|'.join(longest_first)}){ending}\b", lambda match: words[match[1]]
