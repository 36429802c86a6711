"""The exported folder: what stands in its files, that any YAML reader takes them, and that a person's changes stay."""

from __future__ import annotations

import hashlib
import json
import os
import random
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import yaml

from diarynotes.diary import open_writers
from diarynotes.diary.day import write_entry
from diarynotes.errors import BadSettings, StorageFailed
from diarynotes.export.folder import MANIFEST, File, Scope, Sound, Synced, decide, sync_folder
from diarynotes.export.front_matter import front_matter
from diarynotes.export.names import make_tag, name_folders, safe_name
from diarynotes.export.pages import Day, make_pages, name_note, name_sound
from diarynotes.models import DiaryNote, Draft, Media, Mood, Recording, Segment, Sentence, Todo, Transcript
from diarynotes.store import StoredNote

DAY = date(2026, 5, 20)
ALL = Scope()
BERLIN = ZoneInfo("Europe/Berlin")
NASTY = (
    "plain",
    'He said "no": 5 > 4 # not a comment',
    "- a list?",
    "yes",
    "2026-05-20",
    "null",
    "C:\\new\\table",
    "two\nlines\r\nand\ttabs",
    "émoji 🎙️ and 中文 and עברית",
    "\u2028 \u2029 \x85 \x7f \x00 \x1b \ufeff \ufffe",
    "{braces: [and, brackets]} & *anchors ! %tags @at `tick`",
    "---",
    "'single' \"double\" \\",
    " spaces ",
    "",
    "half of a pair \ud83d",
)


# -- front matter and names -------------------------------------------------------------------------------------------


def test_any_text_comes_back_from_the_front_matter_as_it_was() -> None:
    block = front_matter({"title": 'It\'s: "so"', "people": NASTY, "none": ()})
    assert block.startswith("---\n")
    assert block.endswith("\n---\n")
    assert block.count("\n---\n") == 1
    read = yaml.safe_load(block.removesuffix("---\n"))
    assert read == {"title": 'It\'s: "so"', "people": list(NASTY), "none": []}


def test_random_text_comes_back_from_the_front_matter() -> None:
    chance = random.Random(20260520)
    texts = ["".join(chr(chance.choice((chance.randrange(0xD800), chance.randrange(0xE000, 0x110000), 34, 92, 10)))
                     for _ in range(20)) for _ in range(300)]  # fmt: skip
    assert yaml.safe_load(front_matter({"t": texts}).removesuffix("---\n"))["t"] == texts


def test_values_keep_their_types() -> None:
    head = front_matter({"date": DAY, "degraded": True, "score": -0.25, "count": 3, "time": "01:10"})
    read = yaml.safe_load(head.removesuffix("---\n"))
    assert read == {"date": DAY, "degraded": True, "score": -0.25, "count": 3, "time": "01:10"}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("me", "me"),
        ("Ann & Bob", "Ann & Bob"),
        ('a<b>c:d"e/f\\g|h?i*j', "a_b_c_d_e_f_g_h_i_j"),
        ("..", "_"),
        ("../../etc", "_.._etc"),
        (".hidden", "hidden"),
        ("trailing. ", "trailing"),
        ("con", "_con"),
        ("LPT1.txt", "_LPT1.txt"),
        ("", "_"),
        ("line\nbreak\x00", "line_break_"),
        ("e\u0301", "é"),
        ("‮evil", "_evil"),
        ("half \ud83d", "half _"),
    ],
)
def test_names_are_safe_everywhere(text: str, name: str) -> None:
    assert safe_name(text) == name


def test_long_names_are_cut_between_letters() -> None:
    name = safe_name("ü" * 500)
    assert set(name) == {"ü"}
    assert 100 < len(name.encode()) <= 120


def test_owners_that_a_system_takes_for_one_get_folders_of_their_own() -> None:
    folders = name_folders(["Ann", "ann", "Bob", "a/b", "a?b"])
    assert folders["Bob"] == "Bob"
    assert len({name.casefold() for name in folders.values()}) == 5
    assert folders == name_folders(["a?b", "Bob", "ann", "a/b", "Ann"])


@pytest.mark.parametrize(
    ("topic", "tag"),
    [
        ("tomato seedlings", "tomato-seedlings"),
        ("C++ & Rust!", "C-Rust"),
        ("2026", ""),
        ("中文 词", "中文-词"),
        ("…", ""),
    ],
)
def test_tags_have_no_spaces_and_at_least_a_letter(topic: str, tag: str) -> None:
    assert make_tag(topic) == tag


# -- pages ------------------------------------------------------------------------------------------------------------


