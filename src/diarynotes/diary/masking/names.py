"""Finds the names of people: the owner's own list first, then what titles, kinship and other cues tell.

A name found by a cue is masked wherever it is said. Knows no grammar: a strange name without a cue stays.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from diarynotes.diary.lists import doubtful_names
from diarynotes.diary.masking.name_book import NameBook, fold_name, read_words
from diarynotes.diary.masking.spans import Hit
from diarynotes.diary.people import find_people
from diarynotes.diary.tokens import read_tokens

_CAPITAL = r"[A-ZÀ-ÖØ-ÞŁŚŻŠČŽİ][\w'’]*[^\W\d_](?:-[A-ZÀ-ÖØ-Þ][\w'’]*)?"
_FULL = rf"(?P<name>{_CAPITAL}(?:\s(?:(?:van|von|de|der|del|di|da|la|bin|al|O['’])\s?){{0,2}}{_CAPITAL}){{0,2}})"
_KIN = (
    "brother|sister|mother|father|son|daughter|wife|husband|partner|friend|boss|colleague|cousin|uncle|aunt|nephew"
    "|niece|neighbou?r|girlfriend|boyfriend|manager|teacher|doctor|therapist|landlord|flatmate|roommate|dog|cat"
    "|bruder|schwester|mutter|vater|sohn|tochter|frau|mann|freund|freundin|chef|chefin|kollege|kollegin|cousine|onkel"
    "|tante|neffe|nichte|nachbar|nachbarin|frère|sœur|soeur|mère|père|fils|fille|femme|mari|ami|amie|copain|copine"
    "|collègue|oncle|neveu|nièce|voisin|voisine|hermano|hermana|madre|padre|hijo|hija|esposa|esposo|marido|mujer|amigo"
    "|amiga|novio|novia|jefe|jefa|compañero|compañera|primo|prima|tío|tía|sobrino|sobrina|vecino|vecina"
)
_OWNER = (
    "my|our|his|her|their|your|mein|meine|meinem|meinen|meiner|unser|unsere|unserem|unserer|sein|seine|seinem|seiner"
    "|ihr|ihre|ihrem|ihrer|mon|ma|mes|notre|nos|son|sa|ses|mi|mis|nuestro|nuestra|su|sus"
)
_TITLE_CUES = (
    r"dr\.?|doctor|prof\.?|professor|mr\.?|mrs\.?|ms\.?|miss|herrn?|frau|doktor|monsieur|madame|mme\.?|mlle\.?"
    r"|docteur|señora?|sra?\.|doctora|don|doña|sir|captain|officer"
)
_KIN_CUES = rf"(?:{_OWNER})\s+(?:\w+\s)?(?:{_KIN})(?:\s(?:is\s)?(?:called|named))?,?"
_NAMING_CUES = (
    r"my name is|my name's|i am called|name is|named|dear|signed|regards,?|mein name ist|ich heiße|heißt|namens"
    r"|lieber|liebe|je m['’]appelle|s['’]appelle|mon nom est|cher|chère|me llamo|se llama|mi nombre es|querido"
    r"|querida|spoke (?:to|with)|speak (?:to|with)|talked (?:to|with)|met (?:up )?with|this is(?=\s+\S+\s+speaking)"
    r"|hi|hello|hey|thanks|hallo|bonjour|hola"
)
_CUES = tuple(re.compile(rf"(?i:\b(?:{cue}))\s+{_FULL}") for cue in (_TITLE_CUES, _KIN_CUES, _NAMING_CUES))
_SPELT_OUT = re.compile(
    r"\b(?:my name is|my name's|mein name ist|je m['’]appelle|me llamo|ich heiße)\s+"
    r"(?P<name>[^\W\d_]+(?:\s[^\W\d_]+)?)",
    re.IGNORECASE,
)


def find_names(texts: Sequence[str], *, names: Sequence[str], language: str) -> Iterator[Hit]:
    """Names in `texts`, offsets counted as if they were joined by one sign: the owner's list, then what cues tell."""
    text = "\n".join(texts)
    words = read_words(text)
    is_cased = any(part[1:] != part[1:].lower() for part in texts)
    owned = NameBook(is_cased=is_cased)
    for name in names:
        owned.add_owned(name)
    yield from owned.find(text, words, fuzzy=True)
    told = NameBook(is_cased=is_cased)
    yield from _find_told(texts, text, told, language)
    if is_cased and language != "en":
        told.add_given({word.key for word in words if word.is_capital})
    yield from told.find(text, words, fuzzy=False)


def _find_told(texts: Sequence[str], text: str, told: NameBook, language: str) -> Iterator[Hit]:
    """Notes the names that cues tell; those that are ordinary words too are found in their own segment only."""
    is_cased = any(part[1:] != part[1:].lower() for part in texts)
    for pattern in _CUES if is_cased else ():
        for match in pattern.finditer(text):
            told.add_told(match["name"])
    if not is_cased:
        for match in _SPELT_OUT.finditer(text):
            told.add_told(match["name"])
    if language not in ("en", ""):
        return
    start = 0
    for part in texts:
        for name in find_people([read_tokens(part)], cased=is_cased):
            if not name.startswith("my "):
                if fold_name(name) in doubtful_names():
                    here = NameBook(is_cased=is_cased)
                    here.add((fold_name(name),), any_case=False)
                    for hit in here.find(part, read_words(part), fuzzy=False):
                        yield Hit(start + hit.start, start + hit.end, hit.kind, hit.key)
                else:
                    told.add_told(name)
        start += len(part) + 1
