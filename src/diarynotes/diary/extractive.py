"""The writer that needs no model: the speaker's own words, tidied and sorted.

Knows only the transcript. It never fails on one, and gives the same draft for the same transcript and day.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from itertools import pairwise

from diarynotes.diary.caller import Caller
from diarynotes.diary.corrections import join_corrections
from diarynotes.diary.mood import MoodReader
from diarynotes.diary.people import find_people
from diarynotes.diary.phrases import Phrase, find_phrases, rank_topics
from diarynotes.diary.places import find_places
from diarynotes.diary.sentences import split_sentences
from diarynotes.diary.tidy import tidy
from diarynotes.diary.titles import make_summary, make_title
from diarynotes.diary.todos import find_todos
from diarynotes.diary.tokens import Token, read_tokens
from diarynotes.diary.words import STOPWORDS, fold, looks_english
from diarynotes.models import Draft, Sentence, Transcript

_MOST_SENTENCES = 60
"""A longer text becomes a selection: a page or two, spread evenly over what was said."""
_NEAR = 5
"""How many sentences back a repetition is looked for."""


class Backend:
    """Picks, tidies and sorts what was said; nothing is added."""

    name = "extractive"
    model = "extractive-1"
    degraded = True
    prompt_version = "1"
    local = True

    def __init__(self) -> None:
        self._moods = MoodReader()

    def close(self) -> None:
        """Nothing to give back."""

    def write(self, transcript: Transcript, *, day: date, caller: Caller | None = None) -> Draft:  # noqa: ARG002
        """The draft; linear in the transcript's length, some milliseconds a minute of speech."""
        english = transcript.language.lower()[:2] in ("en", "") and looks_english(transcript.text)
        cased = any(text[1:] != text[1:].lower() for text in (segment.text for segment in transcript.segments))
        spoken = split_sentences(transcript)
        if english:
            spoken = join_corrections(spoken)
        tokens = [read_tokens(sentence.text) for sentence in spoken]
        people = find_people(tokens, cased=cased) if english else ()
        places = find_places(tokens, people=people, cased=cased) if english else ()
        names = [name for name in (*people, *places) if name[0].isupper()]
        tidied = [
            replace(sentence, text=tidy(sentence.text, names=names, english=english, cased=cased))
            for sentence in spoken
        ]
        sentences = drop_repeats([sentence for sentence in tidied if sentence.text])
        return self._compose(sentences, people, places, day, english=english)

    def _compose(
        self, sentences: list[Sentence], people: tuple[str, ...], places: tuple[str, ...], day: date, *, english: bool
    ) -> Draft:
        texts = [sentence.text for sentence in sentences]
        tokens = [read_tokens(text) for text in texts]
        named = {word for name in (*people, *places) for word in fold(name)} - STOPWORDS
        phrases = find_phrases(tokens, but=named) if english else []
        topics = rank_topics(phrases)
        scores = _score(
            texts, tokens, phrases, named, [abs(self._moods.score(text)) if english else 0.0 for text in texts]
        )
        return Draft(
            title=make_title(texts, people=people, places=places, topics=topics),
            summary=make_summary(texts, scores),
            mood=self._moods.read(texts if english else ()),
            body=_select(sentences, scores),
            people=people,
            places=places,
            topics=topics,
            todos=find_todos(texts, day) if english else (),
            questions=tuple(dict.fromkeys(text for text in texts if text[-1] in "?？" and len(fold(text)) > 2)),
        )


def drop_repeats(sentences: Sequence[Sentence]) -> list[Sentence]:
    """Says once what was said twice in a row or nearly so; the one that stays has the evidence of both."""
    kept: list[Sentence] = []
    words: list[tuple[str, ...]] = []
    for sentence in sentences:
        said = tuple(word for word in fold(sentence.text) if word not in ("honestly", "really", "and", "but", "so"))
        place = next((n for n in range(max(0, len(kept) - _NEAR), len(kept)) if words[n] == said), None)
        if place is None:
            kept.append(sentence)
            words.append(said)
        else:
            evidence = tuple(dict.fromkeys((*kept[place].evidence, *sentence.evidence)))
            kept[place] = replace(kept[place], evidence=evidence)
    return kept


def _score(
    texts: Sequence[str],
    tokens: Sequence[Sequence[Token]],
    phrases: Sequence[Phrase],
    named: set[str],
    feelings: Sequence[float],
) -> list[float]:
    """How much of what the note is about each sentence holds: topics, names, feeling; early and not too long."""
    counts: dict[str, int] = {}
    for phrase in phrases:
        counts[phrase.head] = counts.get(phrase.head, 0) + 1
    topical = [0.0] * len(texts)
    for phrase in phrases:
        topical[phrase.sentence] += 0.5 + 0.5 * min(counts[phrase.head], 5)
    scores = []
    for number, words in enumerate(tokens):
        names = len({token.word for token in words} & named)
        length = len(words)
        size = 0.2 if length < 4 else 1.0 if length <= 30 else 0.6
        scores.append(size * (min(topical[number], 3.0) + min(names, 2) + 1.5 * feelings[number] + 1.0 / (1 + number)))
    return scores


def _select(sentences: Sequence[Sentence], scores: Sequence[float]) -> tuple[Sentence, ...]:
    """All sentences, or the best of each of 60 equal stretches, so that no part of a long day is passed over."""
    if len(sentences) <= _MOST_SENTENCES:
        return tuple(sentences)
    bounds = [len(sentences) * part // _MOST_SENTENCES for part in range(_MOST_SENTENCES + 1)]
    best = (max(range(start, stop), key=lambda number: scores[number]) for start, stop in pairwise(bounds))
    return tuple(sentences[number] for number in best)
