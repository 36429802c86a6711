"""What the acceptance tests share: the command line as a person calls it, spoken notes, a Prefect server."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import wave
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import av
import numpy as np
import pytest

from diarynotes.models import SAMPLE_RATE, JobState
from diarynotes.prefect_api import TemporaryServer
from diarynotes.settings import load_settings
from diarynotes.store import open_store
from diarynotes.store.embedded import stop_embedded
from tests.integration import damage as damage_module
from tests.waiting import PATIENCE_S, wait_for

_WAY: tuple[JobState, ...] = ("received", "validated", "transcribed", "written", "landed")
EXAMPLES = Path(__file__).parents[2] / "examples" / "voice-notes"


@dataclass(frozen=True)
class Result:
    """What one call of the command line gave."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.out, self.err
        return json.loads(self.out)


@dataclass(frozen=True)
class CommandLine:
    """`diarynotes` with a home of its own; `call` waits for the end, `start` does not."""

    home: Path
    environment: dict[str, str]

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "diarynotes", *arguments],
            env={**self.environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.home.parent,
        )

    def call(self, *arguments: str, timeout_s: float = PATIENCE_S, **environment: str) -> Result:
        process = self.start(*arguments, **environment)
        out, err = process.communicate(timeout=timeout_s)
        return Result(process.returncode, out, err)

    def wait_for(self, state: JobState, process: subprocess.Popen[str]) -> None:
        """Returns when `process`, a run in progress, has brought a recording into this state or further."""
        settings = load_settings(self.environment)
        states = _WAY[_WAY.index(state) :]
        wait_for((settings.home / "postgres").exists, "a database", process=process)
        with open_store(settings.database_url, settings.home) as store:
            wait_for(lambda: store.jobs.list(states=states, limit=1), state, process=process)


@pytest.fixture(scope="session")
def prefect_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Prefect server for the whole session, so that a run need not start its own."""
    server = TemporaryServer(tmp_path_factory.mktemp("prefect"))
    server.wait()
    yield server.url
    server.stop()


@pytest.fixture
def command_line(tmp_path: Path, prefect_url: str) -> Iterator[CommandLine]:
    """The command line on an empty home, with a Prefect API configured."""
    home = tmp_path / "home"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("DIARYNOTES_", "PREFECT_"))}
    environment = {
        **inherited,
        "DIARYNOTES_HOME": str(home),
        "DIARYNOTES_TIMEZONE": "Europe/Berlin",
        "PREFECT_API_URL": prefect_url,
        "PREFECT_HOME": str(tmp_path / "prefect"),
        "NO_COLOR": "1",
        "COLUMNS": "200",
    }
    yield CommandLine(home, environment)
    stop_embedded(home / "postgres")


@pytest.fixture(scope="session")
def speech() -> np.ndarray[Any, np.dtype[np.int16]]:
    """About a minute of the spoken examples, mono, 16 kHz, int16, shape (samples,)."""
    paths = sorted(path for path in EXAMPLES.iterdir() if path.suffix in {".wav", ".flac", ".ogg", ".webm"})
    return np.concatenate([read_sound(path) for path in paths])


MakeNotes = Callable[[Path, int], list[Path]]


@pytest.fixture(scope="session")
def make_notes(speech: np.ndarray[Any, np.dtype[np.int16]]) -> MakeNotes:
    """Writes so many different recordings of 4 s of real speech into a folder."""

    def make(folder: Path, count: int) -> list[Path]:
        folder.mkdir(parents=True, exist_ok=True)
        chance = random.Random(20260524)
        starts = [chance.randrange(len(speech) - 4 * SAMPLE_RATE) for _ in range(count)]
        paths = [
            folder / f"2026-05-{number % 28 + 1:02d}T10-00-{number % 60:02d}-{number}.wav" for number in range(count)
        ]
        for path, start in zip(paths, starts, strict=True):
            write_wav(path, speech[start : start + 4 * SAMPLE_RATE])
        return paths

    return make


@pytest.fixture(scope="session", name="write_wav")
def _write_wav() -> Callable[[Path, np.ndarray[Any, np.dtype[np.int16]]], None]:
    return write_wav


@pytest.fixture(scope="session")
def damage() -> ModuleType:
    """What the integration tests break files with."""
    return damage_module


def write_wav(path: Path, pcm: np.ndarray[Any, np.dtype[np.int16]]) -> None:
    """A WAV file of mono 16 kHz samples."""
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(SAMPLE_RATE)
        out.writeframes(pcm.tobytes())


def read_sound(path: Path) -> np.ndarray[Any, np.dtype[np.int16]]:
    with av.open(str(path)) as container:
        resampler = av.AudioResampler("s16", "mono", SAMPLE_RATE)
        frames = [out for frame in container.decode(audio=0) for out in resampler.resample(frame)]
    return np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames])
