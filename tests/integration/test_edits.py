"""A person's own edits: stored as versions, landed, and never written over, whatever else happens to the recording."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text

from diarynotes.cli import main
from diarynotes.models import PERSON, DiaryNote, Sentence
from diarynotes.settings import load_settings
from diarynotes.store.store import Store
from flows import stages
from flows.workshop import Workshop
from tests.integration.diary_samples import WISHES, hear

pytest_plugins = ["tests.integration.store_fixtures"]

MORNING = datetime(2026, 5, 21, 7, 30, tzinfo=UTC)
SAID = ("I spent most of the day in the garden with Anna.", "I need to buy a new hose, the old one leaks.")
SECRET = "Zaphod"

Call = Callable[..., Result]


@pytest.fixture
def shop(database_url: str, tmp_path: Path) -> Iterator[Workshop]:
    settings = load_settings({}, home=tmp_path / "home", timezone="UTC", database_url=database_url)
    workshop = Workshop(settings)
    yield workshop
    workshop.close()


@pytest.fixture
def store(shop: Workshop) -> Store:
    return shop.store


@pytest.fixture
def recording(shop: Workshop) -> str:
    """One whose note has landed, though not in the warehouse, which takes its time."""
    found = hear(shop.store, MORNING, SAID, name="garden")
    stages.write_notes(shop, [found], wishes=WISHES)
    shop.store.jobs.store_all_landed(shop.store.jobs.claim("written", ids=[found]))
    return found


@pytest.fixture
def call(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> Call:
    monkeypatch.setenv("DIARYNOTES_DATABASE_URL", str(shop.settings.database_url))
    monkeypatch.setenv("DIARYNOTES_TIMEZONE", "UTC")
    monkeypatch.setenv("DIARYNOTES_DAILY_ENTRIES", "false")
    monkeypatch.delenv("VISUAL", raising=False)
    home = str(shop.settings.home)
    return lambda *arguments, **more: CliRunner().invoke(main, ["--home", home, *arguments], **more)


def current(store: Store, recording_id: str) -> DiaryNote:
    (stored,) = store.notes(recording_ids=[recording_id])
    return stored.note


def edited(note: DiaryNote, title: str) -> DiaryNote:
    draft = replace(note.draft, title=title, body=(*note.draft.body, Sentence("Nobody said this.", ())), usage=())
    return replace(note, id=title, draft=draft, writer=PERSON, model="", prompt_version=title, degraded=False)


def history(store: Store, recording_id: str) -> list[tuple[str, str, bool]]:
    versions = store.versions(recording_id)
    return [(each.note.writer, each.note.draft.title, each.is_current) for each in versions]


def state(store: Store, recording_id: str) -> str:
    (line,) = store.jobs.list([recording_id])
    return line.job.state


def kept(shop: Workshop) -> list[Path]:
    return [path for path in (shop.settings.home / "edits").rglob("*") if path.is_file()]


# -- in the store -----------------------------------------------------------------------------------------------------


def test_nothing_that_is_written_later_goes_over_an_edit(shop: Workshop, store: Store, recording: str) -> None:
    first = current(store, recording)
    assert store.jobs.store_edit(edited(first, "Mine")) is not None
    stages.land_notes(shop, [recording])
    assert state(store, recording) == "landed"

    (job,) = store.jobs.claim("landed", ids=[recording])
    store.jobs.store_note(job, replace(first, id="better", writer="openai", model="m", degraded=False))
    stages.land_notes(shop, [recording])
    with store.engine.begin() as connection:  # as if its note had been turned away: back to the beginning
        connection.execute(text("update jobs set state = 'quarantined'"))
    store.jobs.retry([recording])
    with store.engine.begin() as connection:
        connection.execute(text("update jobs set state = 'transcribed'"))
    stages.write_notes(shop, [recording], wishes=WISHES)
    stages.land_notes(shop, [recording])

    assert state(store, recording) == "landed"
    assert current(store, recording).draft.title == "Mine"
    assert {(writer, is_current) for writer, _, is_current in history(store, recording)} == {
        (PERSON, True),
        ("openai", False),
        ("extractive", False),
    }
    assert store.verify() == ()
    store.rebuild()
    assert store.verify() == ()
    store.snapshot()
    assert store.query("select title, writer from notes")[1] == [("Mine", PERSON)]


def test_an_edit_goes_before_whatever_is_being_done(store: Store, recording: str) -> None:
    note = current(store, recording)
    (held,) = store.jobs.claim("landed", ids=[recording])
    moved = store.jobs.store_edit(edited(note, "Mine"))
    assert moved is not None
    assert (moved.state, moved.attempt) == ("written", held.attempt + 1)
    again = store.jobs.store_edit(edited(note, "Mine again"))
    assert again is not None
    assert [entry[1:] for entry in history(store, recording)[1:]] == [("Mine", False), ("Mine again", True)]


def test_a_recording_on_its_way_to_its_note_cannot_be_edited(store: Store, recording: str) -> None:
    note = current(store, recording)
    with store.engine.begin() as connection:
        connection.execute(text("update jobs set state = 'transcribed'"))
    assert store.jobs.store_edit(edited(note, "Mine")) is None
    assert current(store, recording) == note
    assert store.jobs.drop_edits(recording) is None


def test_dropping_edits_brings_the_newest_note_of_a_writer_back(store: Store, recording: str) -> None:
    note = current(store, recording)
    assert store.jobs.drop_edits(recording) is None
    for title in ("One", "Two"):
        store.jobs.store_edit(edited(note, title))
    assert store.jobs.drop_edits(recording) is not None
    assert current(store, recording) == note
    assert len(history(store, recording)) == 3
    assert store.jobs.drop_edits(recording) is None


# -- the command ------------------------------------------------------------------------------------------------------


def editor(tmp_path: Path, script: str) -> dict[str, str]:
    """An editor that is a shell script; $1 is the file."""
    path = tmp_path / "editor.sh"
    path.write_text(script)
    return {"EDITOR": f"sh {path}"}


def test_an_edit_in_the_editor_is_a_version_that_lands_and_leaves_no_file(
    shop: Workshop, store: Store, recording: str, call: Call, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    script = f"""
