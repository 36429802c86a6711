"""Killed just before and just after each commit and each call to the outside, and run again: nothing tells it.

What the points are, and what was seen at them, is in docs/kill-points.md. `make kill-points` dies at each of them; here
it is a sample, drawn by the seed DIARYNOTES_KILL_SEED, that holds every kind of point.
"""

from __future__ import annotations

import itertools
import os
import random
import signal
import statistics
from collections import Counter
from collections.abc import Callable, Iterator, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from diarynotes.models import SAMPLE_RATE
from tests.acceptance.kill_points.foreman import Foreman, Outcome, start_foremen
from tests.acceptance.kill_points.points import SIDES, Side
from tests.acceptance.kill_points.workload import CLOUD, HOME, Place
from tests.integration.vendor_server import Vendor, serve
from tests.integration.vendor_wire import WIRES

pytest_plugins = ["tests.integration.store_fixtures"]
pytestmark = pytest.mark.slow

SEED = os.environ.get("DIARYNOTES_KILL_SEED", "20261121")
AT_ONCE = 2
FROZEN_LEASE_S = 3.0
"""Of the one that freezes, and of nobody else."""
CLIP_S = 2
NOTES = (
    f"{CLOUD}/2026-05-01T10-00-00",
    f"{CLOUD}/2026-05-01T11-00-00",
    f"{CLOUD}/2026-05-02T10-00-00",
    f"{HOME}/2026-05-01T10-00-00",
)
KINDS = {"commit", "call", "Delta write", "Delta table", "rename", "read of the bucket", "event"}
KILLED = {-signal.SIGKILL}
FAILED = 1
"""How a process ends that was told so by the database; with any other error there is a fault."""
Kill = tuple[int, Side]


@dataclass
class Rig:
    """Where tries are made, each with a home and a database of its own, as many at once as there are hands."""

    folder: Path
    make_database: Callable[[], str]
    bucket: Path
    hands: SimpleQueue[tuple[Foreman, Vendor]] = field(default_factory=SimpleQueue)
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def kill(self, kills: Sequence[Kill]) -> Try:
        """Works until killed at the first of `kills`, again until killed at the next, and at last to the end."""
        place, foreman, vendor = self._begin(self.make_database())
        outcomes = [foreman.work(place, kill_at) for kill_at in (*kills, None)]
        return self._end(foreman, vendor, kills, outcomes)

    def crash_postgres(self, *kills: Kill) -> Try:
        """The same with a server in the home itself, which crashes under the work at the last of `kills`."""
        place, foreman, vendor = self._begin(None)
        *deaths, crash_at = kills
        outcomes = [foreman.work(place, kill_at) for kill_at in deaths]
        outcomes += [foreman.work(place, crash_at, "stop Postgres"), foreman.work(place)]
        return self._end(foreman, vendor, kills, outcomes)

    def freeze(self, freeze_at: Kill) -> Try:
        """Works until frozen, past the lease; another finishes the work, and then the first one thaws."""
        place, foreman, vendor = self._begin(self.make_database(), lease_s=FROZEN_LEASE_S)
        rescuer, _ = other_hand = self.hands.get()
        frozen = foreman.work(place, freeze_at, "freeze")
        try:
            rescued = rescuer.work(replace(place, lease_s=60.0))
        finally:
            thawed = foreman.thaw(place, frozen)
        last = rescuer.work(replace(place, lease_s=60.0))
        self.hands.put(other_hand)
        return self._end(foreman, vendor, [freeze_at], [frozen, rescued, thawed, last])

    def _begin(self, database_url: str | None, lease_s: float = 60.0) -> tuple[Place, Foreman, Vendor]:
        foreman, vendor = self.hands.get()
        vendor.seen.clear()
        home = self.folder / f"home-{next(self.numbers)}"
        return Place(home, database_url, self.bucket, vendor.url, lease_s), foreman, vendor

    def _end(self, foreman: Foreman, vendor: Vendor, kills: Sequence[Kill], outcomes: list[Outcome]) -> Try:
        calls = len(vendor.seen)
        self.hands.put((foreman, vendor))
        return Try(tuple(kills), outcomes, calls)


@dataclass
class Try:
    """One home in which something was done at `kills`: how each process ended, and how many calls were paid for."""

    kills: tuple[Kill, ...]
    outcomes: list[Outcome]
    calls: int

    @property
    def last(self) -> Outcome:
        return self.outcomes[-1]

    @property
    def name(self) -> str:
        deaths = zip(self.kills, self.outcomes, strict=False)
        return ", then ".join(f"{side} {number} ({outcome.points.get(number)})" for (number, side), outcome in deaths)

    def find_faults(self, whole: Try, ends: Sequence[Set[int]]) -> Iterator[str]:
        """What differs from the try that nobody disturbed; `ends` are how the processes before the last may end."""
        for outcome, statuses in zip(self.outcomes, (*ends, {0}), strict=True):
            words = outcome.error.strip().rpartition("\n")[2]
            if outcome.status not in statuses or (outcome.status == FAILED and "StorageFailed" not in words):
                yield f"{self.name}: ended with {outcome.status}, not {statuses}\n{outcome.error}"
        for part, wanted in whole.last.stand.items():
            found = self.last.stand.get(part, [])
            if found != wanted:
                more, less = _subtract(found, wanted), _subtract(wanted, found)
                yield f"{self.name}: {part} has {more}, but not {less}"
        if not 0 <= self.calls - whole.calls <= len(self.kills):
            yield f"{self.name}: {self.calls} calls were paid for, not {whole.calls}"


def _subtract(some: Sequence[str], others: Sequence[str]) -> list[str]:
    return list((Counter(some) - Counter(others)).elements())


