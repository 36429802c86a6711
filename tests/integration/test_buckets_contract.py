"""One contract over folders, Google's, Amazon's and Azure's buckets, on servers that speak as they do."""

from __future__ import annotations

import hashlib
import logging
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from diarynotes.buckets import (
    Patience,
    Watermark,
    calls,
    connect,
    find_object,
    hash_object,
    list_new,
    list_objects,
    local_copy,
)
from diarynotes.errors import BadSettings, SourceUnavailable
from diarynotes.models import BucketObject
from tests.integration import bucket_servers as servers
from tests.ports import nobody_there

MANY = [f"anna/2026/{number:05}.m4a" for number in range(1_500)]
MOST = {"gs": 1_500, "s3": 1_500, "az": 150}
"""How many of them each server is given; Azurite takes 15 ms for each, so its pages are made smaller."""
ODD = [
    "me/with space.m4a",
    "me/100%25.m4a",
    "me/a#b?c&d=e.m4a",
    "me/plus+and,comma.m4a",
    "me/emoji 🎙️.m4a",
    "me/ünï/çödé.m4a",
    "me/[x]{y}(z).m4a",
    "me/semi;colon:at@.m4a",
    "me/quote'\".m4a",
]


KINDS = ["gs", "s3", "az"]


@pytest.fixture(scope="module")
def clouds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Any]]:
    """Each kind of bucket by its scheme, started when it is first asked for."""
    started: dict[str, Any] = {}

    def start(scheme: str) -> Any:
        if scheme == "az":
            return servers.Azure(servers.start_azurite(servers.install_azurite(), tmp_path_factory.mktemp("azurite")))
        if scheme == "gs":
            return servers.Google(servers.start_python(servers.EMULATOR))
        return servers.Amazon(servers.start_python(servers.MOTO))

    def get(scheme: str) -> Any:
        if scheme not in started:
            started[scheme] = start(scheme)
            started[scheme].make("voice")
            started[scheme].make("many")
            started[scheme].put_all("many", MANY[: MOST[scheme]])
        return started[scheme]

    yield get
    for cloud in started.values():
        connect(cloud.scheme)
        cloud.server.stop()


@pytest.fixture(params=KINDS)
def cloud(request: pytest.FixtureRequest, clouds: Callable[[str], Any]) -> Iterator[Any]:
    """A kind of bucket to which we are connected, with an empty bucket `voice` and `many` of 1,500 objects."""
    with connected(clouds(request.param)) as made:
        yield made


@contextmanager
def connected(cloud: Any) -> Iterator[Any]:
    """Connected to this kind of bucket; what a test left in `voice` is gone afterwards."""
    connect(cloud.scheme, cloud.options())
    yield cloud
    connect(cloud.scheme, cloud.options())
    for obj in list_objects(f"{cloud.scheme}://voice"):
        cloud.delete("voice", obj.uri.removeprefix(f"{cloud.scheme}://voice/"))


class Folder:
    """A folder on disk that is filled as a bucket is."""

    scheme = "file"

    def __init__(self, path: Path) -> None:
        self.path = path

    def put(self, bucket: str, key: str, body: bytes) -> None:
        path = self.path / bucket / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)

    def put_all(self, bucket: str, keys: list[str]) -> None:
        for key in keys:
            self.put(bucket, key, b"x")

    def delete(self, bucket: str, key: str) -> None:
        (self.path / bucket / key).unlink()


@pytest.fixture(params=["file", *KINDS])
def place(request: pytest.FixtureRequest, tmp_path: Path, clouds: Callable[[str], Any]) -> Iterator[tuple[Any, str]]:
    """Something that can be filled, and what its bucket `voice` is called."""
    if request.param == "file":
        yield Folder(tmp_path), str(tmp_path / "voice")
    else:
        with connected(clouds(request.param)) as made:
            yield made, f"{made.scheme}://voice"


def keys(source: str, below: str = "") -> list[str]:
    return [obj.uri.removeprefix(source + "/") for obj in list_objects(source + below)]


def only(source: str) -> BucketObject:
    (found,) = list_objects(source)
    return found


def sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


# -- what is there ----------------------------------------------------------------------------------------------------