stat -c %a "$(dirname "$1")" > {tmp_path}/mode
sed -i 's/^I spent most of the day/I spent the whole day/; s/^\\[people\\]/[people]\\n- {SECRET}/' "$1"
cp "$1" "$1~"
"""
    caplog.set_level(logging.DEBUG)
    told = call("edit", "garden.m4a", env=editor(tmp_path, script))
    assert told.exit_code == 0, told.output
    assert "Your version is the note now." in told.output
    note = current(store, recording)
    assert (note.writer, note.model, note.degraded, note.findings) == (PERSON, "", False, ())
    assert note.draft.body[0] == Sentence("I spent the whole day in the garden with Anna.", (0,))
    assert SECRET in note.draft.people
    assert state(store, recording) == "landed"
    assert store.verify() == ()
    assert (tmp_path / "mode").read_text() == "700\n"
    assert list((shop.settings.home / "edits").iterdir()) == []
    assert SECRET not in told.output + caplog.text

    listed = json.loads(call("history", recording, "--json").stdout)
    assert [(each["version"], each["writer"], each["current"]) for each in listed] == [
        (1, "extractive", False),
        (2, PERSON, True),
    ]
    assert "most of the day" in call("history", recording[:8], "--version", "1").stdout
    assert SECRET in call("history", recording[:8], "--version", "2", "--json").stdout
    assert call("history", recording, "--version", "3").exit_code == 2

    dropped = call("edit", recording[:8], "--drop", "--json")
    assert dropped.exit_code == 0, dropped.output
    assert current(store, recording).writer == "extractive"
    assert store.verify() == ()


def test_what_changes_nothing_stores_nothing(store: Store, recording: str, call: Call, tmp_path: Path) -> None:
    attempts = [
        call("edit", recording, env={"EDITOR": "true"}),
        call("edit", recording, env=editor(tmp_path, ': > "$1"')),
        call("edit", recording, "--file", "-", input=call("edit", recording, "--print").stdout),
    ]
    assert [(told.exit_code, told.output) for told in attempts] == [(0, "Nothing has changed.\n")] * 3
    assert len(history(store, recording)) == 1


def test_a_text_that_cannot_be_read_back_is_kept_and_can_be_mended(
    shop: Workshop, store: Store, recording: str, call: Call, tmp_path: Path
) -> None:
    told = call(
        "edit", recording, env=editor(tmp_path, f"""sed -i 's/^\\[people\\]/[{SECRET}]/' "$1"; cp "$1" "$1~" """)
    )
    assert told.exit_code == 1 or told.exit_code == 2
    assert "no part of a note" in str(told.exception) + told.output
    (path,) = kept(shop)
    assert f"What you typed is kept in {path}" in told.output
    assert SECRET in path.read_text()
    assert SECRET not in told.output
    assert os.stat(path.parent).st_mode & 0o077 == 0
    assert len(history(store, recording)) == 1
    path.write_text(path.read_text().replace(f"[{SECRET}]", f"[people]\n{SECRET}"))
    mended = call("edit", recording, "--file", str(path))
    assert mended.exit_code == 0, mended.output
    assert SECRET in current(store, recording).draft.people
    assert kept(shop) == []


def test_what_is_no_text_and_what_fails_is_told(shop: Workshop, recording: str, call: Call, tmp_path: Path) -> None:
    path = tmp_path / "mine.txt"
    path.write_bytes(b"[title]\nA\n[body]\n\xff\n")
    assert "line 4: it is not in UTF-8" in call("edit", recording, "--file", str(path)).output
    assert path.exists()
    assert "No such file" in call("edit", recording, "--file", str(tmp_path / "none")).output
    assert "no file has that name" in call("edit", "nothing").output
    assert call("edit", recording, "--drop").exit_code == 2
    assert call("edit", recording, "--drop", "--print").exit_code == 2
    assert "Editing failed" in call("edit", recording, env={"EDITOR": "false"}).output
    assert kept(shop) == []
