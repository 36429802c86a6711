"""What is new in a bucket since last time: found, never skipped, and for no more requests than promised."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from typing import Any

import pytest

from diarynotes.buckets import Watermark, connect, list_new
from diarynotes.store.store import Store
from tests.integration import bucket_servers as servers

pytest_plugins = ["tests.integration.store_fixtures"]

KEYS = [f"anna/2026/{number:05}.m4a" for number in range(12_000)] + [f"zoe/{number:05}.m4a" for number in range(8_000)]
BUDGET = 3


@pytest.fixture(scope="module")
def amazon() -> Iterator[Any]:
    cloud = servers.Amazon(servers.start_python(servers.MOTO))
    yield cloud
    connect("s3")
    cloud.server.stop()


def run(store: Store, source: str, budget: int, killed_after: int | None = None) -> list[str]:
    """What a run registered; it is killed before it does so with batch `killed_after`."""
    mark = store.watermarks.read(source)
    found: list[str] = []
    for number, batch in enumerate(list_new(source, mark, budget=budget)):
        if number == killed_after:
            break
        found += [obj.uri.removeprefix(source + "/") for obj in batch.objects]
        assert store.watermarks.move(source, mark, batch.watermark)
        mark = batch.watermark
    return found


@pytest.mark.slow  # moto goes through all names for each page
def test_a_run_costs_what_is_new_and_not_what_is_there(store: Store, amazon: Any) -> None:
    amazon.make("large")
    amazon.put_all("large", KEYS)
    with servers.proxied(amazon.port) as proxy:
        connect("s3", amazon.options(proxy.port))

        def requests_of(budget: int = BUDGET) -> tuple[list[str], int]:
            proxy.requests.clear()
            found = run(store, "s3://large", budget)
            assert all("list-type=2" in request for request in proxy.requests)
            return found, len(proxy.requests)

        found, requests = requests_of()
        assert set(found) == set(KEYS)
        assert requests <= 20 + 2 * BUDGET + 1  # all of it is new: twenty pages of a thousand names
        found, requests = requests_of()
        assert requests <= 2 * BUDGET + 1
        assert len(found) <= BUDGET * 1_000
        new = ["anna/2026/99999.m4a", "zoe/99999.m4a", "zoe/99998.m4a", "bob/1.m4a"]
        amazon.put_all("large", new)
        found, requests = requests_of()
        assert set(new) <= set(found)  # named by time, so found at once, wherever the sweep is
        assert requests <= 2 * BUDGET + 1


@pytest.mark.parametrize("seed", [7])
def test_whatever_is_dropped_while_runs_are_killed_is_found_in_time(
    store: Store, amazon: Any, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice = random.Random(seed)
    bucket, source, budget = f"random{seed}", f"s3://random{seed}", dice.randint(1, 3)
    monkeypatch.setattr("diarynotes.buckets.s3.PAGE_OBJECTS", 20)
    connect("s3", amazon.options())
    amazon.make(bucket)
    folders = ["", "a/", "b/", "b/c/", "é/", "🎙/", "z/"]
    waiting: dict[str, int] = {}  # runs that went through since each was dropped
    there: set[str] = set()
    for _ in range(8):
        names = {dice.choice(folders) + f"{dice.randrange(10**6):06}.m4a" for _ in range(dice.randint(0, 8))} - there
        amazon.put_all(bucket, sorted(names))
        there |= names
        waiting |= dict.fromkeys(names, 0)
        killed_after = dice.choice([None, None, 0, 1, 2])
        found = run(store, source, budget, killed_after)
        if killed_after is None:
            promised = math.ceil((len(there) / 20 + 1) / budget) + 1
            waiting = {name: runs + 1 for name, runs in waiting.items()}
            late = {name: runs for name, runs in waiting.items() if runs > promised and name not in found}
            assert not late, f"not found within {promised} runs: {late}"
        for name in found:
            waiting.pop(name, None)
    for _ in range(math.ceil((len(there) / 20 + 1) / budget) + 1):
        for name in run(store, source, budget):
            waiting.pop(name, None)
    assert not waiting


def test_of_two_runs_at_once_one_moves_the_sweep(store: Store, other: Store, amazon: Any) -> None:
    connect("s3", amazon.options())
    amazon.make("raced")
    amazon.put_all("raced", [f"anna/{number:04}.m4a" for number in range(2_500)])
    mine, theirs = store.watermarks.read("s3://raced"), other.watermarks.read("s3://raced")
    batch = next(list_new("s3://raced", mine, budget=1))
    assert store.watermarks.move("s3://raced", mine, batch.watermark)
    assert not other.watermarks.move("s3://raced", theirs, batch.watermark)
    assert other.watermarks.read("s3://raced") == batch.watermark
    behind = Watermark({"anna/": "anna/0001.m4a"}, batch.watermark.sweep)
    assert other.watermarks.move("s3://raced", Watermark({}, batch.watermark.sweep), behind)
    assert store.watermarks.read("s3://raced").newest == batch.watermark.newest  # names only move on
    assert store.watermarks.swept_at("s3://raced") is None
    store.watermarks.forget("s3://raced")
    assert store.watermarks.read("s3://raced") == Watermark()


def test_what_was_listed_before_a_bucket_stopped_answering_counts(store: Store, amazon: Any) -> None:
    amazon.make("broken")
    amazon.put_all("broken", [f"anna/{number:04}.m4a" for number in range(2_500)])
    with servers.proxied(amazon.port) as proxy:
        connect("s3", amazon.options(proxy.port))
        problems: list[Any] = []
        mark, found = Watermark(), 0
        for batch in list_new("s3://broken", mark, budget=5, on_problem=problems.append):
            mark, found = batch.watermark, found + len(batch.objects)
            proxy.fault = "busy"
        assert (found, len(problems)) == (1_000, 1)
        proxy.fault = ""
        rest = [obj for batch in list_new("s3://broken", mark, budget=5) for obj in batch.objects]
        assert len(rest) == 1_500


def test_a_source_below_a_bucket_and_what_is_hidden_in_it(store: Store, amazon: Any) -> None:
    connect("s3", amazon.options())
    amazon.make("below")
    amazon.put_all("below", ["in/anna/a.m4a", "in/b.m4a", "in/.trash/c.m4a", "in/anna/.d.m4a", "out/e.m4a", "in/anna/"])
    batches = list(list_new("s3://below/in", Watermark(), budget=1))
    assert [obj.uri for batch in batches for obj in batch.objects] == [
        "s3://below/in/anna/a.m4a",
        "s3://below/in/b.m4a",
    ]
    assert set(batches[-1].watermark.newest) == {"", "anna/"}
