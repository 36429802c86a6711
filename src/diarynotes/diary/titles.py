"""Gives a note its title and its summary, both in the speaker's own words.

Knows nothing of segments; works on tidied sentences.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from diarynotes.diary.figures import is_number_word
from diarynotes.diary.words import (
    AUXILIARIES,
    CONJUNCTIONS,
    DETERMINERS,
    PREPOSITIONS,
    PRONOUNS,
    STOPWORDS,
    WORD,
    capitalise,
    fold,
    stem,
)

_LONGEST = 60
"""Characters of a title."""
_SUMMARY = 280
"""Characters of a summary, unless a single sentence is longer."""
_DULL_HEADS = frozenset(
    "thing things bit kind sort lot day time part way point end one ones half rest moment minute minutes side "
    "beginning first second last week weeks month year morning evening afternoon night fact idea reason couple".split()
)
_BREAKS = PRONOUNS | AUXILIARIES | CONJUNCTIONS | frozenset("not up out then it me him them us so".split())
_LINKS = frozenset("with in at of from to about for on".split())
_STAY = frozenset("in at on".split())
_OTHERS = frozenset("her his their".split())
_HEADING = re.compile(
    r"^(?P<head>[^,.;:!?]*\b(?:list|notes?|minutes|ideas?|thoughts|plans?|recap|reminders?)\b[^,.;:!?]*)", re.IGNORECASE
)
_ANAPHORS = frozenset(
    "he she they it that this but then so there those these his her their and it's he's she's".split()
)


def make_title(
    sentences: Sequence[str], *, people: Collection[str], places: Collection[str], topics: Sequence[str]
) -> str:
    """The phrase that names most of who, where and what the note is about; at most 60 characters."""
    heading = _read_heading(sentences[0]) if sentences else ""
    if heading:
        return heading
    wanted = _Wanted(people, places, topics)
    best = max(
        (
            (wanted.score(phrase, number, about), phrase)
            for number, text in enumerate(sentences)
            for phrase, about in _phrases(text, wanted.names)
        ),
        key=lambda scored: scored[0],
        default=(0.0, ""),
    )
    if best[0] >= 2.0:
        return capitalise(best[1])
    return _fall_back(sentences, topics)


def make_summary(sentences: Sequence[str], scores: Sequence[float]) -> str:
    """The best two or three sentences in the order said, at most 280 characters; a short note is its own summary."""
    whole = " ".join(sentences)
    if len(sentences) <= 2 and len(whole) <= _SUMMARY:
        return whole
    chosen: set[int] = set()
    length = 0
    ranked = sorted(range(len(sentences)), key=lambda number: (-scores[number], number))
    for number in ranked:
        leans = (fold(sentences[number]) or [""])[0] in _ANAPHORS and number - 1 not in chosen
        if chosen and (length + len(sentences[number]) > _SUMMARY or leans):
            continue
        chosen.add(number)
        length += len(sentences[number]) + 1
        if len(chosen) == 3:
            break
    return " ".join(sentences[number] for number in sorted(chosen))


class _Wanted:
    """What a title should name."""

    def __init__(self, people: Collection[str], places: Collection[str], topics: Sequence[str]) -> None:
        self._places = {word for name in places for word in fold(name)} - STOPWORDS
        self._people = {word for name in people for word in fold(name)} - STOPWORDS - self._places - {"my"}
        self.names = self._people
        self._topics = {stem(fold(topic)[-1]): 1.2 / (1 + 0.3 * rank) for rank, topic in enumerate(topics)}

    def score(self, phrase: str, sentence: int, about: bool) -> float:
        """How much a phrase tells; 2 is enough for a title. `about` says that the speaker announced it."""
        folded = fold(phrase)
        words = [word.removesuffix("'s") for word in folded]
        nouns = [word for word in words if word not in STOPWORDS]
        if not nouns or len(phrase) > _LONGEST:
            return 0.0
        score = 1.5 / (1 + 0.3 * sentence)
        score += 1.1 * bool(self._people & set(words)) + 1.2 * bool(self._places & set(words))
        score += max((self._topics.get(stem(word), 0.0) for word in words), default=0.0) + 0.15 * min(len(nouns), 4)
        score += 0.8 * about - 0.8 * (folded[0] in _OTHERS)
        is_dull = _head(words) in _DULL_HEADS and not any(word.endswith("'s") for word in folded)
        return score - 2.5 * is_dull


def _head(words: Sequence[str]) -> str:
    """The word that a phrase is about: the last one before its first preposition."""
    begin = 1 if words[0] in PREPOSITIONS else 0
    end = next((n for n in range(begin, len(words)) if words[n] in PREPOSITIONS), len(words))
    return words[end - 1]


def _phrases(text: str, names: Collection[str]) -> list[tuple[str, bool]]:
    """Rows of nouns, articles and linking prepositions that begin with an article, a possessive or a name.

    With each: whether "about" stands shortly before it.
    """
    phrases: list[tuple[str, bool]] = []
    matches = list(WORD.finditer(text))
    index = 0
    while index < len(matches):
        if not _may_begin(matches, index, names):
            index += 1
            continue
        end = _read_phrase(matches, index, text)
        stop = end
        while stop > index and (
            fold(matches[stop - 1][0])[0] in PREPOSITIONS | DETERMINERS or _cuts_a_number(matches, stop)
        ):
            stop -= 1
        begin = index - 1 if index and matches[index - 1][0].lower() in _STAY else index
        if stop > index:
            about = any(match[0].lower() == "about" for match in matches[max(0, index - 4) : index])
            phrases.append((text[matches[begin].start() : matches[stop - 1].end()], about))
        index += 1
    return phrases


def _cuts_a_number(matches: Sequence[re.Match[str]], stop: int) -> bool:
    """Whether a number goes on behind `stop`: "two hundred" must not end as "two"."""
    words = [fold(match[0])[0] for match in matches[stop - 1 : stop + 1]]
    return len(words) == 2 and is_number_word(words[0]) and (is_number_word(words[1]) or words[1] == "and")


def _may_begin(matches: Sequence[re.Match[str]], index: int, names: Collection[str]) -> bool:
    word = fold(matches[index][0])[0]
    if word in names:
        return index + 1 < len(matches) and matches[index + 1][0].lower() in _LINKS
    if (index == 0 and word == "day") or word.removesuffix("'s") in names:
        return True
    return word in DETERMINERS - {"this", "that", "these", "those"} or (word.endswith("'s") and word not in AUXILIARIES)


def _read_phrase(matches: Sequence[re.Match[str]], index: int, text: str) -> int:
    end = index + 1
    while end < len(matches) and end - index < 9:
        word = fold(matches[end][0])[0]
        gap = text[matches[end - 1].end() : matches[end].start()]
        if gap.strip() or word in _BREAKS | _VERBS or (word.endswith(("ed", "ly")) and len(word) > 4):
            break
        if word in PREPOSITIONS - _LINKS:
            break
        end += 1
    return end


def _read_heading(text: str) -> str:
    """ "Quick list before I forget." announces what follows and is its title."""
    match = _HEADING.match(text)
    if not match:
        return ""
    words = match["head"].split()
    folded = [(fold(word) or [""])[0] for word in words]
    end = next((n for n, word in enumerate(folded) if word in PRONOUNS | AUXILIARIES), len(words))
    while end and folded[end - 1] in CONJUNCTIONS | PREPOSITIONS | DETERMINERS:
        end -= 1
    title = " ".join(words[:end])
    return capitalise(title) if end and len(title) <= _LONGEST else ""


def _fall_back(sentences: Sequence[str], topics: Sequence[str]) -> str:
    short = next((text for text in sentences if len(fold(text)) >= 2), sentences[0] if sentences else "")
    if not short:
        return "A note without words"
    if len(short) <= _LONGEST:
        return short.rstrip(".。")
    if len(topics) >= 2:
        return capitalise(f"{topics[0]} and {topics[1]}")
    cut = short[: _LONGEST - 1]
    words = (cut.rsplit(" ", 1)[0] if " " in cut else cut).split()
    while len(words) > 1 and is_number_word((fold(words[-1]) or [""])[0]):  # "two hundred" must not end as "two"
        words.pop()
    return " ".join(words).rstrip(" ,;:") + "…"


_VERBS = frozenset(
    "went came gave said told called leaks hurts ran sent wrote left lost found broke fell sat stood bought paid met "
    "had has made took got keeps wants needs comes goes looks yesterday today tomorrow tonight again".split()
)
