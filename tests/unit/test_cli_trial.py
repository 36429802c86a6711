from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diarynotes.audio import Decoded
from diarynotes.cli.trial import Clip, _time, try_engine
from diarynotes.errors import BadSettings, EngineFailed, NoSpeech, StorageFailed
from diarynotes.models import SAMPLE_RATE, Media, Span, Transcript, Window, WindowText
from diarynotes.testing import SENTENCES, ScriptedEngine
from diarynotes.transcribe import Opening
from diarynotes.transcribe.preprocess import TARGET_DBFS

MB = 1_000_000


class Deadly:
    """Ends the process that unpickles it."""

    def __reduce__(self) -> Any:
        return os._exit, (3,)


class Listener(ScriptedEngine):
    """Keeps the samples that it was given last."""

    def decode(self, windows: Sequence[Window]) -> list[WindowText]:
        self.heard = [window.samples for window in windows]
        return super().decode(windows)


@pytest.fixture
def opening(tmp_path: Path) -> Opening:
    return Opening("scripted", None, tmp_path / "models", "en", 1)


def make_clip(spool: Path, seed: int, *spans: Span) -> Clip:
    """Two seconds of noise in a spool file."""
    path = spool / f"{seed}.pcm"
    np.random.default_rng(seed).integers(-900, 900, 2 * SAMPLE_RATE).astype("<i2").tofile(path)
    return Clip(f"{seed}.wav", Decoded(path, Media("wav", "pcm_s16le", 2.0, SAMPLE_RATE, 1), 0.0), spans)


def test_an_engine_in_a_process_of_its_own_hears_every_clip(opening: Opening, tmp_path: Path) -> None:
    clips = [make_clip(tmp_path, 1, Span(0, 2)), make_clip(tmp_path, 2), make_clip(tmp_path, 3, Span(0.5, 1.5))]

    trial, peak_bytes = try_engine(opening, clips, spool=tmp_path)

    assert (trial.engine, trial.model) == ("scripted", "lines")
    results = dict(trial.results)
    assert set(results) == {"1.wav", "2.wav", "3.wav"}
    assert isinstance(results["2.wav"], NoSpeech)
    for name in ("1.wav", "3.wav"):
        result = results[name]
        assert isinstance(result, Transcript)
        assert result.text in SENTENCES
    assert 0 < trial.seconds < 60
    assert 20 * MB < peak_bytes < 2000 * MB
    assert all(clip.decoded.pcm_path.exists() for clip in clips)  # for the next engine


def test_each_clip_is_told_of_when_it_was_heard(opening: Opening, tmp_path: Path) -> None:
    clips = [make_clip(tmp_path, seed, Span(0, 2)) for seed in (1, 2, 3)]
    told: list[str] = []

    trial, _ = try_engine(opening, clips, spool=tmp_path, progress=told.append)

    assert told == [file for file, _ in trial.results]
    assert sorted(told) == ["1.wav", "2.wav", "3.wav"]


def test_each_clip_is_preprocessed_with_its_own_steps(tmp_path: Path) -> None:
    clips = [make_clip(tmp_path, seed, Span(0, 2)) for seed in (1, 2)]
    engine = Listener()

    _time(engine, [clips[0], replace(clips[1], steps=("loudness",))], str)

    plain, loud = engine.heard
    assert np.abs(plain).max() < 0.03
    assert np.sqrt(np.square(loud).mean()) == pytest.approx(10 ** (TARGET_DBFS / 20), rel=0.05)


def test_a_step_that_does_not_exist_is_told(opening: Opening, tmp_path: Path) -> None:
    clip = replace(make_clip(tmp_path, 1, Span(0, 2)), steps=("reverb",))

    with pytest.raises(BadSettings, match="reverb"):
        try_engine(opening, [clip], spool=tmp_path)


def test_what_opening_the_engine_raises_comes_back(opening: Opening, tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="no file"):
        try_engine(replace(opening, name="whisper", model="/nowhere/mine.pt"), [], spool=tmp_path)


def test_samples_that_are_gone_are_said(opening: Opening, tmp_path: Path) -> None:
    clip = make_clip(tmp_path, 1, Span(0, 2))
    clip.decoded.pcm_path.unlink()

    with pytest.raises(StorageFailed, match=r"1\.pcm"):
        try_engine(opening, [clip], spool=tmp_path)


def test_a_process_that_dies_is_a_failed_engine(opening: Opening, tmp_path: Path) -> None:
    deadly: Any = Deadly()

    with pytest.raises(EngineFailed, match="died"):
        try_engine(replace(opening, models=deadly), [], spool=tmp_path)