def test_objects_are_listed_hashed_and_copied(place: tuple[Any, str], tmp_path: Path) -> None:
    there, source = place
    there.put("voice", "anna/a.m4a", b"sound")
    found = only(source)
    assert (found.uri, found.size_bytes) == (f"{source}/anna/a.m4a", 5)
    assert abs(found.modified_at.timestamp() - time.time()) < 60
    assert hash_object(found) == sha256(b"sound")
    assert find_object(found.uri) == found
    with local_copy(found, folder=tmp_path) as path:
        assert (path.read_bytes(), path.suffix) == (b"sound", ".m4a")
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("diarynotes-")]


def test_odd_names_survive(place: tuple[Any, str]) -> None:
    there, source = place
    for key in ODD:
        there.put("voice", key, key.encode())
    assert sorted(keys(source)) == sorted(ODD)
    for found in list_objects(source):
        body = found.uri.removeprefix(f"{source}/").encode()
        assert hash_object(found) == sha256(body)
        assert find_object(found.uri) == found
        with local_copy(found) as path:
            assert path.read_bytes() == body


def test_a_new_content_is_a_new_version(place: tuple[Any, str]) -> None:
    there, source = place
    there.put("voice", "a.m4a", b"sound")
    before = only(source)
    time.sleep(0.01)  # file systems stamp by their own clock's ticks
    there.put("voice", "a.m4a", b"noise")
    after = only(source)
    assert (before.version, before.size_bytes) != (after.version, after.size_bytes)
    # Google's emulator reads whatever is there by now; then its checksum tells
    with pytest.raises(SourceUnavailable, match=r"has changed since it was listed|is not what the bucket holds"):
        hash_object(before)
    assert hash_object(after) == sha256(b"noise")


def test_empty_objects_hidden_ones_and_folders(place: tuple[Any, str]) -> None:
    there, source = place
    there.put("voice", "me/empty.m4a", b"")
    there.put("voice", "me/.hidden/a.m4a", b"x")
    there.put("voice", ".DS_Store", b"x")
    if there.scheme in ("gs", "s3"):
        there.put("voice", "me/folder/", b"")
    assert keys(source) == ["me/empty.m4a"]
    assert hash_object(only(source)) == sha256(b"")
    with local_copy(only(source)) as path:
        assert path.read_bytes() == b""


def test_objects_that_vanish_are_unavailable(place: tuple[Any, str], tmp_path: Path) -> None:
    there, source = place
    there.put("voice", "a.m4a", b"sound")
    there.put("voice", "empty.m4a", b"")
    sound, empty = list_objects(source)
    there.delete("voice", "a.m4a")
    there.delete("voice", "empty.m4a")
    for found in (sound, empty):
        with pytest.raises(SourceUnavailable):
            hash_object(found)
        with pytest.raises(SourceUnavailable), local_copy(found, folder=tmp_path):
            pass
        assert find_object(found.uri) is None
    assert not list(tmp_path.glob("diarynotes-*"))


