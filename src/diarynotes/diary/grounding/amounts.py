"""Numbers with what they count: what a text says that was not said, was said in part, or of something else.

Follows the quantity checks of Zhao, Cohen and Webber 2020 (HERMAN, arXiv 2009.13312): an amount of a summary must stand
in the source, with its unit, in a like context. They learn to recognise them; here they are read by rule.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise

from diarynotes.diary.figures import Figure, is_number_word, join_figures
from diarynotes.diary.grounding.clock import NAMED, find_times
from diarynotes.diary.grounding.lexicon import lemma
from diarynotes.diary.grounding.reading import Reading

_UNITS = {
    word: words.split()[0]
    for words in (
        "kilometre kilometres kilometer kilometers km|metre metres meter meters m|mile miles|minute minutes min mins|"
        "second seconds sec|hour hours hr hrs h|day days|week weeks|month months|year years|euro euros €|"
        "pound pounds £ quid gbp|dollar dollars $ bucks usd|franc francs chf|percent %|degree degrees °|"
        "kilo kilos kg kilogram kilograms|gram grams g|milligram milligrams mg|microgram micrograms mcg µg|"
        "litre litres liter liters|millilitre millilitres milliliter milliliters ml|cent cents|pence p"
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
_AND_A_HALF = ["and", "a", "half"]
_ONE = frozenset("a an one".split())
_PHRASES = (
    (("half",), {"1/2", "50"}),
    (("quarter",), {"1/4", "25"}),
    (("a", "third"), {"1/3"}),
    (("a", "grand"), {"1000"}),
)
_SHARES = {"half": 2, "quarter": 4, "quarters": 4, "thirds": 3}
_OF_THE_CLOCK = frozenset("past to after before".split())
"""Words after which a "half" or "quarter" is none of a whole."""
_THOUSANDS = frozenset(["grand", "k"])
_MONEY = frozenset("pound euro dollar franc".split())
_LONGEST = 16
"""Characters from which a number is a code, not an amount."""
_BELOW_ZERO = frozenset("minus below negative".split())
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

    Numbers of a clock time that was said in other words count as said; of one that was said in part
    `is_told_in_part` tells.
    """
    strange = [figure for figure in _find_strange(claim, said) if figure.value not in known]
    parts = _parts(said) if strange else frozenset()
    return not all(_is_part(figure, parts, said) for figure in strange)


def find_misplaced(claim: Reading, said: Reading) -> bool:
    """Whether a number that was said stands with a unit, or before a thing, that another number was said of."""
    if is_told_in_part(claim, said):
        return True
    units, heads = _collect(said)
    for figure, unit, things in _describe(claim):
        spoken = units.get(figure.value)
        if unit and spoken and unit not in spoken:
            return True
        for thing in things[:1]:
            if thing in heads and figure.value in said.numbers and figure.value not in heads[thing]:
                return True
    return False


def is_told_in_part(claim: Reading, said: Reading) -> bool:
    """Whether a number is only a part of one that was said: "2" of "two and a half", "5" of "minus five"."""
    strange = _find_strange(claim, said)
    parts = _parts(said) if strange else frozenset()
    return any(_is_part(figure, parts, said) for figure in strange)


def find_other_share(claim: Reading, said: Reading) -> bool:
    """Whether `claim` tells another part of a whole than was said: "a quarter" for "three quarters"."""
    told = _find_shares(claim)
    if not told:
        return False
    spoken = _find_shares(said) | {value for value in said.values if "/" in value}
    return bool(told - _values(said)) and bool(spoken - _values(claim))


def _find_strange(claim: Reading, said: Reading) -> list[Figure]:
    """The numbers of `claim` that no words of `said` carry as they are."""
    if claim.values <= said.numbers:
        return []
    spoken = find_times(said)
    carried = [time for time in find_times(claim) if any(time.agrees(other) for other in spoken)]
    free = {place for time in carried for place in range(time.start, time.stop)}
    allowed = _values(said)
    if not _BELOW_ZERO.isdisjoint(said.plain) and not _BELOW_ZERO.isdisjoint(claim.plain):
        allowed |= {_turn_sign(value) for value in said.values}
    free |= {place for value, places in _find_prices(claim) if value in allowed for place in places}
    return [
        figure
        for run in claim.runs
        # a "one" alone is seldom a number
        if [figure.value for figure in run] != ["1"] and join_figures(run) not in allowed
        for figure in run
        if figure.start not in free and allowed.isdisjoint(_meanings(figure, claim))
    ]


