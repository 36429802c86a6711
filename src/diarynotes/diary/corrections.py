"""Puts a speaker's self-corrections right: "on Tuesday. No wait, not Tuesday, Wednesday" says Wednesday only.

Replaces a day, a month, a number, a time or a name by the next one of its kind. Where it is not sure what replaces
what, it keeps both sentences as they were said, in one, so that none is ever read alone.
"""

from __future__ import annotations

import re

from diarynotes.diary.figures import is_number_word
from diarynotes.diary.words import AUXILIARIES, MONTHS, PREPOSITIONS, PRONOUNS, STOPWORDS, WEEKDAYS, WORD, fold
from diarynotes.models import Sentence

_STRONG = (
    r"no,? wait,? no|no,? wait|wait,? no|no,? sorry|sorry,? no|no,? no|scratch that|correction|or rather|make that|"
    r"actually,? no|no,? actually|i meant|wait"
)
_WEAK = r"no|sorry|i mean|actually|rather"
_NOT = r"not (?P<old>[^,.;]{1,40}?)\s*[,.;]\s*(?:but\s+)?"
_LEAD = r"(?:it's|it is|it was|that's)\s+"
_MARK = rf"(?:(?P<strong>{_STRONG})|(?P<weak>{_WEAK}))"
_AT_START = re.compile(
    rf"^(?:(?:oh|um|uh|er|and|but|well)[\s,]+)*"
    rf"(?:{_MARK}(?![\w'’])[\s,.…–—-]*(?:{_NOT})?|{_NOT.replace('old', 'bare')})(?:{_LEAD})?(?P<new>\S.*)$",
    re.IGNORECASE,
)
_INSIDE = re.compile(
    rf"[\s,.…–—-]+{_MARK}(?![\w'’])[\s,.…–—-]*(?:not (?P<old>[^,.;\s]+)[,\s]+)?(?:{_LEAD})?(?=(?P<new>\S.*)$)",
    re.IGNORECASE,
)
_ARTICLE = r"(?P<article>the|a|an|my|our|his|her)"
_NOUN_LAST = re.compile(rf"\b{_ARTICLE}\s+[\w'’-]+(?:\s[\w'’-]+)?$", re.IGNORECASE)
_NOUN_FIRST = re.compile(
    rf"{_ARTICLE}\s+[\w'’-]+(?:\s[\w'’-]+)??(?=$|[.,!?;]|\s(?:{'|'.join(sorted(PREPOSITIONS))})\b)", re.IGNORECASE
)
_LEFT = re.compile(rf"(?:^|[.!?…,]\s+)(?:(?:{_STRONG})(?![\w'’])|no,)", re.IGNORECASE)
_LEFT_COMMA = re.compile(rf",\s+(?=(?:{'|'.join(sorted(AUXILIARIES - PRONOUNS))})\b)")
_LONGEST = 500
"""Characters from which a sentence takes no more corrections on, so that a stuck engine's loop stays cheap."""
_RELATIVE = frozenset("today tomorrow tonight yesterday".split())
_CLOCK = frozenset("half quarter past o'clock am pm".split())


def join_corrections(sentences: list[Sentence]) -> list[Sentence]:
    """The sentences with self-corrections carried out; a joined sentence has the evidence of both."""
    joined: list[Sentence] = []
    for sentence in sentences:
        sentence = Sentence(_correct_inside(sentence.text), sentence.evidence)
        match = _AT_START.match(sentence.text) if joined else None
        text = _correct(joined[-1].text, match) if match else None
        if text is None:
            joined.append(sentence)
        else:
            evidence = tuple(dict.fromkeys((*joined[-1].evidence, *sentence.evidence)))
            joined[-1] = Sentence(text, evidence)
    return joined


def is_corrected(text: str) -> bool:
    """Whether a sentence still holds a correction that was not carried out, so that its parts are in doubt."""
    return _LEFT.search(text) is not None


def _correct(before: str, match: re.Match[str]) -> str | None:
    old = match["old"] or match["bare"]
    new, strong = match["new"], bool(match["strong"])
    text = _replace(before, old, new, sure=strong or bool(old))
    is_sure = match["strong"] and match["strong"].lower() != "wait"
    if text is None and is_sure and len(before) < _LONGEST:
        return f"{before} {match[0]}"
    return text


