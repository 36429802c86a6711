"""The chain of writers and what becomes of its draft: as a note, as JSON, as a page, and out of a file."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from diarynotes.diary import (
    Writer,
    note_as_json,
    note_as_markdown,
    open_writer,
    open_writers,
    read_transcript,
    write_note,
)
from diarynotes.errors import BadSettings, WriterFailed
from diarynotes.models import DiaryNote, Draft, Media, Mood, Recording, Segment, Sentence, Todo, Transcript, Usage
from diarynotes.testing import ScriptedWriter

DAY = date(2026, 6, 10)
SAID = Transcript(
    "t", "r", "fake", "fake", "en", (Segment(0, 5, "I saw 2 herons."), Segment(5, 9, "Call Tom by Friday.")), 1.0
)
DRAFT = Draft(
    title="Herons",
    summary="I saw 2 herons.",
    mood=Mood("neutral", 0.1),
    body=(Sentence("I saw 2 herons.", (0,)), Sentence("Call Tom by Friday.", (1,))),
    people=("Tom",),
    topics=("herons",),
    todos=(Todo("Call Tom", date(2026, 6, 12)), Todo("Call Tom by Friday")),
    questions=(),
)
USED = Usage("fake", "fake", 100, 10)


def write(*writers: Writer) -> DiaryNote:
    return write_note(SAID, day=DAY, writers=writers)


@pytest.mark.parametrize("writer", [open_writer("extractive"), ScriptedWriter(DRAFT)], ids=lambda writer: writer.name)
def test_every_writer_keeps_the_contract(writer: Writer) -> None:
    draft = writer.write(SAID, day=DAY)
    assert draft.title
    assert draft.body
    assert all(sentence.evidence for sentence in draft.body)
    assert writer.write(SAID, day=DAY) == draft
    assert writer.model
    assert writer.prompt_version


def invent(*said: Sentence) -> Draft:
    """A draft of these sentences and of two that nobody said."""
    champagne = Sentence("Afterwards we celebrated with champagne in Paris.", (0,))
    return replace(DRAFT, body=(*said, champagne, replace(champagne, evidence=(1,))), usage=(USED,))


@pytest.mark.parametrize("draft", [invent(), replace(DRAFT, body=(), usage=(USED,))], ids=["invented", "empty"])
def test_a_model_that_tells_nothing_of_what_was_said_has_written_no_note(draft: Draft) -> None:
    note = write(ScriptedWriter(draft), open_writer("extractive"))
    assert (note.writer, note.degraded) == ("extractive", True)
    assert [sentence.text for sentence in note.draft.body] == ["I saw 2 herons.", "Call Tom by Friday."]
    assert note.draft.usage == (USED,), "it was paid for all the same"
    assert [finding.code for finding in note.findings] == ["writer_failed"]
    with pytest.raises(WriterFailed, match="tell what was said") as caught:
        write(ScriptedWriter(draft))
    assert (caught.value.kind, caught.value.usage) == ("bad_output", (USED,))


def test_a_model_that_tells_some_of_what_was_said_has_its_note_without_the_rest() -> None:
    note = write(ScriptedWriter(invent(*DRAFT.body)), open_writer("extractive"))
    assert (note.writer, note.draft.body, note.grounded_share) == ("scripted", DRAFT.body, 0.5)


def test_the_first_writer_that_answers_writes_the_note() -> None:
    second = ScriptedWriter(DRAFT)
    note = write(ScriptedWriter(DRAFT, model="best"), second)
    assert (note.writer, note.model, note.degraded, note.findings) == ("scripted", "best", False, ())
    assert second.asked == 0
    assert note.draft == DRAFT
    assert note.id == DiaryNote.identify("t", "scripted", "best", "1")


def test_a_writer_that_fails_hands_on_and_the_note_is_degraded() -> None:
    note = write(ScriptedWriter(WriterFailed("scripted", "it is down")), ScriptedWriter(DRAFT))
    assert note.degraded
    assert [finding.code for finding in note.findings] == ["writer_failed"]


def test_a_writer_without_a_model_is_degraded_even_when_first() -> None:
    assert write(open_writer("extractive")).degraded
    assert write(ScriptedWriter(DRAFT, degraded=True)).degraded


def test_when_all_fail_the_last_failure_is_told() -> None:
    with pytest.raises(WriterFailed, match="second"):
        write(ScriptedWriter(WriterFailed("first", "x")), ScriptedWriter(WriterFailed("second", "x")))
    with pytest.raises(BadSettings):
        write()


def test_every_chain_ends_with_the_writer_that_needs_no_model() -> None:
    assert [writer.name for writer in open_writers([])] == ["extractive"]
    assert [writer.name for writer in open_writers(["extractive", "extractive"])] == ["extractive"]


def test_an_unknown_writer_names_the_known_ones() -> None:
    with pytest.raises(BadSettings, match="extractive"):
        open_writer("poet")


def test_note_as_json_is_the_contract() -> None:
    data = json.loads(json.dumps(note_as_json(write(ScriptedWriter(DRAFT)))))
    assert data == {
        "title": "Herons",
        "summary": "I saw 2 herons.",
        "body": [{"text": "I saw 2 herons.", "evidence": [0]}, {"text": "Call Tom by Friday.", "evidence": [1]}],
        "mood": {"label": "neutral", "score": 0.1},
        "people": ["Tom"],
        "places": [],
        "topics": ["herons"],
        "todos": [{"text": "Call Tom", "due": "2026-06-12"}, {"text": "Call Tom by Friday", "due": None}],
        "questions": [],
        "writer": "scripted",
        "model": "lines",
        "degraded": False,
        "grounded_share": 1.0,
        "findings": [],
    }


def test_a_page_reads_like_a_diary() -> None:
    media = Media("wav", "pcm_s16le", 75.4, 16_000, 1)
    now = datetime(2026, 6, 10, tzinfo=UTC)
    recording = Recording("r", "me", "file:///a.wav", "0" * 64, 1, now, "file_time", media=media)
    assert note_as_markdown(write(ScriptedWriter(DRAFT)), recording) == (
        "# Herons\n\n"
        "*Wednesday, 10 June 2026 · neutral mood · 1:15*\n\n"
        "> I saw 2 herons.\n\n"
        "I saw 2 herons. Call Tom by Friday.\n\n"
        "## To do\n\n"
        "- [ ] Call Tom *(Friday, 12 June 2026)*\n"
        "- [ ] Call Tom by Friday\n\n"
        "**People:** Tom  \n"
        "**Topics:** herons\n"
    )


def test_nothing_that_was_said_turns_into_markdown() -> None:
    draft = Draft(title="*2* [x](y)", summary="", mood=Mood("neutral", 0.0), body=(Sentence("# 2 <b> herons", (0,)),))
    page = note_as_markdown(write(ScriptedWriter(draft)))
    assert "# \\*2\\* \\[x\\](y)" in page
    assert "\\# 2 \\<b\\> herons" in page


def test_a_text_file_is_a_segment_a_line(tmp_path: Path) -> None:
    path = tmp_path / "memo.txt"
    path.write_bytes("\ufeffFirst.\n\n  Second. \r\n".encode())
    transcript = read_transcript(path)
    assert [segment.text for segment in transcript.segments] == ["First.", "Second."]
    assert transcript.segments[0].end_s <= transcript.segments[1].start_s
    assert read_transcript(path) == transcript


def test_a_json_file_may_hold_times(tmp_path: Path) -> None:
    path = tmp_path / "memo.json"
    path.write_text('{"language": "nl", "segments": ["Een.", {"start_s": 3, "end_s": 4.5, "text": "Twee."}]}')
    transcript = read_transcript(path)
    assert transcript.language == "nl"
    assert transcript.segments[1] == Segment(3.0, 4.5, "Twee.")


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"[]",
        b"[" * 100_000,
        b"{}",
        b'{"segments": {}}',
        b'{"segments": [1]}',
        b'{"segments": [{"text": 1}]}',
        b'{"segments": [{"text": "secret", "start_s": 2, "end_s": 1}]}',
        b'{"segments": [{"text": "secret", "start_s": "2"}]}',
        b'{"segments": [], "language": 1}',
        b"\xff\xfe\x00secret",
    ],
)
def test_a_file_of_another_form_is_refused_without_its_text(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "memo.json"
    path.write_bytes(content)
    with pytest.raises(BadSettings) as caught:
        read_transcript(path)
    assert "memo.json" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match=r"nowhere\.txt"):
        read_transcript(tmp_path / "nowhere.txt")
    with pytest.raises(BadSettings):
        read_transcript(tmp_path)
