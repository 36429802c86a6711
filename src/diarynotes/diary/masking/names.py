"""Finds the names of people: the owner's own list first, then what titles, kinship and other cues tell.

A name found by a cue is masked wherever it is said. Knows no grammar: a strange name without a cue stays.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain

from diarynotes.diary.lists import doubtful_names, given_names
from diarynotes.diary.masking.name_book import NameBook, Word, fold_name, read_words
from diarynotes.diary.masking.number_words import words_pattern
from diarynotes.diary.masking.spans import Hit
from diarynotes.diary.masking.stretches import Stretch, language_at
from diarynotes.diary.masking.unspaced import find_unspaced
from diarynotes.diary.people import find_people
from diarynotes.diary.tokens import read_tokens
from diarynotes.diary.words import STOPWORDS

_CAPITAL = r"[A-ZÀ-ÖØ-ÞŁŚŻŠČŽİ][\w'’]{0,40}[^\W\d_](?:-[A-ZÀ-ÖØ-Þ][\w'’]{0,40})?"
_PARTICLE = r"(?:van de[nr]?|van|von|de|der|del|di|da|dos|la|bin|al|ter|ten|O['’])"
_FULL = rf"(?P<name>{_CAPITAL}(?: (?:{_PARTICLE} ?){{0,2}}{_CAPITAL}){{0,2}})"
_NOBLE = (
    r"(?:(?:van|von|vom|de|del|della|di|da|dos|du|des|bin|ibn|ter|ten|al)[ -](?:(?:de[nrm]|la|las|los|le|lo|het) )?"
    r"|el-|d['’])"
)
_INITIAL = r"[A-ZÀ-ÖØ-Þ]\. ?"
_HEAD = rf"{_NOBLE}?(?:{_INITIAL}){{0,3}}{_CAPITAL}"
_WITH_INITIALS = rf"(?P<name>(?:{_INITIAL}){{0,3}}{_CAPITAL}(?: (?:{_PARTICLE} ?){{0,2}}{_CAPITAL}){{0,2}})"
_TITLED = rf"(?P<name>{_HEAD}(?: (?:{_INITIAL}|{_PARTICLE} ?){{0,2}}{_CAPITAL}){{0,2}})"
"""Behind a title a name may begin with a particle or an initial; elsewhere all kinds of things begin so."""
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
    r"|docteur|señora?|sra?\.|doctora|don|doña|sir|captain|officer|meneer|mevrouw|signora?|senhora?"
)
_NOT_TITLED = re.compile(
    r"\b(?:die|der|den|dem|zum|beim|vom|junge|alte|jungen|alten"
    r"|(?:m|d|s|k)?eine?[rnms]?|ihre?[rnm]?|unsere?[rnm]?|jede[rnm]?|diese[rnm]?) \Z",
    re.IGNORECASE,
)
"""Behind one of these "Frau von der Arbeit" is a wife who comes home, and no name."""
_LOOK_BACK = 12
_KIN_CUES = rf"{words_pattern(tuple(_OWNER.split('|')))}\s{{1,4}}(?:\w+\s)?(?:{_KIN})(?:\s(?:is\s)?(?:called|named))?,?"
_NAMING_CUES = (
    r"my name is|my name's|i am called|name is|named|dear|signed|regards,?|mein name ist|ich heiße|heißt|namens"
    r"|lieber|liebe|je m['’]appelle|s['’]appelle|mon nom est|cher|chère|me llamo|se llama|mi nombre es|querido"
    r"|querida|spoke (?:to|with)|speak (?:to|with)|talked (?:to|with)|met (?:up )?with|this is(?= \S+ speaking)"
    r"|called|phoned|texted|emailed|messaged|hi|hello|hey|thanks|hallo|bonjour|hola"
)
_DEEDS = (
    "drove|came|went|ran|said|told|asked|got|took|made|gave|bought|brought|left|fell|cooked|drank|ate|slept|sang|wrote"
    "|sent|paid|saw|knew|found|felt|thought|laughed|cried|smiled|wants|thinks|says|knows|loves|hates|helped|stayed"
    "|called|moved|arrived|didn't|doesn't|won't|hasn't"
)


def _cue(cue: str, begins: str, name: str = _FULL) -> re.Pattern[str]:
    """A name behind a cue; the letters that the words of `begins` begin with spare most of a text the list of cues."""
    letters = "".join(sorted({word[0] for word in begins.split("|")}))
    return re.compile(rf"(?i:\b(?=[{letters}])(?:{cue}))\s{{1,4}}{name}")


_CUES = (
    _cue(rf"(?:{_TITLE_CUES})(?:\s(?:dr|prof)\b\.?)*", begins=_TITLE_CUES, name=_TITLED),
    _cue(_KIN_CUES, begins=_OWNER, name=_WITH_INITIALS),
    _cue(_NAMING_CUES, begins=_NAMING_CUES),
    # in the middle of an English sentence only people do such things, or have things, or things are done for them
    re.compile(rf"(?<=[a-z,] ){_FULL}(?= (?:{_DEEDS})\b)"),
    re.compile(rf"(?<=[a-z,] ){_FULL}(?=['’]s [a-z])"),
    re.compile(rf"\b(?:for|by|about|without) {_FULL}"),
    re.compile(rf"\b{_FULL}(?=, (?:{_OWNER}|a|the) (?:\w+ )?(?:{_KIN})\b)"),
    re.compile(rf"\b{_FULL}(?=,? and (?:I|me)\b)"),
)
_HYPHENED = re.compile(rf"-{_CAPITAL}")
_TELLING = frozenset("called named doctor dr mr mrs ms miss professor prof aunt auntie uncle".split())
_SPELT_OUT = re.compile(
    r"\b(?:my name is|my name's|mein name ist|je m['’]appelle|me llamo|ich heiße)\s{1,4}"
    r"(?P<name>[^\W\d_]+(?:\s[^\W\d_]+)?)",
    re.IGNORECASE,
)


def find_names(texts: Sequence[str], stretches: Sequence[Stretch], *, names: Sequence[str]) -> Iterator[Hit]:
    """Names in `texts`, offsets counted as if they were joined by one sign: the owner's list, then what cues tell."""
    text = "\n".join(texts)
    words = read_words(text)
    # an acronym does not make an engine one that writes capitals, and a script without them does not speak against it
    told_apart = [part != part.lower() for part in texts if part.lower() != part.upper()]
    is_cased = sum(told_apart) * 4 >= len(told_apart)
    yield from find_unspaced(text, names)
    if names:
        yield from _find_owned(text, words, stretches, names, is_cased=is_cased)
    yield from _find_told(texts, text, words, stretches, is_cased=is_cased)


