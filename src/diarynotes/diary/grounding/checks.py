"""Holds one text of a note against what was said, check by check; each knows one kind of falsehood.

A check answers with its code. What follows from a code stands in `RULES`, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType

from diarynotes.diary.grounding.amounts import (
    find_misplaced,
    find_other_share,
    find_wrong_numbers,
    find_wrong_times,
    is_told_in_part,
)
from diarynotes.diary.grounding.content import count_content, has_addition, has_other_kind, share_said
from diarynotes.diary.grounding.days import date_numbers, find_wrong_days
from diarynotes.diary.grounding.gloss import GLOSSED
from diarynotes.diary.grounding.memo import Memo
from diarynotes.diary.grounding.names import find_names, is_said, may_be_meant
from diarynotes.diary.grounding.polarity import TWO_WORDS, find_like, has_lost_denial, is_turned, may_turn, read_clauses
from diarynotes.diary.grounding.quotes import find_wrong_quotes
from diarynotes.diary.grounding.reading import Reading
from diarynotes.diary.grounding.signs import is_unspaced
from diarynotes.diary.words import AUXILIARIES, NEGATIONS, PRONOUNS
from diarynotes.models import Severity

_CARRIED = 0.5
"""Share of a sentence's content words that its evidence should hold; below it the sentence is flagged."""
_INVENTED = 0.2
"""Share of content words at or below which a sentence counts as invented and is dropped."""
_ENOUGH = 2
"""Content words from which on a sentence can be called invented; a single other word may be another word for it."""
_CAPITAL_NOUNS = ("de", "lb")
"""Languages in which a capital within a sentence does not mean a name."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What a code means: how bad it is, whether the sentence is dropped, and what a person is told."""

    severity: Severity
    drops: bool
    what: str


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "no_evidence": Rule("warning", True, "names no moment of speech that exists"),
        "not_said": Rule("warning", True, "says what was not said there"),
        "wrong_number": Rule("warning", True, "holds a number that was not said there"),
        "other_number": Rule("info", False, "holds a number that was not said in figures, perhaps in words"),
        "wrong_time": Rule("warning", True, "holds a clock time that was not said there"),
        "wrong_date": Rule("warning", True, "holds a day or month that was not said there"),
        "wrong_name": Rule("warning", True, "names somebody or something that was never spoken of"),
        "other_name": Rule("warning", False, "names somebody or something spoken of elsewhere, not there"),
        "other_amount": Rule(
            "warning", False, "puts a number to a thing or unit it was not said of, or tells a part of it"
        ),
        "other_word": Rule("warning", False, "puts a word in place of another of its kind"),
        "wrong_quote": Rule("warning", False, "quotes words that were not said so"),
        "negation": Rule("warning", False, "may have lost or gained a 'not', or says the opposite"),
        "added": Rule("warning", False, "has a part that was not said there"),
        "doubtful": Rule("info", False, "is only partly in the words that were said there"),
    }
)


def check_sentence(text: str, evidence: tuple[int, ...], memo: Memo, day: date | None) -> list[str]:
    """The codes of what is wrong with a body sentence: the one that drops it, or all that flag it, or none."""
    said = memo.said(evidence)
    claim = memo.read(text, language=said.language)
    facts = list(_check_facts(claim, said, day))
    if any(RULES[code].drops for code in facts):
        return facts[:1]
    share = share_said(claim, said)
    if _is_invented(share, claim):
        return ["not_said"]
    before = memo.before(evidence)
    flags = [*facts, *_check_names(claim, said, memo, before)]
    if any(RULES[code].drops for code in flags):
        return ["wrong_name"]
    flags += _check_meaning(claim, said)
    if find_wrong_quotes(text, said):
        flags.append("wrong_quote")
    # two characters that are new beside each other are no row of new words
    if not is_unspaced(text) and has_addition(claim, said, before if claim.english else said):
        flags.append("added")
    elif share < _CARRIED:
        flags.append("doubtful")
    return flags


def is_invented(text: str, memo: Memo) -> bool:
    """Whether hardly a word of a sentence was said anywhere."""
    claim = memo.read(text)
    return _is_invented(share_said(claim, memo.whole), claim)


def _is_invented(share: float, claim: Reading) -> bool:
    return share <= _INVENTED and count_content(claim) >= _ENOUGH


def check_heading(text: str, memo: Memo, day: date | None) -> list[str]:
    """The codes of what is wrong with a title or summary, held against the whole transcript.

    A negation is told only of a statement ("An answer from the bank" is none) that shares two words of a clause with
    what was said.
    """
    claim, said = memo.read(text), memo.whole
    found = [*_check_facts(claim, said, day), *_check_names(claim, said, memo)]
    if find_wrong_quotes(text, said):
        found.append("wrong_quote")
    clauses = read_clauses(claim) if _is_statement(claim) else []
    if is_turned(clauses, find_like(clauses, said), least=TWO_WORDS):
        found.append("negation")
    return found


def _is_statement(text: Reading) -> bool:
    return not (AUXILIARIES | PRONOUNS | NEGATIONS).isdisjoint(text.words)


def is_item_said(text: str, memo: Memo, day: date | None) -> bool:
    """Whether a name, todo or question was said: its names, numbers, times and days, and half of its words."""
    return any(_is_item_said(memo.read(text, language=language), memo, day) for language in memo.languages)


def _is_item_said(claim: Reading, memo: Memo, day: date | None) -> bool:
    said = memo.whole
    if share_said(claim, said) < _CARRIED:
        return False
    return not any(RULES[code].drops for code in (*_check_facts(claim, said, day), *_check_names(claim, said, memo)))


def _check_facts(claim: Reading, said: Reading, day: date | None) -> Iterator[str]:
    """Numbers, times and days that were not said; in a language whose words for them are not known, only figures."""
    if not claim.english and claim.language not in GLOSSED:
        if claim.values - said.numbers - {"1"}:
            yield "other_number"
        return
    is_foreign = not claim.english
    claim, said = claim.facts if is_foreign else claim, said.facts
    if find_wrong_times(claim, said):
        yield "wrong_time"
    if claim.runs and find_wrong_numbers(claim, said):
        known = date_numbers(claim, said, day)
        if find_wrong_numbers(claim, said, known=known):
            yield "wrong_number"
    if find_wrong_days(claim, said, day):
        yield "wrong_date"
    if is_foreign and claim.runs and is_told_in_part(claim, said):
        yield "other_amount"


def _check_names(claim: Reading, said: Reading, memo: Memo, before: Reading | None = None) -> Iterator[str]:
    """Names that were not said, and those said elsewhere that no "he" in `said` can mean; `before` led up to it."""
    if claim.language in _CAPITAL_NOUNS:
        return
    known = memo.whole.capitals
    names = find_names(claim, known)
    for name in dict.fromkeys(names):
        if is_said(name, said):
            continue
        if not is_said(name, memo.whole):
            yield "wrong_name"
        elif not may_be_meant(name, names, said, before or said, known):
            yield "other_name"


def _check_meaning(claim: Reading, said: Reading) -> Iterator[str]:
    if claim.english and ((claim.runs and find_misplaced(claim, said)) or find_other_share(claim, said)):
        yield "other_amount"
    if claim.english and has_other_kind(claim, said):
        yield "other_word"
    if not may_turn(claim, said):
        return
    ours, theirs = read_clauses(claim), read_clauses(said)
    if is_turned(ours, theirs) or (claim.english and has_lost_denial(ours, theirs)):
        yield "negation"
