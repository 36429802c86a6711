"""The entry of a day: what is asked of a writer, what is kept of the notes, and what is made without any model."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from diarynotes.diary import Private, Writer, open_writers, read_transcript, write_note
from diarynotes.diary.caller import DirectCaller, Line
from diarynotes.diary.day import BEGINNING, BREAK, tell_day, write_entry
from diarynotes.diary.language_model import Limits, Reply, write_draft
from diarynotes.diary.prompt import Message
from diarynotes.diary.render import entry_as_json, entry_as_markdown, find_paragraphs
from diarynotes.errors import WriterFailed
from diarynotes.models import (
    PERSON,
    DayEntry,
    DiaryNote,
    Draft,
    Finding,
    Mood,
    Sentence,
    Todo,
    Transcript,
    Usage,
)
from diarynotes.testing import ScriptedWriter

NOTES = Path(__file__).resolve().parents[3] / "shared" / "notes"
DAY = date(2026, 5, 21)
EXTRACTIVE = open_writers(["extractive"])


def make_note(name: str, *texts: str, **changes: object) -> DiaryNote:
    body = tuple(Sentence(text, (number, number + 1)) for number, text in enumerate(texts))
    draft = Draft(f"Title of {name}", " ".join(texts[:1]), Mood("neutral", 0.0), body)
    made = DiaryNote(name, f"t-{name}", f"r-{name}", DAY, draft, "openai", "gpt", "7", False)
    return replace(made, **changes)  # type: ignore[arg-type]


def with_lists(note: DiaryNote, **lists: object) -> DiaryNote:
    return replace(note, draft=replace(note.draft, **lists))  # type: ignore[arg-type]


GARDEN = with_lists(
    make_note("garden", "I planted twelve tomatoes with Anna.", "The old hose leaks."),
    title="Tomatoes with Anna",
    people=("Anna",),
    topics=("tomatoes",),
    todos=(Todo("Buy a hose"), Todo("Call Mum")),
    mood=Mood("positive", 0.6),
)
REVIEW = with_lists(
    make_note("review", "The review with Marcus went badly.", "Anna rang me after it."),
    title="The review with Marcus",
    people=("Marcus", "anna"),
    places=("office",),
    todos=(Todo("Call Mum", date(2026, 5, 24)),),
    questions=("Should I write to him?",),
    mood=Mood("negative", -0.6),
)


def write(*notes: DiaryNote, writers: tuple[Writer, ...] = EXTRACTIVE, **options: object) -> DayEntry:
    return write_entry(
        notes,
        owner="me",
        day=DAY,
        notes_version="v1",
        language="en",
        writers=writers,
        **options,  # type: ignore[arg-type]
    )


def said_by(entry: DayEntry, notes: tuple[DiaryNote, ...]) -> list[str]:
    """The sentences of the notes that the entry's body points at, one after the other."""
    known = {note.id: note.draft.body for note in notes}
    places = [entry.sources[number] for sentence in entry.draft.body for number in sentence.evidence]
    return [known[note_id][number].text for note_id, number in places]


def test_the_one_note_of_a_day_is_its_entry_and_nobody_is_asked() -> None:
    writer = ScriptedWriter(GARDEN.draft)
    paid = with_lists(GARDEN, usage=(Usage("openai", "gpt", 10, 10),))
    findings = (Finding("doubtful", "info", "body 0", "Body 0 is doubtful."),)
    entry = write(replace(paid, findings=findings, grounded_share=0.5), writers=(writer, *EXTRACTIVE))
    assert writer.asked == 0
    assert (entry.writer, entry.model, entry.prompt_version, entry.degraded) == ("openai", "gpt", "7", False)
    assert (entry.findings, entry.grounded_share, entry.draft.usage) == (findings, 0.5, ())
    assert entry.draft.title == GARDEN.draft.title
    assert [sentence.text for sentence in entry.draft.body] == said_by(entry, (GARDEN,))


def test_a_note_without_words_beside_it_changes_nothing() -> None:
    writer = ScriptedWriter(GARDEN.draft)
    entry = write(make_note("silence"), GARDEN, make_note("hum"), writers=(writer, *EXTRACTIVE))
    assert writer.asked == 0
    assert entry.draft.title == GARDEN.draft.title
    assert [sentence.text for sentence in entry.draft.body] == said_by(entry, (GARDEN,))
    assert {note_id for note_id, _ in entry.sources} == {"silence", "garden", "hum"}
    silent = write(make_note("silence"), make_note("hum"))
    assert (silent.draft.body, silent.draft.title) == ((), "Title of silence")