def _correct_inside(text: str) -> str:
    """Carries out corrections within a sentence: "on Tuesday, no, Wednesday"; only what stands right before goes."""
    for match in _INSIDE.finditer(text):
        before = text[: match.start()]
        corrected = _replace(before, match["old"], match["new"], sure=bool(match["old"])) or _rename(
            before, match["new"]
        )
        if corrected is not None:
            return _LEFT_COMMA.sub(" ", corrected) if match[0].startswith(",") else corrected
    return text


def _rename(before: str, new: str) -> str | None:
    """ "at the gallery, I mean the museum": a noun right before, taken up again with the same article."""
    old, better = _NOUN_LAST.search(before), _NOUN_FIRST.match(new)
    if not old or not better or old["article"].lower() != better["article"].lower():
        return None
    return before[: old.start()] + new if _may_follow(new[better.end() :]) else None


def _replace(before: str, old: str | None, new: str, *, sure: bool) -> str | None:
    """`before` with its last thing of the kind that `new` begins with replaced; None where that is not certain."""
    item, rest, kind = _first_item(_drop_shared_noun(before, new))
    place = _last_item(before, kind, old)
    if place is None:
        return None
    head, tail = before[: place[0]], before[place[1] :].rstrip(" .!?…,")
    repeats = bool(tail) and fold(rest)[: len(fold(tail))] == fold(tail)
    sure = sure and (kind != "name" or _may_follow(rest))
    if not sure and not repeats and (tail or not _may_follow(rest)):
        return None
    if tail and not repeats:
        if rest.strip(" .!?…") and (not _may_follow(rest) or _kinds(rest) & _kinds(tail)):
            return None
        return f"{head}{item}{tail}{rest}"
    return f"{head}{item}{rest}"


def _drop_shared_noun(before: str, new: str) -> str:
    """ "bed four, no, bed five": without the word that stands before both numbers."""
    words, first = fold(before)[-2:-1], WORD.match(new)
    if not first or words != [first[0].lower()] or _kind(words):
        return new
    return new[first.end() :].lstrip()


def _may_follow(rest: str) -> bool:
    words = fold(rest)
    return not words or rest.lstrip()[0] in ",.!?" or words[0] in PREPOSITIONS | {"in", "and"}


def _first_item(text: str) -> tuple[str, str, str]:
    """What `text` begins with, a leading preposition or article left aside, what follows it, and its kind."""
    matches = list(WORD.finditer(text[:120]))
    skip = 0
    while skip < min(2, len(matches)) and matches[skip][0].lower() in PREPOSITIONS | {"the", "a", "my"}:
        skip += 1
    items = _items(text[:120])
    if not items or skip >= len(matches) or items[0][0] != matches[skip].start():
        return "", "", ""
    start, end, kind = items[0]
    return text[start:end], text[end:], kind


def _last_item(text: str, kind: str, old: str | None) -> tuple[int, int] | None:
    wanted = [word for word in fold(old) if word not in PREPOSITIONS | {"the"}] if old else None
    for start, end, found in reversed(_items(text)):
        if found == kind and (wanted is None or fold(text[start:end]) == wanted):
            return start, end
    return None


def _items(text: str) -> list[tuple[int, int, str]]:
    """Everything in `text` that can be corrected: start, end and kind; words of one number are one thing."""
    items: list[tuple[int, int, str]] = []
    for match in WORD.finditer(text):
        kind = _kind([match[0].lower()]) or (
            "name" if match[0][0].isupper() and match[0].lower() not in STOPWORDS else ""
        )
        if not kind or (kind == "name" and match[0].startswith(("I'", "I’"))):
            continue
        if (
            items
            and kind == items[-1][2] == "number"
            and text[items[-1][1] : match.start()] in (" ", "-", ":", " and ")
        ):
            items[-1] = (items[-1][0], match.end(), kind)
        else:
            items.append((match.start(), match.end(), kind))
    return items


def _kinds(text: str) -> set[str]:
    return {kind for _, _, kind in _items(text)}


def _kind(words: list[str]) -> str:
    word = words[0]
    if word in WEEKDAYS or word in _RELATIVE:
        return "day"
    if word in MONTHS:
        return "month"
    return "number" if is_number_word(word) or word in _CLOCK else ""
