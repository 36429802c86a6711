"""How soon a dropped recording is a landed note under `diarynotes up`, also where the processes at it are killed.

Shows what of that is Prefect's share. Real server, worker and watcher; the scripted engine, which takes no time of its
own. Prints tables, writes JSON.

    python benchmarks/orchestration.py [--drops 40] [--burst 100] [--kills 10] [--json FILE]
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import platform
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import wave
from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager, suppress
from datetime import datetime
from itertools import islice, pairwise
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import httpx
import numpy as np
import psutil

from diarynotes.audio import decode
from diarynotes.models import SAMPLE_RATE
from diarynotes.store import open_store
from diarynotes.store.embedded import stop_embedded

EXAMPLES = Path(__file__).parents[1] / "examples" / "voice-notes"
_NOTE_S = 4
_WARM_UP = 3
_PATIENCE_S = 120.0
_DROPS_TO_A_KILL = 60
STEPS = ("drop to event", "event to run", "run to pending", "pending to running", "running to landed")
"""The first is the watcher's, the last one our flow's, those between are Prefect's."""


def main() -> None:
    arguments = _read_arguments()
    figures: dict[str, Any] = {
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    }
    with tempfile.TemporaryDirectory(prefix="diarynotes-bench-") as folder, _up(Path(folder) / "home") as up:
        count = _WARM_UP + arguments.drops + arguments.burst + arguments.kills * _DROPS_TO_A_KILL
        notes = make_notes(Path(folder) / "notes", count)
        figures["start_s"] = up.start_s
        up.drop(notes[:_WARM_UP])
        rest = iter(notes[_WARM_UP:])
        single, burst = list(islice(rest, arguments.drops)), list(islice(rest, arguments.burst))
        loads = [os.getloadavg()[0]]
        figures |= measure_single(up, single)
        loads.append(os.getloadavg()[0])
        figures |= measure_burst(up, burst)
        loads.append(os.getloadavg()[0])
        figures |= measure_kills(up, [list(islice(rest, _DROPS_TO_A_KILL)) for _ in range(arguments.kills)])
        loads.append(os.getloadavg()[0])
        figures["load"] = [round(load, 1) for load in loads]  # tells what else the machine had to do
        figures["memory_mb"] = {name: round(size / 1e6) for name, size in up.measure_memory().items()}
    _print(figures)
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(figures, indent=1) + "\n")
    print(f"\nwritten to {arguments.json}")


class Up:
    """A running `diarynotes up`, what it says, and its Prefect API."""

    def __init__(self, home: Path, process: subprocess.Popen[str]) -> None:
        self.home = home
        self.process = process
        self.landed: dict[str, str] = {}
        """Recording id by file name, as told."""
        self._news = threading.Condition()
        self._facts: dict[str, Any] = {}
        begun = time.monotonic()
        threading.Thread(target=self._read, daemon=True).start()
        with self._news:
            assert self._news.wait_for(lambda: self._facts, _PATIENCE_S), "it did not come up"
        self.start_s = time.monotonic() - begun
        user, _, password = Path(self._facts["auth_file"]).read_text().strip().partition(":")
        self.api = httpx.Client(base_url=f"{self._facts['ui']}/api", auth=(user, password), timeout=30)

    def drop(self, notes: Sequence[Path]) -> dict[str, float]:
        """Puts recordings into the folder as quickly as it goes and waits until all have landed; when each came in."""
        dropped = self.put(notes)
        self.wait_for(dropped.keys())
        return dropped

    def put(self, notes: Sequence[Path]) -> dict[str, float]:
        """Puts recordings into the folder as quickly as it goes; when each came in."""
        dropped = {}
        for note in notes:
            shutil.copy(note, self.home / "bucket" / "me" / note.name)
            dropped[note.name] = time.time()
        return dropped

    def wait_for(self, names: Set[str]) -> None:
        """Until all of these recordings have landed."""
        with self._news:
            assert self._news.wait_for(lambda: names <= self.landed.keys(), _PATIENCE_S), "not all landed"

    def kill_runs(self) -> None:
        """Kills the processes in which runs go on."""
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                if "flows.residence" in " ".join(process.cmdline()):
                    process.kill()

    def processes(self) -> list[psutil.Process]:
        return [psutil.Process(self.process.pid), *psutil.Process(self.process.pid).children(recursive=True)]

    def landed_at(self, names: Sequence[str]) -> dict[str, float]:
        """When Postgres took each of these recordings for landed."""
        ids = {self.landed[name]: name for name in names}
        with open_store(None, self.home) as store:
            lines = store.jobs.list(list(ids))
        return {ids[line.job.recording_id]: line.job.updated_at.timestamp() for line in lines if line.job.updated_at}

    def runs(self, since: float) -> list[dict[str, Any]]:
        """The runs that drops have started since then, oldest first, each with when it took which state."""
        wanted = {
            "sort": "EXPECTED_START_TIME_ASC",
            "deployments": {"name": {"any_": ["inbox"]}},
            "flow_runs": {"expected_start_time": {"after_": _iso(since)}},
            "limit": 200,
        }
        runs: list[dict[str, Any]] = self.api.post("/flow_runs/filter", json=wanted).raise_for_status().json()
        for run in runs:
            states = self.api.get("/flow_run_states/", params={"flow_run_id": run["id"]}).raise_for_status().json()
            run["at"] = {state["type"]: _seconds(state["timestamp"]) for state in reversed(states)}
        return runs

    def events(self, since: float) -> list[float]:
        """When Prefect was told of drops since then."""
        wanted = {
            "filter": {
                "occurred": {"since": _iso(since), "until": _iso(time.time() + 60)},
                "event": {"name": ["diarynotes.recording.dropped"]},
            },
            "limit": 50,
        }
        answer = self.api.post("/events/filter", json=wanted).raise_for_status().json()
        found = list(answer["events"])
        while answer.get("next_page"):
            answer = self.api.get(answer["next_page"]).raise_for_status().json()
            found += answer["events"]
        return sorted(_seconds(event["occurred"]) for event in found)

    def measure_memory(self) -> dict[str, int]:
        """Resident bytes of its processes, by what they are."""
        sizes: dict[str, int] = {}
        for process in self.processes():
            words = " ".join(process.cmdline())
            known = ("child server", "child worker", "child watcher", "flows.residence")
            name = next((name for name in known if name in words), "sandbox" if "pickle" in words else "up")
            sizes[name] = sizes.get(name, 0) + process.memory_info().rss
        return sizes

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            told = json.loads(line)
            with self._news:
                if told["event"] == "up":
                    self._facts = told
                elif told["event"] == "landed":
                    self.landed[told["file"]] = told["recording_id"]
                self._news.notify_all()


