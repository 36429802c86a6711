"""Tells Prefect's server what there is to run: pools, queues and the deployments of prefect.yaml; clears what died.

Speaks to its REST API, and lets Prefect's own command read prefect.yaml, so that both ways of deploying are one.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx

from diarynotes.errors import StorageFailed

POOL_TYPE = "diarynotes-resident"
QUEUES = ("urgent", "normal", "low")
"""The queues of each pool, in falling priority."""
_ANSWER_S = 30.0
_DIED = {"type": "CRASHED", "name": "Crashed", "message": "The machine or `diarynotes up` was stopped during this run."}


class Api:
    """Prefect's REST API. Raises: StorageFailed where it does not answer as it should."""

    def __init__(self, url: str, auth_string: str) -> None:
        user, _, password = auth_string.partition(":")
        self._client = httpx.Client(base_url=url, auth=(user, password), timeout=_ANSWER_S)

    def wait(self, patience_s: float, is_alive: Callable[[], bool]) -> bool:
        """Whether it has come to answer within `patience_s`; not when `is_alive` says that it never will."""
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline and is_alive():
            try:
                if self._client.get("/health", timeout=2.0).is_success:
                    return True
            except httpx.HTTPError:
                pass
            time.sleep(0.1)
        return False

    def ask(self, method: str, path: str, body: Any = None, *, unless: int = 0) -> Any:
        """Its answer to a request; None where it answers with the status `unless`."""
        try:
            answer = self._client.request(method, path, json=body)
            if answer.status_code == unless:
                return None
            answer.raise_for_status()
        except httpx.HTTPError as error:
            raise StorageFailed("Prefect's server", f"{method} {path} failed ({type(error).__name__})") from error
        return answer.json() if answer.content else None

    def close(self) -> None:
        self._client.close()


def register_pools(api: Api, slots: Mapping[str, int]) -> None:
    """Makes the pools, each of so many runs at once, and their queues."""
    for pool, limit in slots.items():
        api.ask("POST", "/work_pools/", {"name": pool, "type": POOL_TYPE, "concurrency_limit": limit}, unless=409)
        api.ask("PATCH", f"/work_pools/{pool}", {"concurrency_limit": limit})
        for priority, queue in enumerate(QUEUES, start=1):
            facts = {"name": queue, "priority": priority}
            if api.ask("POST", f"/work_pools/{pool}/queues", facts, unless=409) is None:
                api.ask("PATCH", f"/work_pools/{pool}/queues/{queue}", {"priority": priority})


def clear_dead_runs(api: Api, started_at: datetime) -> None:
    """Runs that an earlier `up` was killed at are marked as crashed, because nobody else would do that.

    Those are what has not moved since `started_at`, when this one came to be the only one.
    """
    wanted = {"flow_runs": {"state": {"type": {"any_": ["RUNNING", "PENDING", "CANCELLING"]}}}, "sort": "ID_DESC"}
    alive = 0
    while runs := api.ask("POST", "/flow_runs/filter", {**wanted, "offset": alive}):
        dead = [run for run in runs if datetime.fromisoformat(run["state"]["timestamp"]) < started_at]
        for run in dead:
            api.ask("POST", f"/flow_runs/{run['id']}/set_state", {"state": _DIED, "force": True})
        alive += len(runs) - len(dead)


def find_deployments_file() -> tuple[Path, Path]:
    """The folder that holds `flows`, and the prefect.yaml: in a checkout beside it, in an installed package within."""
    spec = find_spec("flows")
    assert spec is not None
    assert spec.origin is not None
    package = Path(spec.origin).parent
    beside = package.parent / "prefect.yaml"
    return package.parent, beside if beside.exists() else package / "prefect.yaml"


def is_deployed(stamp: Path) -> bool:
    """Whether `stamp` says that these very flows were deployed."""
    return stamp.exists() and stamp.read_text() == _fingerprint(*find_deployments_file())


def deploy_all(environment: Mapping[str, str], stamp: Path, stopping: threading.Event) -> None:
    """What `prefect deploy --all` does; `stamp` remembers it. Raises: StorageFailed with Prefect's last words."""
    folder, file = find_deployments_file()
    process = subprocess.Popen(
        [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(file)],
        cwd=folder,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # Ctrl-C is for us
    )
    words = ""
    while process.poll() is None:
        with suppress(subprocess.TimeoutExpired):
            words, _ = process.communicate(timeout=0.2)
        if stopping.is_set():
            process.kill()
            process.communicate()
            return
    if process.returncode:
        last = words.strip().splitlines()[-1:] or ["no reason given"]
        raise StorageFailed(str(file), f"Prefect took no deployments from it ({last[0]})")
    stamp.write_text(_fingerprint(folder, file))


def _fingerprint(folder: Path, file: Path) -> str:
    """Changes when a deployment may: with prefect.yaml, the flows, where they lie, and Prefect."""
    seen = hashlib.sha256(f"{folder} {version('prefect')} {version('diarynotes')}".encode())
    for path in (file, *sorted((folder / "flows").glob("*.py"))):
        seen.update(path.read_bytes())
    return seen.hexdigest()


def start_run(api: Api, deployment: str) -> None:
    """Asks for a run of FLOW/NAME now."""
    found = api.ask("GET", f"/deployments/name/{deployment}")
    api.ask("POST", f"/deployments/{found['id']}/create_flow_run", {"state": {"type": "SCHEDULED"}})
