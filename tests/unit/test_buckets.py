import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.registry import _registry

from diarynotes import buckets
from diarynotes.buckets import hash_object, list_objects, local_copy
from diarynotes.errors import BadSettings, NotInstalled, SourceUnavailable
from diarynotes.models import BucketObject


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
    with local_copy(found.uri) as path:
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


def test_five_thousand_objects_are_quick(tmp_path: Path) -> None:
    for number in range(5000):
        (tmp_path / f"{number:05}.wav").touch()
    begun = time.perf_counter()
    assert len(names(tmp_path)) == 5000
    assert time.perf_counter() - begun < 2.0


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
    assert buckets._local_object("/a.wav", status).modified_at.year == year


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

    monkeypatch.setattr(buckets.os, "scandir", refuse)  # root may read everything, so permissions alone prove nothing
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


def test_an_oversized_object_costs_two_reads(tmp_path: Path) -> None:
    path = tmp_path / "huge.wav"
    with path.open("wb") as file:
        file.truncate(100 * 10**9)  # sparse: 100 GB that take no room
    begun = time.perf_counter()
    first = hash_object(only(tmp_path), limit_bytes=10**9)
    assert time.perf_counter() - begun < 1.0
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
    with pytest.raises(SourceUnavailable), local_copy(found.uri):
        pass


def test_an_object_that_grows_while_it_is_read_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"sound")
    found = only(path)

    def grow(stream: object) -> str:
        with path.open("ab") as file:
            file.write(b"more")
        return ""

    monkeypatch.setattr(buckets, "_hash_stream", grow)
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


# -- remote buckets, on fsspec's file system in memory -----------------------------------------------------------------


class S3InMemory(MemoryFileSystem):
    protocol = "s3"
    store: ClassVar[dict[str, object]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    cachable = False

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return super()._strip_protocol(path.removeprefix("s3://"))

    def find(self, path: str, **options: object) -> dict[str, dict[str, object]]:
        found: dict[str, dict[str, object]] = super().find(path, **options)
        return {name.lstrip("/"): {**info, "ETag": f"etag-{info['size']}"} for name, info in found.items()}

    def info(self, path: str, **options: object) -> dict[str, object]:
        info: dict[str, object] = super().info(path, **options)
        return {**info, "ETag": f"etag-{info['size']}"}


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> S3InMemory:
    monkeypatch.setitem(_registry, "s3", S3InMemory)
    S3InMemory.store.clear()
    filesystem = S3InMemory()
    filesystem.pipe("notes/me/a b.wav", b"sound")
    filesystem.pipe("notes/me/.hidden/c.wav", b"x")
    return filesystem


def test_a_remote_bucket_is_listed_and_hashed_like_a_folder(s3: S3InMemory) -> None:
    found = only("s3://notes")
    assert (found.uri, found.size_bytes, found.version) == ("s3://notes/me/a b.wav", 5, "etag-5")
    assert found.modified_at.tzinfo is not None
    assert hash_object(found) == hashlib.sha256(b"sound").hexdigest()


def test_a_remote_object_is_downloaded_and_the_copy_removed(s3: S3InMemory, tmp_path: Path) -> None:
    with local_copy("s3://notes/me/a b.wav", folder=tmp_path) as path:
        assert path.read_bytes() == b"sound"
        assert path.suffix == ".wav"
    assert list(tmp_path.iterdir()) == []


def test_remote_objects_that_change_or_vanish_are_unavailable(s3: S3InMemory) -> None:
    found = only("s3://notes")
    with pytest.raises(SourceUnavailable, match="since it was listed"):
        hash_object(replace(found, version="etag-4"))
    s3.rm("notes/me/a b.wav")
    with pytest.raises(SourceUnavailable):
        hash_object(found)
    with pytest.raises(SourceUnavailable), local_copy(found.uri):
        pass


def test_a_missing_bucket_is_the_users_to_mend(s3: S3InMemory) -> None:
    with pytest.raises(BadSettings):
        names("s3://nowhere")


def test_a_missing_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(uri: str) -> None:
        raise ImportError("Please install gcsfs to access Google Storage")

    monkeypatch.setattr(fsspec.core, "url_to_fs", refuse)
    with pytest.raises(NotInstalled, match=r"pip install 'diarynotes\[gcs\]'"):
        names("gs://notes")
