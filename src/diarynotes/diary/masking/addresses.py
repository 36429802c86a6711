"""Finds postal addresses by the words for streets in English, German, French and Spanish.

Takes a street only with its house number or behind a word such as "live on": a street alone is a place, and places
stay. Knows no maps, so "10 Downing" without its "Street" is not seen.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache

from diarynotes.diary.masking.number_words import number_pattern, words_pattern
from diarynotes.diary.masking.spans import Hit
from diarynotes.diary.masking.stretches import Stretch

_STREETS = (
    "street avenue road lane boulevard drive court crescent terrace close gardens grove highway mews parkway square "
    "place row walk way circle hill park alley"
)
_SHORT = r"(?:St|Rd|Ave|Ln|Blvd|Dr|Ct|Pl|Sq|Hwy|Pkwy)\b\.?"
_SURE = frozenset("street avenue road boulevard crescent mews parkway highway".split())
"""Words that need no capitals to be read as a street's."""
_NO_STREET = frozenset(
    "minute minutes hour hours mile miles kilometer kilometers kilometre meter meters metre metres day days week weeks "
    "month months year years more less long short big small little wide narrow new old other different last first "
    "second third next way lane the a an and or of in on at to from for with my our their his her this that these "
    "those cars people one two three times percent dollars euros pounds am pm o'clock off busy side back whole "
    "half good bad dirt country major minor hard easy rough quiet parallel separate".split()
)
_ALSO_A = frozenset("un une uno una een um uma".split())
"""Numbers that are "a" as well: "een brede boulevard"."""
_NAME_EN = r"[^\W\d_][\w'’.-]{0,40}"
_CITY = r"(?:,?\s{1,4}(?:in\s{1,4})?[A-ZÄÖÜ][\w'’-]+(?:\s[A-Z][\w'’-]+){0,2})?"
_UNIT = (
    r"(?:,?\s{1,4}(?:apartment|apt\.?|flat|unit|suite|floor|number|#)\s?"
    r"(?:[A-Z]?\d+[A-Z]?|[a-zA-Z]\b|{number}(?:[ -]{number})?))?"
)
_ZIP = r"(?:,?\s{1,4}(?:[A-Z]{2}\s{1,4})?\d{5}(?:-\d{4})?\b|,?\s{1,4}[A-Z]{1,2}\d[A-Z\d]?\s?\d[A-Z]{2}\b)"
_TAIL = rf"(?:{_CITY}(?:,?\s{{1,4}}[A-Z][a-z]+)?{_ZIP})?"
_POSTCODE = re.compile(r"\b[A-Z]{1,2}\d[A-Z\d]?\s\d[A-BD-HJLNP-UW-Z]{2}\b")
_STATE_ZIP = re.compile(r"\b[A-Z][a-z]+(?:\s[A-Z][a-z]+)?,\s[A-Z]{2}\s\d{5}(?:-\d{4})?\b")
_BOX = re.compile(
    r"\b(?:p\.?\s?o\.?\s?box|postfach|boîte postale|apartado(?: postal| de correos)?)\s{1,4}\d[\d ]*\d\b", re.IGNORECASE
)
_CAPITALS = r"[A-Z][\w'’-]+(?:\s[A-Z][\w'’-]+){0,2}"
_LIVING = "live lives living lived moved moving staying reside resides"
_LIVES = re.compile(
    rf"(?i:{words_pattern(tuple(_LIVING.split()))}|\baddress is)\s{{1,4}}(?:(?:on|at|in|to)\s)?"
    rf"(?P<street>(?:[A-Z][\w'’-]+\s){{1,3}}"
    r"(?:Street|Avenue|Road|Lane|Boulevard|Drive|Court|Crescent|Terrace|Close|Mews|Grove)\b"
    rf"|\d{{1,4}}[a-z]?\s{_CAPITALS})"
)
_FLAT = re.compile(rf"\b(?i:flat|apartment|apt\.?|unit)\s\d+[A-Za-z]?,\s\d{{1,4}}[a-z]?\s{_CAPITALS}")
_GERMAN_STREET = (
    r"(?:[A-ZÄÖÜ][\w-]{0,40}(?:straße|strasse|str\.|allee|platz|gasse{more})"
    r"|(?:[A-ZÄÖÜ][\w-]{1,40}(?:er|e|en)\s|Am\s|An der\s|Im\s|Straße des\s)"
    r"(?:Straße|Strasse|Weg|Allee|Platz|Gasse|Ring|Damm|Ufer)|Unter den Linden)"
)
_ONLY_IN_GERMAN = "|weg|ring|damm|ufer|chaussee|steig|pfad"
"""Elsewhere "Spring 12" and "Bring 3" would end like a street."""
_FRENCH_KINDS = "rue avenue boulevard place impasse chemin allée quai route cours square passage"
_FRENCH_STREET = (
    rf"(?i:{words_pattern(tuple(_FRENCH_KINDS.split()))})"
    r"\s{1,4}"
    r"(?:(?:de\s{1,4}la|de\s{1,4}l['’]|des?|du|d['’]|la|le|les)\s{0,4})?{letter}[\w'’-]{0,40}"
    r"(?:[\s-](?:(?:de|du|des|la)\s)?[A-ZÀ-Ý][\w'’-]{0,40}){0,3}"
)
_SPANISH_KINDS = "calle avenida avda plaza paseo carrera camino"
_SPANISH_STREET = (
    rf"(?:(?i:{words_pattern(tuple(_SPANISH_KINDS.split()))}|avda\.)"
    r"\s{1,4}|c/\s{0,4})"
    r"(?:(?:de\s{1,4}los|de\s{1,4}las|de\s{1,4}la|del|de|la|los|las)\s{1,4})?"
    r"{letter}[\w'’-]{0,40}(?:\s(?:(?:de|del|la)\s)?[A-ZÁÉÍÓÚÑ][\w'’-]{0,40}){0,3}"
)


