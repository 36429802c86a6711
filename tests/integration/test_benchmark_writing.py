"""The benchmarks of writing run, and say what they promise to say."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import PATIENCE_S

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
NOTE = {
    "segments": [
        "I met Anna at the harbour and we did not talk for long.",
        "She bought twelve lemons and I paid nine euros.",
        "I have to call the dentist on Monday.",
        "I was tired, but the evening was calm.",
    ],
    "expect": {
        "people": ["Anna"],
        "places": ["harbour"],
        "todos": ["dentist"],
        "must_mention": ["lemons"],
        "must_not": ["police"],
        "mood": "mixed",
    },
}


def run(script: str, out: Path, *arguments: str) -> Any:
    command = [sys.executable, str(BENCHMARKS / script), *arguments, "--json", str(out)]
    subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE_S)
    return json.loads(out.read_text())


@pytest.mark.slow
def test_what_a_note_costs_beside_its_model_is_measured(tmp_path: Path) -> None:
    figures = run("writing.py", tmp_path / "f.json", "--repeats", "1", "--minutes", "1,5", "--desks", "direct,memory")

    assert [row["what"] for row in figures["rows"] if row["minutes"] == 5] == [
        *("masking", "unmasking", "grounding", "checking", "all, direct", "all, memory"),
    ]
    assert all(row["cpu_ms"] > 0 for row in figures["rows"])


@pytest.mark.slow
def test_what_a_careless_model_plants_is_followed(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "harbour.json").write_text(json.dumps(NOTE))

    writers = run(
        "compare_writers.py", tmp_path / "f.json", "--notes", str(tmp_path / "notes"), "--rounds", "6"
    )  # fmt: skip

    extractive, *good, careless = writers
    assert extractive["tokens"] == 0
    assert [bool(each["usd"]) for each in good] == [True, True, True, False]  # one's own server costs nothing
    for each in good:
        assert each["tokens"] > 500
        assert each["sentences"][0] == each["sentences"][1]  # nothing that a close writer says is dropped
        assert each["grounded"]["recall"] == dict.fromkeys(("people", "places", "todos", "must_mention"), 1.0)
    planted = sum(careless["planted"].values())
    assert planted >= 6
    assert sum(careless["stayed"].values()) < planted / 2
    assert careless["true_sentences"][0] == careless["true_sentences"][1]
