"""The floor under grounding: of the falsehoods planted in 300 made notes nearly all are seen, true sentences stay."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their own module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    return load("grounding")


@pytest.fixture(scope="module")
def tallies(benchmark: ModuleType) -> dict[str, Any]:
    made: dict[str, Any] = benchmark.measure_made(300, seed=7)
    return made


@pytest.mark.slow
def test_planted_falsehoods_are_seen(benchmark: ModuleType, tallies: dict[str, Any]) -> None:
    tried, found = benchmark.count_planted(tallies)
    assert tried > 2000
    assert found >= 0.95 * tried
    seldom_seen = {
        kind: tallies[kind].share for kind in benchmark.load_material().LIES_BY_KIND if tallies[kind].share < 0.9
    }
    assert not seldom_seen


@pytest.mark.slow
def test_true_sentences_and_their_paraphrases_stay(benchmark: ModuleType, tallies: dict[str, Any]) -> None:
    for kind in (benchmark.TRUE, benchmark.PARAPHRASED):
        assert tallies[kind].tried > 2000
        assert tallies[kind].share <= 0.03, tallies[kind].wrong[:5]


def test_sentences_rewritten_by_hand(benchmark: ModuleType) -> None:
    pairs = benchmark.measure_pairs()
    faithful = [tally for kind, tally in pairs.items() if "faithfully" in kind]
    false = [tally for kind, tally in pairs.items() if "falsely" in kind]
    assert sum(it.tried for it in faithful) > sum(it.tried for it in false) > 90
    assert sum(it.found for it in faithful) <= 0.03 * sum(it.tried for it in faithful)
    assert sum(it.found for it in false) >= 0.8 * sum(it.tried for it in false)