def make_stored(number: int, hour: int, *texts: str, **draft: object) -> StoredNote:
    moment = datetime(2026, 5, 20, hour, 15, tzinfo=UTC)
    recording = Recording(
        f"{number:08}-0000", "me", f"/in/memo {number}.M4A", "0" * 64, 10, moment, "file_name", "normal",
        Media("m4a", "aac", 65.0, 44_100, 1),
    )  # fmt: skip
    said = tuple(Segment(place * 30.0, place * 30.0 + 20, text) for place, text in enumerate(texts))
    transcript = Transcript(f"t{number}", recording.id, "scripted", "m", "en", said, 1.0)
    body = tuple(Sentence(text, (place,)) for place, text in enumerate(texts))
    made = Draft(f"Memo {number}", "", Mood("neutral", 0.0), body)
    note = DiaryNote(f"n{number}", transcript.id, recording.id, DAY, replace(made, **draft), "openai", "g", "1", False)  # type: ignore[arg-type]
    return StoredNote(note, recording, transcript, None, moment)


def make_day(*notes: StoredNote, of: int | None = None) -> Day:
    entry = write_entry(
        [stored.note for stored in notes[:of]],
        owner="me", day=DAY, notes_version="", language="en", writers=open_writers(["extractive"]),
    )  # fmt: skip
    return Day("me", DAY, entry, notes)


FIRST = make_stored(1, 7, "I planted *twelve* tomatoes.", "Anna [my sister] came by.", topics=("two words",))
SECOND = make_stored(2, 22, "# I slept badly.", todos=(Todo("Call Mum", DAY),))


def test_a_day_has_a_page_and_a_page_for_each_note_linked_to_one_another() -> None:
    pages = make_pages(make_day(FIRST, SECOND), zone=BERLIN, sounds={FIRST.recording.id: "audio/x.m4a"})
    assert [page.path for page in pages] == [
        "2026/2026-05-20.md",
        "2026/notes/2026-05-20-0915-00000001.md",
        "2026/notes/2026-05-20-0015-00000002.md",
    ]
    day, first, second = (page.text for page in pages)
    head = yaml.safe_load(day.split("---\n")[1])
    assert head["date"] == DAY
    assert head["tags"] == ["two-words"]
    assert head["notes"] == ["notes/2026-05-20-0915-00000001.md", "notes/2026-05-20-0015-00000002.md"]
    assert "- 09:15 [Memo 1](notes/2026-05-20-0915-00000001.md) · 1:05 · [recording](audio/x.m4a)\n" in day
    assert "- 00:15 [Memo 2](notes/2026-05-20-0015-00000002.md) · 1:05\n" in day
    assert "[Wednesday, 20 May 2026](../2026-05-20.md)" in first
    assert "[0:30](../audio/x.m4a#t=30)" in first
    assert "(0:00)" in second


def test_what_was_said_never_turns_into_markdown() -> None:
    pages = make_pages(make_day(FIRST, SECOND), zone=BERLIN, sounds={})
    assert "I planted \\*twelve\\* tomatoes. Anna \\[my sister\\] came by." in pages[0].text
    assert "\n\\# I slept badly." in pages[2].text


def test_boxes_to_check_stand_at_one_place() -> None:
    pages = make_pages(make_day(FIRST, SECOND), zone=BERLIN, sounds={})
    assert [page.text.count("- [ ]") for page in pages] == [1, 0, 0]
    late = make_pages(make_day(FIRST, SECOND, of=1), zone=BERLIN, sounds={})
    assert [page.text.count("- [ ]") for page in late] == [0, 0, 1]
    assert "Memo 2](notes/2026-05-20-0015-00000002.md) · 1:05 · *not in the entry above yet*" in late[0].text


def test_names_of_files_stay_when_a_note_is_written_anew() -> None:
    again = replace(FIRST, note=replace(FIRST.note, id="other", draft=replace(FIRST.note.draft, title="Another")))
    assert name_note(again, BERLIN) == name_note(FIRST, BERLIN)
    assert name_sound(FIRST, BERLIN) == "audio/2026-05-20-0915-00000001.m4a"
    odd = replace(FIRST, recording=replace(FIRST.recording, uri="/in/no suffix.to speak of"))
    assert name_sound(odd, BERLIN) == "audio/2026-05-20-0915-00000001"


# -- the folder -------------------------------------------------------------------------------------------------------


def page(path: str, text: str, day: date = DAY, owner: str = "me") -> File:
    return File(path, owner, day, text.encode())