def test_the_text_of_a_day_has_a_segment_for_each_sentence_and_a_break_between_notes() -> None:
    transcript, sources = tell_day([GARDEN, REVIEW], owner="me", notes_version="v1", language="en")
    texts = [segment.text for segment in transcript.segments]
    assert texts == ["", *(each.text for each in GARDEN.draft.body), BREAK, *(each.text for each in REVIEW.draft.body)]
    assert sources[3] == ("review", BEGINNING)
    assert sources[4:] == (("review", 0), ("review", 1))
    starts = [segment.start_s for segment in transcript.segments]
    assert starts == sorted(starts)
    assert transcript.id != tell_day([GARDEN], owner="me", notes_version="v2", language="en")[0].id


def test_without_a_model_the_notes_are_joined_as_they_are() -> None:
    entry = write(GARDEN, REVIEW)
    assert (entry.writer, entry.model, entry.degraded) == ("extractive", "joining-1", True)
    texts = [sentence.text for sentence in entry.draft.body]
    assert (
        texts
        == [each.text for note in (GARDEN, REVIEW) for each in note.draft.body]
        == said_by(entry, (GARDEN, REVIEW))
    )
    assert entry.grounded_share == 1.0
    assert entry.findings == ()
    assert entry.draft.title == "Tomatoes with Anna · The review with Marcus"
    assert entry.draft.mood == Mood("mixed", 0.0)


def test_what_the_notes_name_is_never_lost_and_said_once() -> None:
    forgetful = Draft(
        "The day", "A day.", Mood("mixed", 0.1), (Sentence("I planted twelve tomatoes with Anna.", (1,)),)
    )
    for writers in (EXTRACTIVE, (ScriptedWriter(forgetful), *EXTRACTIVE)):
        draft = write(GARDEN, REVIEW, writers=writers).draft
        assert draft.people == ("Anna", "Marcus")
        assert draft.places == ("office",)
        assert draft.topics == ("tomatoes",)
        assert draft.todos == (Todo("Buy a hose"), Todo("Call Mum", date(2026, 5, 24)))
        assert draft.questions == ("Should I write to him?",)


def test_a_writer_tells_the_day_and_is_held_to_the_notes() -> None:
    told = Draft(
        "Tomatoes and a review",
        "I planted tomatoes. The review went badly.",
        Mood("mixed", -0.1),
        (
            Sentence("I planted twelve tomatoes with Anna, who rang me after the review.", (1, 5)),
            Sentence("I planted twenty tomatoes.", (1,)),
            Sentence("The review with Marcus went badly.", (4,)),
        ),
        people=("Zebedee",),
        usage=(Usage("scripted", "lines", 100, 50),),
    )
    entry = write(GARDEN, REVIEW, writers=(ScriptedWriter(told), *EXTRACTIVE))
    assert (entry.writer, entry.model, entry.degraded) == ("scripted", "lines", False)
    assert [sentence.text for sentence in entry.draft.body] == [told.body[0].text, told.body[2].text]
    assert [entry.sources[number] for number in entry.draft.body[0].evidence] == [("garden", 0), ("review", 1)]
    assert [finding.code for finding in entry.findings if finding.severity == "warning"] == ["wrong_number"]
    assert entry.draft.people == ("Anna", "Marcus")
    assert entry.draft.usage == told.usage
    assert entry.grounded_share == pytest.approx(2 / 3)


def test_when_the_writer_fails_the_notes_are_joined() -> None:
    entry = write(GARDEN, REVIEW, writers=(ScriptedWriter(WriterFailed("scripted", "it is down")), *EXTRACTIVE))
    assert (entry.writer, entry.degraded) == ("extractive", True)
    assert [finding.code for finding in entry.findings] == ["writer_failed"]
    assert entry.draft.body == write(GARDEN, REVIEW).draft.body


def test_a_day_with_a_degraded_note_is_degraded() -> None:
    told = Draft("A day", "", Mood("neutral", 0.0), (Sentence("The old hose leaks.", (2,)),))
    assert not write(GARDEN, REVIEW, writers=(ScriptedWriter(told),)).degraded
    assert write(GARDEN, replace(REVIEW, degraded=True), writers=(ScriptedWriter(told),)).degraded


def test_a_note_that_a_person_has_edited_makes_no_entry_of_a_person() -> None:
    alone = write(replace(GARDEN, writer=PERSON, model=""))
    assert (alone.writer, alone.draft.title) == ("extractive", GARDEN.draft.title)
    both = write(replace(GARDEN, writer=PERSON, model=""), REVIEW)
    assert both.writer == "extractive"


