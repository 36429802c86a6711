"""Masking on whole transcripts: nothing of what a note needs is lost on the way out and back."""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from diarynotes.diary import ground_draft, open_writer
from diarynotes.diary.masking import Mask, mask_transcript
from diarynotes.models import Draft, Mood, Segment, Sentence, Transcript

NOTES = sorted((Path(__file__).parents[2].parent / "shared" / "notes").glob("*.json"))
needs_notes = pytest.mark.skipif(not NOTES, reason="the shared notes are not here")


def hear(texts: list[str]) -> Transcript:
    segments = tuple(Segment(float(n), n + 1.0, text) for n, text in enumerate(texts))
    return Transcript("t", "r", "e", "m", "en", segments, 1.0)


def copy_out(masked: Transcript) -> Draft:
    """The draft of a writer that copies every segment."""
    body = tuple(Sentence(segment.text, (number,)) for number, segment in enumerate(masked.segments))
    return Draft(masked.segments[0].text, masked.text, Mood("neutral", 0.0), body)


@needs_notes
@pytest.mark.parametrize("path", NOTES, ids=lambda path: path.stem)
def test_what_a_faithful_note_must_hold_survives(path: Path) -> None:
    note: dict[str, Any] = json.loads(path.read_text())
    transcript = hear(note["segments"])
    masked, private = mask_transcript(transcript)
    assert set(private.kinds) <= {"PERSON"}, "these notes name people and hold no other private thing"
    open_facts = note["expect"]["places"] + note["expect"]["numbers"] + note["expect"]["must_mention"]
    spoken = {fact for fact in open_facts if fact.lower() in transcript.text.lower()}
    assert all(fact.lower() in masked.text.lower() for fact in spoken)
    plain, findings = private.unmask(copy_out(masked))
    assert plain == copy_out(transcript)
    assert findings == ()
    assert ground_draft(plain, transcript).findings == ground_draft(copy_out(transcript), transcript).findings


@needs_notes
def test_the_people_of_the_notes_are_masked() -> None:
    for path in NOTES:
        note: dict[str, Any] = json.loads(path.read_text())
        masked, _ = mask_transcript(hear(note["segments"]))
        named = {name.split()[-1] for name in note["expect"]["people"]} - {"Mum"}
        assert not [name for name in named if re.search(rf"\b{name}\b", masked.text, re.IGNORECASE)]


@needs_notes
def test_a_note_written_from_masked_words_is_the_owners_again() -> None:
    for path in NOTES:
        masked, private = mask_transcript(hear(json.loads(path.read_text())["segments"]))
        writer = open_writer("extractive")
        draft, _ = private.unmask(writer.write(masked, day=date(2026, 5, 23)))
        assert "PERSON" not in repr(draft)


def test_time_grows_with_the_length_alone() -> None:
    once = [
        "I went to the market with Anna and then we talked about the garden, call 0176 1234567.",
        "It was fine.",
    ] * 150

    def spend(texts: list[str]) -> tuple[float, Mask]:
        start = time.process_time()
        _, private = mask_transcript(replace(hear(texts)), names=["Katharina Berg"])
        return time.process_time() - start, private

    # The least of three: whoever shares the machine makes some of them slower.
    short = min(spend(once)[0] for _ in range(3))
    long, private = min((spend(once * 8) for _ in range(3)), key=lambda spent: spent[0])
    assert dict(private.kinds) == {"PERSON": 1, "PHONE": 1}
    assert long < 8 * short * 4, "eight times the length would take 64 times as long if it grew with the square"
