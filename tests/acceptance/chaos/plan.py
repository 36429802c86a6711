"""What happens in a run of chaos, drawn from a seed: what is dropped when, what is done meanwhile and to whom."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

DEEDS = ("kill", "freeze", "postgres immediate", "postgres fast", "bucket", "prefect", "disk")


@dataclass(frozen=True, slots=True)
class Drop:
    """A file that is dropped: its content by its number, under a name, into the bucket or told to the inbox."""

    content: int
    owner: str
    name: str
    into_bucket: bool


@dataclass(frozen=True, slots=True)
class Step:
    """A burst of drops, a pause (s), then a deed; `whom` picks one of those that it can be done to."""

    drops: tuple[Drop, ...]
    stormy: bool
    pause_s: float
    deed: str
    lasts_s: float
    whom: int


def draw_plan(seed: int, *, contents: int, kills: int) -> tuple[Step, ...]:
    """Bursts that drop every content once or more, and deeds in a random order, `kills` of which are kills."""
    rng = random.Random(seed)
    tenth = math.ceil(kills / 12)
    deeds = ["kill"] * kills + [deed for deed in DEEDS[1:] for _ in range(tenth)] + ["freeze"] * tenth
    rng.shuffle(deeds)
    drops = _draw_drops(rng, contents)
    size = math.ceil(len(drops) / len(deeds))
    return tuple(
        Step(
            tuple(drops[number * size : (number + 1) * size]),
            number % 2 == 1,
            rng.uniform(0.2, 3.0),
            deed,
            rng.uniform(1.0, 3.0),
            rng.randrange(1000),
        )
        for number, deed in enumerate(deeds)
    )


def _draw_drops(rng: random.Random, contents: int) -> list[Drop]:
    """Each content once; one in ten told of twice, one in ten dropped again under another name."""
    drops: list[Drop] = []
    for content in range(contents):
        first = Drop(content, ("anna", "ben")[content % 2], f"{name_day(content)}.wav", rng.random() < 0.6)
        drops.append(first)
        if content % 10 == 3:
            drops.append(first)
        if content % 10 == 7:
            again = Drop(content, first.owner, f"again/{first.name}", rng.random() < 0.5)
            drops.insert(rng.randrange(len(drops)), again)
    return drops


def name_day(content: int) -> str:
    """A moment by which a file is named; two recordings of each owner share a day."""
    day = content // 4
    return f"2026-{1 + day // 28:02d}-{1 + day % 28:02d}T10-{content % 4:02d}-00"


def describe_plan(steps: Sequence[Step]) -> str:
    """One line a step."""
    return "\n".join(
        f"{number:3d}: {len(step.drops)} drops{', storm' if step.stormy else ''}, {step.pause_s:.1f} s, {step.deed}"
        for number, step in enumerate(steps)
    )