def counts(synced: Synced) -> tuple[int, int, int, int, int]:
    lists = (synced.written, synced.unchanged, synced.removed, synced.kept, synced.beside)
    return tuple(map(len, lists))  # type: ignore[return-value]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_same_files_again_change_nothing(tmp_path: Path) -> None:
    files = [page("2026/a.md", "A"), page("2026/notes/b.md", "B")]
    assert counts(sync_folder(tmp_path / "out", files, ALL)) == (2, 0, 0, 0, 0)
    before = contents(tmp_path / "out")
    assert set(before) == {"2026/a.md", "2026/notes/b.md", MANIFEST}
    times = {path: (tmp_path / "out" / path).stat().st_mtime_ns for path in before if path != MANIFEST}
    assert counts(sync_folder(tmp_path / "out", files, ALL)) == (0, 2, 0, 0, 0)
    assert contents(tmp_path / "out") == before
    assert all((tmp_path / "out" / path).stat().st_mtime_ns == time for path, time in times.items())
    assert sync_folder(tmp_path / "elsewhere", files, ALL)
    assert contents(tmp_path / "elsewhere") == before


def test_new_text_replaces_what_nobody_has_touched(tmp_path: Path) -> None:
    sync_folder(tmp_path, [page("a.md", "A")], ALL)
    assert counts(sync_folder(tmp_path, [page("a.md", "A2")], ALL)) == (1, 0, 0, 0, 0)
    assert (tmp_path / "a.md").read_text() == "A2"


def test_what_a_person_has_changed_stays_and_new_text_is_put_beside_it(tmp_path: Path) -> None:
    edited, beside = tmp_path / "a.md", tmp_path / "a (diarynotes).md"
    sync_folder(tmp_path, [page("a.md", "A")], ALL)
    edited.write_text("mine")
    assert counts(sync_folder(tmp_path, [page("a.md", "A")], ALL)) == (0, 0, 0, 1, 0)
    assert not beside.exists()  # there is nothing new to tell

    synced = sync_folder(tmp_path, [page("a.md", "A2")], ALL)
    assert (synced.kept, synced.beside) == (["a.md"], ["a (diarynotes).md"])
    assert (edited.read_text(), beside.read_text()) == ("mine", "A2")
    sync_folder(tmp_path, [page("a.md", "A2")], ALL)
    assert (edited.read_text(), beside.read_text()) == ("mine", "A2")
    sync_folder(tmp_path, [page("a.md", "A3")], ALL)
    assert (edited.read_text(), beside.read_text()) == ("mine", "A3")

    beside.unlink()  # the person has taken from it what they wanted
    sync_folder(tmp_path, [page("a.md", "A3")], ALL)
    assert not beside.exists()
    edited.unlink()
    sync_folder(tmp_path, [page("a.md", "A4")], ALL)
    assert contents(tmp_path).keys() == {"a.md", MANIFEST}


def test_the_text_beside_goes_once_the_page_is_ours_again(tmp_path: Path) -> None:
    sync_folder(tmp_path, [page("a.md", "A")], ALL)
    (tmp_path / "a.md").write_text("mine")
    sync_folder(tmp_path, [page("a.md", "A2")], ALL)
    (tmp_path / "a.md").write_text("A2")
    assert counts(sync_folder(tmp_path, [page("a.md", "A2")], ALL)) == (0, 1, 1, 0, 0)
    assert contents(tmp_path).keys() == {"a.md", MANIFEST}


def test_text_beside_that_a_person_has_changed_stays_too(tmp_path: Path) -> None:
    sync_folder(tmp_path, [page("a.md", "A")], ALL)
    (tmp_path / "a.md").write_text("mine")
    sync_folder(tmp_path, [page("a.md", "A2")], ALL)
    (tmp_path / "a (diarynotes).md").write_text("mine as well")
    sync_folder(tmp_path, [page("a.md", "A3")], ALL)
    assert (tmp_path / "a.md").read_text() == "mine"
    assert (tmp_path / "a (diarynotes).md").read_text() == "mine as well"


