"""The forms that a listed name takes: without its accents, and with the endings of languages that inflect names.

Knows the regular endings of some Slavic languages, Finnish and Hungarian, not which name takes which: a form that no
name has is never said.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from functools import cache

_LEAST_INFLECTED = 4
"""Letters from which a name is known again with another ending; of shorter ones too little is left."""
_LEAST_STEM = 3
_NO_ACCENTS = str.maketrans({"ł": "l", "ø": "o", "đ": "d", "ı": "i", "æ": "ae", "œ": "oe", "ß": "ss"})
"""Letters that are no plain letter with an accent, but are written as one where they are not at hand."""
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ø": "oe", "å": "aa", "ß": "ss"})
_CZECH = "a á e é ě i í y ý o u ů ou em am ovi ům ách ami ech ého ému ím ým ých ej om"
_CROATIAN = "a e i o u om em ju oj og im ima ama"
_SLAVIC = {
    "pl": "a ą ę y i o u e ie ią io em iem om owi owie ami ach ego emu iego iemu ej iej im ym ich ych ów",
    "cs": _CZECH, "sk": _CZECH,
    "hr": _CROATIAN, "sr": _CROATIAN, "bs": _CROATIAN, "sl": _CROATIAN,
    "ru": "а я у ю ы и е ой ей ою ею ем ём ом ым им ого его ому ему ых их ами ями",
    "uk": "а я у ю и і ї е о ою ею єю ові еві єві ем єм ом ої ій ого ому им их",
}  # fmt: skip
_ADDED = {
    "fi": "n a ä lle lla llä lta ltä ssa ssä sta stä ksi na nä in ille illa illä ilta iltä",
    "hu": "t at et ot nak nek val vel hoz hez höz ban ben ra re tól től ról ről ért é",
}
"""Endings that are set behind the whole name."""
_STRIPPED = frozenset("aeiouyáéíóúýěąęаеёиоуыэюяіїєйь")
"""What a Slavic name loses before its ending."""
_FLEETING = frozenset("eеёo")
"""What falls out before the last sound: Marek, Marka."""
_SOFTENED = {
    "k": ("c",), "g": ("dz", "z"), "h": ("z",), "r": ("rz", "ř"), "t": ("ci",), "d": ("dzi",), "ł": ("l",),
    "к": ("ц",), "г": ("з",), "х": ("с",),
}  # fmt: skip
"""What the last sound becomes before an e or i: Marta, Marcie."""


def spellings(word: str) -> tuple[str, ...]:
    """A folded word without its accents, and with two letters for an umlaut."""
    if word.isascii():
        return (word,)
    return tuple(dict.fromkeys((_strip_accents(word), _strip_accents(word.translate(_UMLAUTS)))))


@cache
def name_forms(name: str, language: str) -> frozenset[str]:
    """All spellings of a folded name, in a language that inflects names those with other endings too."""
    return frozenset(spelling for form in {name, *_inflect(name, language)} for spelling in spellings(form))


def _strip_accents(word: str) -> str:
    letters = unicodedata.normalize("NFD", word.translate(_NO_ACCENTS))
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


def _inflect(name: str, language: str) -> Iterator[str]:
    if len(name) < _LEAST_INFLECTED:
        return
    for ending in _ADDED.get(language, "").split():
        yield name + ending
    for stem in _stems(name) if language in _SLAVIC else ():
        yield stem
        for ending in _SLAVIC[language].split():
            yield stem + ending
        for soft in _SOFTENED.get(stem[-1], ()):
            yield from (stem[:-1] + soft + ending for ending in "eěiyуіе")


def _stems(name: str) -> Iterator[str]:
    """What the endings of a Slavic name are set behind."""
    stem = name[:-1] if name[-1] in _STRIPPED else name
    if len(stem) >= _LEAST_STEM:
        yield stem
    if len(stem) > _LEAST_STEM and stem[-2] in _FLEETING and stem[-1] not in _STRIPPED:
        yield stem[:-2] + stem[-1]