def measure_single(up: Up, notes: Sequence[Path]) -> dict[str, Any]:
    """One recording after another on an idle `up`, with a pause of random length between."""
    chance = random.Random(20261121)
    begun = time.time()
    dropped: dict[str, float] = {}
    for note in notes:
        time.sleep(1.5 + chance.random())  # what came before has ended, and no rhythm of the watcher's is met
        dropped |= up.drop([note])
    landed = up.landed_at(list(dropped))
    took = [landed[name] - dropped[name] for name in dropped]
    time.sleep(3.0)  # Prefect keeps its history by the second
    runs, events = up.runs(begun), up.events(begun)
    steps = [found for name in dropped if (found := _split(dropped[name], landed[name], events, runs))]
    ends = [end - landed[name] for name in dropped if (end := _end_of(dropped[name], landed[name], runs))]
    shares = {step: [one[number] for one in steps] for number, step in enumerate(STEPS)}
    return {
        "single": {"drops": len(took), **_describe(took), "at_most_s": max(took)},
        "steps": {step: _describe(found) for step, found in shares.items()},
        "prefect": _describe([sum(one[1:4]) for one in steps]),
        "landed to end of run": _describe(ends),
    }


def measure_burst(up: Up, notes: Sequence[Path]) -> dict[str, Any]:
    """All at once."""
    time.sleep(5.0)  # what came before has ended
    begun = time.time()
    dropped = up.drop(notes)
    landed = up.landed_at(list(dropped))
    first = min(dropped.values())
    time.sleep(3.0)  # as above
    return {
        "burst": {
            "drops": len(notes),
            "dropped_within_s": max(dropped.values()) - first,
            "all_landed_s": max(landed.values()) - first,
            "median_s": median(landed[name] - dropped[name] for name in dropped),
            "runs": len([run for run in up.runs(begun) if "RUNNING" in run["at"]]),
        }
    }


def measure_kills(up: Up, groups: Sequence[Sequence[Path]]) -> dict[str, Any]:
    """All processes that run flows are killed while they work on a group; when what had not landed then has."""
    chance = random.Random(20261130)
    took: list[float] = []
    for notes in groups:
        dropped = up.put(notes)
        time.sleep(1.5 + 3.0 * chance.random())  # runs have begun by then, or are about to
        killed_at = time.time()
        up.kill_runs()
        up.wait_for(dropped.keys())
        took += [at - killed_at for at in up.landed_at(list(dropped)).values() if at > killed_at]
        time.sleep(5.0)  # what came before has ended
    if not took:
        return {}
    hundredths = quantiles(took, n=100, method="inclusive")
    described = {"median_s": median(took), "p95_s": hundredths[94], "p99_s": hundredths[98], "at_most_s": max(took)}
    return {"kills": {"kills": len(groups), "recordings": len(took), **described}}


