"""The inbox of drops on a real Postgres, and drains that are doubled, beside a sweep, and killed in the middle."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from diarynotes.buckets import find_object, list_objects
from diarynotes.errors import SourceUnavailable, StorageFailed
from diarynotes.models import BucketObject
from diarynotes.observe import Event, listening
from diarynotes.settings import load_settings
from diarynotes.store import Drop
from diarynotes.store.store import Store
from flows import draining, stages
from flows.draining import register_drops
from flows.workshop import Workshop
from tests.waiting import PATIENCE_S, wait_for

pytest_plugins = ["tests.integration.store_fixtures"]

Child = Callable[..., "subprocess.Popen[str]"]
UNREADABLE = SourceUnavailable("gs://b/me/a.m4a", "cannot be read")

HOLD = """
import sys
from pathlib import Path
from diarynotes.store import open_store
store = open_store(sys.argv[1], Path(sys.argv[2]), lease_s=float(sys.argv[3]))
drops = store.drops.claim()
print(len(drops), flush=True)
sys.stdin.readline()
store.drops.done(drops[:1])
for drop in drops[1:]:
    from diarynotes.errors import SourceUnavailable
    store.drops.fail(drop, SourceUnavailable(drop.uri, "gone"), ())
print("done", flush=True)
"""

DRAIN = """
import os, signal, sys
from diarynotes.settings import load_settings
from flows import draining, stages
from flows.workshop import Workshop
from diarynotes.store.drops import Drops
shop = Workshop(load_settings({}, home=sys.argv[2], database_url=sys.argv[1], lease_s=30))
point = sys.argv[3]
def die(*_arguments, **_more):
    os.kill(os.getpid(), signal.SIGKILL)
if point == "before register":
    draining.register_objects = die
if point == "after register":
    Drops.done = die
if point == "after done":
    done = Drops.done
    Drops.done = lambda *arguments: (done(*arguments), die())
draining._CHUNK = 10
shop.store.drops.count()
print("ready", flush=True)
if point == "nowhere":
    sys.stdin.readline()
while draining.register_drops(shop, 40):
    pass
