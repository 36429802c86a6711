"""Everything fails at some moment, again and again: at the end nothing is lost, doubled, or paid for twice.

`DIARYNOTES_CHAOS_RECORDINGS`, `DIARYNOTES_CHAOS_KILLS` and `DIARYNOTES_CHAOS_SEED` make it longer, or play one again.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from diarynotes.store.store import Store
from tests.acceptance.chaos import checks
from tests.acceptance.chaos.clouds import open_clouds
from tests.acceptance.chaos.plan import describe_plan, draw_plan
from tests.acceptance.chaos.sounds import make_contents
from tests.acceptance.chaos.world import World

pytestmark = pytest.mark.slow

RECORDINGS = int(os.environ.get("DIARYNOTES_CHAOS_RECORDINGS", "300"))
KILLS = int(os.environ.get("DIARYNOTES_CHAOS_KILLS", "30"))
WORKERS = int(os.environ.get("DIARYNOTES_CHAOS_WORKERS", "3"))
SEED = int(os.environ.get("DIARYNOTES_CHAOS_SEED", "20261121"))


@pytest.fixture
def world(speech: Any, tmp_path: Path) -> Iterator[World]:
    pytest.importorskip("moto.server", reason="moto is not installed: pip install 'diarynotes[dev]'")
    pytest.importorskip("s3fs", reason="s3fs is not installed: pip install 'diarynotes[s3]'")
    with open_clouds(SEED) as clouds:
        opened = World(tmp_path / "home", tmp_path, make_contents(speech, RECORDINGS, SEED), clouds, WORKERS)
        try:
            opened.open()
            yield opened
        finally:
            opened.close()


def test_nothing_is_lost_doubled_or_paid_for_twice(world: World, tmp_path: Path) -> None:
    steps = draw_plan(SEED, contents=RECORDINGS, kills=KILLS)
    for step in steps:
        world.do(step)
    world.clouds.stormy = False
    world.end_all_deeds()
    world.storm_s = time.monotonic() - world.began_s
    began = time.monotonic()
    world.wait_until(lambda: is_drained(world.store), "an empty queue", 300)
    retry_the_dead(world)
    drained_s = time.monotonic() - began
    world.wait_until(lambda: not world.store.stale_days(), "the entry of each day", 120)
    statuses = world.stop_workers()
    store = world.store
    drops = [drop for step in steps for drop in step.drops]
    wrong = [
        *(f"a worker ended with status {status}" for status in statuses if status),
        *chain(
            checks.check_recordings(store, world.contents, drops),
            checks.check_notes(store),
            checks.check_agreement(store, tmp_path),
            checks.check_nothing_is_held(store),
            checks.check_payments(store, world.clouds.paid, world.happenings, world.began_s),
            checks.check_books(store),
            checks.check_home(store),
        ),
    ]
    told = f"seed {SEED}, drained in {drained_s:.0f} s\n{describe_plan(steps)}\n{world.tell()}"
    (tmp_path / "told.txt").write_text(told)
    assert not wrong, "\n".join([*wrong, told])
    sum_up(world, drained_s)


def sum_up(world: World, drained_s: float) -> None:
    """The figures of docs/chaos.md."""
    done = Counter(event.what for event in world.happenings)
    questions = {answer.question for answer in world.clouds.paid}
    sys.stdout.write(
        f"\nseed {SEED}: {RECORDINGS} recordings; {', '.join(f'{count} {what}' for what, count in done.items())}; "
        f"{len(world.clouds.paid)} calls paid, {len(world.clouds.paid) - len(questions)} of them again; "
        f"{world.storm_s:.0f} s of deeds, {drained_s:.0f} s more until all had landed\n"
    )


def is_drained(store: Store) -> bool:
    """Nothing is left that a worker would take on by itself, now or later."""
    return not (store.drops.count().keys() - {"dead"} or store.jobs.pending() or store.jobs.list(states=["waiting"]))


def retry_the_dead(world: World) -> None:
    """What was given up for a reason comes home when a person asks for it."""
    dead = world.store.jobs.list(states=["dead"])
    assert all(line.job.error_code for line in dead)
    world.store.drops.retry()
    world.store.jobs.retry(states=["dead"])
    world.wait_until(lambda: is_drained(world.store), "the dead back home")