def _find_owned(
    text: str, words: Sequence[Word], stretches: Sequence[Stretch], names: Sequence[str], *, is_cased: bool
) -> Iterator[Hit]:
    owned = NameBook(is_cased=is_cased)
    for name in names:
        owned.add_owned(name)
    known = (owned.recognize(_words_in(words, start, end), language) for start, end, language in stretches)
    yield from owned.find(text, list(chain.from_iterable(known)), fuzzy=True)


def _find_told(
    texts: Sequence[str], text: str, words: Sequence[Word], stretches: Sequence[Stretch], *, is_cased: bool
) -> Iterator[Hit]:
    told = NameBook(is_cased=is_cased)
    for pattern in _CUES if is_cased else (_SPELT_OUT,):
        for match in pattern.finditer(text):
            if not _is_wife(text, match):
                told.add_told(_cut_name(match["name"], language_at(stretches, match.start())))
    start = 0
    for part in texts:
        mine = _words_in(words, start, start + len(part))
        if language_at(stretches, start) in ("en", ""):
            yield from _find_english(text, part, mine, told, is_cased=is_cased)
        elif is_cased:
            told.add_given({word.key for word in mine if word.is_capital})
        start += len(part) + 1
    for hit in told.find(text, words, fuzzy=False):
        hyphened = _HYPHENED.match(text, hit.end)
        yield replace(hit, end=hyphened.end(), key=hit.key + hyphened[0].casefold()) if hyphened else hit


def _is_wife(text: str, match: re.Match[str]) -> bool:
    """Whether a title with a particle behind it is none: "meine Frau von der Arbeit"."""
    before = max(0, match.start() - _LOOK_BACK)
    return match["name"][0].islower() and bool(_NOT_TITLED.search(text, before, match.start()))


def _cut_name(name: str, language: str) -> str:
    """The name without the nouns that may follow it in German, where they have capitals too."""
    head = re.match(_HEAD, name)
    return head[0] if head and language == "de" and fold_name(head[0]) not in given_names() else name


def _words_in(words: Sequence[Word], start: int, end: int) -> Sequence[Word]:
    """The words that begin in a stretch of the text."""
    # a word is a tuple that begins with its start, and tuples are compared faster than a key is asked for
    first = bisect_left(words, (start,))
    return words[first : bisect_left(words, (end,), lo=first)]


def _find_english(text: str, part: str, words: Sequence[Word], told: NameBook, *, is_cased: bool) -> Iterator[Hit]:
    """Notes the names that are cued in English; those that are ordinary words too are given back where they stand."""
    if not any(map(_may_be_name if is_cased else _may_be_uncased_name, words)):
        return
    for name in find_people([read_tokens(part)], cased=is_cased):
        if fold_name(name) in doubtful_names():
            here = NameBook(is_cased=is_cased)
            here.add((fold_name(name),), any_case=False)
            yield from here.find(text, words, fuzzy=False)
        elif not name.startswith("my "):
            told.add_told(name)


def _may_be_name(word: Word) -> bool:
    """Whether a look at the sentence is worth its time."""
    return word.is_capital and (word.key not in STOPWORDS or word.key in doubtful_names())


def _may_be_uncased_name(word: Word) -> bool:
    return word.key in given_names() or word.key in doubtful_names() or word.key in _TELLING
