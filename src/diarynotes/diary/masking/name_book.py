"""Names by their words, and every place of a text where one of them is said.

Knows endings ("Annas") and, for the owner's own names, other forms and slips of one letter; knows nothing of how names
are found, nor of scripts that do not part words.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import dropwhile, pairwise
from typing import NamedTuple

from diarynotes.diary.lists import doubtful_names, given_names, toponyms
from diarynotes.diary.masking.name_forms import name_forms, spellings
from diarynotes.diary.masking.spans import Hit
from diarynotes.diary.masking.unspaced import blank_unspaced
from diarynotes.diary.words import MONTHS, STOPWORDS, WEEKDAYS

_WORD = re.compile(r"[^\W\d_][^\W\d_\u0300-\u036f]*(?:[\u0300-\u036f]+[^\W\d_]*)*")
_GAP = re.compile(r"[\s.'’-]{0,4}")
_PARTICLES = frozenset(
    "van von vom de der den dem del della di da la las los le el al bin ibn zu ter ten het st san y e d dos du "
    "des".split()
)
_TITLES = frozenset(
    "doctor dr professor prof mr mrs ms miss mister aunt auntie uncle sister father nurse coach herr herrn frau doktor "
    "monsieur madame mademoiselle docteur señor señora doctora doctor sir lady lord captain officer".split()
)
_PARENTS = frozenset(
    "mum mom mam mama mummy mommy dad daddy papa grandma grandpa granny granddad grandad nan nana gran mama oma opa "
    "maman mamie papi papá mamá abuela abuelo mutti vati my".split()
)
_OTHER_CAPITALS = frozenset(
    "god christmas easter halloween thanksgiving ramadan english german french spanish italian polish dutch chinese "
    "american british internet montag dienstag mittwoch donnerstag freitag samstag sonntag".split()
)
_NO_NAMES = _OTHER_CAPITALS | STOPWORDS | frozenset(WEEKDAYS) | frozenset(MONTHS) | _PARENTS | _TITLES
_NO_PART = _NO_NAMES | _PARTICLES
"""What is no name of its own, though it may stand in one."""
_LEAST_FORM = 3
"""Letters that another form of a name has at least; shorter ones are mostly small words."""
_LEAST_FUZZY = 5
"""Letters from which a name is known again with one of them wrong."""


class Word(NamedTuple):
    """A word of the text: where it stands, its key, and whether it begins with a capital."""

    start: int
    end: int
    key: str
    is_capital: bool


def read_words(text: str) -> list[Word]:
    """The words of a text without figures; apostrophes and hyphens part them, accents set apart belong to them.

    Scripts that do not part their words have none.
    """
    return [
        Word(match.start(), match.end(), fold_name(word := match[0]), word[0].isupper())
        for match in _WORD.finditer(blank_unspaced(text))
    ]


def fold_name(word: str) -> str:
    """The same for every case of a word and both ways of setting an accent."""
    return word.lower() if word.isascii() else unicodedata.normalize("NFC", word).casefold()


class NameBook:
    """Names by their first word, for one walk through the text."""

    def __init__(self, *, is_cased: bool) -> None:
        self._is_cased = is_cased
        self._names: dict[str, dict[tuple[str, ...], bool]] = defaultdict(dict)
        self._near: dict[str, str] = {}
        self._owned: set[str] = set()
        self._forms: dict[str, Mapping[str, str]] = {}

    def add(self, name: Iterable[str], *, any_case: bool) -> None:
        """A name as its keys; one that is not for `any_case` needs a capital where the text has them."""
        keys = tuple(name)
        if keys:
            self._names[keys[0]][keys] = any_case or self._names[keys[0]].get(keys, False)

    def add_owned(self, name: str) -> None:
        """A name of the owner's list: whole in any case, its parts where they can hardly be anything else."""
        keys = tuple(word.key for word in read_words(name))
        self.add(keys, any_case=True)
        self._owned.update(keys)
        for key in keys:
            is_sure = key not in STOPWORDS and key not in doubtful_names()
            if len(keys) > 1 and key not in _PARTICLES and len(key) > 1 and (is_sure or self._is_cased):
                self.add((key,), any_case=is_sure)
            if len(key) >= _LEAST_FUZZY:
                self._near.update(dict.fromkeys(_shorten(key), key))

    def add_told(self, name: str) -> None:
        """A name that a cue told, and its parts, but for titles."""
        keys = [fold_name(match) for match in _WORD.findall(name)]
        while keys and keys[0] in _NO_NAMES:
            keys.pop(0)
        while keys and keys[-1] in _NO_NAMES:
            keys.pop()
        own = tuple(dropwhile(_PARTICLES.__contains__, keys))
        if not own or (own in toponyms() and own[0] not in given_names()):
            return
        self.add(keys, any_case=False)
        for key in keys:
            if key not in _NO_PART and len(key) > 1:
                self.add((key,), any_case=False)

    def add_given(self, keys: Iterable[str]) -> None:
        """The given names among some words."""
        for key in given_names().intersection(keys):
            if (key,) not in toponyms():
                self.add((key,), any_case=False)

    def recognize(self, words: Sequence[Word], language: str) -> Sequence[Word]:
        """The words, those that are another form of a word of the owner's names under the key that they have there."""
        if language not in self._forms:
            self._forms[language] = self._read_forms(language)
        forms = self._forms[language]
        return [
            word if word.key.isascii() and word.key not in forms else self._recognize(word, forms) for word in words
        ]

    def _read_forms(self, language: str) -> Mapping[str, str]:
        return {
            form: key
            for key in sorted(self._owned - _PARTICLES)  # two names may share a form; it is the same one's each time
            for form in name_forms(key, language) - STOPWORDS - self._owned
            if len(form) >= _LEAST_FORM
        }

    def _recognize(self, word: Word, forms: Mapping[str, str]) -> Word:
        for form in spellings(word.key) if word.key not in self._owned else ():
            key = form if form in self._owned else forms.get(form)
            if key and (word.is_capital or not self._is_cased or form in given_names()):
                return word._replace(key=key)
        return word

    def find(self, text: str, words: Sequence[Word], *, fuzzy: bool) -> Iterator[Hit]:
        """Every place where one of the names is said, the longest first."""
        begins = self._names.keys() | {f"{first}s" for first in self._names}
        end = 0
        for place, word in enumerate(words):
            if place < end:
                continue
            length, cut = self._match(text, words, place) if word.key in begins else (0, 0)
            if length:
                end = place + length
                key = " ".join(said.key for said in words[place:end])
                yield Hit(word.start, words[end - 1].end - cut, "PERSON", key[: len(key) - cut])
            elif fuzzy and (base := self._near_name(word)):
                yield Hit(word.start, word.end, "PERSON", base)

    def _match(self, text: str, words: Sequence[Word], place: int) -> tuple[int, int]:
        """How many words of a name begin here, and how many letters of the last are an ending ("Annas")."""
        key = words[place].key
        for first, cut in ((key, 0), (key[:-1], 1) if key.endswith("s") else ("", 0)):
            for name in sorted(self._names.get(first, ()), key=len, reverse=True):
                if cut and (len(name) > 1 or text[words[place].end - 1] not in "sS"):
                    continue
                if (found := self._says(text, words, place, name)) >= 0:
                    return len(name), cut or found
        return 0, 0

    def _says(self, text: str, words: Sequence[Word], place: int, name: tuple[str, ...]) -> int:
        """How many letters of an ending the name has here; -1 where it is not said."""
        said = words[place : place + len(name)]
        if len(said) < len(name) or not (self._names[name[0]][name] or self._begins_well(said)):
            return -1
        if any(not _GAP.fullmatch(text, a.end, b.start) for a, b in pairwise(said)):
            return -1
        if any(word.key != key for word, key in zip(said[1:-1], name[1:-1], strict=True)):
            return -1
        if len(name) == 1 or said[-1].key == name[-1]:
            return 0
        return 1 if said[-1].key == f"{name[-1]}s" and text[said[-1].end - 1] in "sS" else -1

    def _begins_well(self, said: Sequence[Word]) -> bool:
        """Whether the first word that is no particle has a capital, in a text that has them."""
        first = next((word for word in said if word.key not in _PARTICLES), said[0])
        return first.is_capital or not self._is_cased

    def _near_name(self, word: Word) -> str:
        """The owner's name that this word is a slip of: one letter more, less or other, the first the same."""
        key = word.key
        if len(key) < _LEAST_FUZZY - 1 or not self._near or (self._is_cased and not word.is_capital):
            return ""
        if key in STOPWORDS or (key,) in toponyms():
            return ""
        near = next((self._near[form] for form in _shorten(key) if form in self._near), "")
        if not near or near[0] != key[0]:
            return ""
        return key if key in given_names() else near


def _shorten(key: str) -> Iterator[str]:
    """The word and all that is left of it without one letter; two words that share one differ by a letter or two."""
    yield key
    for place in range(1, len(key)):
        yield key[:place] + key[place + 1 :]
