"""Deploys what prefect.yaml names: what the server does not have yet, or has from other flows than these.

What was deployed is asked of the server and not remembered beside it, since its database may be another by now.
Prefect's own command reads the file, so that both ways of deploying are one.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from diarynotes.errors import StorageFailed
from diarynotes.up.api import Api

_STAMP = "deployed"


@dataclass(frozen=True, slots=True)
class Deployments:
    """The deployments in the words of prefect.yaml; `folder` holds `flows`, `version` changes with any of it."""

    folder: Path
    definitions: Sequence[Mapping[str, Any]]
    version: str


def find_deployments_file() -> tuple[Path, Path]:
    """The folder that holds `flows`, and the prefect.yaml: in a checkout beside it, in an installed package within."""
    spec = find_spec("flows")
    assert spec is not None
    assert spec.origin is not None
    package = Path(spec.origin).parent
    beside = package.parent / "prefect.yaml"
    return package.parent, beside if beside.exists() else package / "prefect.yaml"


def read_deployments(zone: ZoneInfo) -> Deployments:
    """Those of prefect.yaml, with schedules by the clock in the owner's time zone."""
    import yaml

    folder, file = find_deployments_file()
    definitions = yaml.safe_load(file.read_text())["deployments"]
    for schedule in (each for definition in definitions for each in definition.get("schedules", ())):
        if "cron" in schedule:
            schedule["timezone"] = zone.key
    return Deployments(folder, definitions, _fingerprint(folder, definitions))


def _fingerprint(folder: Path, definitions: Sequence[Mapping[str, Any]]) -> str:
    """Changes when a deployment may: with its definition, the flows, where they lie, and Prefect."""
    seen = hashlib.sha256(f"{folder} {version('prefect')} {version('diarynotes')}".encode())
    seen.update(json.dumps(definitions).encode())
    for path in sorted((folder / "flows").glob("*.py")):
        seen.update(path.read_bytes())
    return seen.hexdigest()[:32]


def find_missing(api: Api, wanted: Deployments) -> list[Mapping[str, Any]]:
    """Those that the server has not, or not in this version. What a person changed in the UI is no other version."""
    names = sorted({definition["name"] for definition in wanted.definitions})
    found = api.ask("POST", "/deployments/filter", {"deployments": {"name": {"any_": names}}})
    there = {(each["entrypoint"], each["name"]) for each in found if each["version"] == wanted.version}
    return [each for each in wanted.definitions if (each["entrypoint"], each["name"]) not in there]


def was_deployed(wanted: Deployments, folder: Path) -> bool:
    """Whether the last `deploy` from this folder was of these. The server's database may know better by now."""
    stamp = folder / _STAMP
    return stamp.exists() and stamp.read_text() == wanted.version


def deploy(
    wanted: Deployments,
    definitions: Sequence[Mapping[str, Any]],
    folder: Path,
    environment: Mapping[str, str],
    stopping: threading.Event,
) -> None:
    """What `prefect deploy --all` does, for these definitions alone. The file that it reads stays in `folder`.

    Raises: StorageFailed with Prefect's last words.
    """
    if definitions:
        file = folder / "prefect.yaml"
        versioned = [{**definition, "version": wanted.version} for definition in definitions]
        file.write_text(json.dumps({"deployments": versioned}, indent=2))  # which is YAML, too
        _deploy_all(file, wanted.folder, environment, stopping)
    if not stopping.is_set():
        (folder / _STAMP).write_text(wanted.version)


def _deploy_all(file: Path, flows_in: Path, environment: Mapping[str, str], stopping: threading.Event) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(file)],
        cwd=flows_in,
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
