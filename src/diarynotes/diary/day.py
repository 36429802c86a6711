"""The entry of a day: its notes become one text, written by the same writers and held against the notes.

Knows neither where notes come from nor where entries go. Title, summary, mood and body are the writer's. People,
places, topics, todos and questions are those of the notes, so that none is lost however the day is told.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from diarynotes.diary import Exchange, Private, Writer, write_note
from diarynotes.diary.caller import Caller
from diarynotes.diary.joining import join_drafts
from diarynotes.diary.note_shape import once
from diarynotes.diary.prompt_choice import OF_A_DAY
from diarynotes.diary.words import STOPWORDS, fold
from diarynotes.models import (
    PERSON,
    DayEntry,
    DiaryNote,
    Draft,
    NoteId,
    Segment,
    Sentence,
    Transcript,
    make_id,
)

BEGINNING = -1
"""The number, among the sentences of a note, of where it begins."""
BREAK = "* * *"
"""What stands between two notes: it parts them for whoever reads on, and says nothing."""

_EXTRACTIVE = "extractive"
_TITLE_LETTERS = 72
_SUMMARY_SENTENCES = 4
_SENTENCE_WORDS = 30
"""A longer sentence is no summary."""
_ENOUGH_WORDS = 4
_LEANING = frozenset("he she it they that this these those".split())
_SENTENCE_END = re.compile(r"(?<=[.!?…。！？])\s+")
_LISTS = ("people", "places", "topics", "todos", "questions")


def write_entry(
    notes: Sequence[DiaryNote],
    *,
    owner: str,
    day: date,
    notes_version: str,
    language: str,
    writers: Sequence[Writer],
    private: Private | None = None,
    exchange: Exchange | None = None,
) -> DayEntry:
    """The entry of a day from its notes, at least one, in the order in which they were recorded.

    Where only one of them holds words, it is the entry, and nobody is asked. In place of the extractive writer the
    notes themselves are joined: they are the speaker's own words already. Raises: as `write_note`.
    """
    spoken = [note for note in notes if note.draft.body]
    if len(spoken) <= 1 and (spoken or notes)[0].writer != PERSON:
        return _take_over((spoken or notes)[0], notes, owner, notes_version)
    transcript, sources = tell_day(notes, owner=owner, notes_version=notes_version, language=language)
    asked = writers if len(spoken) > 1 else ()
    chain = [writer for writer in asked if writer.name != _EXTRACTIVE]
    written = write_note(transcript, day=day, writers=[*chain, Joining(notes)], private=private, exchange=exchange)
    union = join_drafts([note.draft for note in notes])
    return DayEntry(
        id=DayEntry.identify(owner, day, notes_version, written.writer, written.model, written.prompt_version),
        owner=owner,
        day=day,
        notes_version=notes_version,
        sources=sources,
        draft=replace(written.draft, **{name: getattr(union, name) for name in _LISTS}),
        writer=written.writer,
        model=written.model,
        prompt_version=written.prompt_version,
        degraded=written.degraded or any(note.degraded for note in notes),
        findings=tuple(finding for finding in written.findings if finding.where not in _LISTS),
        grounded_share=written.grounded_share,
    )


def tell_day(
    notes: Sequence[DiaryNote], *, owner: str, notes_version: str, language: str
) -> tuple[Transcript, tuple[tuple[NoteId, int], ...]]:
    """The day's notes as a transcript, a segment for each sentence and for each note's beginning, and their sources.

    Times tell the order alone.
    """
    texts: list[str] = []
    sources: list[tuple[NoteId, int]] = []
    for note in notes:
        texts.append(BREAK if any(texts) and note.draft.body else "")
        texts += [sentence.text for sentence in note.draft.body]
        sources += [(note.id, number) for number in range(BEGINNING, len(note.draft.body))]
    segments = tuple(Segment(float(number), number + 1.0, text) for number, text in enumerate(texts))
    name = make_id("day", owner, notes_version)
    return Transcript(name, "", OF_A_DAY, "", language, segments, 1.0), tuple(sources)


class Joining:
    """The writer that needs no model, for a day: the notes one after the other, as they are."""

    name = _EXTRACTIVE
    model = "joining-1"
    degraded = True
    prompt_version = "1"
    local = True

    def __init__(self, notes: Sequence[DiaryNote]) -> None:
        self._notes = notes

    def close(self) -> None:
        """Nothing to give back."""

    def write(self, transcript: Transcript, *, day: date, caller: Caller | None = None) -> Draft:  # noqa: ARG002
        """The draft; every sentence is carried by its own segment of `tell_day`."""
        drafts = _count_on([note.draft for note in self._notes])
        spoken = [draft for draft in drafts if draft.body] or drafts
        return replace(join_drafts(drafts), title=_join_titles(spoken), summary=_join_summaries(spoken))


def _take_over(note: DiaryNote, notes: Sequence[DiaryNote], owner: str, notes_version: str) -> DayEntry:
    """The note as the entry of its day; what it cost is on its own bill."""
    _, sources = tell_day(notes, owner=owner, notes_version=notes_version, language="")
    drafts = _count_on([each.draft for each in notes])
    draft = next(draft for draft, each in zip(drafts, notes, strict=True) if each is note)
    return DayEntry(
        id=DayEntry.identify(owner, note.day, notes_version, note.writer, note.model, note.prompt_version),
        owner=owner,
        day=note.day,
        notes_version=notes_version,
        sources=sources,
        draft=replace(draft, usage=()),
        writer=note.writer,
        model=note.model,
        prompt_version=note.prompt_version,
        degraded=note.degraded,
        findings=note.findings,
        grounded_share=note.grounded_share,
    )


def _count_on(drafts: Sequence[Draft]) -> list[Draft]:
    """The drafts with evidence that counts the segments of `tell_day`."""
    counted = []
    number = 0
    for draft in drafts:
        body = tuple(Sentence(each.text, (number + place,)) for place, each in enumerate(draft.body, 1))
        counted.append(replace(draft, body=body))
        number += 1 + len(body)
    return counted


def _join_titles(drafts: Sequence[Draft]) -> str:
    """The titles of the longest notes, as many as one line holds, in the order of the day."""
    chosen: list[str] = []
    for draft in sorted(drafts, key=lambda draft: -len(draft.body)):
        if not chosen or len(" · ".join((*chosen, draft.title))) <= _TITLE_LETTERS:
            chosen.append(draft.title)
    return " · ".join(once([draft.title for draft in drafts if draft.title in chosen]))


def _join_summaries(drafts: Sequence[Draft]) -> str:
    """What each of the longest notes says most in one sentence of its summary, in the order of the day."""
    longest = sorted(drafts, key=lambda draft: -len(draft.body))[:_SUMMARY_SENTENCES]
    return " ".join(_tell_most(draft.summary) for draft in drafts if draft in longest and draft.summary)


def _tell_most(summary: str) -> str:
    """The first sentence that says enough and stands without those before it; else the one with most to say."""
    sentences = _SENTENCE_END.split(summary)
    weights = [_weigh(fold(sentence)) for sentence in sentences]
    return next(
        (sentence for sentence, weight in zip(sentences, weights, strict=True) if weight >= _ENOUGH_WORDS),
        sentences[weights.index(max(weights))],
    )


def _weigh(words: Sequence[str]) -> int:
    """How many content words a sentence has; none where it is too long, or leans on the one before."""
    if len(words) > _SENTENCE_WORDS or not words or words[0].partition("'")[0] in _LEANING:
        return 0
    return sum(word not in STOPWORDS for word in words)
