"""The deployment in prefect.yaml, as Prefect's own commands use it: pool, deploy, worker, run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def test_the_deployment_runs_on_a_worker(command_line: Any, make_notes: Any, tmp_path: Path) -> None:
    make_notes(tmp_path / "notes", 3)
    Path(command_line.environment["PREFECT_HOME"]).mkdir()

    def prefect(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "prefect", "--no-prompt", *arguments],
            env={**command_line.environment, "DIARYNOTES_ENGINE": "scripted"},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    prefect("work-pool", "create", "cpu-process", "--type", "process")
    prefect("deploy", "--all")
    sources = json.dumps([str(tmp_path / "notes")])
    prefect("deployment", "run", "diary/by-hand", "--param", f"sources={sources}")
    prefect("worker", "start", "--pool", "cpu-process", "--run-once")
    runs = json.loads(prefect("flow-run", "ls", "--flow-name", "diary", "--output", "json"))
    assert [run["state"]["type"] for run in runs if run["deployment_id"]] == ["COMPLETED"]
    assert len(command_line.call("notes", "--json").json) == 3