def test_files_that_were_there_before_are_a_persons(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("my own page of that name")
    (tmp_path / "other.md").write_text("something else")
    synced = sync_folder(tmp_path, [page("a.md", "A")], ALL)
    assert synced.kept == ["a.md"]
    assert (tmp_path / "a.md").read_text() == "my own page of that name"
    assert (tmp_path / "a (diarynotes).md").read_text() == "A"
    sync_folder(tmp_path, [], ALL)
    assert contents(tmp_path).keys() == {"a.md", "other.md", MANIFEST}


def test_what_is_no_longer_wanted_goes_unless_a_person_has_changed_it(tmp_path: Path) -> None:
    sync_folder(tmp_path, [page("2026/a.md", "A"), page("2026/notes/b.md", "B"), page("2026/c.md", "C")], ALL)
    (tmp_path / "2026/c.md").write_text("mine")
    synced = sync_folder(tmp_path, [page("2026/a.md", "A")], ALL)
    assert (synced.removed, synced.kept) == (["2026/notes/b.md"], ["2026/c.md"])
    assert not (tmp_path / "2026/notes").exists()
    assert counts(sync_folder(tmp_path, [page("2026/a.md", "A")], ALL)) == (0, 1, 0, 0, 0)
    assert (tmp_path / "2026/c.md").read_text() == "mine"


def test_an_export_of_some_days_leaves_the_others_alone(tmp_path: Path) -> None:
    later = date(2026, 5, 25)
    sync_folder(tmp_path, [page("a.md", "A"), page("b.md", "B", later), page("c.md", "C", owner="you")], ALL)
    assert sync_folder(tmp_path, [], Scope("me", since=later)).removed == ["b.md"]
    assert sync_folder(tmp_path, [], Scope("you", until=DAY)).removed == ["c.md"]
    assert sync_folder(tmp_path, [], Scope(until=date(2026, 5, 19))).removed == []
    assert (tmp_path / "a.md").exists()


def test_an_export_that_was_killed_is_not_taken_for_a_persons_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync_folder(tmp_path, [page("a.md", "A"), page("b.md", "B")], ALL)
    rename, count = Path.replace, iter(range(9))

    def die_later(path: Path, target: Path) -> Path:
        if next(count) == 2:  # the manifest, one page, and then the power goes
            raise KeyboardInterrupt
        return rename(path, target)

    with monkeypatch.context() as dying:
        dying.setattr(Path, "replace", die_later)
        with pytest.raises(KeyboardInterrupt):
            sync_folder(tmp_path, [page("a.md", "A2"), page("b.md", "B2")], ALL)
    assert {(tmp_path / name).read_text() for name in ("a.md", "b.md")} == {"A2", "B"}
    (tmp_path / ".diarynotes-0.part").touch()
    assert counts(sync_folder(tmp_path, [page("a.md", "A3"), page("b.md", "B3")], ALL)) == (2, 0, 0, 0, 0)
    assert contents(tmp_path).keys() == {"a.md", "b.md", MANIFEST}


def test_recordings_are_copied_once_and_missed_ones_are_told(tmp_path: Path) -> None:
    source, out = tmp_path / "memo.m4a", tmp_path / "out"
    source.write_bytes(b"sound")
    sound = Sound(str(source), hashlib.sha256(b"sound").hexdigest(), 5)
    gone = Sound(str(tmp_path / "gone.m4a"), "0" * 64, 5)
    other = Sound(str(source), "1" * 64, 5)
    files = [File(f"audio/{name}.m4a", "me", DAY, each) for name, each in (("a", sound), ("b", gone), ("c", other))]
    synced = sync_folder(out, files, ALL)
    assert (synced.written, synced.missing) == (["audio/a.m4a"], [gone.uri, other.uri])
    assert (out / "audio/a.m4a").read_bytes() == b"sound"
    assert contents(out).keys() == {"audio/a.m4a", MANIFEST}
    source.unlink()
    assert sync_folder(out, files[:1], ALL).unchanged == ["audio/a.m4a"]
    (out / "audio/a.m4a").write_bytes(b"trimmed by hand")
    assert sync_folder(out, files[:1], ALL).kept == ["audio/a.m4a"]
    assert contents(out).keys() == {"audio/a.m4a", MANIFEST}


@pytest.mark.parametrize(
    ("found", "known", "step"),
    [(None, None, "write"), ("new", None, "unchanged"), ("other", None, "offer"), ("", None, "offer")],
)
def test_what_is_done_about_a_file_nobody_has_written_down(found: str | None, known: None, step: str) -> None:
    assert decide("new", found, known) == step


def test_a_damaged_manifest_is_told(tmp_path: Path) -> None:
    for damaged in (
        "",
        "[]",
        '{"files": {"a.md": {"owner": "me"}}}',
        '{"files": {"a.md": {"owner": "me", "day": "x"}}}',
    ):
        (tmp_path / MANIFEST).write_text(damaged)
        with pytest.raises(BadSettings, match="is damaged"):
            sync_folder(tmp_path, [], ALL)


def test_a_manifest_reaches_nothing_outside_the_folder(tmp_path: Path) -> None:
    outside = tmp_path / "outside.md"
    outside.write_text("A")
    (tmp_path / "out").mkdir()
    known = {"owner": "me", "day": "2026-05-20", "sha256": hashlib.sha256(b"A").hexdigest()}
    (tmp_path / "out" / MANIFEST).write_text(json.dumps({"files": {"../outside.md": known}}))
    with pytest.raises(BadSettings, match="is damaged"):
        sync_folder(tmp_path / "out", [], ALL)
    assert outside.exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_folder_that_may_not_be_written_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StorageFailed, match="Permission denied"):
        sync_folder(tmp_path / "out", [page("a.md", "A")], ALL)


def test_a_file_in_place_of_a_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "2026").write_text("no folder")
    with pytest.raises(StorageFailed):
        sync_folder(tmp_path, [page("2026/a.md", "A")], ALL)