@pytest.fixture(scope="module")
def rig(
    tmp_path_factory: pytest.TempPathFactory, make_database: Callable[[], str], speech: Any, write_wav: Any
) -> Iterator[Rig]:
    folder = tmp_path_factory.mktemp("kill-points")
    bucket = folder / "bucket"
    for number, name in enumerate(NOTES):
        path = bucket / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_wav(path, speech[number * CLIP_S * SAMPLE_RATE : (number + 1) * CLIP_S * SAMPLE_RATE])
    (bucket / HOME / "broken.wav").write_bytes(b"This is no sound.")
    rig = Rig(folder, make_database, bucket)
    with ExitStack() as closing:
        for foreman in closing.enter_context(start_foremen(AT_ONCE)):
            vendor = closing.enter_context(serve())
            vendor.answers = [WIRES["openai"].behave]
            rig.hands.put((foreman, vendor))
        yield rig


@pytest.fixture(scope="module")
def whole(rig: Rig) -> Try:
    """The try that nobody kills."""
    undisturbed = rig.kill([])
    assert not undisturbed.last.status, undisturbed.last.error
    return undisturbed


def test_the_undisturbed_run_passes_by_points_of_every_kind(whole: Try) -> None:
    assert {name.partition(" in ")[0] for name in whole.last.points.values()} == KINDS
    assert (len(whole.last.stand["Postgres notes"]), len(whole.last.stand["Delta notes"])) == (4, 4)
    assert whole.last.stand["verify"] == whole.last.stand["left over"] == []
    assert whole.calls == 4, "three notes, and the day that has two of them"


def test_a_run_that_is_killed_anywhere_is_brought_to_the_same_end(rig: Rig, whole: Try) -> None:
    tries = at_once(lambda kill: rig.kill([kill]), draw(whole.last.points, 20))
    print(report(tries, whole))  # noqa: T201
    assert_same_end(tries, whole, KILLED)


def test_a_run_that_is_killed_again_while_it_recovers_is_brought_to_the_same_end(rig: Rig, whole: Try) -> None:
    rng = random.Random(SEED)
    first, second = draw(whole.last.points, 5, most=60), draw(whole.last.points, 5, most=60)
    rng.shuffle(second)
    tries = at_once(rig.kill, list(zip(first, second, strict=True)))
    print(report(tries, whole))  # noqa: T201
    tries = [each for each in tries if each.outcomes[1].status]  # what was left to do may have fewer points
    assert_same_end(tries, whole, KILLED, KILLED)


def test_a_run_that_freezes_anywhere_and_thaws_too_late_writes_nothing(rig: Rig, whole: Try) -> None:
    tries = [rig.freeze(kill) for kill in draw(whole.last.points, 6, most=60)]
    print(report(tries, whole))  # noqa: T201
    assert_same_end(tries, whole, {-signal.SIGSTOP}, {0}, {0, FAILED})


def test_a_run_under_which_postgres_crashes_is_brought_to_the_same_end(rig: Rig, whole: Try) -> None:
    tries = at_once(rig.crash_postgres, draw(whole.last.points, 4, most=40))
    assert_same_end(tries, whole, {FAILED})


def test_a_run_under_which_postgres_crashes_while_it_recovers_is_brought_to_the_same_end(rig: Rig, whole: Try) -> None:
    rng = random.Random(SEED)
    deaths, crashes = draw(whole.last.points, 4, most=40), draw(whole.last.points, 4, most=40)
    rng.shuffle(crashes)
    tries = at_once(lambda plan: rig.crash_postgres(*plan), list(zip(deaths, crashes, strict=True)))
    tries = [each for each in tries if each.outcomes[1].status]  # what was left to do may have fewer points
    print(f"crashed in {len(tries)} recoveries")  # noqa: T201
    assert tries
    assert_same_end(tries, whole, KILLED, {FAILED})


def draw(points: dict[int, str], count: int, *, most: int | None = None) -> list[Kill]:
    """A sample of points and sides, of as many kinds as fit; `make kill-points` takes all, or `most`."""
    rng = random.Random(SEED)
    kills = [(number, side) for number in points for side in SIDES]
    shuffled = rng.sample(kills, len(kills))
    if os.environ.get("DIARYNOTES_KILL_ALL"):
        return shuffled[:most]
    first_of_kind = {points[number].partition(" in ")[0]: (number, side) for number, side in reversed(shuffled)}
    return list(dict.fromkeys((*first_of_kind.values(), *shuffled)))[:count]


def at_once(attempt: Callable[[Any], Try], plans: Sequence[Any]) -> list[Try]:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(attempt, plans))


def assert_same_end(tries: Sequence[Try], whole: Try, *ends: Set[int]) -> None:
    faults = [fault for each in tries for fault in each.find_faults(whole, ends)]
    assert not faults, "\n".join(faults)


def report(tries: Sequence[Try], whole: Try) -> str:
    """What was seen, for who runs pytest with -s."""
    waits = [
        after.free_at - before.ended_at
        for each in tries
        for before, after in itertools.pairwise(each.outcomes)
        if after.held
    ]
    repeated = [each.name for each in tries if each.calls > whole.calls]
    lines = [f"{len(tries)} tries, {sum(len(each.kills) for each in tries)} kills"]
    lines += [f"a call was repeated in {len(repeated)}:", *repeated]
    if len(waits) > 1:
        percentiles = statistics.quantiles(waits, n=100, method="inclusive")
        lines += [f"taken over {len(waits)} times, after s: median {percentiles[49]:.2f}, 99th {percentiles[98]:.2f}"]
    return "\n".join(["", *lines])
