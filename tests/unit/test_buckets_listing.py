"""What is new in a bucket is found within the promised number of runs and requests, whatever is killed."""

import math
import random
from collections.abc import Iterator
from dataclasses import replace

import pytest

from diarynotes.buckets import Batch, Watermark, connect, list_new, list_objects, remote
from tests.unit.fake_buckets import InMemory

SOURCE = "s3://notes"
FOLDERS = ["", "a/", "b/", "b/c/", "é/", "ﬁ/", "🎙/", "z/"]


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemory]:
    made = InMemory()
    made.page_names = 5
    monkeypatch.setattr(remote, "_open_backend", lambda *_: made)
    connect("s3", {"key": "of this test"})
    yield made
    connect("s3")


def run(mark: Watermark, budget: int, killed_after: int | None = None) -> tuple[set[str], Watermark]:
    """What a run registered, and the watermark that it kept; it is killed before it registers batch `killed_after`."""
    found: set[str] = set()
    for number, batch in enumerate(list_new(SOURCE, mark, budget=budget)):
        if number == killed_after:
            break
        found |= {obj.uri.removeprefix(SOURCE + "/") for obj in batch.objects}
        mark = batch.watermark
    return found, mark


def promised_runs(count: int, budget: int, begins_anywhere: bool = True) -> int:
    runs = math.ceil(math.ceil(count / 5) / budget) + 1
    return runs if begins_anywhere else 5 * runs  # for others nothing is promised but that it is found


@pytest.mark.parametrize("begins_anywhere", [True, False])
@pytest.mark.parametrize("seed", range(20))
def test_whatever_is_dropped_while_runs_are_killed_is_found_in_time(
    cloud: InMemory, seed: int, begins_anywhere: bool
) -> None:
    dice = random.Random(seed)
    cloud.begins_anywhere = begins_anywhere
    mark, budget = Watermark(), dice.randint(1, 4)
    waiting: dict[str, int] = {}  # whole runs since each was dropped
    for _ in range(40):
        fresh = {dice.choice(FOLDERS) + f"{dice.randrange(10**6):06}" for _ in range(dice.randint(0, 6))}
        cloud.objects |= dict.fromkeys(fresh, b"x")
        waiting |= dict.fromkeys(fresh, 0)
        killed_after = dice.choice([None, None, 0, 1, 3])
        found, mark = run(mark, budget, killed_after)
        waiting = {name: runs + (killed_after is None) for name, runs in waiting.items() if name not in found}
        assert all(runs < promised_runs(len(cloud.objects), budget, begins_anywhere) for runs in waiting.values()), (
            waiting
        )
    for _ in range(promised_runs(len(cloud.objects), budget, begins_anywhere)):
        found, mark = run(mark, budget)
        waiting = {name: 0 for name in waiting if name not in found}
    assert not waiting


def test_a_run_asks_for_no_more_than_is_new(cloud: InMemory) -> None:
    cloud.objects = {f"{owner}/{number:03}": b"x" for owner in "abcd" for number in range(100)}
    found, mark = run(Watermark(), 6)
    assert found == set(cloud.objects)
    assert cloud.asked <= 2 * 6 + 1 + 400 / 5
    for _ in range(20):
        cloud.asked = 0
        cloud.objects |= {f"{owner}/{len(cloud.objects)}": b"x" for owner in "ac"}
        new = set(sorted(cloud.objects)[-1:]) | {key for key in cloud.objects if key[2:] >= str(len(cloud.objects) - 2)}
        found, mark = run(mark, 6)
        assert {key for key in new if key[0] in "ac"} <= found
        assert cloud.asked <= 2 * 6 + 1


def test_folders_that_are_too_many_get_their_turns(cloud: InMemory) -> None:
    cloud.objects = {f"{owner:02}/{number}": b"x" for owner in range(30) for number in range(9)}
    _, mark = run(Watermark(), 4)
    for _ in range(20):
        _, mark = run(mark, 4)
    cloud.objects |= {f"{owner:02}/9": b"x" for owner in range(30)}
    seen: set[str] = set()
    for _ in range(math.ceil(30 / 4)):
        found, mark = run(mark, 4)
        seen |= {key for key in found if key.endswith("/9")}
    assert len(seen) == 30


def test_a_name_that_no_database_takes_does_not_stop_the_sweep(cloud: InMemory) -> None:
    cloud.objects = {f"a/{number}": b"x" for number in range(9)} | {"a/4\0x": b"x", "a\0b/1": b"x"}
    mark, found = Watermark(), set()
    for _ in range(4):
        more, mark = run(mark, 1)
        found |= more
    assert found == {f"a/{number}" for number in range(9)}
    assert found == {obj.uri.removeprefix(SOURCE + "/") for obj in list_objects(SOURCE)}
    assert "\0" not in mark.sweep + "".join([*mark.newest, *mark.newest.values()])


def test_a_new_folder_is_found_at_once_though_something_beside_it_sorts_behind_it(cloud: InMemory) -> None:
    cloud.objects = {f"anna/{number:03}": b"x" for number in range(60)} | {"zz": b"x"}
    _, mark = run(Watermark(), 2)
    cloud.objects |= {"bob/1": b"x"}
    cloud.asked = 0
    found, mark = run(mark, 2)
    assert "bob/1" in found
    assert cloud.asked <= 2 * 2 + 1


def test_folders_with_nothing_in_them_take_no_turns_from_the_others(cloud: InMemory) -> None:
    """As where they were emptied, or where folders are there by themselves."""
    cloud.objects = {f"zoe/{number:03}": b"x" for number in range(600)}
    _, mark = run(Watermark(), 2)
    mark = replace(mark, newest={**mark.newest} | {f"{owner:02}/": "" for owner in range(9)})
    cloud.objects |= {"zoe/999": b"x", "05/1": b"x"}
    seen: set[str] = set()
    for _ in range(2 * math.ceil(10 / 2)):  # in half of them everybody was looked into once
        found, mark = run(mark, 2)
        seen |= found
    assert {"zoe/999", "05/1"} <= seen


def test_a_source_that_holds_nothing_yet_is_no_mistake(cloud: InMemory) -> None:
    (batch,) = list_new(f"{SOURCE}/inbox", Watermark(), budget=1)
    assert batch == Batch((), Watermark())
    cloud.objects["inbox/anna/1"] = b"x"
    found = [obj.uri for batch in list_new(f"{SOURCE}/inbox", batch.watermark, budget=1) for obj in batch.objects]
    assert found == [f"{SOURCE}/inbox/anna/1"]


def test_a_budget_of_nothing_is_one_of_a_page(cloud: InMemory) -> None:
    cloud.objects = {f"{number:03}": b"x" for number in range(60)}
    _, mark = run(Watermark(), 1)
    cloud.asked = 0
    run(mark, 0)
    assert cloud.asked <= 2 * 1 + 1
