"""Finds IBANs and national ids that hold letters, written in groups or spelled out ("D E eight nine ...").

Knows only checksums; what fails them is left to the search for long numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache

from diarynotes.diary.masking.gaps import Gap, read_gap
from diarynotes.diary.masking.national_ids import iban_length, is_national_id
from diarynotes.diary.masking.number_words import (
    double_pattern,
    fold_case,
    number_pattern,
    read_double,
    read_number,
    words_pattern,
)
from diarynotes.diary.masking.spans import Claims, Hit
from diarynotes.diary.masking.stretches import Stretch

_LEAST, _LONGEST = 8, 34
_NATO = (
    "alpha alfa bravo charlie delta echo foxtrot golf hotel india juliet juliett kilo lima mike november oscar papa "
    "quebec romeo sierra tango uniform victor whiskey whisky xray yankee zulu zed zett zee"
)
_SPELLED = {word: word[0].upper() for word in _NATO.split()}


def find_serials(text: str, claims: Claims, stretches: Sequence[Stretch]) -> list[Hit]:
    """IBANs and lettered ids in what nobody has claimed."""
    found: list[Hit] = []
    for signs in _rows(text, claims, stretches):
        found += _search(signs)
    return found


def _search(signs: list[tuple[int, int, str]]) -> Iterator[Hit]:
    """The serials of one row of signs, each sign with the stretch of text that stands for it."""
    row = "".join(sign for *_, sign in signs)
    place = 0
    while place <= len(row) - _LEAST:
        size = _serial_length(row[place : place + _LONGEST])
        # a serial begins and ends between words
        if size and _is_edge(signs, place) and _is_edge(signs, place + size):
            kind = "IBAN" if row[place : place + 2].isalpha() and size >= 15 else "ID"
            yield Hit(signs[place][0], signs[place + size - 1][1], kind, row[place : place + size])
            place += size
        else:
            place += 1


def _serial_length(row: str) -> int:
    if row[:2].isalpha() and row[2:4].isdecimal() and (size := iban_length(row)):
        return size
    if row.isdecimal():
        return 0
    sizes = (size for size in (18, 16, 15, 11, 9, 8) if size <= len(row) and not row[:size].isdecimal())
    return next((size for size in sizes if is_national_id(row[:size])), 0)


def _is_edge(signs: list[tuple[int, int, str]], place: int) -> bool:
    return place in (0, len(signs)) or signs[place - 1][:2] != signs[place][:2]


def _rows(text: str, claims: Claims, stretches: Sequence[Stretch]) -> Iterator[list[tuple[int, int, str]]]:
    """Rows of letters and figures with hardly anything between them, those that hold both."""
    row: list[tuple[int, int, str]] = []
    for match, language in _read_signs(text, stretches):
        start, end = match.span()
        goes_on = bool(row) and read_gap(text, row[-1][1], start) in (Gap.SIGNS, Gap.WORDS_FOR_SIGNS)
        if row and not (goes_on and claims.is_free(row[-1][1], end)):
            yield from _worth_a_look(row)
            row = []
        if claims.is_free(start, end):
            row += [(start, end, sign) for sign in _read(match, language)]
    yield from _worth_a_look(row)


def _read_signs(text: str, stretches: Sequence[Stretch]) -> Iterator[tuple[re.Match[str], str]]:
    """What may belong to a serial, with the language in which it is said."""
    for start, end, language in stretches:
        for match in _pattern(language).finditer(text, start, end):
            yield match, language


def _worth_a_look(row: list[tuple[int, int, str]]) -> Iterator[list[tuple[int, int, str]]]:
    signs = [sign for *_, sign in row]
    if len(row) >= _LEAST and any(sign.isalpha() for sign in signs) and sum(map(str.isdecimal, signs)) >= 6:
        yield row


def _read(match: re.Match[str], language: str) -> str:
    if match["double"]:
        once = match["once"]
        sign = once if len(once) == 1 else read_number(once, language)
        return sign.upper() * read_double(match["double"])
    if match["word"]:
        return read_number(match["word"], language)
    if match["spelled"]:
        return _SPELLED[fold_case(match["spelled"])]
    return "".join(str(int(sign)) if sign.isdecimal() else sign.upper() for sign in match["block"])


@cache
def _pattern(language: str) -> re.Pattern[str]:
    """Number words, spelled letters, and blocks: figures with or without letters, and single or short capitals."""
    word = number_pattern(language)
    return re.compile(
        r"\b(?=\w)(?:"  # all begin where a word does
        rf"(?i:(?P<double>{double_pattern()})[\s-]+(?P<once>[a-z0-9]\b|{word})|(?P<word>{word})"
        rf"|(?P<spelled>{words_pattern(tuple(_SPELLED))}))"
        r"|(?P<block>(?:[A-Za-z]{0,6}\d[A-Za-z0-9]{0,33}|[A-Z]{1,6}|[a-z]))\b(?!['’]))"
    )
