"""`deployments/register.py` against a real Prefect server: what it makes, and what operators have set that stays."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from diarynotes.prefect_api import TemporaryServer
from tests.prefect_client import prefect_client

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
DEPLOYED = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]


@pytest.fixture
def api(tmp_path: Path) -> Iterator[httpx.Client]:
    server = TemporaryServer(tmp_path / "server")
    server.wait()
    with prefect_client(server.url) as client:
        yield client
    server.stop()


def register(
    api: httpx.Client, tmp_path: Path, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "DIARYNOTES_"))}
    connected = {"PREFECT_API_URL": str(api.base_url).rstrip("/"), "PREFECT_HOME": str(tmp_path / "home")}
    return subprocess.run(
        [sys.executable, "deployments/register.py", *arguments],
        env={**inherited, **connected, **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


def ask(api: httpx.Client, method: str, path: str, body: Any = None) -> Any:
    answer = api.request(method, path, json=body).raise_for_status()
    return answer.json() if answer.content else None


def deployment(api: httpx.Client, name: str) -> dict[str, Any]:
    found: dict[str, Any] = ask(api, "GET", f"/deployments/name/{name}")
    return found


def schedules(found: dict[str, Any]) -> list[tuple[float, bool]]:
    return [(one["schedule"].get("interval"), one["active"]) for one in found["schedules"]]


def test_everything_is_there_after_the_first_time(api: httpx.Client, tmp_path: Path) -> None:
    done = register(api, tmp_path, "kubernetes", IMAGE_GPU="r.example.org/d:7-gpu")
    assert done.returncode == 0, done.stderr
    for pool, image in (("cpu", "diarynotes:cpu"), ("gpu", "r.example.org/d:7-gpu")):
        found = ask(api, "GET", f"/work_pools/{pool}")
        assert found["type"] == "kubernetes"
        assert found["base_job_template"]["variables"]["properties"]["image"]["default"] == image
        queues = {
            queue["name"]: queue["priority"] for queue in ask(api, "POST", f"/work_pools/{pool}/queues/filter", {})
        }
        assert queues["urgent"] < queues["normal"] < queues["low"]
    found = {one["name"]: one["work_pool_name"] for one in ask(api, "POST", "/deployments/filter", {})}
    assert found == {one["name"]: one["work_pool"]["name"] for one in DEPLOYED}
    # what a worker leaves that dies waits for this and for a container to start, a minute and a half together at most
    assert schedules(deployment(api, "pick-up/rescue")) == [(60.0, True)]


@pytest.mark.parametrize("kind", ["docker", "process"])
def test_what_operators_have_set_stays(kind: str, api: httpx.Client, tmp_path: Path) -> None:
    assert register(api, tmp_path, kind).returncode == 0
    ask(api, "PATCH", "/work_pools/cpu", {"concurrency_limit": 3, "is_paused": True, "description": "mine"})
    ask(api, "PATCH", "/work_pools/cpu/queues/low", {"concurrency_limit": 1, "is_paused": True, "priority": 9})
    for name in ("pick-up/sweep", "pick-up/rescue"):
        found = deployment(api, name)
        ask(api, "PATCH", f"/deployments/{found['id']}/schedules/{found['schedules'][0]['id']}", {"active": False})
    ask(api, "PATCH", f"/deployments/{deployment(api, 'transcribe/gpu')['id']}", {"paused": True})
    (trigger,) = ask(api, "POST", "/automations/filter", {})
    ask(api, "PATCH", f"/automations/{trigger['id']}", {"enabled": False})

    done = register(api, tmp_path, kind, IMAGE_CPU="r.example.org/d:8-cpu")

    assert done.returncode == 0, done.stderr
    pool = ask(api, "GET", "/work_pools/cpu")
    assert (pool["concurrency_limit"], pool["is_paused"], pool["description"]) == (3, True, "mine")
    if kind == "docker":
        assert pool["base_job_template"]["variables"]["properties"]["image"]["default"] == "r.example.org/d:8-cpu"
    queue = ask(api, "GET", "/work_pools/cpu/queues/low")
    assert (queue["concurrency_limit"], queue["is_paused"], queue["priority"]) == (1, True, 9)
    assert schedules(deployment(api, "pick-up/sweep")) == [(300.0, False)]
    assert schedules(deployment(api, "pick-up/rescue")) == [(60.0, False)]
    assert [one["active"] for one in deployment(api, "nightly/nightly")["schedules"]] == [True]
    assert deployment(api, "transcribe/gpu")["paused"]
    assert not deployment(api, "transcribe/cpu")["paused"]
    assert [one["enabled"] for one in ask(api, "POST", "/automations/filter", {})] == [False]


def test_a_pool_of_another_type_is_not_passed_over(api: httpx.Client, tmp_path: Path) -> None:
    ask(api, "POST", "/work_pools/", {"name": "cpu", "type": "process"})
    done = register(api, tmp_path, "docker")
    assert done.returncode == 1
    assert "prefect work-pool delete cpu" in done.stderr
    assert ask(api, "POST", "/deployments/filter", {}) == []


def test_a_type_that_is_none_is_told() -> None:
    done = subprocess.run([sys.executable, ROOT / "deployments" / "register.py"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert "kubernetes, docker, process" in done.stderr
