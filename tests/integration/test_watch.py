"""Watched folders and a real inbox: bursts, moves, folders made later, restarts, and a database that is away."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from diarynotes.buckets import list_objects
from diarynotes.errors import BadSettings, StorageFailed
from diarynotes.settings import load_settings
from diarynotes.store import Drop
from diarynotes.store.store import Store
from diarynotes.watch import Folder, Settling, Watch, make_folder
from flows.draining import register_drops
from flows.workshop import Workshop
from tests.processes import end_process
from tests.waiting import PATIENCE_S, wait_for

pytest_plugins = ["tests.integration.store_fixtures"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "in"
    made.mkdir()
    return made


class Counting:
    """An inbox that counts its batches, and can be away."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.batches: list[int] = []
        self.away = False

    def put(self, drops: Sequence[Drop]) -> int:
        if self.away:
            raise StorageFailed("postgresql://…", "no connection")
        self.batches += [len(drops)] if drops else []
        return self.store.drops.put(drops)

    def known(self, uris: Sequence[str], owner: str) -> dict[str, object]:
        return dict(self.store.known_sources(uris, owner=owner))


@contextmanager
def watching(inbox: Counting, *folders: Folder, **options: object) -> Iterator[None]:
    """A watch that misses nothing from now on."""
    stopping, ready = threading.Event(), threading.Event()
    failures: list[BaseException] = []
    watch = Watch(folders, inbox.put, inbox.known, Settling(0.1), list_every_s=options.pop("list_every_s", 60.0))  # type: ignore[arg-type]

    def run() -> None:
        try:
            watch.run(stopping, on_ready=ready.set, **options)  # type: ignore[arg-type]
        except BaseException as error:
            failures.append(error)
            ready.set()

    thread = threading.Thread(target=run)
    thread.start()
    assert ready.wait(PATIENCE_S)
    try:
        yield
    finally:
        stopping.set()
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
        assert not failures


@pytest.fixture
def inbox(store: Store) -> Counting:
    return Counting(store)


def dropped(store: Store) -> list[str]:
    return sorted(line.drop.uri for line in store.drops.list())


def mine(folder: Path) -> Folder:
    return make_folder(str(folder), "me", "me")


def test_a_file_that_is_dropped_lies_in_the_inbox(inbox: Counting, store: Store, folder: Path) -> None:
    with watching(inbox, mine(folder)):
        (folder / "note.m4a").write_bytes(b"sound")
        wait_for(lambda: dropped(store))
    (line,) = store.drops.list()
    (obj,) = list_objects(str(folder))
    assert (line.drop.owner, line.drop.uri, line.drop.version) == ("me", obj.uri, obj.version)


def test_a_burst_is_put_in_with_few_batches(inbox: Counting, store: Store, folder: Path) -> None:
    with watching(inbox, mine(folder)):
        for number in range(1_000):
            (folder / f"{number}.m4a").write_bytes(b"sound %d" % number)
        wait_for(lambda: len(dropped(store)) == 1_000)
    assert sum(inbox.batches) == 1_000
    assert len(inbox.batches) < 20


def test_names_of_unfinished_and_hidden_files_do_not_count(inbox: Counting, store: Store, folder: Path) -> None:
    with watching(inbox, mine(folder)):
        for name in (".hidden.m4a", "a.m4a.part", "b.tmp", "c.crdownload", "d.m4a~", "~$e.m4a"):
            (folder / name).write_bytes(b"sound")
        (folder / ".folder").mkdir()
        (folder / ".folder" / "f.m4a").write_bytes(b"sound")
        (folder / "last.m4a").write_bytes(b"sound")
        wait_for(lambda: dropped(store))
        os.replace(folder / "a.m4a.part", folder / "a.m4a")
        wait_for(lambda: len(dropped(store)) == 2)
    assert dropped(store) == [str(folder / "a.m4a"), str(folder / "last.m4a")]


def test_folders_that_are_made_or_moved_here_later_are_watched(
    inbox: Counting, store: Store, folder: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "deep" / ".hidden").mkdir(parents=True)
    (elsewhere / "deep" / "1.m4a").write_bytes(b"one")
    (elsewhere / "deep" / ".hidden" / "no.m4a").write_bytes(b"no")
    with watching(inbox, mine(folder)):
        os.replace(elsewhere, folder / "moved")
        (folder / "new" / "deeper").mkdir(parents=True)
        (folder / "new" / "deeper" / "2.m4a").write_bytes(b"two")
        wait_for(lambda: len(dropped(store)) == 2)
        (folder / "moved" / "deep" / "3.m4a").write_bytes(b"three")
        (folder / "new" / "4.m4a").write_bytes(b"four")
        wait_for(lambda: len(dropped(store)) == 4)
    assert [Path(uri).name for uri in dropped(store)] == ["1.m4a", "3.m4a", "4.m4a", "2.m4a"]


