"""What a look into a folder takes, and whose it is."""

from __future__ import annotations

import os
from pathlib import Path

from diarynotes.buckets import list_objects
from flows.looking import by_owner


def look(source: Path, owner: str | None = None) -> dict[str, set[str]]:
    found = by_owner(list_objects(str(source)), str(source), owner, "me")
    return {whose: {obj.uri.rpartition("/")[2] for obj in objects} for whose, objects in found.items()}


def put(folder: Path, *names: str) -> None:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"sound")


def test_the_first_folder_is_whose_it_is(tmp_path: Path) -> None:
    put(tmp_path, "lies beside.m4a")
    put(tmp_path / "anna", "a.m4a")
    Path(os.fsdecode(bytes(tmp_path / "anna") + b"/no text \xff.m4a")).write_bytes(b"sound")
    assert look(tmp_path) == {"me": {"lies beside.m4a"}, "anna": {"a.m4a", "no%20text%20%FF.m4a"}}
    assert look(tmp_path, "berta").keys() == {"berta"}


def test_what_is_not_finished_is_left_for_later(tmp_path: Path) -> None:
    put(tmp_path / "me", "whole.m4a", "half.m4a.part", "half.crdownload", ".hidden.m4a", "~$a.docx")
    (tmp_path / "me" / "empty.m4a").touch()
    with (tmp_path / "me" / "copied just now.m4a").open("wb") as copying:
        copying.write(b"half of it")
        copying.flush()
        assert look(tmp_path) == {"me": {"whole.m4a"}}
    assert look(tmp_path) == {"me": {"whole.m4a", "copied just now.m4a"}}


def test_a_file_that_is_named_is_taken_whatever_it_is_called(tmp_path: Path) -> None:
    put(tmp_path, "named.m4a.part")
    assert look(tmp_path / "named.m4a.part") == {"me": {"named.m4a.part"}}
