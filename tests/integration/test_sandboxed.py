"""Files on their way to the sandbox: out of a bucket, from where they have moved, onto a disk that is full."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from diarynotes.buckets import connect, find_object, list_objects, local_copy
from diarynotes.errors import StorageFailed
from diarynotes.models import BucketObject
from diarynotes.settings import load_settings
from diarynotes.store import Drop
from diarynotes.testing import ScriptedEngine
from flows import sandboxed, stages
from flows.draining import register_drops
from flows.transcription import transcribe_claimed
from flows.workshop import Wishes, Workshop
from flows.writers import may_leave
from tests.integration import bucket_servers as servers
from tests.waiting import wait_for

pytest_plugins = ["tests.integration.store_fixtures"]

EXAMPLES = Path(__file__).parents[2] / "examples" / "voice-notes"
NOTE = EXAMPLES / "2026-05-23T09-15-00.wav"
WISHES = Wishes(engine="scripted", model="", language="", writers=("extractive",))


@pytest.fixture
def shop(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workshop]:
    named = {"home": tmp_path / "home", "database_url": database_url, "timezone": "UTC"}
    workshop = Workshop(load_settings({}, **named, workers=1, local_only="*/private/*"))
    monkeypatch.setattr(workshop, "engine_for", lambda *_: nullcontext(ScriptedEngine("A quiet morning.")))
    yield workshop
    workshop.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "notes"
    (made / "private").mkdir(parents=True)
    (made / "a.wav").write_bytes(NOTE.read_bytes())
    return made


def register(shop: Workshop, source: Path | str) -> tuple[str, ...]:
    return stages.register_objects(shop, list(list_objects(str(source))), owner="me", priority="normal").ids


def stand(shop: Workshop, *ids: str) -> list[tuple[str, str | None]]:
    return [(line.job.state, line.job.error_code) for line in shop.store.jobs.list(ids or None)]


def make_variants(count: int) -> dict[str, bytes]:
    """Recordings that sound alike and are not the same, by name: what follows a WAV's sound is nobody's business."""
    return {f"{number}.wav": NOTE.read_bytes() + bytes([number]) for number in range(count)}


# -- where a recording lies by now ------------------------------------------------------------------------------------


def test_a_file_that_is_renamed_before_it_is_heard_is_heard(shop: Workshop, folder: Path) -> None:
    (key,) = register(shop, folder)
    (folder / "a.wav").rename(folder / "b.wav")
    assert register(shop, folder) == (key,)
    stages.validate_recordings(shop, [key])
    assert stand(shop) == [("validated", None)]
    assert shop.store.recordings([key])[key].uri == str(folder / "b.wav")
    (folder / "b.wav").rename(folder / "c.wav")
    assert register(shop, folder) == (key,)
    transcribe_claimed(shop, [key], wishes=WISHES)
    assert stand(shop) == [("transcribed", None)]


def test_of_two_copies_one_is_enough(shop: Workshop, folder: Path) -> None:
    (folder / "b.wav").write_bytes(NOTE.read_bytes())
    first, again = register(shop, folder)
    assert first == again
    (folder / "a.wav").unlink()
    stages.validate_recordings(shop, [first])
    assert stand(shop) == [("validated", None)]


def test_what_was_given_up_for_lost_is_taken_up_where_it_is_found(shop: Workshop, folder: Path) -> None:
    (key,) = register(shop, folder)
    (folder / "a.wav").rename(folder / "b.wav")
    shop.settings = replace(shop.settings, retry_delays_s=())
    stages.validate_recordings(shop, [key])
    assert stand(shop) == [("dead", "source_unavailable")]
    assert register(shop, folder) == (key,)
    assert stand(shop) == [("received", None)]


def test_what_fails_for_another_reason_is_not_woken(shop: Workshop, folder: Path) -> None:
    (folder / "a.wav").write_bytes(b"no sound")
    (key,) = register(shop, folder)
    stages.validate_recordings(shop, [key])
    (folder / "a.wav").rename(folder / "b.wav")
    register(shop, folder)
    assert stand(shop) == [("quarantined", "not_audio")]


def test_the_new_content_of_a_name_is_never_taken_for_the_old(shop: Workshop, folder: Path) -> None:
    """Even where both are known, and so what lies there is as it was last seen."""
    (old,) = register(shop, folder)
    (folder / "a.wav").write_bytes(NOTE.read_bytes() + b"!")
    (new,) = register(shop, folder)
    stages.validate_recordings(shop, [old, new])
    assert stand(shop, old) == [("waiting", "source_unavailable")]
    assert stand(shop, new) == [("validated", None)]


@pytest.mark.parametrize(("before", "after"), [("a.wav", "private/a.wav"), ("private/a.wav", "a.wav")])
def test_what_has_lain_in_a_private_place_does_not_leave(shop: Workshop, folder: Path, before: str, after: str) -> None:
    (folder / "a.wav").rename(folder / before)
    (key,) = register(shop, folder)
    (folder / before).rename(folder / after)
    register(shop, folder)
    stages.validate_recordings(shop, [key])
    recording = shop.store.recordings([key])[key]
    assert recording.uri == str(folder / after)
    assert not may_leave(recording, shop.settings)


# -- out of a bucket --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def amazon() -> Iterator[Any]:
    cloud = servers.Amazon(servers.start_python(servers.MOTO))
    cloud.make("voice")
    yield cloud
    connect("s3")
    cloud.server.stop()


@pytest.fixture
def bucket(amazon: Any, shop: Workshop) -> Iterator[Any]:
    """Amazon, with an empty bucket `voice` to which this process is connected."""
    connect("s3", amazon.options())
    yield amazon
    for obj in list_objects("s3://voice"):
        amazon.delete("voice", obj.uri.removeprefix("s3://voice/"))


def test_how_often_a_bucket_is_asked_for_a_recording(shop: Workshop, bucket: Any) -> None:
    bucket.put("voice", "me/a.wav", NOTE.read_bytes())
    shop.store.drops.put([Drop("me", "s3://voice/me/a.wav")])
    with servers.proxied(bucket.port) as proxy:
        connect("s3", bucket.options(proxy.port))
        ids = register_drops(shop)
        stages.validate_recordings(shop, ids)
        transcribe_claimed(shop, ids, wishes=WISHES)
        asked = Counter(request.partition(" ")[0] for request in proxy.requests)
        connect("s3", bucket.options())
    assert stand(shop) == [("transcribed", None)]
    assert asked == {"HEAD": 3, "GET": 3}


def test_few_copies_lie_on_the_disk_at_once(shop: Workshop, bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, body in make_variants(8).items():
        bucket.put("voice", f"me/{name}", body)
    copies: list[int] = []

    @contextmanager
    def count(obj: BucketObject, *, folder: Path) -> Iterator[Path]:
        with local_copy(obj, folder=folder) as path:
            assert path.is_relative_to(shop.settings.spool)
            copies.append(len(list(folder.glob("diarynotes-*"))))
            yield path

    monkeypatch.setattr(sandboxed, "local_copy", count)
    ids = register(shop, "s3://voice")
    stages.validate_recordings(shop, ids)
    assert set(stand(shop)) == {("validated", None)}
    assert len(copies) == 8
    assert max(copies) <= 2 * shop.settings.worker_count
    assert not list(shop.settings.spool.iterdir())


def test_a_disk_without_room_for_one_recording_costs_only_that_one(
    shop: Workshop, bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, body in make_variants(3).items():
        bucket.put("voice", f"me/{name}", body)

    def refuse(obj: BucketObject, *, folder: Path) -> Any:
        if obj.uri.endswith("/1.wav"):
            raise StorageFailed(str(folder), "No space left on device")
        return local_copy(obj, folder=folder)

    ids = register(shop, "s3://voice")
    with monkeypatch.context() as full:
        full.setattr(sandboxed, "local_copy", refuse)
        stages.validate_recordings(shop, ids)
    assert sorted(stand(shop)) == [("validated", None), ("validated", None), ("waiting", "storage_failed")]
    shop.store.jobs.retry(ids)
    stages.validate_recordings(shop, ids)
    assert set(stand(shop)) == {("validated", None)}


def test_who_wants_out_leaves_no_copy(shop: Workshop, bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, body in make_variants(4).items():
        bucket.put("voice", f"me/{name}", body)
    ids = register(shop, "s3://voice")
    look = find_object

    looks: list[str] = []

    def stop_at_second(uri: str) -> BucketObject | None:
        looks.append(uri)
        if len(looks) == 2:
            shop.stopping.set()
        return look(uri)

    monkeypatch.setattr(sandboxed, "find_object", stop_at_second)
    stages.validate_recordings(shop, ids)
    assert shop.store.jobs.count() == {"validated": 1, "received": 3}
    wait_for(lambda: not list(shop.settings.spool.iterdir()), "the end of the child that was at work")