def test_odd_names_are_those_of_a_listing(inbox: Counting, store: Store, folder: Path) -> None:
    with watching(inbox, mine(folder)):
        for name in (b"a b+c%.m4a", "日本語 😀.m4a".encode(), b"no\xfftext.m4a", b"new\nline.m4a"):
            Path(os.fsdecode(os.path.join(os.fsencode(folder), name))).write_bytes(b"sound " + name)
        wait_for(lambda: len(dropped(store)) == 4)
    assert dropped(store) == sorted(obj.uri for obj in list_objects(str(folder)))


def test_a_bucket_has_an_owner_in_each_first_folder(inbox: Counting, store: Store, folder: Path) -> None:
    (folder / "anna").mkdir()
    with watching(inbox, make_folder(str(folder), "me")):
        (folder / "anna" / "a.m4a").write_bytes(b"one")
        (folder / "b.m4a").write_bytes(b"two")
        wait_for(lambda: len(dropped(store)) == 2)
    assert {(line.drop.owner, Path(line.drop.uri).name) for line in store.drops.list()} == {
        ("anna", "a.m4a"),
        ("me", "b.m4a"),
    }


def test_what_came_while_nobody_watched_is_found_once(
    inbox: Counting, store: Store, folder: Path, tmp_path: Path, database_url: str
) -> None:
    (folder / "old.m4a").write_bytes(b"old")
    with watching(inbox, mine(folder)):
        wait_for(lambda: dropped(store))
    shop = Workshop(load_settings({}, home=tmp_path / "home", database_url=database_url, timezone="UTC"))
    assert len(register_drops(shop)) == 1
    shop.close()
    (folder / "new.m4a").write_bytes(b"new")
    with watching(inbox, mine(folder)):
        wait_for(lambda: dropped(store))
    assert dropped(store) == [str(folder / "new.m4a")]


def test_a_file_that_is_written_over_is_dropped_again(inbox: Counting, store: Store, folder: Path) -> None:
    with watching(inbox, mine(folder)):
        (folder / "note.m4a").write_bytes(b"one")
        wait_for(lambda: len(dropped(store)) == 1)
        (folder / "note.m4a").write_bytes(b"two, which is longer")
        wait_for(lambda: len(dropped(store)) == 2)
    assert len({line.drop.version for line in store.drops.list()}) == 2


def test_listings_find_what_no_notice_was_given_of(inbox: Counting, store: Store, folder: Path, tmp_path: Path) -> None:
    """Such as what comes into a folder that is only linked to from here."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (folder / "link").symlink_to(outside)
    with watching(inbox, mine(folder), list_every_s=0.2):
        (outside / "note.m4a").write_bytes(b"sound")
        wait_for(lambda: dropped(store))
        batches = len(inbox.batches)
        time.sleep(0.6)  # three listings that find nothing new
        assert len(inbox.batches) == batches
    assert dropped(store) == [str(folder / "link" / "note.m4a")]


def test_polling_finds_what_notices_would(inbox: Counting, store: Store, folder: Path) -> None:
    with watching(inbox, mine(folder), poll=True):
        (folder / "note.m4a").write_bytes(b"sound")
        wait_for(lambda: dropped(store))


def test_while_the_database_is_away_drops_are_held(
    inbox: Counting, store: Store, folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("diarynotes.watch.folders._PATIENCE_S", 0.2)
    with watching(inbox, mine(folder)):
        inbox.away = True
        (folder / "note.m4a").write_bytes(b"sound")
        wait_for(lambda: any("cannot be kept" in record.message for record in caplog.records))
        inbox.away = False
        wait_for(lambda: dropped(store))


def test_a_folder_that_goes_and_comes_back_is_watched_anew(inbox: Counting, store: Store, folder: Path) -> None:
    with watching(inbox, mine(folder)):
        (folder / "1.m4a").write_bytes(b"one")
        wait_for(lambda: dropped(store))
        (folder / "1.m4a").unlink()
        folder.rmdir()
        folder.mkdir()
        (folder / "2.m4a").write_bytes(b"two")
        wait_for(lambda: len(dropped(store)) == 2)
        (folder / "3.m4a").write_bytes(b"three")
        wait_for(lambda: len(dropped(store)) == 3)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadSettings):
        make_folder(str(tmp_path / "nowhere"), "me")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_stops_in_order(
    store: Store, database_url: str, folder: Path, tmp_path: Path, number: signal.Signals
) -> None:
    environment = {**os.environ, "DIARYNOTES_HOME": str(tmp_path / "home"), "DIARYNOTES_DATABASE_URL": database_url}
    environment |= {"PREFECT_HOME": str(tmp_path / "prefect")}
    environment.pop("PREFECT_API_URL", None)
    command = [sys.executable, "-m", "diarynotes", "watch", str(folder), "--owner", "anna"]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        (folder / "note.m4a").write_bytes(b"sound")
        wait_for(lambda: dropped(store))
        process.send_signal(number)
        _, said = process.communicate(timeout=PATIENCE_S)
    finally:
        end_process(process)
    assert process.returncode == 0
    assert f"Watching {folder}" in said
    assert "Traceback" not in said
    assert store.drops.list()[0].drop.owner == "anna"
