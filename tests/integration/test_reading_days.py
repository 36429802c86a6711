"""`notes --day` and `export` on a real store, as a person calls them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from sqlalchemy import text

from diarynotes.cli import main
from diarynotes.settings import load_settings
from flows.entries import write_entries
from flows.workshop import Workshop, open_workshop
from tests.integration.diary_samples import SHARED_NOTES, WISHES, hear, read_said, write

pytest_plugins = ["tests.integration.store_fixtures"]

GARDEN = ("I spent most of the day in the garden with Anna.", "I need to buy a new hose, the old one leaks.")
REVIEW = ("The review with Marcus went badly.", "I am angry, mostly at myself.")
OWLS = ("The owls are out again.", "I counted three of them.")


class Person:
    """Somebody who records, and calls the command line."""

    def __init__(self, shop: Workshop, home: Path, database_url: str) -> None:
        self.shop = shop
        self._environment = {
            "DIARYNOTES_HOME": str(home),
            "DIARYNOTES_DATABASE_URL": database_url,
            "DIARYNOTES_TIMEZONE": "Europe/Berlin",
        }

    def record(self, at: str, said: Sequence[str], owner: str = "me", *, amend: bool = True) -> None:
        recording_id = hear(self.shop.store, datetime.fromisoformat(at).replace(tzinfo=UTC), said, owner=owner)
        write(self.shop, recording_id)
        if amend:
            write_entries(self.shop, [recording_id], wishes=WISHES)

    def call(self, *arguments: str | Path) -> Result:
        return CliRunner().invoke(main, list(map(str, arguments)), env=self._environment)

    def ask(self, *arguments: str | Path) -> object:
        result = self.call(*arguments, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)


@pytest.fixture
def person(database_url: str, tmp_path: Path) -> Iterator[Person]:
    home = tmp_path / "home"
    settings = load_settings({}, home=home, timezone="Europe/Berlin", database_url=database_url)
    with open_workshop(settings) as workshop:
        yield Person(workshop, home, database_url)


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# -- notes --day ------------------------------------------------------------------------------------------------------


def test_a_day_is_a_page_with_its_notes_below(person: Person) -> None:
    person.record("2026-05-20T07:30", GARDEN)
    person.record("2026-05-20T23:30", OWLS)  # half past one at night still belongs to the day before
    person.record("2026-05-21T07:30", REVIEW)
    page = person.call("notes", "--day", "2026-05-20").stdout
    assert page.startswith("# In the garden with Anna")
    assert "*Wednesday, 20 May 2026" in page
    assert "- [ ] Buy a new hose" in page
    assert "Marcus" not in page
    assert page.index("09:30") < page.index("01:30")

    told = person.ask("notes", "--day", "2026-05-20")
    assert isinstance(told, dict)
    assert set(told) == {"day", "owner", "entry", "notes"}
    assert (told["day"], told["owner"]) == ("2026-05-20", "me")
    assert [sentence["text"] for sentence in told["entry"]["body"]] == [*GARDEN, *OWLS]
    assert [each["in_entry"] for each in told["notes"]] == [True, True]
    assert [each["note_id"] for each in told["notes"]] == told["entry"]["note_ids"]
    assert len(person.ask("notes")) == 3  # type: ignore[arg-type]


def test_a_day_without_notes_and_a_note_that_is_in_no_entry_yet(person: Person) -> None:
    assert "no notes of this day" in person.call("notes", "--day", "2026-05-20").stdout
    assert person.ask("notes", "--day", "2026-05-20") == {
        "day": "2026-05-20", "owner": None, "entry": None, "notes": []
    }  # fmt: skip
    person.record("2026-05-20T07:30", GARDEN)
    person.record("2026-05-20T09:30", OWLS, amend=False)
    told = person.ask("notes", "--day", "2026-05-20")
    assert isinstance(told, dict)
    assert [each["in_entry"] for each in told["notes"]] == [True, False]
    assert person.call("notes", "--day", "2026-05-20").stdout.count("not yet") == 1


def test_earlier_versions_of_a_day_are_listed_when_asked_for(person: Person) -> None:
    person.record("2026-05-20T07:30", GARDEN)
    person.record("2026-05-20T09:30", OWLS)
    assert "Earlier versions" not in person.call("notes", "--day", "2026-05-20").stdout
    listed = person.call("notes", "--day", "2026-05-20", "--history").stdout
    assert "Earlier versions" in listed
    assert "extractive-1" in listed
    told = person.ask("notes", "--day", "2026-05-20", "--history")
    assert isinstance(told, dict)
    assert [each["note_ids"] for each in told["history"]] == [told["entry"]["note_ids"][:1]]
    assert person.call("notes", "--history").exit_code == 2


def test_several_owners_have_a_page_each(person: Person) -> None:
    person.record("2026-05-20T07:30", GARDEN, owner="ann")
    person.record("2026-05-20T09:30", OWLS, owner="bob")
    page = person.call("notes", "--day", "2026-05-20").stdout
    assert page.index("ann:\n") < page.index("Anna") < page.index("bob:\n") < page.index("owls")
    told = person.ask("notes", "--day", "2026-05-20")
    assert isinstance(told, dict)
    assert [each["owner"] for each in told["pages"]] == ["ann", "bob"]
    only = person.ask("notes", "--day", "2026-05-20", "--owner", "bob")
    assert only == told["pages"][1]


# -- export -----------------------------------------------------------------------------------------------------------


def test_a_diary_is_exported_the_same_every_time_and_late_notes_change_their_day_alone(
    person: Person, tmp_path: Path
) -> None:
    person.record("2026-05-20T07:30", GARDEN)
    person.record("2026-05-21T07:30", REVIEW)
    out = tmp_path / "out"
    first = person.ask("export", out)
    assert first == {
        "folder": str(out), "days": 2, "notes": 2, "written": 4, "unchanged": 0, "removed": 0,
        "kept": [], "beside": [], "missing_audio": [],
    }  # fmt: skip
    before = files_in(out)
    assert person.call("export", tmp_path / "again").exit_code == 0
    assert files_in(tmp_path / "again") == before

    person.record("2026-05-20T09:30", OWLS)
    person.call("export", out)
    after = files_in(out)
    changed = {path for path in after if after[path] != before.get(path)}
    assert {path for path in changed if "notes/" not in path} == {"2026/2026-05-20.md", ".diarynotes.json"}
    head, _, body = after["2026/2026-05-20.md"].decode().removeprefix("---\n").partition("\n---\n")
    assert yaml.safe_load(head)["notes"] == [
        path.removeprefix("2026/") for path in sorted(after) if "notes/2026-05-20" in path
    ]
    assert "The owls are out again." in body
    assert "](file:///notes/me/2026-05-20T07-30-00.m4a)" in body


def test_a_page_that_was_changed_by_hand_stays_and_that_is_said(person: Person, tmp_path: Path) -> None:
    person.record("2026-05-20T07:30", GARDEN)
    person.call("export", tmp_path)
    page = tmp_path / "2026" / "2026-05-20.md"
    page.write_text("My own words.")
    person.record("2026-05-20T09:30", OWLS)
    result = person.call("export", tmp_path)
    assert result.exit_code == 0
    assert "2026/2026-05-20.md was changed by hand" in result.stderr
    assert "2026/2026-05-20 (diarynotes).md" in result.stderr
    assert page.read_text() == "My own words."
    assert "owls" in page.with_name("2026-05-20 (diarynotes).md").read_text()


def test_owners_days_and_recordings_can_be_chosen(person: Person, tmp_path: Path) -> None:
    person.record("2026-05-20T07:30", GARDEN, owner="ann")
    person.record("2026-05-21T07:30", OWLS, owner="ann")
    person.record("2026-05-21T07:30", REVIEW, owner="b/b")
    person.call("export", tmp_path / "all")
    assert {path.partition("/")[0] for path in files_in(tmp_path / "all")} == {"ann", "b_b", ".diarynotes.json"}
    person.call("export", tmp_path / "one", "--owner", "ann", "--since", "2026-05-21", "--until", "2026-05-21")
    pages = {path for path in files_in(tmp_path / "one") if "notes/" not in path}
    assert pages == {"2026/2026-05-21.md", ".diarynotes.json"}
    silent = person.call("export", tmp_path / "silent", "--audio", "none")
    assert silent.exit_code == 0
    assert not any(b"recording](" in page for page in files_in(tmp_path / "silent").values())
    copied = person.ask("export", tmp_path / "copied", "--audio", "copy", "--owner", "ann")
    assert isinstance(copied, dict)
    assert len(copied["missing_audio"]) == 2  # nothing lies where these were recorded
    assert not any(b"recording](" in page for page in files_in(tmp_path / "copied").values())


def test_recordings_that_are_there_are_copied_and_linked(person: Person, tmp_path: Path) -> None:
    person.record("2026-05-20T07:30", GARDEN)
    (stored,) = person.shop.store.notes()
    sound = tmp_path / "memo.m4a"
    sound.write_bytes(b"sound")
    with person.shop.store.engine.begin() as connection:
        connection.execute(
            text("update recordings set uri = :uri, sha256 = :hash, size_bytes = 5"),
            {"uri": str(sound), "hash": hashlib.sha256(b"sound").hexdigest()},
        )
    told = person.ask("export", tmp_path / "out", "--audio", "copy")
    assert isinstance(told, dict)
    assert told["missing_audio"] == []
    name = f"2026-05-20-0930-{stored.recording.id[:8]}"
    files = files_in(tmp_path / "out")
    assert files[f"2026/audio/{name}.m4a"] == b"sound"
    assert f"[recording](audio/{name}.m4a)".encode() in files["2026/2026-05-20.md"]
    assert f"[0:04](../audio/{name}.m4a#t=4)".encode() in files[f"2026/notes/{name}.md"]


def test_wrong_use_is_told(person: Person, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert person.call("export", tmp_path / "file").exit_code == 2
    wrong = person.call("export", tmp_path / "out", "--format", "pdf")
    assert wrong.exit_code == 2
    assert "known is markdown" in wrong.stderr
    assert not (tmp_path / "out").exists()


def test_days_whose_entry_is_not_written_are_exported_all_the_same(person: Person, tmp_path: Path) -> None:
    person.record("2026-05-20T07:30", GARDEN, amend=False)
    person.record("2026-05-20T09:30", OWLS, amend=False)
    person.call("export", tmp_path)
    page = (tmp_path / "2026" / "2026-05-20.md").read_text()
    assert GARDEN[0] in page
    assert OWLS[0] in page
    assert "not in the entry" not in page


@pytest.mark.skipif(not SHARED_NOTES.is_dir(), reason="the shared transcripts are not on this machine")
def test_a_week_of_the_shared_transcripts_reads_as_yaml_and_links_to_what_is_there(
    person: Person, tmp_path: Path
) -> None:
    for number, path in enumerate(sorted(SHARED_NOTES.glob("*.json"))):
        person.record(f"2026-05-{18 + number // 2}T{7 + 9 * (number % 2):02}:30", read_said(path.stem), amend=False)
    write_entries(person.shop, None, wishes=WISHES)
    person.call("export", tmp_path)
    pages = list(tmp_path.rglob("*.md"))
    assert len(pages) == 4 + 8
    for path in pages:
        _, head, body = path.read_text().split("---\n", 2)
        known = yaml.safe_load(head)
        assert body.startswith(f"\n# {known['title']}")
        for link in known.get("notes", ()):
            assert (path.parent / link).is_file()
