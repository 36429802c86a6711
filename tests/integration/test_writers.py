"""Writers that need nothing outside, held against transcripts with what a faithful note must and must not hold."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTES = ROOT.parent / "shared" / "notes"

pytestmark = pytest.mark.skipif(not NOTES.is_dir(), reason="the shared transcripts are not on this machine")


def test_the_extractive_writer_is_faithful(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    script = ROOT / "benchmarks" / "writers.py"
    subprocess.run([sys.executable, script, "--notes", NOTES, "--json", figures], check=True, capture_output=True)
    result = json.loads(figures.read_text())
    recall = result["recall"]
    assert result["notes"] == 8
    assert min(recall["people"], recall["places"], recall["todos"]) >= 0.8
    assert recall["must_mention"] >= 0.75
    assert (result["must_not"], result["wrong_numbers"]) == (0, 0)
    assert result["mood_right"] >= 6