def _is_part(figure: Figure, parts: frozenset[str], said: Reading) -> bool:
    return figure.value in parts or _turn_sign(figure.value) in said.values


def _parts(said: Reading) -> frozenset[str]:
    """What is left of the numbers that are not whole when the rest is left out."""
    figures = [figure for run in said.runs for figure in run if "/" in figure.value]
    whole = {str(int(Fraction(figure.value))) for figure in figures} - {"0"}
    # a "point" with no number before it may be a thing: "on point five we agreed"
    bare = {said.plain[figure.start + 1] for figure in figures if said.plain[figure.start] == "point"}
    return frozenset(whole) | Reading(token for token in said.tokens if token.word in bare).values


def _turn_sign(value: str) -> str:
    return value[1:] if value[:1] == "-" else f"-{value}"


def _values(text: Reading) -> frozenset[str]:
    """Every value that the numbers of a text may stand for."""
    meant = {value for run in text.runs for figure in run for value in _meanings(figure, text)}
    return text.numbers | meant | _implied(text) | {value for value, _ in _find_prices(text)}


def _meanings(figure: Figure, text: Reading) -> set[str]:
    """What a number may stand for with the words after it: "five grand", "three quarters", "two hours and a half"."""
    found = {figure.value}
    after = text.plain[figure.stop : figure.stop + 4]
    if not after or not after[0][0].isalpha():
        return found
    value = Fraction(figure.value) if _may_reckon(figure.value) else None
    if value is None:
        return found
    if after[0] in _THOUSANDS:
        found.add(str(value * 1000))
    if after[0] in _SHARES:
        share = value / _SHARES[after[0]]
        found |= {str(share), str(share * 100)}
    if after[1:] == _AND_A_HALF:
        value += Fraction(1, 2)
        found.add(str(value))
    if _UNITS.get(after[0]) == "hour":
        found.add(str(value * 60))
    return found


def _find_shares(text: Reading) -> set[str]:
    """The parts of a whole that are told in words."""
    if text.words.isdisjoint(_SHARES):
        return set()
    inside = {place for run in text.runs for figure in run for place in range(figure.start, figure.stop)}
    before = {figure.stop: figure.value for run in text.runs for figure in run if _may_reckon(figure.value)}
    return {
        str(Fraction(before.get(at, "1")) / _SHARES[word])
        for at, word in enumerate(text.plain)
        if word in _SHARES and at not in inside and not (_OF_THE_CLOCK & set(text.plain[at + 1 : at + 2]))
        if at + 1 not in inside and text.plain[at - 2 : at + 1] != _AND_A_HALF
    }


def _find_prices(text: Reading) -> Iterator[tuple[str, tuple[int, int]]]:
    """Prices said as two numbers, "nine pounds thirty" or "nine thirty", and where these begin."""
    figures = [figure for run in text.runs for figure in run]
    for whole, rest in pairwise(figures):
        between = text.plain[whole.stop : rest.start]
        is_price = not between or (len(between) == 1 and _UNITS.get(between[0]) in _MONEY)
        if is_price and rest.small is not None and whole.value.isdecimal() and _may_reckon(whole.value):
            yield str(int(whole.value) + Fraction(rest.small, 100)), (whole.start, rest.start)


def _may_reckon(value: str) -> bool:
    """Whether a number is short enough to be one, not a code."""
    return len(value) < _LONGEST


def _implied(said: Reading) -> set[str]:
    """Numbers that other words stand for: "a couple" is 2, "half an hour" 30, "a year and a half" 1.5."""
    found = {value for word, value in _SAID_AS.items() if word in said.words}
    plain = said.plain
    for words, values in _PHRASES:
        if words[-1] in said.words and _holds(plain, words):
            found |= values
    if _holds(plain, tuple(_AND_A_HALF)):
        found |= {"3/2" for at in range(2, len(plain)) if plain[at : at + 3] == _AND_A_HALF and plain[at - 2] in _ONE}
    if "hour" in said.words or "hours" in said.words:
        found |= {value for words, value in _HALVES if _holds(plain, words)}
    return found


def _holds(plain: Sequence[str], words: tuple[str, ...]) -> bool:
    """Whether the words stand in the text one after the other."""
    size = len(words)
    return any(tuple(plain[at : at + size]) == words for at, word in enumerate(plain) if word == words[0])


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
