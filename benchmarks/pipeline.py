"""What everything around the engine costs: start-up, time per recording, memory. Prints tables, writes JSON.

Every figure is the wall time of a real `diarynotes run` with the scripted engine, which takes no time of its own;
decoding and writing are in it. Prefect's own start is measured in the same session, so the ratios hold on any machine.

    python benchmarks/pipeline.py [--json FILE] [--sizes 100,1000] [--memory-minutes 200]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import psutil

from diarynotes.audio import decode
from diarynotes.models import SAMPLE_RATE
from diarynotes.prefect_api import TemporaryServer
from diarynotes.store.embedded import stop_embedded

EXAMPLES = Path(__file__).parents[1] / "examples" / "voice-notes"
_PATIENT = {"PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120"}
EMPTY_FLOW = """
from prefect import flow
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
    flow(lambda: None, name="empty")()
"""


def main() -> None:
    arguments = _read_arguments()
    with tempfile.TemporaryDirectory(prefix="diarynotes-bench-") as folder:
        bench = Bench(Path(folder))
        figures = {"machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"}
        figures |= bench.measure_start(arguments.repeats)
        figures |= bench.measure_growth([int(size) for size in arguments.sizes.split(",")])
        figures |= bench.measure_memory(arguments.memory_minutes)
    _print_table(figures)
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(figures, indent=1) + "\n")
    print(f"\nwritten to {arguments.json}")


class Bench:
    """Runs of the command line in homes of their own below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        speech = [
            _read_speech(path, folder) for path in sorted(EXAMPLES.glob("*.flac")) + sorted(EXAMPLES.glob("*.ogg"))
        ]
        self.speech = np.concatenate(speech)
        self.homes = 0

    def measure_start(self, repeats: int) -> dict[str, Any]:
        """Runs of one 10-second recording, cold and warm, with a Prefect API and without, and Prefect's own start."""
        rounds = [self._measure_start_once() for _ in range(repeats)]
        return {name: median(one[name] for one in rounds) for name in rounds[0]}

    def _measure_start_once(self) -> dict[str, float]:
        figures = {"help_s": self._time(["--help"], self._environment(self._home()))}
        prefect = self._environment(self._home())
        figures["prefect_cold_s"] = _time_process([sys.executable, "-c", EMPTY_FLOW], prefect)
        figures["prefect_warm_s"] = _time_process([sys.executable, "-c", EMPTY_FLOW], prefect)
        with self._new_home() as environment:
            figures["run_cold_s"] = self._time_run(1, 10, environment)
            figures["run_warm_s"] = self._time_run(1, 10, environment)
        with self._served() as url, self._new_home(PREFECT_API_URL=url) as environment:
            figures["run_cold_with_api_s"] = self._time_run(1, 10, environment)
            figures["run_warm_with_api_s"] = self._time_run(1, 10, environment)
        figures["run_cold_over_prefect_s"] = figures["run_cold_s"] - figures["prefect_cold_s"]
        figures["run_warm_over_prefect_s"] = figures["run_warm_s"] - figures["prefect_warm_s"]
        return figures

    def measure_growth(self, sizes: list[int]) -> dict[str, Any]:
        """What each further 10-second recording costs, in ms, at several sizes of a run."""
        figures: dict[str, Any] = {}
        for size in sizes:
            with self._served() as url, self._new_home(PREFECT_API_URL=url) as environment:
                base = self._time_run(1, 10, environment)
                figures[f"recording_at_{size}_ms"] = (self._time_run(size, 10, environment) - base) / (size - 1) * 1000
        if len(sizes) > 1:
            figures["growth"] = figures[f"recording_at_{sizes[-1]}_ms"] / figures[f"recording_at_{sizes[0]}_ms"]
        return figures

    def measure_memory(self, count: int) -> dict[str, Any]:
        """Peak memory of all processes of a run over minutes of speech, Prefect's server and Postgres apart."""
        with self._served() as url, self._new_home(PREFECT_API_URL=url) as environment:
            notes = self._make_notes(count, 60)
            process = subprocess.Popen(
                _command(notes), env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            peak, alone = 0, 0
            while process.poll() is None:
                tree = _measure_tree(process.pid)
                peak, alone = max(peak, sum(tree.values())), max(alone, tree.get(process.pid, 0))
                time.sleep(0.2)
            assert process.returncode == 0
        return {"memory_minutes": count, "peak_memory_mb": peak / 1e6, "peak_memory_main_process_mb": alone / 1e6}

    def _time_run(self, count: int, seconds: int, environment: dict[str, str]) -> float:
        notes = self._make_notes(count, seconds)
        return _time_process(_command(notes), environment)

    def _time(self, arguments: list[str], environment: dict[str, str]) -> float:
        return _time_process([str(Path(sys.executable).with_name("diarynotes")), *arguments], environment)

    def _make_notes(self, count: int, seconds: int) -> Path:
        """A new folder of so many different recordings of real speech, over 30 days."""
        self.homes += 1
        folder = self.folder / f"notes-{self.homes}"
        folder.mkdir()
        chance = np.random.default_rng(self.homes)
        long = np.tile(self.speech, 1 + seconds * SAMPLE_RATE // len(self.speech) + 1)
        for number in range(count):
            start = int(chance.integers(0, len(self.speech)))
            path = folder / f"2026-05-{number % 30 + 1:02d}T10-{number // 60 % 60:02d}-{number % 60:02d} {number}.wav"
            with wave.open(str(path), "wb") as out:
                out.setnchannels(1)
                out.setsampwidth(2)
                out.setframerate(SAMPLE_RATE)
                out.writeframes(long[start : start + seconds * SAMPLE_RATE].tobytes())
        return folder

    @contextmanager
    def _served(self) -> Iterator[str]:
        server = TemporaryServer(self._home())
        server.wait()
        try:
            yield server.url
        finally:
            server.stop()

    @contextmanager
    def _new_home(self, **extra: str) -> Iterator[dict[str, str]]:
        home = self._home()
        try:
            yield self._environment(home, **extra)
        finally:
            stop_embedded(home / "postgres")

    def _home(self) -> Path:
        self.homes += 1
        return self.folder / f"home-{self.homes}"

    def _environment(self, home: Path, **extra: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("DIARYNOTES_", "PREFECT_"))}
        (home / "prefect-home").mkdir(parents=True)  # Prefect's own server does not make it
        own = {
            "DIARYNOTES_HOME": str(home),
            "PREFECT_HOME": str(home / "prefect-home"),
            "PREFECT_LOGGING_LEVEL": "CRITICAL",
        }
        return {**kept, **own, "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1", **_PATIENT, **extra}


def _command(notes: Path) -> list[str]:
    return [sys.executable, "-m", "diarynotes", "run", str(notes), "--engine", "scripted", "--json"]


def _time_process(command: list[str], environment: dict[str, str]) -> float:
    begun = time.perf_counter()
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - begun


def _measure_tree(pid: int) -> dict[int, int]:
    """Proportional set size in bytes of a process and all below it; what they share is counted once."""
    sizes: dict[int, int] = {}
    try:
        top = psutil.Process(pid)
        for process in (top, *top.children(recursive=True)):
            if "postgres" not in process.name():
                sizes[process.pid] = process.memory_full_info().pss
    except psutil.Error:
        pass  # it ended while it was looked at
    return sizes


def _read_speech(path: Path, spool: Path) -> np.ndarray[Any, np.dtype[np.int16]]:
    return np.array(decode(path, spool=spool).open().pcm)


def _print_table(figures: dict[str, Any]) -> None:
    promises: dict[str, tuple[str, Callable[[float], bool]]] = {
        "help_s": ("at most 0.5", lambda value: value <= 0.5),
        "run_cold_over_prefect_s": ("at most 5", lambda value: value <= 5),
        "run_warm_over_prefect_s": ("at most 5", lambda value: value <= 5),
        "run_cold_with_api_s": ("at most 6", lambda value: value <= 6),
        "run_warm_with_api_s": ("at most 6", lambda value: value <= 6),
        "recording_at_100_ms": ("at most 60", lambda value: value <= 60),
        "recording_at_1000_ms": ("at most 60", lambda value: value <= 60),
        "growth": ("at most 1.2", lambda value: value <= 1.2),
        "peak_memory_mb": ("under 1500", lambda value: value < 1500),
    }
    for name, value in figures.items():
        text = f"{value:.2f}" if isinstance(value, float) else str(value)
        promise, kept = promises.get(name, ("", lambda _: True))
        print(f"{name:32} {text:>12}   {promise}{'' if kept(value) else '   NOT KEPT'}")


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, default=Path("bench-results/pipeline.json"))
    parser.add_argument("--sizes", default="100,1000", help="how many recordings, separated by commas")
    parser.add_argument("--memory-minutes", type=int, default=200, help="how many recordings of a minute")
    parser.add_argument("--repeats", type=int, default=3, help="of the start-up figures, of which the median is told")
    return parser.parse_args()


if __name__ == "__main__":
    main()