def find_addresses(text: str, stretches: Sequence[Stretch]) -> Iterator[Hit]:
    """Streets with their numbers, with flat, town and postcode where they follow; postcodes and boxes alone."""
    for stretch in stretches:
        yield from _english_addresses(text, stretch)
    for start, end, language in stretches:
        for sign, pattern in _foreign(language):
            for match in pattern.finditer(text, start, end) if sign.search(text, start, end) else ():
                yield _hit(match.start(), match.end(), text)
    for pattern in (_FLAT, _POSTCODE, _STATE_ZIP, _BOX):
        for match in pattern.finditer(text):
            yield _hit(match.start(), match.end(), text)
    for match in _LIVES.finditer(text):
        yield _hit(match.start("street"), match.end("street"), text)


def _english_addresses(text: str, stretch: Stretch) -> Iterator[Hit]:
    place, end, language = stretch
    pattern = _english(language)
    while match := pattern.search(text, place, end):
        # what begins with the wrong number may hold the right one
        is_street = _is_english_street(match)
        place = match.end() if is_street else match.end("number")
        if is_street:
            yield _hit(match.start(), match.end(), text)


def _hit(start: int, end: int, text: str) -> Hit:
    end = start + len(text[start:end].rstrip(" ,.\n"))
    return Hit(start, end, "ADDRESS", " ".join(re.findall(r"\w+", text[start:end].casefold())))


def _is_english_street(match: re.Match[str]) -> bool:
    names = match["name"].split()
    if any(name.lower().strip(".,") in _NO_STREET for name in names):
        return False
    if match["short"]:
        return all(name[0].isupper() for name in names)
    if match["number"].lower() in _ALSO_A:
        return False
    kind = match["kind"]
    if match["number"].lower() == "one" and names[0] in ("main", "high"):
        return False  # "there is one main street"
    return kind.lower() in _SURE or (kind[0].isupper() and names[0][0].isupper()) or not match["number"][0].isalpha()


@cache
def _english(language: str) -> re.Pattern[str]:
    word = number_pattern(language)
    number = rf"(?:\d{{1,5}}(?:\s?[a-cA-C]\b)?|{word}(?:[ -](?:hundred|{word})){{0,3}})"
    name = rf"(?!(?i:{word})){_NAME_EN}"
    unit = _UNIT.replace("{number}", word)
    kinds = words_pattern(tuple(_STREETS.split()))
    return re.compile(
        rf"(?<![\w.,:$€£-])(?i:(?P<number>{number})),?\s(?P<name>{name}(?:\s{name}){{0,2}}?)\s"
        rf"(?:(?P<kind>(?i:{kinds}))|(?P<short>{_SHORT}))(?:\s[NSEW]{{1,2}}\b)?(?i:{unit}){_TAIL}"
    )


@cache
def _foreign(language: str) -> tuple[tuple[re.Pattern[str], re.Pattern[str]], ...]:
    """For each language a street's name, which is quickly looked for, and the whole address."""
    word = number_pattern(language)
    number = rf"(?:\d{{1,4}}(?:\s?[a-e]\b|\s(?:bis|ter)\b)?|(?i:{word}(?:[ -]{word}){{0,3}}))"
    town = r"(?:,?\s{1,4}(?:in\s{1,4})?(?:[A-Z]-)?\d{4,5}(?:\s[A-ZÀ-Ý][\w'’-]+(?:\s[A-Z][\w'’-]+)?)?)?"
    # in its own language a street may be heard without its capital; elsewhere "two place settings" would be one
    german = _GERMAN_STREET.replace("{more}", _ONLY_IN_GERMAN if language == "de" else "")
    french = _FRENCH_STREET.replace("{letter}", r"[^\W\d_]" if language == "fr" else "[A-ZÀ-Ý]")
    spanish = _SPANISH_STREET.replace("{letter}", r"[^\W\d_]" if language == "es" else "[A-ZÀ-Ý]")
    return (
        (re.compile(rf"\b{german}"), re.compile(rf"\b{german}\s(?:Nummer\s|Nr\.?\s)?{number}\b{town}")),
        (re.compile(rf"\b{french}"), re.compile(rf"\b{number},?\s{french}{town}")),
        (re.compile(rf"\b{spanish}"), re.compile(rf"\b{spanish},?\s(?:(?:número|nº|n\.º)\s)?{number}\b{town}")),
    )