def test_many_objects_come_page_by_page_in_order_of_their_names(cloud: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    most = MOST[cloud.scheme]
    monkeypatch.setattr("diarynotes.buckets.azure.PAGE_OBJECTS", 100)
    many, source = MANY[:most], f"{cloud.scheme}://many"
    assert keys(source) == many
    assert [key.removeprefix("anna/2026/") for key in keys(f"{source}/anna/2026")] == [key[10:] for key in many]
    batches = list(list_new(source, Watermark(), budget=20))
    assert [obj.uri for batch in batches for obj in batch.objects] == [f"{source}/{key}" for key in many]
    middle = Watermark({"anna/": many[-3]}, sweep=many[most // 2])
    again = [obj.uri for batch in list_new(source, middle, budget=2) for obj in batch.objects]
    assert again == [f"{source}/{key}" for key in many[most // 2 + 1 :]]


def test_a_folder_that_is_an_object_too_is_both(cloud: Any) -> None:
    for key in ("me", "me/a", "me.m4a", "men/b"):
        cloud.put("voice", key, key.encode())
    source = f"{cloud.scheme}://voice"
    assert keys(source, "/me") == ["me", "me/a"]
    assert keys(source, "/me/") == ["me/a"]
    assert sorted(keys(source)) == ["me", "me.m4a", "me/a", "men/b"]


# -- what goes wrong --------------------------------------------------------------------------------------------------


def test_a_bucket_or_folder_that_is_not_there_is_the_users_to_mend(cloud: Any) -> None:
    for source in ("no-such-bucket", "no-such-bucket/a.m4a", "voice/nobody", "voice/nobody/a.m4a"):
        with pytest.raises(BadSettings, match="there is no such"):
            list(list_objects(f"{cloud.scheme}://{source}"))
    with pytest.raises(BadSettings, match="there is no such bucket"):
        list(list_new(f"{cloud.scheme}://no-such-bucket", Watermark(), budget=1))
    with pytest.raises(SourceUnavailable, match="there is no such bucket"):
        find_object(f"{cloud.scheme}://no-such-bucket/a.m4a")
    assert keys(f"{cloud.scheme}://voice") == []


@pytest.mark.parametrize("scheme", ["s3", "az"])
def test_wrong_credentials_are_named_and_never_shown(
    scheme: str, clouds: Callable[[str], Any], caplog: pytest.LogCaptureFixture
) -> None:
    cloud = clouds(scheme)
    cloud.put("voice", "a.m4a", b"sound")
    connect(scheme, cloud.options(wrong=True))
    cloud.refuse(True)
    try:
        with caplog.at_level(logging.DEBUG, logger="diarynotes"):
            for attempt in (
                lambda: list(list_objects(f"{scheme}://voice")),
                lambda: find_object(f"{scheme}://voice/a.m4a"),
                lambda: list(list_new(f"{scheme}://voice", Watermark(), budget=1)),
            ):
                with pytest.raises(SourceUnavailable, match="is not permitted") as caught:
                    attempt()
                told = "".join(traceback.format_exception(caught.value))
                assert "wrong-secret" not in told
                assert servers.AZURE_KEY not in told
    finally:
        cloud.refuse(False)
        connect(scheme, cloud.options())
    assert "wrong-secret" not in caplog.text
    cloud.delete("voice", "a.m4a")


def test_a_server_that_is_down_is_unavailable_and_may_come_back(cloud: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "_PAUSES_S", (0.05, 0.1))
    cloud.put("voice", "a.m4a", b"sound")
    found = only(f"{cloud.scheme}://voice")
    with nobody_there() as port:
        connect(cloud.scheme, cloud.options(port))
        for attempt in (
            lambda: list(list_objects(f"{cloud.scheme}://voice")),
            lambda: hash_object(found),
            lambda: find_object(found.uri),
        ):
            with pytest.raises(SourceUnavailable, match="cannot be reached or is busy") as caught:
                attempt()
            assert caught.value.retryable
        problems: list[SourceUnavailable] = []
        assert list(list_objects(f"{cloud.scheme}://voice", on_problem=problems.append)) == []
        assert len(problems) == 1
    connect(cloud.scheme, cloud.options())
    assert hash_object(found) == sha256(b"sound")


def test_a_server_that_hangs_is_left(cloud: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "_PAUSES_S", (0.05, 0.1))
    cloud.put("voice", "a.m4a", b"sound")
    found = only(f"{cloud.scheme}://voice")
    with servers.proxied(cloud.port) as proxy:
        for patience, why in ((Patience(5, 1.5, 60), "cannot be reached"), (Patience(5, 60, 6), "did not answer")):
            proxy.fault = ""
            connect(cloud.scheme, cloud.options(proxy.port))
            assert only(f"{cloud.scheme}://voice") == found
            connect(cloud.scheme, cloud.options(proxy.port), patience=patience)
            proxy.fault = "hang"
            with pytest.raises(SourceUnavailable, match=why) as caught:
                hash_object(found)
            assert caught.value.retryable


def test_no_download_is_ever_short_or_spoilt(cloud: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(calls, "_PAUSES_S", (0.01, 0.01))
    body = b"0123456789" * 100_000
    cloud.put("voice", "a.m4a", body)
    with servers.proxied(cloud.port) as proxy:
        connect(cloud.scheme, cloud.options(proxy.port))
        found = only(f"{cloud.scheme}://voice")
        for fault in ("cut", "short", "corrupt"):
            proxy.fault = fault
            with pytest.raises(SourceUnavailable):
                hash_object(found)
            with pytest.raises(SourceUnavailable), local_copy(found, folder=tmp_path):
                pass
            assert list(tmp_path.iterdir()) == []
        proxy.fault = ""
        assert hash_object(found) == sha256(body)


def test_a_busy_server_is_asked_three_times(cloud: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "_PAUSES_S", (0.01, 0.01))
    with servers.proxied(cloud.port) as proxy:
        connect(cloud.scheme, cloud.options(proxy.port))
        proxy.fault = "busy"
        with pytest.raises(SourceUnavailable, match="cannot be reached or is busy"):
            list(list_objects(f"{cloud.scheme}://voice"))
        assert len(proxy.requests) == 3
