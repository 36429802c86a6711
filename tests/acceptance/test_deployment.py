"""Every deployment in prefect.yaml, as Prefect's own commands use it: pools, deploy, run, worker."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.prefect_client import prefect_client
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
DEPLOYED = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
POOLS = sorted({one["work_pool"]["name"] for one in DEPLOYED})
SCRIPTED = {"DIARYNOTES_ENGINE": "scripted"}
APART = {
    **SCRIPTED,
    "DIARYNOTES_TRANSCRIBE_ON": "transcribe/cpu",
    "DIARYNOTES_WRITE_ON": "write/cpu",
    "DIARYNOTES_SHARD_STARTUP_S": "0.02",  # so that a few seconds of sound are a shard
}
_PATIENCE_S = 600.0

Found = dict[tuple[str, str], dict[str, Any]]


def start_prefect(environment: Mapping[str, str], *arguments: str) -> subprocess.Popen[str]:
    """Prefect's command line, in the checkout."""
    return subprocess.Popen(
        [sys.executable, "-m", "prefect", "--no-prompt", *arguments],
        env=dict(environment),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def prefect(environment: Mapping[str, str], *arguments: str) -> None:
    process = start_prefect(environment, *arguments)
    out, _ = process.communicate(timeout=_PATIENCE_S)
    assert process.returncode == 0, out


@pytest.fixture(scope="module")
def found(prefect_url: str, tmp_path_factory: pytest.TempPathFactory) -> Found:
    """What Prefect knows of each deployment in prefect.yaml once all were registered, by flow and name."""
    home = tmp_path_factory.mktemp("deploying")
    environment = {**os.environ, "PREFECT_API_URL": prefect_url, "PREFECT_HOME": str(home), "NO_COLOR": "1"}
    at_once(lambda pool: prefect(environment, "work-pool", "create", pool, "--type", "process", "--overwrite"), POOLS)
    prefect(environment, "deploy", "--all")
    flows = {flow["id"]: flow["name"] for flow in ask(prefect_url, "flows/filter", {})}
    deployments = ask(prefect_url, "deployments/filter", {})
    return {(flows[one["flow_id"]], one["name"]): one for one in deployments}


def test_every_deployment_is_registered(found: Found) -> None:
    assert set(found) == {(flow_name(one), one["name"]) for one in DEPLOYED}
    for one in found.values():
        assert one["description"]
        assert "diarynotes" in one["tags"]
        check_parameters(one["parameter_openapi_schema"])


def test_every_deployment_runs_on_ordinary_workers(
    found: Found, prefect_url: str, command_line: Any, make_notes: Any, tmp_path: Path
) -> None:
    notes = make_notes(command_line.home / "bucket" / "me", 2)
    make_notes(tmp_path / "notes", 3)
    environment = make_environment(command_line, SCRIPTED)
    sources = json.dumps([str(tmp_path / "notes")])

    def ask_for_run(deployment: tuple[str, str]) -> None:
        parameters = ["--param", f"sources={sources}"] if deployment[0] == "diary" else []
        prefect(environment, "deployment", "run", "/".join(deployment), *parameters)

    def work(pool: str) -> None:
        for _ in DEPLOYED:
            if due(prefect_url, pool):  # more than fit into the limit
                prefect(environment, "worker", "start", "--pool", pool, "--run-once", "--limit", "3")

    at_once(ask_for_run, found)
    at_once(work, POOLS)
    ended = {key: states(prefect_url, one["id"]) for key, one in found.items()}
    assert {key: told for key, told in ended.items() if "COMPLETED" not in told} == {}
    landed = {Path(note["source"]).name for note in command_line.call("notes", "--json").json}
    assert {note.name for note in notes} <= landed
    assert len(landed) == 3  # the names are the same in both folders


def test_each_stage_runs_where_the_settings_say(
    found: Found, command_line: Any, make_notes: Any, prefect_url: str
) -> None:
    """A sweep asks for runs that hear, those for runs that write, and a worker runs all."""
    for owner, count in (("anna", 9), ("ben", 3)):
        make_notes(command_line.home / "bucket" / owner, count)
    environment = make_environment(command_line, APART)
    hearing, writing = (found[key]["id"] for key in (("transcribe", "cpu"), ("write", "cpu")))
    before = [len(completed(prefect_url, one)) for one in (hearing, writing)]

    def passed_on() -> bool:
        """Whether both shards were heard and written: 48 s of sound, of which 23 s are worth a run."""
        now = [len(completed(prefect_url, one)) for one in (hearing, writing)]
        return [after - first for after, first in zip(now, before, strict=True)] == [2, 2]

    prefect(environment, "deployment", "run", "pick-up/sweep")
    worker = start_prefect(environment, "worker", "start", "--pool", "cpu", "--limit", "3")
    try:
        assert wait_until(passed_on)
    finally:
        worker.terminate()
        worker.communicate(timeout=PATIENCE_S)
    notes = command_line.call("notes", "--json").json
    assert len(notes) == 12
    assert {note["source"].split("/")[-2] for note in notes} == {"anna", "ben"}


def make_environment(command_line: Any, settings: Mapping[str, str]) -> dict[str, str]:
    Path(command_line.environment["PREFECT_HOME"]).mkdir()
    return {**command_line.environment, **settings}


def check_parameters(schema: dict[str, Any]) -> None:
    """What the UI makes a form of: every field is described, choices are choices, and nothing is asked for twice."""
    for name, field in schema["properties"].items():
        assert field.get("description"), name
        assert field.get("title"), name
        if name == "priority":
            assert field["enum"] == ["urgent", "normal", "low"]


def flow_name(deployment: dict[str, Any]) -> str:
    return str(deployment["entrypoint"].rpartition(":")[2].replace("_", "-"))


def states(url: str, deployment_id: str) -> dict[str, str]:
    """The states of its runs, and what Prefect says about each."""
    wanted = {"flow_runs": {"deployment_id": {"any_": [deployment_id]}}}
    return {run["state"]["type"]: run["state"]["message"] for run in ask(url, "flow_runs/filter", wanted)}


def completed(url: str, deployment_id: str) -> list[Any]:
    chosen = {"deployment_id": {"any_": [deployment_id]}, "state": {"type": {"any_": ["COMPLETED"]}}}
    return ask(url, "flow_runs/filter", {"flow_runs": chosen})


def due(url: str, pool: str) -> list[Any]:
    """Runs that were asked for by hand and have not begun."""
    wanted = {"work_pools": {"name": {"any_": [pool]}}, "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}}
    return [run for run in ask(url, "flow_runs/filter", wanted) if not run["auto_scheduled"]]


def ask(url: str, what: str, wanted: dict[str, Any]) -> list[dict[str, Any]]:
    with prefect_client(url) as api:
        found: list[dict[str, Any]] = api.post(what, json=wanted).raise_for_status().json()
    return found


def at_once(call: Callable[[Any], None], things: Any) -> None:
    """Calls it for each, two at a time."""
    with ThreadPoolExecutor(2) as two:
        list(two.map(call, things))


def wait_until(holds: Callable[[], bool]) -> bool:
    """Looks again and again, since what it waits for is other processes' work."""
    end = time.monotonic() + _PATIENCE_S
    while time.monotonic() < end:
        if holds():
            return True
        time.sleep(0.5)
    return False
