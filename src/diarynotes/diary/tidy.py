"""Makes a spoken sentence readable without changing what it says.

Takes away fillers and stutters, sets capitals and the full stop. Never touches a number, a name or a negation, and
never moves a word.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from diarynotes.diary.figures import is_number_word
from diarynotes.diary.words import (
    AUXILIARIES,
    DETERMINERS,
    MONTHS,
    PREPOSITIONS,
    PRONOUNS,
    WEEKDAYS,
    WORD,
    capitalise,
    fold,
)

_NOISE = re.compile(r"(?:,\s*(?=[Uu][hm]+,)|^|(?<=[\s,]))(?:[Uu]h+m*|[Uu]m+|erm+|[Hh]mm+)(?![\w'’])[,.…]*\s*")
_HARD = r"oh|ah|yeah|okay|ok|alright|all right"
_SOFT = r"so|well|right|anyway|now|like|basically|you know|i mean|yes"
_FILLER = re.compile(rf"(?:(?P<hard>{_HARD})|{_SOFT})(?![\w'’])(?P<sign>\s*[,.…–—-]+)?\s*", re.IGNORECASE)
_ASIDE = re.compile(r",\s*(?:you know|i mean|like|sort of|kind of),\s*", re.IGNORECASE)
_TAIL = re.compile(r",?\s+(?:you know|or whatever|and so on|or something like that)(?=[.!?…]*$)", re.IGNORECASE)
_STUTTER = re.compile(
    r"\b(i|i'm|the|a|an|to|and|in|of|my|we|he|she|they|it's|but|for|on|at|with|our|before|after|from)(?:,?\s+\1\b(?!['’]))+",
    re.IGNORECASE,
)
_AGAIN = re.compile(r"\b((?:[^\W\d]|['’])+(?: (?:[^\W\d]|['’])+){2,7})[,.…]? \1\b", re.IGNORECASE)
_I = re.compile(r"(?<![\w'’.])i(?=$|[\s,.!?;:'’])(?!\.e)")
_PROPER = re.compile(rf"\b(?:{'|'.join((*WEEKDAYS, *MONTHS))})\b")
_AFTER_FILLER = (
    PRONOUNS | DETERMINERS | AUXILIARIES | frozenset("and but so today tomorrow yesterday there then when if".split())
) - {"have", "do", "be"}  # fmt: skip
_ENDS = ".!?…。！？"


def tidy(text: str, *, names: Collection[str] = (), english: bool = True, cased: bool = True) -> str:
    """The sentence as one would write it down; empty when it was nothing but fillers.

    `names` get their capitals where the engine wrote none (`cased` False). Other languages than English only get a
    capital and a full stop.
    """
    if english:
        text = _fix_case(_strip_fillers(text), names, cased=cased)
    text = text.strip(" ,;–—-")
    if not WORD.search(text):
        return ""
    text = capitalise(text)
    return text if text.rstrip("\"'”’)]")[-1:] in tuple(_ENDS) else text.rstrip(":") + _closing_sign(text)


def _strip_fillers(text: str) -> str:
    text = _NOISE.sub(lambda match: " " if match[0][0] == "," else "", text).lstrip(" ,.…")
    text = _AGAIN.sub(_say_once, text)
    text = _STUTTER.sub(lambda match: match[1], _TAIL.sub("", _ASIDE.sub(_close_gap, text)))
    after_hard = False
    while True:
        match = _FILLER.match(text)
        rest = _strip_first(text, after_hard=after_hard)
        if rest == text:
            return text
        text, after_hard = rest, bool(match and match["hard"])


def _strip_first(text: str, *, after_hard: bool) -> str:
    """Without the filler it begins with, if that word is one: "so tired" keeps its "so", "so I went" does not."""
    words = fold(text[:80])
    if words[:1] == ["and"] and len(words) > 2:
        return text.lstrip()[3:].lstrip(" ,")
    match = _FILLER.match(text)
    if not match:
        return text
    rest = text[match.end() :]
    following = fold(rest[:40])
    is_filler = bool(
        after_hard or match["sign"] or not following or following[0] in _AFTER_FILLER or _FILLER.match(rest)
    )
    return rest if is_filler or (match["hard"] and following[0] not in ("day", "to", "with")) else text


def _say_once(again: re.Match[str]) -> str:
    """Words said twice in a row stand once; numbers stay, for "four four nine, four four nine" may be one code."""
    return again[0] if any(is_number_word(word) for word in fold(again[1])) else again[1]


def _close_gap(aside: re.Match[str]) -> str:
    """A comma stays where the sentence had a break of its own, not where only the aside made one."""
    before = (fold(aside.string[: aside.start()]) or [""])[-1]
    return " " if before in AUXILIARIES | DETERMINERS | PREPOSITIONS | PRONOUNS else ", "


def _fix_case(text: str, names: Collection[str], *, cased: bool) -> str:
    text = _I.sub("I", text)
    if cased:
        return text
    text = _PROPER.sub(lambda match: match[0] if match[0] in ("may", "march") else capitalise(match[0]), text)
    for name in names:
        text = re.sub(rf"(?<![\w'’]){re.escape(name)}(?![^\W_])", name, text, flags=re.IGNORECASE)
    return text


def _closing_sign(text: str) -> str:
    words = fold(text)
    if text.isascii() and words[0] in _ASKING and len(words) > 2 and (words[1] in _ASKED):
        return "?"
    return "."


_ASKING = frozenset("what why how when where who should shall can could do does did is are will would".split())
_ASKED = frozenset("i you we he she they it am is are was were do does did can could should will would".split())
