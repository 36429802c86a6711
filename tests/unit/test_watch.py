"""When a file counts as dropped: by size and time, by its name, and by who has it open."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from pathlib import Path

import pytest

from diarynotes.watch import Settling, settling
from tests.waiting import wait_for

SETTLE_S = 0.1


def taken(files: Settling) -> list[str]:
    found: list[str] = []
    wait_for(lambda: found.extend(files.take_ready()) or found)
    return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "note.m4a"


def test_a_file_counts_when_it_has_been_the_same_for_a_moment(path: Path) -> None:
    files = Settling(SETTLE_S)
    begun = time.monotonic()
    path.write_bytes(b"sound")
    files.add(str(path))
    assert taken(files) == [str(path)]
    assert time.monotonic() - begun > SETTLE_S / 2
    assert not len(files)


def test_a_file_that_grows_does_not_count_yet(path: Path) -> None:
    clock = [0.0]
    files = Settling(10.0, clock=lambda: clock[0])
    path.write_bytes(b"sound")
    files.add(str(path))
    assert files.take_ready() == []
    for second in range(1, 4):
        clock[0] += 9.0
        with path.open("ab") as stream:
            stream.write(b"more")
        assert files.take_ready() == [], f"it grew in round {second}"
    clock[0] += 10.0
    assert files.take_ready() == [str(path)]


def test_a_file_does_not_count_while_somebody_writes_to_it(path: Path) -> None:
    files = Settling(SETTLE_S)
    with path.open("wb") as stream:
        stream.write(b"the beginning")
        stream.flush()
        if not settling.is_being_written(str(path)):
            pytest.skip("this file system cannot tell who writes")
        files.add(str(path))
        ends = time.monotonic() + 5 * SETTLE_S
        while time.monotonic() < ends:
            assert files.take_ready() == []
    assert taken(files) == [str(path)]


def test_a_program_that_never_lets_go_does_not_hold_a_file_back_for_ever(path: Path) -> None:
    with path.open("wb") as stream:
        stream.write(b"sound")
        stream.flush()
        long_ago = time.time() - 3600
        os.utime(path, (long_ago, long_ago))
        files = Settling(SETTLE_S)
        files.add(str(path))
        assert files.take_ready() == [str(path)]


def test_what_is_renamed_counts_at_once(path: Path) -> None:
    part = path.with_suffix(".part")
    part.write_bytes(b"sound")
    written = part.stat().st_mtime_ns
    wait_for(lambda: (os.replace(part, path), os.replace(path, part)) and part.stat().st_ctime_ns > written)
    os.replace(part, path)
    files = Settling(3600.0)
    files.add(str(path))
    assert files.take_ready() == [str(path)]


def test_what_is_old_counts_at_once(path: Path) -> None:
    path.write_bytes(b"sound")
    os.utime(path, (1_000_000_000, 1_000_000_000))
    files = Settling(3600.0)
    files.add(str(path))
    assert files.take_ready() == [str(path)]


def test_an_empty_file_becomes_a_recording_when_it_is_written(path: Path) -> None:
    files = Settling(SETTLE_S)
    path.touch()
    files.add(str(path))
    assert files.take_ready() == []
    assert not len(files)
    path.write_bytes(b"sound")
    files.add(str(path))
    assert taken(files) == [str(path)]


def test_what_has_gone_is_forgotten(path: Path) -> None:
    files = Settling(SETTLE_S)
    files.add(str(path))
    files.add(str(path.parent))
    assert files.take_ready() == []
    assert not len(files)


def test_a_link_stands_for_its_file(path: Path) -> None:
    target = path.with_name("elsewhere.m4a")
    target.write_bytes(b"sound")
    path.symlink_to(target)
    files = Settling(SETTLE_S)
    files.add(str(path))
    assert taken(files) == [str(path)]


def test_a_link_that_leads_nowhere_is_told_of_once(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path.symlink_to(path.with_name("nowhere"))
    files = Settling(SETTLE_S)
    for _ in range(3):
        files.add(str(path))
        assert files.take_ready() == []
    assert [record.message for record in caplog.records] == [f"{path} is left out: it is a link that leads nowhere"]


def test_what_may_not_be_read_is_told_of_once(
    path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_path: str) -> bool:
        raise PermissionError(errno.EACCES, "Permission denied")

    path.write_bytes(b"sound")
    os.utime(path, (1_000_000_000, 1_000_000_000))
    files = Settling(SETTLE_S)
    with monkeypatch.context() as patched:
        patched.setattr(settling, "is_being_written", refuse)
        for _ in range(3):
            files.add(str(path))
            assert files.take_ready() == []
            assert not len(files)
    assert len(caplog.records) == 1
    files.add(str(path))
    assert files.take_ready() == [str(path)]


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EACCES, errno.ENOSYS])
def test_where_nobody_can_tell_who_writes_time_decides(
    path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_arguments: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "fcntl", refuse)
    files = Settling(SETTLE_S)
    with path.open("wb") as stream:
        stream.write(b"sound")
        stream.flush()
        files.add(str(path))
        assert taken(files) == [str(path)]


def test_looking_leaves_writers_alone(path: Path) -> None:
    """A lease that is broken sends a signal, which must not end us."""
    path.write_bytes(b"sound")
    for _ in range(200):
        settling.is_being_written(str(path))
        with path.open("ab") as stream:
            stream.write(b"more")
