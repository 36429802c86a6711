"""How many runs and tasks a second one Prefect server takes, which decides how much work each run must be given.

The server is started as `diarynotes up` starts it, on the embedded Postgres. Clients create flow runs of a deployment
with the parameters of a full shard and take them through Pending, Running and Completed, as a worker and a run do; a
flow of empty tasks shows how fast tasks are recorded. Prints a table, writes JSON.

    python benchmarks/prefect_server.py [--runs 150] [--tasks 1000] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from diarynotes.store.embedded import start_embedded, stop_embedded
from diarynotes.up.api import Api
from diarynotes.up.children import Child
from diarynotes.up.keys import load_keys
from diarynotes.up.server import client_environment, make_database, server_environment

_SHARD = 1_000
"""Recordings in a shard, whose ids are a run's parameters."""
_PATIENCE_S = 300.0
EMPTY_TASKS = """
import sys
from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.events.worker import EventsWorker
from prefect.task_runners import ThreadPoolTaskRunner
empty = task(lambda number: None, name="empty", cache_policy=NO_CACHE)
def map_all():
    for future in empty.map(range(int(sys.argv[1]))):
        future.wait()
flow(map_all, name="tasks", task_runner=ThreadPoolTaskRunner(max_workers=8))()
EventsWorker.drain_all(timeout=300, at_exit=False)
"""


def main() -> None:
    arguments = _read_arguments()
    figures: dict[str, Any] = {
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    }
    with tempfile.TemporaryDirectory(prefix="diarynotes-bench-") as folder, _serve(Path(folder)) as server:
        figures["runs"] = [server.measure_runs(arguments.runs, clients) for clients in (1, 4, 16)]
        for line in figures["runs"]:
            told = "{clients:3} clients: {runs_per_s:6.1f} runs/s, {work_ms:5.1f} ms of work each"
            print(told.format(**line), flush=True)
        figures["tasks"] = server.measure_tasks(arguments.tasks)
    print("tasks: run at {run_per_s:.0f}/s, recorded at {recorded_per_s:.0f}/s, {work_ms:.1f} ms of work each".format(
        **figures["tasks"]
    ))  # fmt: skip
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


class Server:
    """A running Prefect server. Work is what its process and Postgres used, in milliseconds of one core."""

    def __init__(self, api: Api, processes: list[psutil.Process], environment: dict[str, str]) -> None:
        self._api = api
        self._processes = processes
        self._environment = environment
        flow = api.ask("POST", "/flows/", {"name": "transcribe"})
        facts = {"name": "bench", "flow_id": flow["id"]}
        self._deployment = api.ask("POST", "/deployments/", facts)["id"]

    def measure_runs(self, count: int, clients: int) -> dict[str, float]:
        work_s, begun = self._work_s(), time.perf_counter()
        with ThreadPoolExecutor(clients) as pool:
            list(pool.map(self._live, range(count)))
        wall_s = time.perf_counter() - begun
        return {
            "clients": clients,
            "runs_per_s": count / wall_s,
            "work_ms": (self._work_s() - work_s) / count * 1000,
        }

    def measure_tasks(self, count: int) -> dict[str, float]:
        work_s, begun = self._work_s(), time.perf_counter()
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        subprocess.run(
            [sys.executable, "-c", EMPTY_TASKS, str(count)],
            env={**inherited, **self._environment, "PREFECT_LOGGING_LEVEL": "CRITICAL"},
            check=True,
        )
        ran_s = time.perf_counter() - begun
        while (
            self._api.ask("POST", "/task_runs/count", {"task_runs": {"state": {"type": {"any_": ["COMPLETED"]}}}})
            < count
        ):
            assert time.perf_counter() - begun < _PATIENCE_S, "tasks were lost"
            time.sleep(0.2)
        recorded_s = time.perf_counter() - begun
        return {
            "run_per_s": count / ran_s,
            "recorded_per_s": count / recorded_s,
            "work_ms": (self._work_s() - work_s) / count * 1000,
        }

    def _live(self, number: int) -> None:
        """A run as a worker and the run itself tell of it."""
        run = self._api.ask(
            "POST",
            f"/deployments/{self._deployment}/create_flow_run",
            {
                "parameters": {
                    "ids": [str(uuid.uuid5(uuid.NAMESPACE_OID, f"{number} {part}")) for part in range(_SHARD)]
                },
                "idempotency_key": uuid.uuid4().hex,
                "enforce_parameter_schema": False,
            },
        )
        for state in ("PENDING", "RUNNING", "COMPLETED"):
            answer = self._api.ask("POST", f"/flow_runs/{run['id']}/set_state", {"state": {"type": state}})
            assert answer["status"] == "ACCEPT", answer["status"]

    def _work_s(self) -> float:
        total = 0.0
        for top in self._processes:
            for process in (top, *top.children(recursive=True)):
                times = process.cpu_times()
                total += times.user + times.system + times.children_user + times.children_system
        return total


@contextmanager
def _serve(home: Path) -> Iterator[Server]:
    keys = load_keys(home / "prefect")
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    url = start_embedded(home / "postgres")
    make_database(url)
    environment = server_environment(url, keys, home / "prefect", register_blocks=False)
    child = Child("server", [str(port)], environment, home / "prefect" / "server.log")
    api = Api(f"http://127.0.0.1:{port}/api", keys.auth_string)
    try:
        child.start()
        assert api.wait(_PATIENCE_S, lambda: child.is_running), "the server does not start"
        postmaster = int((home / "postgres" / "data" / "postmaster.pid").read_text().split()[0])
        processes = [psutil.Process(child.pid), psutil.Process(postmaster)]
        yield Server(api, processes, client_environment(port, keys, home / "prefect"))
    finally:
        api.close()
        child.stop(10)
        stop_embedded(home / "postgres")


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, default=Path("bench-results/prefect_server.json"))
    parser.add_argument("--runs", type=int, default=150, help="flow runs for each number of clients")
    parser.add_argument("--tasks", type=int, default=1_000, help="empty tasks")
    return parser.parse_args()


if __name__ == "__main__":
    main()