print("drained", flush=True)
"""


def drops(count: int, owner: str = "me") -> list[Drop]:
    return [Drop(owner, f"gs://b/{owner}/{number:04}.m4a", "1") for number in range(count)]


# -- the inbox --------------------------------------------------------------------------------------------------------


def test_what_is_told_of_twice_is_one_drop(store: Store) -> None:
    told = drops(3)
    assert store.drops.put([*told, told[0]]) == 3
    assert store.drops.put(told) == 0
    assert store.drops.put([Drop("me", told[0].uri, "2"), Drop("you", told[0].uri, "1")]) == 2
    assert store.drops.put([]) == 0
    assert store.drops.count() == {"due": 5}


def test_the_most_urgent_and_oldest_are_claimed_first(store: Store) -> None:
    normal = drops(2)
    store.drops.put(normal)
    store.drops.put([Drop("me", "gs://b/me/late", "1", "urgent"), Drop("me", "gs://b/me/low", "1", "low")])
    store.drops.put([Drop("me", normal[1].uri, "1", "urgent")])
    names = [drop.uri.rpartition("/")[2] for drop in store.drops.claim()]
    assert names == ["0001.m4a", "late", "0000.m4a", "low"]


def test_two_workers_never_hold_the_same_drop(store: Store, other: Store) -> None:
    store.drops.put(drops(60))
    with ThreadPoolExecutor(2) as pool:
        held = list(pool.map(lambda one: [drop.id for drop in one.drops.claim(40)], (store, other)))
    assert len({*held[0], *held[1]}) == len(held[0]) + len(held[1]) == 60
    assert store.drops.claim() == []


def test_batches_in_any_order_from_many_sides_do_not_wait_for_each_other(store: Store, other: Store) -> None:
    told = drops(200)
    shuffled = []
    for seed in range(12):
        batch = list(told)
        random.Random(seed).shuffle(batch)
        shuffled.append(batch)
    with ThreadPoolExecutor(6) as pool:
        news = list(pool.map(lambda at: (store, other)[at % 2].drops.put(shuffled[at]), range(12)))
    assert sum(news) == 200
    assert store.drops.count() == {"due": 200}


def test_what_is_registered_goes(store: Store) -> None:
    store.drops.put(drops(2))
    store.drops.done(store.drops.claim())
    assert store.drops.count() == {}


def test_what_is_told_of_again_meanwhile_stays(store: Store) -> None:
    """Its content may be another by now, and nobody says so where messages carry no version."""
    store.drops.put(drops(2))
    claimed = store.drops.claim()
    store.drops.put(drops(1))
    assert store.drops.claim() == [], "it is held still"
    store.drops.done(claimed)
    again = store.drops.claim()
    assert [drop.uri for drop in again] == [claimed[0].uri]
    store.drops.done(again)
    assert store.drops.count() == {}


def test_what_is_given_back_is_free_at_once(store: Store, other: Store) -> None:
    store.drops.put(drops(2))
    store.drops.release(store.drops.claim())
    assert [drop.tries for drop in other.drops.claim()] == [0, 0]


def test_drops_that_nobody_takes_are_found_to_lie(store: Store, other: Store) -> None:
    assert not store.drops.lie(0)
    store.drops.put([Drop("me", "gs://b/me/a.m4a")])
    assert (store.drops.lie(0), store.drops.lie(3600)) == (True, False)
    (held,) = other.drops.claim()
    assert not store.drops.lie(0), "somebody has it"
    other.drops.fail(held, UNREADABLE, [3600])
    assert not store.drops.lie(0), "its time has not come"
    store.drops.retry()
    assert store.drops.lie(0)
    other.drops.fail(*other.drops.claim(), UNREADABLE, [])
    assert not store.drops.lie(0), "it was given up"


def test_a_drop_that_cannot_be_registered_waits_and_ends_dead(store: Store) -> None:
    store.drops.put(drops(1))
    delays = (0.0, 3600.0)
    assert not store.drops.fail(store.drops.claim()[0], UNREADABLE, delays)
    (drop,) = store.drops.claim()
    assert drop.tries == 1
    assert not store.drops.fail(drop, UNREADABLE, delays)
    assert store.drops.claim() == []
    assert store.drops.count() == {"waiting": 1}
    assert store.drops.retry([drop.id]) == 1
    (drop,) = store.drops.claim()
    assert drop.tries == 0
    assert store.drops.fail(drop, UNREADABLE, ())
    (line,) = store.drops.list(dead=True)
    assert line.is_dead
    assert (line.error_code, line.error_message) == ("source_unavailable", str(UNREADABLE))
    assert store.drops.list(dead=False) == []
    assert store.drops.list(dead=True, owner="you") == []
    assert store.drops.claim() == []


def test_dead_drops_come_back_when_they_are_told_of_or_wanted(store: Store) -> None:
    store.drops.put(drops(3))
    for drop in store.drops.claim():
        assert store.drops.fail(drop, UNREADABLE, ())
    store.drops.put(drops(1))
    assert store.drops.count() == {"due": 1, "dead": 2}
    dead = [line.drop.id for line in store.drops.list(dead=True)]
    assert store.drops.forget(dead[:1]) == 1
    assert store.drops.retry() == 1
    assert store.drops.count() == {"due": 2}
    assert store.drops.forget([line.drop.id for line in store.drops.list()]) == 0, "only dead ones are let go"


def test_a_living_worker_renews_its_leases(store: Store) -> None:
    def lease_ends() -> datetime:
        with store.engine.begin() as connection:
            ends: datetime = connection.scalar(text("select min(lease_until) from drops"))
            return ends

    store.drops.put(drops(2))
    store.drops.claim()
    before = lease_ends()
    store.worker.renew()
    assert lease_ends() > before


def test_the_drops_of_a_killed_worker_are_free_at_once(
    store: Store, database_url: str, tmp_path: Path, child: Child
) -> None:
    store.drops.put(drops(3))
    holder = child(HOLD, database_url, tmp_path / "home", 3600)
    assert holder.stdout is not None
    assert holder.stdout.readline().strip() == "3"
    assert store.drops.claim() == []
    holder.kill()
    holder.wait()
    assert len(wait_for(store.drops.claim)) == 3


def test_a_frozen_worker_that_thaws_writes_nothing(
    store: Store, database_url: str, tmp_path: Path, child: Child
) -> None:
    store.drops.put(drops(3))
    holder = child(HOLD, database_url, tmp_path / "home", 3)
    assert holder.stdout is not None
    assert holder.stdin is not None
    assert holder.stdout.readline().strip() == "3"
    os.kill(holder.pid, signal.SIGSTOP)
    assert store.drops.claim() == [], "a frozen worker keeps its session, so its lease decides"
    taken: list[Drop] = []

    def take_all() -> bool:
        taken.extend(store.drops.claim())
        return len(taken) == 3

    wait_for(take_all)
    os.kill(holder.pid, signal.SIGCONT)
    holder.stdin.write("\n")
    holder.stdin.flush()
    assert holder.stdout.readline().strip() == "done"
    assert store.drops.count() == {"due": 3}
    store.drops.done(taken)
    assert store.drops.count() == {}


def test_what_postgres_cannot_hold_is_put_without_it(store: Store) -> None:
    store.drops.put([Drop("me", "gs://b/me/\0a\ud800.m4a", "")])
    assert "\0" not in store.drops.list()[0].drop.uri


def test_a_batch_is_kept_as_a_whole_or_not_at_all(store: Store) -> None:
    with pytest.raises(StorageFailed):
        store.drops.put([*drops(5), Drop("me", "gs://b/" + random.Random(1).randbytes(9_000).hex(), "1")])
    assert store.drops.count() == {}


# -- draining ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def shop(database_url: str, tmp_path: Path) -> Iterator[Workshop]:
    workshop = Workshop(load_settings({}, home=tmp_path / "home", database_url=database_url, timezone="UTC"))
    yield workshop
    workshop.close()


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every object that was read from now on."""
    seen: list[str] = []
    read = stages.hash_object

    def note(obj: object, **options: object) -> str:
        seen.append(obj.uri)  # type: ignore[attr-defined]
        return read(obj, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(stages, "hash_object", note)
    return seen


def fill(folder: Path, count: int) -> list[Drop]:
    """So many different files and their drops."""
    folder.mkdir(exist_ok=True)
    for number in range(count):
        (folder / f"{number:04}.m4a").write_bytes(b"sound %d" % number)
    return [Drop("me", obj.uri, obj.version) for obj in list_objects(str(folder))]


def sources(shop: Workshop) -> int:
    with shop.store.engine.begin() as connection:
        return int(connection.scalar(text("select count(*) from sources")) or 0)


def drain_all(shop: Workshop) -> None:
    """Until nothing is left, also of what a killed worker held: the server needs a moment to see that it is dead."""
    wait_for(lambda: register_drops(shop) is not None and not shop.store.drops.count())


def test_drops_become_recordings_and_go(shop: Workshop, tmp_path: Path, hashed: list[str]) -> None:
    told = fill(tmp_path / "in", 120)
    shop.store.drops.put(told)
    ids = register_drops(shop, limit=200)
    assert len(set(ids)) == len(ids) == 120
    assert shop.store.drops.count() == {}
    assert shop.store.jobs.count() == {"received": 120}
    shop.store.drops.put(told)
    assert set(register_drops(shop, limit=200)) == set(ids), "known, not new"
    assert shop.store.jobs.count() == {"received": 120}
    assert len(hashed) == 120


def test_owner_and_priority_are_those_of_the_drop(shop: Workshop, tmp_path: Path) -> None:
    (told,) = fill(tmp_path / "in", 1)
    shop.store.drops.put([told, Drop("anna", told.uri, told.version, "urgent")])
    found = shop.store.recordings(register_drops(shop))
    assert {(one.owner, one.priority) for one in found.values()} == {("me", "normal"), ("anna", "urgent")}


def test_what_has_gone_is_told_of_and_taken_out(
    shop: Workshop, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    told = fill(tmp_path / "in", 2)
    shop.store.drops.put([*told, Drop("me", str(tmp_path / "in"), "1")])
    Path(told[0].uri).unlink()
    assert len(register_drops(shop)) == 1
    assert shop.store.drops.count() == {}
    assert sum("no longer there" in record.message for record in caplog.records) == 2


def test_what_lies_on_a_share_that_is_not_mounted_stays(shop: Workshop, tmp_path: Path) -> None:
    shop.store.drops.put(fill(tmp_path / "share", 2))
    (tmp_path / "share").rename(tmp_path / "elsewhere")
    assert register_drops(shop) == ()
    assert shop.store.drops.count() == {"waiting": 2}
    (tmp_path / "elsewhere").rename(tmp_path / "share")
    shop.store.drops.retry()
    assert len(register_drops(shop)) == 2


def test_many_that_have_gone_do_not_hide_one_that_is_there(shop: Workshop, tmp_path: Path) -> None:
    (told,) = fill(tmp_path / "in", 1)
    shop.store.drops.put([Drop("me", str(tmp_path / f"in/{number}")) for number in range(20)])
    shop.store.drops.put([told])
    assert len(register_drops(shop, limit=5)) == 1
    assert register_drops(shop, limit=5) == ()


def test_what_cannot_be_read_is_tried_again_and_hurts_no_other(
    shop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = fill(tmp_path / "in", 3)
    shop.store.drops.put(told)
    look = find_object

    def refuse_first(uri: str) -> object:
        if uri == told[0].uri:
            raise SourceUnavailable(uri, "cannot be read (Permission denied)")
        return look(uri)

    with monkeypatch.context() as patched:
        patched.setattr(draining, "find_object", refuse_first)
        assert len(register_drops(shop)) == 2
    (line,) = shop.store.drops.list()
    assert (line.drop.tries, line.is_dead, line.error_code) == (1, False, "source_unavailable")
    assert line.next_try_at is not None
    assert register_drops(shop) == ()
    shop.store.drops.retry()
    assert len(register_drops(shop)) == 1


@pytest.mark.parametrize("spell", [Path.as_uri, lambda path: f"{path.parent}//{path.name}"], ids=["uri", "slashes"])
def test_what_cannot_be_read_stays_however_it_is_spelled(
    shop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spell: Callable[[Path], str]
) -> None:
    def refuse(obj: BucketObject, **_options: object) -> str:
        raise SourceUnavailable(obj.uri, "cannot be read (Input/output error)")

    (told,) = fill(tmp_path / "in", 1)
    shop.store.drops.put([Drop("me", spell(Path(told.uri)))])
    with monkeypatch.context() as patched:
        patched.setattr(stages, "hash_object", refuse)
        assert register_drops(shop) == ()
    assert shop.store.drops.count() == {"waiting": 1}
    shop.store.drops.retry()
    assert len(register_drops(shop)) == 1


def test_an_object_that_is_told_of_in_several_ways_is_read_once(
    shop: Workshop, tmp_path: Path, hashed: list[str]
) -> None:
    (told,) = fill(tmp_path / "in", 1)
    shop.store.drops.put([told, Drop("me", Path(told.uri).as_uri())])
    assert len(register_drops(shop)) == 1
    assert hashed == [told.uri]
    assert shop.store.drops.count() == {}


def test_a_new_content_under_the_same_name_is_another_recording(shop: Workshop, tmp_path: Path) -> None:
    (told,) = fill(tmp_path / "in", 1)
    unversioned = Drop("me", told.uri)
    shop.store.drops.put([unversioned])
    first = register_drops(shop)
    Path(told.uri).write_bytes(b"another sound")
    shop.store.drops.put([unversioned])
    assert register_drops(shop) != first


def test_while_the_database_is_gone_nothing_is_lost(
    shop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object, **_more: object) -> object:
        raise StorageFailed("postgresql://…", "no connection")

    shop.store.drops.put(fill(tmp_path / "in", 5))
    with monkeypatch.context() as patched:
        patched.setattr(draining, "register_objects", fail)
        with pytest.raises(StorageFailed):
            register_drops(shop)
    assert len(register_drops(shop)) == 5


def test_who_wants_out_gives_the_rest_back(shop: Workshop, tmp_path: Path) -> None:
    shop.store.drops.put(fill(tmp_path / "in", 5))
    shop.stopping.set()
    assert register_drops(shop) == ()
    shop.stopping.clear()
    assert len(register_drops(shop)) == 5


def test_what_is_left_of_several_owners_is_given_back_and_nothing_else(
    shop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chunks are made by owner, so not in the order in which the drops were claimed."""
    for drop, owner in zip(fill(tmp_path / "in", 4), ("zoe", "anna") * 2, strict=True):
        shop.store.drops.put([Drop(owner, drop.uri)])
    register = draining.register_objects

    def fail_for_zoe(*arguments: Any, owner: str, **more: Any) -> stages.Registration:
        if owner == "zoe":
            raise StorageFailed("postgresql://…", "no connection")
        return register(*arguments, owner=owner, **more)

    with monkeypatch.context() as patched:
        patched.setattr(draining, "register_objects", fail_for_zoe)
        with pytest.raises(StorageFailed):
            register_drops(shop)
    assert [drop.owner for drop in shop.store.drops.claim()] == ["zoe", "zoe"]
    assert shop.store.drops.count() == {"due": 2}


def test_drains_and_a_sweep_at_once_register_each_object_once(
    shop: Workshop, database_url: str, tmp_path: Path
) -> None:
    told = fill(tmp_path / "in", 300)
    shop.store.drops.put(told)
    second = Workshop(shop.settings)
    registered: Counter[str] = Counter()

    def count(event: Event) -> None:
        registered[event.recording_id] += event.name == "registered"

    def drain(one: Workshop) -> list[str]:
        found: list[str] = []
        while ids := register_drops(one, limit=50):
            found += ids
        return found

    def sweep() -> list[str]:
        objects = list(list_objects(str(tmp_path / "in")))
        return list(stages.register_objects(shop, objects, owner="me", priority="normal").ids)

    with listening(count), ThreadPoolExecutor(4) as pool:
        again = pool.submit(lambda: [shop.store.drops.put(told[at::5]) for at in range(5)])
        found = [pool.submit(drain, shop), pool.submit(drain, second), pool.submit(sweep)]
        ids = {each for one in found for each in one.result()}
        again.result()
    drain(shop)
    second.close()
    assert len(ids) == 300
    assert shop.store.jobs.count() == {"received": 300}
    assert sources(shop) == 300
    assert set(registered.values()) == {1}
    assert shop.store.drops.count() == {}


@pytest.mark.parametrize("point", ["before register", "after register", "after done"])
def test_a_drain_that_is_killed_loses_and_doubles_nothing(
    shop: Workshop, database_url: str, tmp_path: Path, child: Child, hashed: list[str], point: str
) -> None:
    shop.store.drops.put(fill(tmp_path / "in", 40))
    killed = child(DRAIN, database_url, tmp_path / "home", point)
    assert killed.wait(timeout=PATIENCE_S) == -signal.SIGKILL
    left = sum(shop.store.drops.count().values())
    assert left == (30 if point == "after done" else 40)
    drain_all(shop)
    assert shop.store.jobs.count() == {"received": 40}
    assert sources(shop) == 40
    assert len(hashed) == (40 if point == "before register" else 30), "what was registered is not read again"


def test_several_drains_that_are_killed_at_random_lose_and_double_nothing(
    shop: Workshop, database_url: str, tmp_path: Path, child: Child
) -> None:
    shop.store.drops.put(fill(tmp_path / "in", 400))
    chance = random.Random(7)
    drains = [child(DRAIN, database_url, tmp_path / "home", "nowhere") for _ in range(4)]
    for drain in drains:
        assert drain.stdin is not None
        assert drain.stdout is not None
        assert drain.stdout.readline().strip() == "ready"
        drain.stdin.write("\n")
        drain.stdin.flush()
        time.sleep(chance.uniform(0.0, 0.1))
        drain.kill()
    drain_all(shop)
    assert shop.store.jobs.count() == {"received": 400}
    assert sources(shop) == 400
