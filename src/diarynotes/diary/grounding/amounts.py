"""Numbers with what they count: what a text says that was not said, or was said of something else.

Follows the quantity checks of Zhao, Cohen and Webber 2020 (HERMAN, arXiv 2009.13312): an amount of a summary must stand
in the source, with its unit, in a like context. They learn to recognise them; here they are read by rule.
"""

from __future__ import annotations

from collections.abc import Iterator

from diarynotes.diary.figures import Figure, is_number_word
from diarynotes.diary.grounding.clock import NAMED, find_times
from diarynotes.diary.grounding.lexicon import lemma
from diarynotes.diary.grounding.reading import Reading

_UNITS = {
    word: words.split()[0]
    for words in (
        "kilometre kilometres kilometer kilometers km|metre metres meter meters m|mile miles|minute minutes min mins|"
        "second seconds sec|hour hours hr hrs h|day days|week weeks|month months|year years|euro euros €|"
        "pound pounds £ quid gbp|dollar dollars $ bucks usd|franc francs chf|percent %|degree degrees °|"
        "kilo kilos kg kilogram kilograms|gram grams g|litre litres liter liters|cent cents|pence p"
    ).split("|")
    for word in words.split()
}
_SAID_AS = {"couple": "2", "twice": "2", "both": "2", "pair": "2", "fortnight": "2", "once": "1", "single": "1"}
_HALVES = (
    (("half", "an", "hour"), "30"),
    (("hour", "and", "a", "half"), "90"),
    (("quarter", "of", "an", "hour"), "15"),
    (("quarters", "of", "an", "hour"), "45"),
)
_HEAD_REACH = 3
"""Tokens after a number in which the thing that it counts is looked for."""


def find_wrong_times(claim: Reading, said: Reading) -> bool:
    """Whether `claim` names a clock time that was not said."""
    if not claim.runs and claim.words.isdisjoint(NAMED):
        return False
    claimed = [time for time in find_times(claim) if time.is_sure]
    spoken = find_times(said) if claimed else []
    return not all(any(time.agrees(other) for other in spoken) for time in claimed)


def find_wrong_numbers(claim: Reading, said: Reading, *, known: frozenset[str] = frozenset()) -> bool:
    """Whether `claim` holds a number that was not said; `known` are others that it may hold, such as of a date meant.

    Numbers of a clock time that was said in other words count as said.
    """
    if all(figure.value in said.numbers for run in claim.runs for figure in run):
        return False
    spoken = find_times(said)
    carried = [time for time in find_times(claim) if any(time.agrees(other) for other in spoken)]
    free = {place for time in carried for place in range(time.start, time.stop)}
    allowed = said.numbers | known | _implied(said)
    for run in claim.runs:
        if [figure.value for figure in run] == ["1"]:
            continue  # seldom a number
        if "".join(figure.value for figure in run) in allowed:
            continue
        if any(figure.value not in allowed and figure.start not in free for figure in run):
            return True
    return False


def find_misplaced(claim: Reading, said: Reading) -> bool:
    """Whether a number that was said stands with a unit, or before a thing, that another number was said of."""
    units, heads = _collect(said)
    for figure, unit, things in _describe(claim):
        spoken = units.get(figure.value)
        if unit and spoken and unit not in spoken:
            return True
        for thing in things[:1]:
            if thing in heads and figure.value in said.numbers and figure.value not in heads[thing]:
                return True
    return False


def _implied(said: Reading) -> set[str]:
    """Numbers that other words stand for: "a couple" is 2, "half an hour" 30, "a year and a half" 1.5."""
    found = {value for word, value in _SAID_AS.items() if word in said.words}
    if "half" in said.words:
        found |= {"50", "5"}
    plain = said.plain
    if "hour" in said.words or "hours" in said.words:
        for words, value in _HALVES:
            size = len(words)
            if any(tuple(plain[at : at + size]) == words for at, word in enumerate(plain) if word == words[0]):
                found.add(value)
        for figure, unit, _ in _describe(said):
            if unit == "hour" and figure.small is not None:
                found.add(str(figure.small * 60))
    return found


def _collect(said: Reading) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """The units that each number was said with, and the numbers that each thing was said with."""
    units: dict[str, set[str]] = {}
    heads: dict[str, set[str]] = {}
    for figure, unit, things in _describe(said):
        if unit:
            units.setdefault(figure.value, set()).add(unit)
        for thing in things:
            heads.setdefault(thing, set()).add(figure.value)
    return units, heads


def _describe(text: Reading) -> Iterator[tuple[Figure, str, list[str]]]:
    """Each number that stands alone with its unit, or "", and the roots of the words that it may count."""
    for run in text.runs:
        if len(run) > 1:
            continue
        figure = run[0]
        before = text.plain[figure.start - 1] if figure.start else ""
        after = text.tokens[figure.stop : figure.stop + _HEAD_REACH]
        unit = _UNITS.get(before, "") if not before.isalnum() else ""
        things: list[str] = []
        for token in after:
            if is_number_word(token.word) or (not token.is_word and token.word not in _UNITS):
                break
            if not unit and not things and token.word in _UNITS and (token is after[0] or len(token.word) > 1):
                unit = _UNITS[token.word]
            elif text.is_content(token):
                things.append(lemma(token.word))
        yield figure, unit, things
