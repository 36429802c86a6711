"""Numbers by which states and banks know a person, told by their length and checksum (python-stdnum).

The written list of countries is `COUNTRIES`; other countries' numbers are only seen as long numbers.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import import_module
from typing import Protocol

COUNTRIES = (
    *("at.vnr", "au.tfn", "be.nn", "bg.egn", "br.cpf", "ca.sin", "ch.ssn", "cl.rut", "cn.ric", "cz.rc", "de.idnr"),
    *("ee.ik", "es.dni", "es.nie", "fr.nir", "gb.nhs", "hr.oib", "ie.pps", "il.idnr", "in_.aadhaar"),
    *("it.codicefiscale", "kr.rrn", "mx.curp", "nl.bsn", "no.fodselsnummer", "pl.pesel", "pt.nif"),
    *("ro.cnp", "se.personnummer", "tr.tckimlik", "za.idnr"),
)
"""Modules of python-stdnum: ISO 3166 country and number, all of them with a checksum."""
_FIGURES = {
    9: ("au.tfn", "ca.sin", "cz.rc", "il.idnr", "nl.bsn", "pt.nif"),
    10: ("at.vnr", "bg.egn", "cz.rc", "gb.nhs", "se.personnummer"),
    11: ("be.nn", "br.cpf", "de.idnr", "ee.ik", "hr.oib", "no.fodselsnummer", "pl.pesel", "tr.tckimlik"),
    12: ("in_.aadhaar", "se.personnummer"),
    13: ("ch.ssn", "kr.rrn", "ro.cnp", "za.idnr"),
    15: ("fr.nir",),
    18: ("cn.ric",),
}
_LETTERED = {
    "cl.rut": r"\d{7,8}K",
    "cn.ric": r"\d{17}X",
    "es.dni": r"\d{8}[A-Z]",
    "es.nie": r"[XYZ]\d{7}[A-Z]",
    "fr.nir": r"\d{5}2[AB]\d{8}",
    "ie.pps": r"\d{7}[A-Z]{1,2}",
    "it.codicefiscale": r"[A-Z]{6}\d\d[A-Z]\d\d[A-Z]\d{3}[A-Z]",
    "mx.curp": r"[A-Z]{4}\d{6}[A-Z]{6}[0-9A-Z]\d",
}
_WITHOUT_CHECKSUM = re.compile(r"[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]\d{6}[A-D]")
"""The British National Insurance number has no check digit, but a form that nothing else has."""


class _Number(Protocol):
    def is_valid(self, number: str) -> bool: ...


def is_national_id(number: str) -> bool:
    """Whether figures and capitals without spaces are a number of one of `COUNTRIES`, its checksum included."""
    if number.isdecimal():
        return any(_is_valid(name, number) for name in _FIGURES.get(len(number), ()))
    forms = (name for name, form in _LETTERED.items() if re.fullmatch(form, number))
    return bool(_WITHOUT_CHECKSUM.fullmatch(number)) or any(_is_valid(name, number) for name in forms)


def is_card(figures: str) -> bool:
    """Whether 13 to 19 figures are a payment card's number: an issuer's first figure and Luhn's checksum."""
    from stdnum import luhn

    return 13 <= len(figures) <= 19 and figures[0] in "23456" and bool(luhn.is_valid(figures))


def iban_length(number: str) -> int:
    """How many signs of `number`, which begins at its country's code, make a valid IBAN; 0 for none."""
    from stdnum import iban

    for length in range(15, min(len(number), 34) + 1):
        if iban.is_valid(number[:length], check_country=False):
            return length
    return 0


def _is_valid(name: str, number: str) -> bool:
    try:
        return _module(name).is_valid(number)
    except LookupError:  # cn.ric looks a county up that its own list names no district of
        return False


@cache
def _module(name: str) -> _Number:
    module: _Number = import_module(f"stdnum.{name}")
    return module
