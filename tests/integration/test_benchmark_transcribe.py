"""The benchmark of transcription runs, and what it compares is alike."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from tests.waiting import PATIENCE_S

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_the_benchmark_measures_ours_and_a_peer(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    command = [sys.executable, str(BENCHMARKS / "transcribe.py"), "--quick", "--json", str(out)]
    only = ["--contenders", "ctranslate2,faster-whisper", "--workloads", "notes,hours"]
    told = subprocess.run([*command, *only], check=True, capture_output=True, text=True, timeout=PATIENCE_S).stdout

    figures = json.loads(out.read_text())
    ours, peer, *hours = figures["runs"]
    assert (ours["contender"], peer["contender"]) == ("ctranslate2", "faster-whisper")
    assert ours["audio_s"] == peer["audio_s"] > 90
    assert ours["windows"] >= 3
    assert peer["tokens"] % 34 == 0
    assert 0 < ours["busy_s"] < ours["wall_s"]
    assert all(run["peak_mb"] > 50 for run in figures["runs"])
    assert hours[1]["audio_s"] > hours[0]["audio_s"]
    (ratio,) = figures["ratios"]
    assert ratio["wall"] == pytest.approx(peer["wall_s"] / ours["wall_s"])
    assert "| notes | quick | ctranslate2 | faster-whisper |" in told


def test_every_window_has_as_many_tokens_and_is_english(tmp_path: Path) -> None:
    import torch
    import whisper

    model = whisper.load_model(str(load("transcribe_material").write_weights("quick", tmp_path)), device="cpu")
    mel = torch.from_numpy(np.random.default_rng(1).normal(0, 1, (3, 80, 3000)).astype(np.float32))
    results = whisper.decode(model, mel, whisper.DecodingOptions(fp16=False))

    assert [(result.language, len(result.tokens)) for result in results] == [("en", 34)] * 3
    assert all(token < 50364 for result in results for token in result.tokens[1:])
