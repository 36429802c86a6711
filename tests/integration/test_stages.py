"""The stages on real parts, without Prefect: what happens to recordings that change, vanish, or fail on the way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from diarynotes import observe
from diarynotes.buckets import list_objects
from diarynotes.errors import EngineFailed
from diarynotes.models import Segment, Transcript, WindowText
from diarynotes.settings import load_settings
from diarynotes.testing import ScriptedEngine
from flows import stages, writing
from flows.transcription import transcribe_claimed
from flows.workshop import Wishes, Workshop, open_workshop
from flows.writers import Writers

pytest_plugins = ["tests.integration.store_fixtures"]

EXAMPLES = Path(__file__).parents[2] / "examples" / "voice-notes"
WISHES = Wishes(engine="scripted", model="", language="", writers=("extractive",))


@pytest.fixture
def shop(tmp_path: Path, database_url: str) -> Iterator[Workshop]:
    home = tmp_path / "home"
    settings = load_settings({}, home=home, database_url=database_url, timezone="Europe/Berlin", workers=1)
    with open_workshop(settings) as workshop:
        yield workshop


@pytest.fixture
def note(tmp_path: Path) -> Path:
    path = tmp_path / "notes" / "2026-05-23T09-15-00.wav"
    path.parent.mkdir()
    path.write_bytes((EXAMPLES / path.name).read_bytes())
    return path


def register(shop: Workshop, path: Path) -> tuple[str, ...]:
    found = stages.register_objects(shop, list(list_objects(str(path))), owner="me", priority="normal")
    assert not found.problems
    return found.ids


def states(shop: Workshop, ids: tuple[str, ...]) -> list[tuple[str, str | None]]:
    return [(line.job.state, line.job.error_code) for line in shop.store.jobs.list(ids)]


def run_all(shop: Workshop, ids: tuple[str, ...]) -> None:
    stages.validate_recordings(shop, ids)
    transcribe_claimed(shop, ids, wishes=WISHES)
    stages.write_notes(shop, ids, wishes=WISHES)
    stages.land_notes(shop, ids)


def test_every_stage_tells_what_it_did(shop: Workshop, note: Path) -> None:
    told: list[str] = []
    with observe.listening(lambda event: told.append(event.name)):
        ids = register(shop, note)
        run_all(shop, ids)
    heard = ["listening_planned", "listened", "transcribed"]
    assert told == ["registered", "validated", *heard, "written", "landed"]
    assert states(shop, ids) == [("landed", None)]
    assert shop.store.verify() == ()


def test_an_unchanged_file_is_not_read_again(shop: Workshop, note: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = register(shop, note)
    monkeypatch.setattr(stages, "hash_object", lambda *args, **kwargs: pytest.fail("it was read"))
    assert register(shop, note) == ids


def test_a_file_that_vanished_waits_and_is_heard_when_it_is_back(shop: Workshop, note: Path) -> None:
    ids = register(shop, note)
    kept = note.read_bytes()
    note.unlink()
    stages.validate_recordings(shop, ids)
    assert states(shop, ids) == [("waiting", "source_unavailable")]
    note.write_bytes(kept)
    shop.store.jobs.retry(ids)
    run_all(shop, ids)
    assert states(shop, ids) == [("landed", None)]


@pytest.mark.parametrize("grown", [b"more", b""])
def test_a_file_that_is_another_one_by_now_is_not_taken_for_the_first(shop: Workshop, note: Path, grown: bytes) -> None:
    ids = register(shop, note)
    content = bytearray(note.read_bytes() + grown)
    content[-1] ^= 1  # other bytes, of the same length where nothing has grown
    note.write_bytes(content)
    stages.validate_recordings(shop, ids)
    assert states(shop, ids) == [("waiting", "source_unavailable")]
    assert register(shop, note) != ids


def test_a_recording_that_fails_three_times_is_dead_and_can_be_retried(
    shop: Workshop, note: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(ScriptedEngine):
        def decode(self, windows: Any) -> list[WindowText]:
            raise EngineFailed(self.name, "a worker hung or died")

    ids = register(shop, note)
    stages.validate_recordings(shop, ids)
    shop.settings = replace(shop.settings, retry_delays_s=(0.0, 0.0, 0.0))
    with monkeypatch.context() as today:
        today.setattr(shop, "engine_for", lambda *_: nullcontext(Broken()))
        for _ in range(4):
            transcribe_claimed(shop, ids, wishes=WISHES)
    assert states(shop, ids) == [("dead", "engine_failed")]
    shop.store.jobs.retry(ids)
    run_all(shop, ids)
    assert states(shop, ids) == [("landed", None)]


def test_an_unforeseen_error_costs_one_recording_and_its_words_are_not_kept(
    shop: Workshop, note: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "notes" / "other.flac").write_bytes((EXAMPLES / "Recording 22 May 2026 at 17.20.flac").read_bytes())
    ids = register(shop, note.parent)
    stages.validate_recordings(shop, ids)
    transcribe_claimed(shop, ids, wishes=WISHES)
    write_note = writing.write_note

    def fail_once(transcript: Any, **kwargs: Any) -> Any:
        if transcript.recording_id == ids[0]:
            raise ValueError(f"cannot write {transcript.text}")
        return write_note(transcript, **kwargs)

    monkeypatch.setattr(writing, "write_note", fail_once)
    stages.write_notes(shop, ids, wishes=WISHES)
    found = {line.job.recording_id: line.job for line in shop.store.jobs.list(ids)}
    assert found[ids[0]].state == "waiting"
    assert found[ids[0]].error_code == "unexpected"
    assert "ValueError" in (found[ids[0]].error_message or "")
    assert "cannot write" not in (found[ids[0]].error_message or "")
    assert found[ids[1]].state == "written"


def test_what_fails_the_data_checks_is_set_aside_and_the_rest_lands(
    shop: Workshop, note: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "notes" / "other.flac").write_bytes((EXAMPLES / "Recording 22 May 2026 at 17.20.flac").read_bytes())
    ids = register(shop, note.parent)
    stages.validate_recordings(shop, ids)
    transcribe_claimed(shop, ids, wishes=WISHES)
    write_note = writing.write_note

    def untitled(transcript: Any, **kwargs: Any) -> Any:
        made = write_note(transcript, **kwargs)
        return replace(made, draft=replace(made.draft, title="")) if transcript.recording_id == ids[0] else made

    monkeypatch.setattr(writing, "write_note", untitled)
    stages.write_notes(shop, ids, wishes=WISHES)
    landed = stages.land_notes(shop, ids)
    found = {line.job.recording_id: line.job for line in shop.store.jobs.list(ids)}
    assert (found[ids[0]].state, found[ids[0]].error_code) == ("quarantined", "failed_checks")
    assert "notes.title" in (found[ids[0]].error_message or "")
    assert found[ids[1]].state == "landed"
    assert [check.table for check in landed.checks if not check.passed] == ["notes"]
    assert shop.store.verify() == ()


def test_a_stop_gives_back_what_was_not_begun(shop: Workshop, note: Path) -> None:
    ids = register(shop, note)
    shop.stopping.set()
    stages.validate_recordings(shop, ids)
    assert states(shop, ids) == [("received", None)]
    shop.stopping.clear()
    run_all(shop, ids)
    assert states(shop, ids) == [("landed", None)]


def test_five_thousand_objects_are_registered_in_chunks(shop: Workshop, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(5_000):
        (folder / f"{number}.txt").write_text(str(number))
    objects = list(list_objects(str(folder)))
    ids = {
        found
        for start in range(0, len(objects), 200)
        for found in stages.register_objects(shop, objects[start : start + 200], owner="me", priority="low").ids
    }
    assert len(ids) == 5_000
    assert shop.store.jobs.count() == {"received": 5_000}


def test_two_owners_of_one_file_have_a_recording_each(shop: Workshop, note: Path) -> None:
    objects = list(list_objects(str(note)))
    ours = stages.register_objects(shop, objects, owner="anna", priority="normal")
    theirs = stages.register_objects(shop, objects, owner="ben", priority="normal")
    assert ours.ids != theirs.ids
    assert shop.store.jobs.count() == {"received": 2}


def test_a_recording_that_was_found_in_a_private_place_too_stays_here(
    shop: Workshop, note: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "private" / "copy.wav"
    copy.parent.mkdir()
    copy.write_bytes(note.read_bytes())
    (recording_id,) = register(shop, note)
    assert register(shop, copy) == (recording_id,)
    recording = shop.store.recordings([recording_id])[recording_id]
    assert {place.uri for place in shop.store.places([recording_id])[recording_id]} == {str(note), str(copy)}
    said = Transcript("t", recording_id, "e", "m", "en", (Segment(0.0, 1.0, "It rained."),), 1.0)
    wishes = replace(WISHES, writers=("openai",))
    settings = replace(shop.settings, openai_api_key="k")
    for local_only, writers in (((), ["openai", "extractive"]), (("private",), ["extractive"])):
        shop.settings = replace(settings, local_only=local_only)
        shop.writers = Writers(shop.settings)
        planned = writing.plan_work(shop, recording, said, wishes)
        assert [writer.name for writer in planned.chain] == writers
        shop.writers.close()
