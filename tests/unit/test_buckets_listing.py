"""What is new in a bucket is found within the promised number of runs and requests, whatever is killed."""

import math
import random
from collections.abc import Iterator

import pytest

from diarynotes.buckets import Watermark, connect, list_new, remote
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
    cloud.objects = {f"a/{number}": b"x" for number in range(9)} | {"a/4\0x": b"x"}
    found, mark = run(Watermark(), 9)
    assert len(found) == 10
    assert "\0" not in mark.sweep + "".join(mark.newest.values())
