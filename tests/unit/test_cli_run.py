"""What `run` and `notes` tell of the notes that there are."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from diarynotes.cli import run as cli_run
from diarynotes.cli.read import print_findings
from diarynotes.cli.run import describe_note, print_notes, print_outcome
from diarynotes.models import DiaryNote, Draft, Finding, Mood, Recording, Segment, Transcript
from diarynotes.store import StoredNote

DRAFT = Draft("At the sea", "", Mood("positive", 0.5), ())
NOTE = DiaryNote("n", "t", "r", date(2026, 5, 21), DRAFT, "openai", "gpt", "1", False, grounded_share=0.9)
HEARD = Transcript("t", "r", "whisper", "base", "en", (Segment(0.0, 1.0, "At the sea.", -0.2, 0.01),), 0.9)
RECORDING = Recording("r", "me", "/notes/a.m4a", "0", 1, datetime(2026, 5, 21, tzinfo=UTC), "file_time")
REFUSED = Finding("writer_failed", "info", "writer openai", "The writer openai gave no note (no key).")


def stored(**changes: Any) -> StoredNote:
    return StoredNote(replace(NOTE, **changes), RECORDING, HEARD, Decimal(0), RECORDING.recorded_at)


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")


def test_who_heard_and_wrote_them_is_told_once_where_all_are_alike(capsys: pytest.CaptureFixture[str]) -> None:
    print_notes([describe_note(stored()), describe_note(stored())])
    out = capsys.readouterr().out
    assert "Heard by whisper, written by openai." in out
    assert out.count("openai") == 1


def test_who_wrote_them_has_a_column_where_it_differs(capsys: pytest.CaptureFixture[str]) -> None:
    print_notes([describe_note(stored()), describe_note(stored(writer="extractive"))])
    out = capsys.readouterr().out
    assert "written by" in out.splitlines()[1]
    assert out.splitlines()[-1] == "Heard by whisper."


def test_no_day_is_broken_on_a_narrow_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    print_notes([describe_note(stored(draft=replace(DRAFT, title="A long day at the sea with all of them")))])
    assert "2026-05-21" in capsys.readouterr().out


def test_a_writer_that_failed_is_told_of(capsys: pytest.CaptureFixture[str]) -> None:
    failed = [stored(writer="extractive", degraded=True, findings=(REFUSED,)) for _ in range(3)]
    notes = [describe_note(each) for each in (*failed, stored())]
    counts = dict.fromkeys(("skipped", "quarantined", "waiting", "dead"), 0)
    writers = [{"message": REFUSED.message, "notes": 3}]
    print_outcome({"recordings": 4, "landed": 4, **counts, "notes": notes, "problems": [], "writers_failed": writers})
    told = "3 notes: The writer openai gave no note (no key). `diarynotes upgrade` tries again."
    assert told in capsys.readouterr().out.splitlines()


def test_notes_of_a_large_run_are_read_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli_run, "_READ_AT_ONCE", 2)
    kept = {
        f"r{number}": StoredNote(
            replace(NOTE, recording_id=f"r{number}", findings=(REFUSED,) if number < 3 else ()),
            replace(RECORDING, id=f"r{number}", recorded_at=RECORDING.recorded_at - timedelta(hours=number)),
            HEARD,
            Decimal(0),
            RECORDING.recorded_at,
        )
        for number in range(5)
    }
    asked: list[int] = []

    def find_notes(recording_ids: list[str]) -> list[StoredNote]:
        asked.append(len(recording_ids))
        return [kept[key] for key in recording_ids]

    def list_jobs(ids: tuple[str, ...], states: list[str]) -> list[Any]:
        return [SimpleNamespace(job=SimpleNamespace(recording_id=key)) for key in ids if "landed" in states]

    jobs = SimpleNamespace(count=lambda ids: {"landed": len(ids)}, list=list_jobs)
    report = SimpleNamespace(ids=(*kept, "old"), landed_before={"old"}, problems=())
    outcome = cli_run.describe_outcome(SimpleNamespace(jobs=jobs, notes=find_notes), report)
    assert asked == [2, 2, 1]
    assert [note["recording_id"] for note in outcome["notes"]] == ["r4", "r3", "r2", "r1", "r0"]
    assert (outcome["landed"], outcome["skipped"]) == (5, 1)
    assert outcome["writers_failed"] == [{"message": REFUSED.message, "notes": 3}]


def test_what_was_seen_in_a_note_is_shown_with_it(capsys: pytest.CaptureFixture[str]) -> None:
    print_findings(NOTE)
    assert capsys.readouterr().out == ""
    print_findings(replace(NOTE, findings=(Finding("negation", "warning", "sentence 2", "A 'not' came or went."),)))
    out = capsys.readouterr().out
    assert "sentence 2" in out
    assert "90% of what openai wrote stands as it was said." in out
