"""What so many hours of sound an hour take: GPUs, CPUs, database writes, runs, dollars. Arithmetic, no measurement.

The cost of a recording comes from `growth.py`, what a Prefect server takes from `prefect_server.py`. The pace of a GPU
and the prices are arguments, because nothing here ran on one. So many hours an hour are so many seconds a second.

    python benchmarks/capacity.py [--hours 10000] [--note-s 60] [--pace 400] [--growth FILE] [--server FILE]
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

from diarynotes.buckets.hashing import BLOCK_BYTES
from flows.shards import MOST_RECORDINGS, shard_audio_s
from flows.tasks import CHUNKS

_READS = 3
"""An object is read to know its content, to check it and to hear it; each time it is looked at first."""
_MB_A_MINUTE = 1.0
_TASKS = 5
"""For a chunk of recordings: validate, transcribe, write, land, and a part of registering and entries."""
_FILL = 0.8
"""How much of what stands ready is used; the rest is for peaks."""


def main() -> None:
    arguments = _read_arguments()
    growth = json.loads(arguments.growth.read_text())
    server = json.loads(arguments.server.read_text())
    for name, value in plan(arguments, growth["growing"][-1], server).items():
        print(f"{name:44} {value:14,.4g}" if isinstance(value, float) else f"{name:44} {value:>14}")


def plan(wish: argparse.Namespace, step: dict[str, Any], server: dict[str, Any]) -> dict[str, float]:
    """What is needed, by name; `step` is a line of `growth.py` at the size that is planned for."""
    recordings_s = wish.hours / wish.note_s
    shard_s = min(shard_audio_s(wish.startup_s, wish.pace), MOST_RECORDINGS * wish.note_s)
    shards_s = wish.hours / shard_s
    starting = wish.startup_s / (wish.startup_s + shard_s / wish.pace)
    gpus = wish.hours / wish.pace / (1 - starting) / _FILL
    tasks_s = recordings_s / CHUNKS[1] * _TASKS
    each = 1 / step["recordings"]
    sound_ms = wish.sound_ms * wish.note_s / 60
    runs_s = 2 * shards_s  # one that hears and one that writes
    megabytes = _MB_A_MINUTE * wish.note_s / 60
    requests_s = recordings_s * _READS * (1 + math.ceil(megabytes * 1e6 / BLOCK_BYTES))
    prefect_share = runs_s / server["runs"][-1]["runs_per_s"] + tasks_s / server["tasks"]["recorded_per_s"]
    return {
        "recordings a second": recordings_s,
        "hours of sound in a shard": shard_s / 3600,
        "recordings in a shard": shard_s / wish.note_s,
        "seconds that a run on a GPU takes": wish.startup_s + shard_s / wish.pace,
        "share of it that is starting": starting,
        "runs a second, hearing and writing": runs_s,
        "tasks a second": tasks_s,
        "Prefect servers' worth of that": prefect_share,
        "GPUs": gpus,
        "cores around the engine": recordings_s * (step["run_work_s"] * each + sound_ms / 1000) / _FILL,
        "cores of Postgres": recordings_s * step["postgres_work_s"] * each / _FILL,
        "transactions of Postgres a second": recordings_s * step["commits"] * each,
        "requests to buckets a second": requests_s,
        "GB read a second, at 1 MB a minute": recordings_s * _READS * megabytes / 1000,
        "USD an hour for GPUs": gpus * wish.gpu_usd,
        "USD an hour for requests to buckets": requests_s * 3600 * wish.read_usd / 1000,
        "USD an hour for models that write": recordings_s * 3600 * wish.note_usd,
    }


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--growth", type=Path, default=Path("bench-results/growth.json"))
    parser.add_argument("--server", type=Path, default=Path("bench-results/prefect_server.json"))
    parser.add_argument("--hours", type=float, default=10_000.0, help="of sound that come in an hour")
    parser.add_argument("--note-s", type=float, default=60.0, help="how long a recording lasts")
    parser.add_argument("--pace", type=float, default=400.0, help="seconds of sound that a GPU hears in one")
    parser.add_argument("--startup-s", type=float, default=12.0, help="what a run takes until its model is loaded")
    parser.add_argument(
        "--sound-ms", type=float, default=150.0, help="work of decoding and searching a minute of sound"
    )
    parser.add_argument("--gpu-usd", type=float, default=3.0, help="a GPU for an hour")
    parser.add_argument("--read-usd", type=float, default=0.0004, help="a thousand requests to a bucket")
    parser.add_argument("--note-usd", type=float, default=0.0, help="what a model takes for a note")
    return parser.parse_args()


if __name__ == "__main__":
    main()
