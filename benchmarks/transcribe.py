"""How fast recordings become text, in how much memory, against whom. Prints tables, writes JSON.

Every program runs in a process of its own on the same recordings of real speech and the same random weights of a real
shape, which make all of them decode 34 tokens from each window. Its pace is seconds of sound by second of wall time,
without loading; CPU seconds tell more than the clock where other programs run too.

    python benchmarks/transcribe.py [--quick] [--shapes tiny,base] [--workloads notes,long,hours,around] [--json FILE]
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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import soundfile
from transcribe_contenders import CONTENDERS, Order
from transcribe_material import SHAPES, read_speech, write_long, write_notes, write_weights

OURS = ("whisper", "ctranslate2")
AIMS = {
    ("notes", "faster-whisper"): 1.5,
    ("notes", "openai-whisper"): 5.0,
    ("long", "faster-whisper"): 1.0,
    ("long", "openai-whisper"): 3.0,
}
"""How many times faster than a peer the fastest of ours should be."""
POLL_S = 0.1
"""Time between two looks at memory, s."""


def main() -> None:
    arguments = _read_arguments()
    if arguments.child:
        print(json.dumps(_run(json.loads(arguments.child))))
        return
    figures: dict[str, Any] = {"machine": _describe_machine(arguments), "runs": []}
    with tempfile.TemporaryDirectory(prefix="diarynotes-bench-") as folder:
        bench = Bench(Path(folder), arguments)
        for workload in arguments.workloads.split(","):
            figures["runs"] += getattr(bench, f"measure_{workload}")()
    _print_runs(figures["runs"])
    figures["ratios"] = _compare(figures["runs"])
    _print_ratios(figures["ratios"])
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    print(f"\nwritten to {arguments.json}")


@dataclass(frozen=True, slots=True)
class _Job:
    """What a child is to do."""

    contender: str
    weights: str
    models: str
    language: str | None
    threads: int
    device: str
    paths: list[str]


class Bench:
    """Workloads below one folder; every measurement is the work of one child."""

    def __init__(self, folder: Path, arguments: argparse.Namespace) -> None:
        self._folder, self._arguments = folder, arguments
        self._weights: dict[str, Path] = {}
        (folder / "spool").mkdir()
        self._speech = read_speech(folder / "spool")

    def measure_notes(self) -> list[dict[str, Any]]:
        """A folder of notes of 5 to 60 s."""
        return self._race("notes", write_notes(self._speech, self._folder, self._arguments.notes))

    def measure_long(self) -> list[dict[str, Any]]:
        """One long recording."""
        return self._race("long", [write_long(self._speech, self._folder, self._arguments.minutes)])

    def measure_hours(self) -> list[dict[str, Any]]:
        """What surrounds an engine, on a recording of half an hour and on one of many: does memory grow?"""
        runs = []
        for minutes in (self._arguments.minutes, self._arguments.hours * 60):
            path = write_long(self._speech, self._folder, minutes)
            runs.append(self._measure(f"{minutes / 60:g} h", "quick", "scripted", [path]))
            path.unlink()
        runs[1]["memory_by_half_an_hour"] = runs[1]["peak_mb"] / runs[0]["peak_mb"]
        return runs

    def measure_around(self) -> list[dict[str, Any]]:
        """What surrounds an engine by itself, on the notes: decoding, VAD, windows, stitching."""
        return [
            self._measure("around", "quick", "scripted", write_notes(self._speech, self._folder, self._arguments.notes))
        ]

    def _race(self, workload: str, paths: list[Path]) -> list[dict[str, Any]]:
        return [
            self._measure(workload, shape, contender, paths)
            for shape in self._arguments.shapes.split(",")
            for contender in self._arguments.contenders.split(",")
        ]

    def _measure(self, workload: str, shape: str, contender: str, paths: list[Path]) -> dict[str, Any]:
        if shape not in self._weights:
            self._weights[shape] = write_weights(shape, self._folder)
        given = self._arguments
        job = _Job(
            contender,
            str(self._weights[shape]),
            str(self._folder / "models"),
            None if given.language == "auto" else given.language,
            given.threads,
            given.device,
            [str(path) for path in paths],
        )
        audio_s = sum(soundfile.info(path).duration for path in paths)
        run = {"workload": workload, "shape": shape, "contender": contender, "audio_s": audio_s, **_watch(job)}
        run["rtfx"], run["rtfx_cpu"] = audio_s / run["wall_s"], audio_s / run["cpu_s"]
        return run


def _run(job: dict[str, Any]) -> dict[str, Any]:
    """In the child: load, then transcribe; the clock runs for the latter."""
    paths = [Path(path) for path in job["paths"]]
    begun = time.perf_counter()
    order = Order(Path(job["weights"]), Path(job["models"]), job["language"], job["threads"], job["device"])
    work = CONTENDERS[job["contender"]](order)
    loaded, used = time.perf_counter(), _used_s()
    counts = work(paths)
    return {"load_s": loaded - begun, "wall_s": time.perf_counter() - loaded, "cpu_s": _used_s() - used, **counts}


def _used_s() -> float:
    """CPU seconds of this process and of its children that have ended."""
    return sum(os.times()[:4])


def _watch(job: _Job) -> dict[str, Any]:
    """Run a child to its end; what it tells, and the most memory that it and all below it had, in MB."""
    told = json.dumps({name: getattr(job, name) for name in job.__slots__})
    environment = {**os.environ, "OMP_NUM_THREADS": str(job.threads), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, __file__, "--child", told]
    with tempfile.TemporaryFile() as errors:
        child = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=errors)
        peak = 0
        while child.poll() is None:
            peak = max(peak, _measure_tree(child.pid))
            time.sleep(POLL_S)
        assert child.stdout is not None
        answer = child.stdout.read()
        if child.returncode:
            errors.seek(0)
            sys.exit(f"{job.contender} failed:\n{errors.read().decode(errors='replace')[-3000:]}")
    return {**json.loads(answer.splitlines()[-1]), "peak_mb": peak / 1e6}


def _measure_tree(pid: int) -> int:
    """Proportional set size in bytes of a process and all below it; what they share is counted once."""
    total = 0
    try:
        top = psutil.Process(pid)
        for process in (top, *top.children(recursive=True)):
            total += process.memory_full_info().pss
    except psutil.Error:
        pass  # it ended while it was looked at
    return total


def _compare(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """How many times faster than each peer ours are, by the clock and by CPU seconds."""
    ratios = []
    for ours in (run for run in runs if run["contender"].split()[0] in OURS):
        for peer in runs:
            same = (peer["workload"], peer["shape"]) == (ours["workload"], ours["shape"])
            if same and peer["contender"].split()[0] not in OURS:
                wall, cpu = ours["rtfx"] / peer["rtfx"], ours["rtfx_cpu"] / peer["rtfx_cpu"]
                aim = AIMS.get((ours["workload"], peer["contender"]))
                which = {"workload": ours["workload"], "shape": ours["shape"]}
                which |= {"ours": ours["contender"], "peer": peer["contender"]}
                ratios.append({**which, "wall": wall, "cpu": cpu, "aim": aim})
    return ratios


def _print_runs(runs: list[dict[str, Any]]) -> None:
    heads = "workload shape program sound_s wall_s CPU_s RTFx busy windows tokens peak_MB".split()
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    for run in runs:
        busy = f"{run['busy_s'] / run['wall_s']:.1%}" if "busy_s" in run else ""
        print(
            f"| {run['workload']} | {run['shape']} | {run['contender']} | {run['audio_s']:.0f} | {run['wall_s']:.1f} "
            f"| {run['cpu_s']:.1f} | {run['rtfx']:.1f} | {busy} | {run.get('windows', '')} | {run.get('tokens', '')} "
            f"| {run['peak_mb']:.0f} |"
        )
        if "memory_by_half_an_hour" in run:
            print(f"\nmemory by that of half an hour: {run['memory_by_half_an_hour']:.2f} (at most 1.2)")


def _print_ratios(ratios: list[dict[str, Any]]) -> None:
    if ratios:
        print(
            "\n| workload | shape | ours | peer | times faster | by CPU seconds | aim |\n|---|---|---|---|---|---|---|"
        )
    for ratio in ratios:
        aim = "" if ratio["aim"] is None else f"{ratio['aim']:g}{'' if ratio['wall'] >= ratio['aim'] else ', missed'}"
        which = " | ".join(ratio[name] for name in ("workload", "shape", "ours", "peer"))
        print(f"| {which} | {ratio['wall']:.2f} | {ratio['cpu']:.2f} | {aim} |")


def _describe_machine(arguments: argparse.Namespace) -> str:
    threads = f"{arguments.threads} threads on {os.cpu_count()} cores"
    return f"{threads}, {platform.machine()}, {arguments.device}, Python {platform.python_version()}"


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, default=Path("bench-results/transcribe.json"))
    parser.add_argument("--quick", action="store_true", help="a smoke test: a model of two layers, three notes")
    parser.add_argument("--shapes", default="tiny,base", help=f"of {', '.join(SHAPES)}")
    parser.add_argument("--contenders", default="whisper,ctranslate2,faster-whisper,openai-whisper")
    parser.add_argument("--workloads", default="notes,long,hours,around")
    parser.add_argument("--notes", type=int, default=60, help="recordings in the folder of notes")
    parser.add_argument("--minutes", type=float, default=30, help="length of the long recording")
    parser.add_argument("--hours", type=float, default=10, help="length of the one whose memory is measured")
    parser.add_argument("--language", default="auto", help="of the speech; auto: every program finds it out")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.shapes, arguments.notes, arguments.minutes, arguments.hours = "quick", 3, 0.5, 0.02
    return arguments


if __name__ == "__main__":
    main()