def _split(dropped: float, landed: float, events: Sequence[float], runs: Sequence[dict[str, Any]]) -> list[float]:
    """How long each of STEPS took for one recording; empty where Prefect's history lacks a part."""
    told = next((event for event in events if event >= dropped - 0.1), None)
    run = _run_of(dropped, landed, runs)
    if told is None or run is None:
        return []
    at = run["at"]
    points = [dropped, told, _seconds(run["created"]), at.get("PENDING", at["RUNNING"]), at["RUNNING"], landed]
    return [max(after - before, 0.0) for before, after in pairwise(points)]


def _run_of(dropped: float, landed: float, runs: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """The run that took a drop: the first that began between the drop and its landing."""
    return next((run for run in runs if dropped <= run["at"].get("RUNNING", 0.0) <= landed), None)


def _end_of(dropped: float, landed: float, runs: Sequence[dict[str, Any]]) -> float | None:
    """When Prefect took that run for completed, which is after the snapshot was made anew."""
    run = _run_of(dropped, landed, runs)
    return run["at"].get("COMPLETED") if run else None


def _describe(seconds: Sequence[float]) -> dict[str, float]:
    return {"median_s": median(seconds), "p95_s": quantiles(seconds, n=20, method="inclusive")[-1]}


@contextmanager
def _up(home: Path) -> Iterator[Up]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("DIARYNOTES_", "PREFECT_"))}
    environment = {"DIARYNOTES_HOME": str(home), "DIARYNOTES_ENGINE": "scripted", "DIARYNOTES_WRITERS": "extractive"}
    process = subprocess.Popen(
        [sys.executable, "-m", "diarynotes", "up", "--json"],
        env={**inherited, **environment},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: ctypes.CDLL(None).prctl(1, signal.SIGTERM),  # it ends with us (PR_SET_PDEATHSIG)
    )
    try:
        yield Up(home, process)
    finally:
        process.terminate()
        process.wait(60)
        stop_embedded(home / "postgres")


def make_notes(folder: Path, count: int) -> list[Path]:
    """So many different recordings of a few seconds of the spoken examples."""
    folder.mkdir(parents=True)
    speech = np.concatenate([_read_speech(path, folder) for path in sorted(EXAMPLES.glob("*.flac"))])
    chance = random.Random(7)
    paths = []
    for number in range(count):
        start = chance.randrange(len(speech) - _NOTE_S * SAMPLE_RATE)
        path = folder / f"2026-05-{number % 28 + 1:02d}T10-00-00-{number}.wav"
        with wave.open(str(path), "wb") as out:
            out.setnchannels(1)
            out.setsampwidth(2)
            out.setframerate(SAMPLE_RATE)
            out.writeframes(speech[start : start + _NOTE_S * SAMPLE_RATE].tobytes())
        paths.append(path)
    return paths


def _read_speech(path: Path, folder: Path) -> Any:
    return np.array(decode(path, spool=folder / "spool").open().pcm)


def _seconds(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp()


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().isoformat()


def _print(figures: dict[str, Any]) -> None:
    single, burst = figures["single"], figures["burst"]
    load = ", ".join(map(str, figures["load"]))
    print(f"{figures['machine']}; up after {figures['start_s']:.1f} s; load before, between and after: {load}\n")
    print(f"{'one drop on an idle machine':<36}{'median':>9}{'95 %':>9}")
    print(f"{'drop to landed note, s':<36}{single['median_s']:>9.2f}{single['p95_s']:>9.2f}")
    for step, found in figures["steps"].items():
        print(f"  {step:<34}{found['median_s']:>9.2f}{found['p95_s']:>9.2f}")
    print(f"{'of which Prefect, s':<36}{figures['prefect']['median_s']:>9.2f}{figures['prefect']['p95_s']:>9.2f}")
    end = figures["landed to end of run"]
    print(f"{'landed to the end of its run, s':<36}{end['median_s']:>9.2f}{end['p95_s']:>9.2f}")
    print(
        f"\n{burst['drops']} drops within {burst['dropped_within_s']:.2f} s: all landed after "
        f"{burst['all_landed_s']:.1f} s (median {burst['median_s']:.1f} s) by {burst['runs']} runs"
    )
    if kills := figures.get("kills"):
        print(
            f"{kills['kills']} kills: {kills['recordings']} recordings had not landed then, and had after "
            f"{kills['median_s']:.1f} s (median), {kills['p95_s']:.1f} s (95 %), {kills['p99_s']:.1f} s (99 %), "
            f"{kills['at_most_s']:.1f} s (all)"
        )
    print("memory, MB: " + ", ".join(f"{name} {size}" for name, size in figures["memory_mb"].items()))


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--drops", type=int, default=40)
    parser.add_argument("--burst", type=int, default=100)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--json", type=Path, default=Path("bench-results/orchestration.json"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
