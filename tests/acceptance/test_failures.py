"""Failures as an operator meets them: messages from Prefect's automations, the dead by cause, recordings that kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.ports import find_port
from tests.prefect_client import prefect_client
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]

EMIT = """
import sys
from decimal import Decimal
from prefect.events.worker import EventsWorker
from diarynotes import observe
from flows.events import emitting_events
with emitting_events():
    for number in range(3):
        observe.recording_postponed(f"r{number}", "worker_died", "dead", "resource_exhaustion")
    observe.budget_nearly_used("anna", "month", Decimal("8.5"), Decimal("10"))
EventsWorker.drain_all(timeout=30, at_exit=False)
"""

POISON = """
import os, signal, sys
from flows import stages
from diarynotes.cli import entry
write = stages.write_alone
def write_alone(shop, work):
    if work.recording.uri.endswith("-7.wav"):
        os.kill(os.getpid(), signal.SIGKILL)
    return write(shop, work)
stages.write_alone = write_alone
entry()
"""


@dataclass
class Inbox:
    """What was posted to the operator's webhook."""

    url: str
    texts: list[str] = field(default_factory=list)

    def holding(self, words: str) -> list[str]:
        return [text for text in self.texts if words in text]


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    texts: list[str] = []

    class Take(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            texts.append(json.loads(self.rfile.read(int(self.headers["content-length"])))["text"])
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Take)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield Inbox(f"http://127.0.0.1:{server.server_port}/hook", texts)
    server.shutdown()
    server.server_close()


@pytest.fixture
def full_server(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A Prefect server with all its services, automations among them; the environment of its clients."""
    port = find_port()
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment = {
        **inherited,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PREFECT_HOME": str(tmp_path / "prefect"),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    (tmp_path / "prefect").mkdir()
    with (tmp_path / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "diarynotes.up.child", "server", str(port)],
            env={
                **environment,
                "PREFECT_SERVER_EVENTS_PROACTIVE_GRANULARITY": "PT1S",
                "PREFECT_API_BLOCKS_REGISTER_ON_START": "false",  # imports every integration
                "PREFECT_UI_ENABLED": "false",
            },
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
        )
    try:
        assert wait_until(lambda: _answers(environment["PREFECT_API_URL"])), (tmp_path / "server.log").read_text()
        yield environment
    finally:
        server.kill()
        server.communicate()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def wait_until(holds: Callable[[], bool]) -> bool:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if holds():
            return True
        time.sleep(0.5)
    return False


def register_automations(environment: dict[str, str], inbox: Inbox, folder: Path) -> None:
    """As the page says, from a copy in which the shortest wait that Prefect allows stands for three minutes."""
    folder.mkdir(exist_ok=True)
    for file in (ROOT / "deployments" / "automations").iterdir():
        copy = folder / file.name
        if file.is_file():
            copy.write_text(file.read_text().replace("within: 180", "within: 10"))
    subprocess.run(
        [sys.executable, str(folder / "register.py")],
        env={**environment, "ALERT_URL": inbox.url},
        check=True,
        timeout=PATIENCE_S,
        capture_output=True,
    )


def automations(api: httpx.Client) -> dict[str, dict[str, Any]]:
    found = api.post("/automations/filter", json={}).raise_for_status().json()
    return {one["name"].removeprefix("diarynotes-"): one for one in found}


def start_run(api: httpx.Client, name: str) -> str:
    flow = api.post("/flows/", json={"name": "pick-up"}).raise_for_status().json()["id"]
    facts = {"flow_id": flow, "name": name, "tags": ["diarynotes"], "state": {"type": "PENDING"}}
    run: str = api.post("/flow_runs/", json=facts).raise_for_status().json()["id"]
    set_state(api, run, "RUNNING")
    return run


def set_state(api: httpx.Client, run: str, kind: str, name: str | None = None) -> None:
    state = {"type": kind, "name": name or kind.capitalize()}
    api.post(f"/flow_runs/{run}/set_state", json={"state": state, "force": True}).raise_for_status()


def test_operators_are_told(full_server: dict[str, str], inbox: Inbox, tmp_path: Path) -> None:
    folder = tmp_path / "automations"
    register_automations(full_server, inbox, folder)
    with prefect_client(full_server["PREFECT_API_URL"]) as api:
        first = automations(api)
        assert sorted(first) == [*("budget", "crashed", "dead", "late", "lost-runs", "many-quarantined")]
        quarantined = first["many-quarantined"]["id"]
        api.patch(f"/automations/{quarantined}", json={"enabled": False}).raise_for_status()
        register_automations(full_server, inbox, folder)
        again = automations(api)
        assert {name: one["id"] for name, one in again.items()} == {name: one["id"] for name, one in first.items()}
        assert [name for name, one in again.items() if not one["enabled"]] == ["many-quarantined"]
        lost = start_run(api, 'pick up "my letter".m4a')
        beat = {
            "event": "prefect.flow-run.heartbeat",
            "resource": {"prefect.resource.id": f"prefect.flow-run.{lost}"},
            "related": [{"prefect.resource.id": "prefect.tag.diarynotes", "prefect.resource.role": "tag"}],
            "occurred": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "id": "5d2c1a3e-8a37-4f0e-9d0c-3d1b1f0c7a11",
        }
        api.post("/events", json=[beat]).raise_for_status()
        subprocess.run([sys.executable, "-c", EMIT], env=full_server, cwd=ROOT, check=True, timeout=PATIENCE_S)
        set_state(api, start_run(api, "another \\ letter"), "SCHEDULED", "Late")
        assert wait_until(lambda: bool(inbox.holding("gave a recording up") and inbox.holding("budget")))
        assert inbox.holding("gave a recording up") == [
            "diarynotes gave a recording up: worker_died (resource_exhaustion). There may be more: run diarynotes dead."
        ]
        assert inbox.holding("budget") == ["A budget of diarynotes is nearly used up: 8.5 of 10 USD this month."]
        assert wait_until(lambda: bool(inbox.holding("is late: pick-up/?.")))
        assert wait_until(
            lambda: bool(inbox.holding(f"crashed: pick-up/?. Look at it: prefect flow-run inspect {lost}"))
        )
        assert inbox.holding("letter") == [], "names of runs name files"
        state = api.get(f"/flow_runs/{lost}").json()["state"]
        assert (state["type"], state["message"]) == ("CRASHED", "Its heartbeats are missing, so its process is gone.")


def test_a_run_that_a_recording_kills_each_time_lands_its_neighbours(
    command_line: Any, make_notes: Any, tmp_path: Path
) -> None:
    make_notes(tmp_path / "notes", 30)
    arguments = ("run", str(tmp_path / "notes"), "--json", "--engine", "scripted")
    statuses: list[int] = []
    while not statuses or (statuses[-1] == -signal.SIGKILL and len(statuses) < 9):
        process = subprocess.run(
            [sys.executable, "-c", POISON, *arguments],
            env=command_line.environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )
        statuses.append(process.returncode)
    assert statuses == [-signal.SIGKILL] * 4 + [1], process.stderr
    assert len(command_line.call("notes", "--json").json) == 29
    (cause,) = command_line.call("dead", "--json").json
    assert (cause["code"], cause["reason"], cause["count"]) == ("worker_died", "resource_exhaustion", 1)
    assert cause["example"]["source"].endswith("-7.wav")
    assert command_line.call("retry", "--code", "worker_died", "--json").json["retried"]
    mended = command_line.call(*arguments)
    assert (mended.status, mended.json["landed"]) == (0, 1), mended.err
