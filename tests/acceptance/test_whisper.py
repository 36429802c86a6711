"""Whisper through the command line, by the small trained checkpoint: real words, and a kill on the way."""

from __future__ import annotations

import csv
import os
import shutil
import signal
import wave
from pathlib import Path

import numpy as np
import psutil
import pytest
from sqlalchemy import text

from diarynotes.models import SAMPLE_RATE
from diarynotes.settings import load_settings
from diarynotes.store import open_store
from diarynotes.word_errors import WordErrors, count_word_errors
from tests.acceptance.conftest import CommandLine, read_sound
from tests.waiting import PATIENCE_S, wait_for

CLIPS = Path(__file__).parents[1] / "checkpoint" / "clips"
NAMES = ("02-awb.opus", "06-awb.opus", "09-rms.opus", "13-rms.opus")


def read_transcripts() -> dict[str, str]:
    with (CLIPS / "transcripts.csv").open(newline="") as file:
        return {row["file"]: row["text"] for row in csv.DictReader(file)}


def write_wave(path: Path, samples: np.ndarray[tuple[int], np.dtype[np.int16]]) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(samples.tobytes())


def test_speech_becomes_words_and_noise_is_set_aside(
    command_line: CommandLine, trained_checkpoint: Path, tmp_path: Path
) -> None:
    notes = tmp_path / "notes"
    notes.mkdir()
    for name in NAMES:
        shutil.copy(CLIPS / name, notes)
    noise = np.random.default_rng(1).normal(0, 2000, 10 * SAMPLE_RATE).astype(np.int16)
    write_wave(notes / "noise.wav", noise)

    result = command_line.call(
        "run", str(notes), "--engine", "whisper", "--model", str(trained_checkpoint), "--prompt", "Tom, Anna", "--json"
    )

    assert result.status == 3, result.err
    assert {note["engine"] for note in result.json["notes"]} == {"whisper"}
    assert [problem["code"] for problem in result.json["problems"]] == ["no_speech"]
    rows = command_line.call("query", "select source, text from transcripts", "--json").json
    heard = {Path(row["source"]).name: row["text"] for row in rows}
    said = read_transcripts()
    errors = sum((count_word_errors(said[name], heard[name]) for name in NAMES), WordErrors(0, 0))
    assert errors.rate is not None
    assert errors.rate < 0.25


@pytest.mark.slow
def test_a_long_recording_that_is_killed_goes_on_after_what_was_stored(
    command_line: CommandLine, trained_checkpoint: Path, tmp_path: Path
) -> None:
    speech, gap = read_sound(CLIPS / NAMES[0]), np.zeros(11 * SAMPLE_RATE, np.int16)
    write_wave(tmp_path / "long.wav", np.concatenate([speech, gap] * 80))
    arguments = ("run", str(tmp_path / "long.wav"), "--engine", "whisper", "--model", str(trained_checkpoint), "--json")
    settings = load_settings(command_line.environment)

    process = command_line.start(*arguments)
    command_line.wait_for("validated", process)
    with open_store(settings.database_url, settings.home) as store:
        count = text("select count(*) from heard_windows")

        def count_kept() -> int:
            with store.engine.begin() as connection:
                return connection.scalar(count) or 0

        wait_for(count_kept, "a window that was stored", process=process)
        children = psutil.Process(process.pid).children(recursive=True)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        assert not psutil.wait_procs(children, timeout=PATIENCE_S)[1]
        result = command_line.call(*arguments)
        with store.engine.begin() as connection:
            assert connection.scalar(count) == 0
            booked = connection.scalar(text("select count(*) from usages where stage = 'engine'"))

    assert result.status == 0, result.err
    assert booked == 1
    (row,) = command_line.call("query", "select count(*) as heard from segments", "--json").json
    assert row["heard"] >= 80
