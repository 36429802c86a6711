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
_GROUP = re.compile(r"\((?:\\.|[^()\\])*\)[?*+]?")
_NO_LITERAL = re.compile(r"(?:\\.|\[[^]]*\])(?:[?*+]\??|\{[^}]*\})?|.[?*]")


class Compiled(NamedTuple):
    """A rule ready to be applied; a text without its `literal`, or without the figures that it needs, is spared it."""

    pattern: re.Pattern[str]
    replacement: Replacement
    literal: str
    needs_digit: bool


def compile_rules(rules: Iterable[Rule]) -> tuple[Compiled, ...]:
    """The rules, to be applied in their order."""
    return tuple(
        Compiled(re.compile(pattern), replacement, _find_literal(pattern), r"\d" in pattern)
        for pattern, replacement in rules
    )


def rewrite(text: str, rules: Iterable[Compiled]) -> str:
    """A text in small letters with every rule applied to it."""
    has_digit = bool(_DIGIT.search(text))
    for pattern, replacement, literal, needs_digit in rules:
        if literal in text and (has_digit or not needs_digit):
            text, count = pattern.subn(replacement, text)
            has_digit = has_digit or (count > 0 and bool(_DIGIT.search(text)))
    return text


def _find_literal(pattern: str) -> str:
    """The longest row of letters that is in all that a pattern finds; "" where it may be nothing."""
    while (bare := _GROUP.sub("\n", pattern)) != pattern:
        pattern = bare
    if "|" in pattern:
        return ""
    return max(_NO_LITERAL.sub("\n", pattern).split("\n"), key=len)


def replace_words(words: Mapping[str, str], *, ending: str = "") -> Rule:
    """The rule that puts a word or phrase in the place of another; `ending` is a pattern of what may follow it."""
    longest_first = sorted(words, key=len, reverse=True)
    return rf"\b({'|'.join(longest_first)}){ending}\b", lambda match: words[match[1]]