def test_a_writer_elsewhere_sees_placeholders() -> None:
    class Listener(ScriptedWriter):
        seen = ""

        def write(self, transcript: Transcript, *, day: date, caller: object = None) -> Draft:
            self.seen = transcript.text
            body = (Sentence(transcript.segments[1].text, (1,)),)
            return Draft("A day", "", Mood("neutral", 0.0), body)

    listener = Listener(GARDEN.draft, local=False)
    entry = write(GARDEN, REVIEW, writers=(listener, *EXTRACTIVE), private=Private(("Marcus", "Anna")))
    assert "Marcus" not in listener.seen
    assert BREAK in listener.seen
    assert entry.draft.body[0].text == "I planted twelve tomatoes with Anna."


def test_the_same_notes_and_writer_give_the_same_entry() -> None:
    assert write(GARDEN, REVIEW) == write(GARDEN, REVIEW)
    other = write_entry([GARDEN, REVIEW], owner="me", day=DAY, notes_version="v2", language="en", writers=EXTRACTIVE)
    assert other.id != write(GARDEN, REVIEW).id


def test_a_language_model_is_told_that_it_writes_a_day_whatever_style_its_owner_likes() -> None:
    asked: list[Message] = []
    body = [{"text": "I planted twelve tomatoes with Anna.", "segments": [1]}]
    answer = {"body": body, "title": "A day", "summary": "", "mood": {"label": "neutral", "score": 0}}

    def ask(messages: tuple[Message, ...], _shape: object, _tokens: int) -> Reply:
        asked.extend(messages)
        return Reply(json.dumps(answer), Usage("fake", "fake"))

    class Model(ScriptedWriter):
        def write(self, transcript: Transcript, *, day: date, caller: object = None) -> Draft:
            line = Line(DirectCaller(), ask, provider="fake", model="fake")
            limits = Limits.of(32_000)
            return write_draft(line.ask, transcript, writer="fake", day=day, limits=limits, paid=line, prompt="meeting")

    entry = write(GARDEN, REVIEW, writers=(Model(GARDEN.draft),))
    assert entry.writer == "scripted"
    assert "# This day" in asked[0].text
    assert (
        "1 | I planted twelve tomatoes with Anna.\n2 | The old hose leaks.\n3 | * * *\n4 | The review" in asked[1].text
    )


# -- as a page --------------------------------------------------------------------------------------------------------


def test_a_page_has_a_paragraph_for_each_note_and_none_is_too_long() -> None:
    many = make_note("many", *(f"Sentence number {number}." for number in range(7)))
    entry = write(GARDEN, many, REVIEW)
    assert find_paragraphs(entry) == [0, 2, 5, 9]
    page = entry_as_markdown(entry)
    assert "I planted twelve tomatoes with Anna. The old hose leaks.\n\nSentence number 0." in page
    assert "*Thursday, 21 May 2026 · mixed mood · 3 notes*" in page
    assert "- [ ] Call Mum *(Sunday, 24 May 2026)*" in page


def test_an_entry_that_goes_back_and_forth_between_notes_is_cut_by_length_alone() -> None:
    places = [(1,), (4,), (2,), (5,)]
    body = tuple(Sentence(f"Sentence {number}.", place) for number, place in enumerate(places))
    entry = replace(write(GARDEN, REVIEW), draft=replace(GARDEN.draft, body=body))
    assert find_paragraphs(entry) == [0]
    assert find_paragraphs(replace(entry, draft=replace(GARDEN.draft, body=()))) == []


def test_as_data_the_evidence_is_notes_and_sentences() -> None:
    told = entry_as_json(write(GARDEN, REVIEW))
    assert told["body"][2]["evidence"] == [{"note_id": "review", "sentence": 0}]
    assert told["note_ids"] == ["garden", "review"]
    assert (told["day"], told["owner"]) == ("2026-05-21", "me")
    json.dumps(told)


@pytest.mark.skipif(not NOTES.is_dir(), reason="the shared transcripts are not on this machine")
def test_days_of_the_shared_transcripts_are_joined_without_a_doubt() -> None:
    paths = sorted(NOTES.glob("*.json"))
    notes = [write_note(read_transcript(path), day=DAY, writers=EXTRACTIVE) for path in paths]
    for chosen in (notes, notes[::-1], notes[::2], notes[1::3]):
        entry = write(*chosen)
        assert entry.grounded_share == 1.0
        assert [finding for finding in entry.findings if finding.severity != "info"] == []
        assert [sentence.text for sentence in entry.draft.body] == said_by(entry, tuple(chosen))
        assert {name for note in chosen for name in note.draft.people} <= set(entry.draft.people)
        assert len(entry.draft.title) <= 72
        assert len(entry.draft.summary) < 500
