import hashlib
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from socket import gethostname

import pytest

from diarynotes.buckets import (
    calls,
    connect,
    find_object,
    hash_object,
    list_objects,
    local,
    local_copy,
    owner_of,
    remote,
    sweep_copies,
)
from diarynotes.buckets.hashing import ReadStretch
from diarynotes.errors import BadSettings, NotInstalled, SourceUnavailable, StorageFailed
from diarynotes.models import BucketObject
from tests.unit.fake_buckets import InMemory


def names(source: Path | str) -> list[str]:
    return [Path(found.uri).name for found in list_objects(str(source))]


def only(source: Path | str) -> BucketObject:
    (found,) = list_objects(str(source))
    return found


def test_a_file_is_a_source(tmp_path: Path) -> None:
    file = tmp_path / ".hidden.wav"  # asked for by name, so it is taken
    file.write_bytes(b"sound")
    found = only(file)
    assert (found.uri, found.size_bytes) == (str(file), 5)
    assert abs((datetime.now(UTC) - found.modified_at).total_seconds()) < 60


def test_a_folder_gives_all_that_is_below_it_but_nothing_hidden(tmp_path: Path) -> None:
    for name in ("b.wav", "a.wav", "me/deep/er/c.wav", ".DS_Store", ".cache/d.wav", "me/.e.wav"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert names(tmp_path) == ["a.wav", "b.wav", "c.wav"]


AWKWARD = [
    "with space.wav",
    "line\nbreak.wav",
    "tab\t'quote\".wav",
    "emoji 🎙️.m4a",
    "100%25.wav",
    "a#b?c.wav",
    "gs:colon.wav",
    "-rf.wav",
]


@pytest.mark.parametrize("name", AWKWARD)
def test_awkward_names_can_be_listed_hashed_and_opened(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"sound")
    found = only(tmp_path)
    assert found.uri == str(tmp_path / name)
    assert hash_object(found) == hashlib.sha256(b"sound").hexdigest()
    with local_copy(found) as path:
        assert path.read_bytes() == b"sound"
    assert only((tmp_path / name).as_uri()) == found


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_a_name_that_is_no_text_becomes_a_uri_that_is(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/caf\xe9.wav"
    with open(path, "wb") as file:
        file.write(b"sound")
    found = only(tmp_path)
    assert found.uri.encode().endswith(b"/caf%E9.wav")
    assert hash_object(found) == hashlib.sha256(b"sound").hexdigest()
    assert only(found.uri) == found


def test_links_are_followed_once_and_loops_end(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real/a.wav").write_bytes(b"x")
    (tmp_path / "real/up").symlink_to(tmp_path)
    (tmp_path / "again").symlink_to(tmp_path / "real")
    (tmp_path / "z.wav").symlink_to(tmp_path / "real/a.wav")
    (tmp_path / "real/hard.wav").hardlink_to(tmp_path / "real/a.wav")
    (tmp_path / "self.wav").symlink_to(tmp_path / "self.wav")
    assert len(names(tmp_path)) == 1


def test_a_pipe_is_no_object(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    assert names(tmp_path) == []
    with pytest.raises(BadSettings, match="neither a file nor a folder"):
        names(tmp_path / "pipe.wav")


def test_five_thousand_objects_are_one_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5000):
        (tmp_path / f"{number:05}.wav").touch()
    scan, looks = os.scandir, list[str]()
    monkeypatch.setattr(local.os, "scandir", lambda folder: (looks.append(folder), scan(folder))[1])
    assert len(names(tmp_path)) == 5000
    assert looks == [str(tmp_path)]


@pytest.fixture
def deep_tree(tmp_path: Path) -> Iterator[Path]:
    here = os.getcwd()
    try:
        os.chdir(tmp_path)
        for _ in range(1500):  # deeper than Python's stack, so it is made and removed step by step
            os.mkdir("d")
            os.chdir("d")
        Path("a.wav").touch()
    finally:
        os.chdir(here)
    yield tmp_path
    subprocess.run(["rm", "-rf", str(tmp_path / "d")], check=True)  # shutil.rmtree calls itself and would fail


def test_a_tree_deeper_than_the_stack_is_read(deep_tree: Path) -> None:
    assert only(deep_tree).uri == str(deep_tree.joinpath(*["d"] * 1500, "a.wav"))


@pytest.mark.parametrize(("mtime_s", "year"), [(2**50, 9999), (-(2**40), 1970)])
def test_an_impossible_file_time_does_not_stop_the_listing(mtime_s: int, year: int) -> None:
    status = os.stat_result((0o100644, 1, 1, 1, 0, 0, 5, 0, mtime_s, 0))
    assert local._as_object("/a.wav", status).modified_at.year == year


@pytest.mark.parametrize("source", ["no/such/folder", "/no/such.wav", "file:///no/such.wav", "nul\0byte"])
def test_a_missing_source_is_the_users_to_mend(source: str) -> None:
    with pytest.raises(BadSettings):
        names(source)


def test_an_unknown_scheme_names_the_known_ones() -> None:
    with pytest.raises(BadSettings, match="gs://"):
        names("ftp://host/notes")


@pytest.fixture
def closed_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "closed").mkdir()
    (tmp_path / "open").mkdir()
    (tmp_path / "open/a.wav").write_bytes(b"x")
    scan = os.scandir

    def refuse(folder: str) -> "os._ScandirIterator[str]":
        if str(folder).endswith("closed"):
            raise PermissionError(13, "Permission denied", folder)
        return scan(folder)

    monkeypatch.setattr(local.os, "scandir", refuse)  # root may read everything, so permissions alone prove nothing
    return tmp_path


def test_a_closed_folder_is_reported_and_the_rest_listed(closed_folder: Path) -> None:
    problems: list[SourceUnavailable] = []
    found = list(list_objects(str(closed_folder), on_problem=problems.append))
    assert [Path(one.uri).name for one in found] == ["a.wav"]
    assert [problem.uri for problem in problems] == [str(closed_folder / "closed")]
    assert "Permission denied" in problems[0].why


def test_a_closed_folder_is_raised_where_nobody_listens(closed_folder: Path) -> None:
    with pytest.raises(SourceUnavailable, match="Permission denied"):
        names(closed_folder)


def test_a_link_that_leads_nowhere_is_reported(tmp_path: Path) -> None:
    (tmp_path / "a.wav").symlink_to(tmp_path / "unmounted/a.wav")
    problems: list[SourceUnavailable] = []
    assert list(list_objects(str(tmp_path), on_problem=problems.append)) == []
    assert [Path(problem.uri).name for problem in problems] == ["a.wav"]


def test_large_objects_hash_like_any_other(tmp_path: Path) -> None:
    body = os.urandom(3 * (1 << 20) + 17)
    (tmp_path / "a.wav").write_bytes(body)
    assert hash_object(only(tmp_path)) == hashlib.sha256(body).hexdigest()
    assert hash_object(only(tmp_path), limit_bytes=len(body)) == hashlib.sha256(body).hexdigest()


def test_an_oversized_object_costs_two_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened, stretches = local.opened, list[int]()

    @contextmanager
    def noting(found: BucketObject) -> Iterator[ReadStretch]:
        with opened(found) as read:
            yield lambda start, stop: (stretches.append(stop - start), read(start, stop))[1]

    monkeypatch.setattr(local, "opened", noting)
    path = tmp_path / "huge.wav"
    with path.open("wb") as file:
        file.truncate(100 * 10**9)  # sparse: 100 GB that take no room
    first = hash_object(only(tmp_path), limit_bytes=10**9)
    assert stretches == [1 << 20, 1 << 20]
    with path.open("r+b") as file:
        file.seek(100 * 10**9 - 1)
        file.write(b"!")
    second = hash_object(only(tmp_path), limit_bytes=10**9)
    assert first != second
    assert len(first) == len(second) == 64


def test_objects_that_vanish_or_change_are_unavailable(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"sound")
    found = only(path)
    path.write_bytes(b"sound and more")
    with pytest.raises(SourceUnavailable, match="since it was listed"):
        hash_object(found)
    path.unlink()
    with pytest.raises(SourceUnavailable, match="No such file"):
        hash_object(found)
    with pytest.raises(SourceUnavailable), local_copy(found):
        pass


def test_a_file_is_gone_only_from_a_folder_that_is_there(tmp_path: Path) -> None:
    share = tmp_path / "share"
    (share / "anna").mkdir(parents=True)
    (tmp_path / "linked.wav").symlink_to(share / "anna/a.wav")
    assert find_object(str(share / "anna/a.wav")) is None
    assert find_object("nul\0byte") is None
    share.rename(tmp_path / "not mounted")
    for place in (share / "anna/a.wav", share / "a.wav", tmp_path / "linked.wav"):
        with pytest.raises(SourceUnavailable, match="may not be mounted"):
            find_object(str(place))


def test_an_object_that_grows_while_it_is_read_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"sound")
    found = only(path)

    def grow(read: object, size_bytes: int) -> str:
        with path.open("ab") as file:
            file.write(b"more")
        return ""

    monkeypatch.setattr("diarynotes.buckets.hash_blocks", grow)
    with pytest.raises(SourceUnavailable, match="changed while it was read"):
        hash_object(found)


def test_a_folder_in_an_objects_place_is_unavailable(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"x")
    found = only(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(SourceUnavailable):
        hash_object(found)


# -- remote buckets, on one in memory that answers as clouds do --------------------------------------------------------


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemory]:
    made = InMemory()
    monkeypatch.setattr(remote, "_open_backend", lambda *_: made)
    monkeypatch.setattr(calls, "_PAUSES_S", (0.0, 0.0))
    connect("s3", {"key": "of this test"})
    made.objects = {"me/a b.wav": b"sound", "me/.hidden/c.wav": b"x", "me/": b""}
    yield made
    connect("s3")


def test_a_remote_bucket_is_listed_and_hashed_like_a_folder(cloud: InMemory) -> None:
    found = only("s3://notes")
    assert (found.uri, found.size_bytes) == ("s3://notes/me/a b.wav", 5)
    assert found.modified_at.tzinfo is not None
    assert hash_object(found) == hashlib.sha256(b"sound").hexdigest()
    assert find_object(found.uri) is not None


def test_a_remote_object_is_downloaded_and_the_copy_removed(cloud: InMemory, tmp_path: Path) -> None:
    with local_copy(only("s3://notes"), folder=tmp_path / "spool") as path:
        assert path.read_bytes() == b"sound"
        assert path.suffix == ".wav"
    assert list((tmp_path / "spool").iterdir()) == []


def test_copies_that_nobody_waits_for_are_swept(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as dead:
        dead.wait()
    here = gethostname()
    folders = {name: tmp_path / f"diarynotes-{os.getpid()}@{here}-{name}" for name in ("fresh", "old")}
    folders["orphan"] = tmp_path / f"diarynotes-{dead.pid}@{here}-orphan"
    folders["elsewhere"] = tmp_path / f"diarynotes-{dead.pid}@another-machine-elsewhere"
    folders["other"] = tmp_path / "notes"
    for path in folders.values():
        path.mkdir()
        (path / "object.wav").touch()
    os.utime(folders["old"], (0, 0))
    assert sweep_copies(tmp_path) == 2
    assert {name for name, path in folders.items() if path.exists()} == {"fresh", "elsewhere", "other"}
    assert sweep_copies(tmp_path / "nowhere") == 0


def test_remote_objects_that_change_or_vanish_are_unavailable(cloud: InMemory) -> None:
    found = only("s3://notes")
    cloud.objects["me/a b.wav"] = b"other"
    with pytest.raises(SourceUnavailable, match="since it was listed"):
        hash_object(found)
    del cloud.objects["me/a b.wav"]
    with pytest.raises(SourceUnavailable, match="no longer there"):
        hash_object(found)
    with pytest.raises(SourceUnavailable, match="no longer there"), local_copy(found):
        pass
    assert find_object(found.uri) is None


@pytest.mark.parametrize("fault", ["short", "lies"])
def test_no_download_is_short_or_another_silently(cloud: InMemory, tmp_path: Path, fault: str) -> None:
    cloud.short, cloud.lies = int(fault == "short"), fault == "lies"
    found = only("s3://notes")
    with pytest.raises(SourceUnavailable, match=r"bytes came|not what the bucket holds"):
        hash_object(found)
    with pytest.raises(SourceUnavailable), local_copy(found, folder=tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_download_that_the_disk_takes_in_part_only_is_none(cloud: InMemory, tmp_path: Path) -> None:
    cloud.objects = {"me/a.wav": bytes(5_000)}
    found = only("s3://notes")
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, usual[1]))  # as on a full disk, what fits is written
    try:
        with pytest.raises(StorageFailed), local_copy(found, folder=tmp_path):
            pass
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert not list(tmp_path.iterdir())


def test_an_oversized_remote_object_costs_two_reads(cloud: InMemory) -> None:
    cloud.objects["me/a b.wav"] = os.urandom(9 << 20)
    found = only("s3://notes")
    cloud.asked = 0
    assert hash_object(found, limit_bytes=1) != hash_object(found)
    assert cloud.asked == 2 + 3


def test_what_is_known_of_a_remote_object_is_not_asked_again(cloud: InMemory, tmp_path: Path) -> None:
    found = only("s3://notes")
    cloud.asked = 0
    hash_object(found)
    with local_copy(found, folder=tmp_path):
        assert cloud.asked == 2
    unchecked = replace(found, checksum=None)
    cloud.asked = 0
    hash_object(unchecked)
    assert cloud.asked == 1 + 1
    cloud.objects["me/a b.wav"] = b"other"
    with pytest.raises(SourceUnavailable, match="since it was listed"):
        hash_object(unchecked)


def test_a_passing_trouble_is_asked_about_again_and_no_other(cloud: InMemory) -> None:
    cloud.troubles = [InterruptedError(), InterruptedError()]
    assert only("s3://notes")
    cloud.troubles, cloud.asked = [KeyError()], 0
    with pytest.raises(SourceUnavailable, match="KeyError"):
        names("s3://notes")
    assert cloud.asked == 1


def test_a_bucket_that_stops_answering_is_reported_with_what_came_before(cloud: InMemory) -> None:
    cloud.objects = {f"me/{number}": b"" for number in range(9)}
    problems: list[SourceUnavailable] = []
    listing = list_objects("s3://notes", on_problem=problems.append)
    found = [next(listing)]
    cloud.troubles = [InterruptedError() for _ in range(9)]
    found += listing
    assert len(found) == 3
    assert [problem.why for problem in problems] == ["the bucket cannot be reached or is busy"]


def test_a_folder_that_is_an_object_too_is_both(cloud: InMemory) -> None:
    cloud.objects = {"me": b"1", "me/a": b"2", "me.wav": b"3", "men/b": b"4"}
    assert [found.uri for found in list_objects("s3://notes/me")] == ["s3://notes/me", "s3://notes/me/a"]
    assert [found.uri for found in list_objects("s3://notes/me/")] == ["s3://notes/me/a"]


def test_a_missing_bucket_is_the_users_to_mend(cloud: InMemory) -> None:
    for source in ("s3://nowhere", "s3://nowhere/me/a.wav", "s3://notes/nobody", "s3://"):
        with pytest.raises(BadSettings):
            names(source)
    with pytest.raises(SourceUnavailable, match="no such bucket"):
        find_object("s3://nowhere/me/a.wav")


def test_an_empty_bucket_is_no_problem(cloud: InMemory) -> None:
    cloud.objects = {}
    assert names("s3://notes") == []


@pytest.mark.parametrize("scheme", ["gs", "s3", "az"])
def test_a_missing_library_names_the_extra(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for library in ("gcsfs", "s3fs", "adlfs"):
        monkeypatch.setitem(sys.modules, library, None)
    connect(scheme, {"key": "of this test"})
    extra = {"gs": "gcs", "s3": "s3", "az": "azure"}[scheme]
    with pytest.raises(NotInstalled, match=rf"pip install 'diarynotes\[{extra}\]'"):
        names(f"{scheme}://notes")
    connect(scheme)


def test_nobody_connects_to_an_unknown_kind_of_bucket() -> None:
    with pytest.raises(BadSettings, match="known are gs, s3, az"):
        connect("ftp")


@pytest.mark.parametrize(
    ("uri", "source", "owner"),
    [
        ("s3://notes/anna/2026/a.m4a", "s3://notes", "anna"),
        ("s3://notes/in/anna/a.m4a", "s3://notes/in/", "anna"),
        ("s3://notes/a.m4a", "s3://notes", "me"),
        ("s3://notes/inbox/a.m4a", "s3://notes/in", "me"),
        ("s3://notes//a.m4a", "s3://notes", "me"),
        ("s3://notes//anna/a.m4a", "s3://notes", "anna"),
        ("s3://notes/anna//a.m4a", "s3://notes", "anna"),
        ("/bucket/anna/a.m4a", "/bucket", "anna"),
        ("/bucket/anna/a.m4a", "file:///bucket/", "anna"),
        ("/bucket/a.m4a", "/bucket", "me"),
        ("file:///bucket/anna/a%FF.m4a", "/bucket", "anna"),
        ("file:///bucket/a%FF.m4a", "file:///bucket", "me"),
        ("file:///bucket/anna%FF/a.m4a", "/bucket", "me"),
    ],
)
def test_the_first_folder_of_a_bucket_owns_what_is_below(uri: str, source: str, owner: str) -> None:
    assert owner_of(uri, source, "me") == owner
