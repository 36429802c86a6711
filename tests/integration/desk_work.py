"""What many workers do at one desk at the same time; run by threads here and by processes beside."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from threading import Barrier
from typing import Any

from diarynotes.calls import INTERRUPTED, Budgets, Fault, Outcome
from diarynotes.store import open_store
from diarynotes.store.store import Store
from tests.integration.desk_samples import CALL, FREE, ZONE, answer, failure

BUDGETS = Budgets(Decimal(10), Decimal(12), Decimal(5), Decimal(6))
MOST_USD = Decimal("0.2")
"""The dearest call that `spend` makes."""


@dataclass
class WorkerProcess:
    """A process that does what it is told by name (`WORKS`)."""

    process: subprocess.Popen[str]

    def start(self, work: str, **values: Any) -> None:
        assert self.process.stdin is not None
        print(json.dumps([work, values]), file=self.process.stdin, flush=True)

    def result(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())


def spend(store: Store, seed: int, threads: int, calls: int) -> dict[str, int]:
    """Make calls at random; how many were admitted, refused and lost."""
    counts: Counter[str] = Counter()
    for done in _at_once(threads, lambda number: _spend(store, random.Random(seed * 1000 + number), calls)):
        counts += done
    return dict(counts)


def probe(store: Store, threads: int) -> int:
    """How many of so many workers are let in at the same moment."""
    numbers = _at_once(threads, lambda _: store.desk.admit(CALL, Decimal(0), FREE).number)
    return sum(number is not None for number in numbers)


def fail(store: Store, threads: int) -> int:
    """Calls that all fail at the same moment; how many."""
    numbers = [store.desk.admit(CALL, Decimal(0), FREE).number or 0 for _ in range(threads)]
    _at_once(threads, lambda worker: store.desk.settle(numbers[worker], failure(Fault("model", 20.0)), FREE))
    return threads


def hang(store: Store) -> int:
    """Announce a call and never come back from it."""
    number = store.desk.admit(CALL, Decimal(1), FREE).number
    _tell(number)
    time.sleep(600)
    return 0


WORKS: dict[str, Callable[..., Any]] = {"spend": spend, "probe": probe, "fail": fail, "hang": hang}


def serve() -> None:
    """Do what each line of standard input says, and print what came of it, until there is none."""
    with open_store(sys.argv[2], Path(sys.argv[3]), zone=ZONE) as store:
        _tell("ready")
        for line in sys.stdin:
            work, values = json.loads(line)
            _tell(WORKS[work](store, **values))


def _tell(value: Any) -> None:
    print(json.dumps(value), flush=True)  # noqa: T201 whoever started this process reads it


def _at_once(threads: int, work: Callable[[int], Any]) -> list[Any]:
    barrier = Barrier(threads)

    def begin(number: int) -> Any:
        barrier.wait()
        return work(number)

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(begin, range(threads)))


def _spend(store: Store, rng: random.Random, calls: int) -> Counter[str]:
    done: Counter[str] = Counter()
    for _ in range(calls):
        most_usd = MOST_USD * rng.randint(1, 20) / 20
        call = replace(
            CALL,
            owner=rng.choices(["ann", "ben", "eve"], [6, 2, 2])[0],
            writer=f"writer{rng.randrange(40)}",
            model=rng.choice(["large", "small"]),
        )
        admission = store.desk.admit(call, most_usd, BUDGETS)
        done[admission.refused or "admitted"] += 1
        if admission.number is None:
            continue
        if rng.random() < 0.05:
            done["lost"] += 1
        else:
            store.desk.settle(admission.number, _come_back(rng, most_usd), BUDGETS)
    return done


def _come_back(rng: random.Random, most_usd: Decimal) -> Outcome:
    match rng.randrange(10):
        case 0:
            return failure(Fault("writer", 0.0, at_once=True))
        case 1:
            return failure(Fault("model", 0.0, at_once=True))
        case 2:
            return answer(None)
        case 3:
            return replace(answer(None), name=INTERRUPTED)
        case _:
            return answer(str(most_usd * rng.randint(0, 10) / 10))
