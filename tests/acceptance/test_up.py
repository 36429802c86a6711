"""`diarynotes up` as a person uses it: dropping, killing, cancelling, stopping. Real server, worker and watcher."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from diarynotes.store import Drop, open_store
from diarynotes.store.embedded import stop_embedded
from tests.prefect_client import prefect_client

pytestmark = pytest.mark.slow

_PATIENCE_S = 600.0
"""Nothing is measured here, and the machine may be busy with other things."""


def end_with_us() -> None:
    """Linux ends the process with this one, should the tests be killed (prctl(2), PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


class Up:
    """A running `diarynotes up --json`, what it has said so far, and its Prefect API."""

    def __init__(self, home: Path, environment: dict[str, str]) -> None:
        self.home = home
        self.environment = environment
        self.said: list[dict[str, Any]] = []
        self._more = threading.Condition()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "diarynotes", "up", "--json"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=home.parent,
            start_new_session=True,
            preexec_fn=end_with_us,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            facts = self.wait_for("up")
        except BaseException:
            self.process.kill()
            self.process.communicate()
            raise
        self.pids: dict[str, int] = facts["pids"]
        auth = Path(facts["auth_file"]).read_text().strip()
        user, _, password = auth.partition(":")
        self.auth_string = auth
        self.url = f"{facts['ui']}/api"
        self.api = prefect_client(self.url, auth=(user, password))

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._more:
                self.said.append(json.loads(line))
                self._more.notify_all()

    def wait_for(self, event: str, **facts: Any) -> dict[str, Any]:
        """The first thing of this kind that was said, or is."""

        def find() -> dict[str, Any] | None:
            wanted = {"event": event, **facts}
            return next((one for one in self.said if all(one.get(k) == v for k, v in wanted.items())), None)

        with self._more:
            found = self._more.wait_for(find, _PATIENCE_S)
        assert found, (event, facts, self.said, self.process.poll())
        return found

    def drop(self, source: Path, owner: str = "me") -> str:
        folder = self.home / "bucket" / owner
        folder.mkdir(exist_ok=True)
        shutil.copy(source, folder / source.name)
        return source.name

    def processes(self) -> list[psutil.Process]:
        """All that it has started, Postgres too, which outlives a killed starter."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("DIARYNOTES_HOME") == str(self.home):
                    found.append(process)
            except (psutil.Error, OSError):
                continue
        return found

    def deployment(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.api.get(f"/deployments/name/{name}").raise_for_status().json()
        return found

    def start_run(self, deployment: str, **parameters: Any) -> str:
        body = {"state": {"type": "SCHEDULED"}, "parameters": parameters}
        run = self.api.post(f"/deployments/{self.deployment(deployment)['id']}/create_flow_run", json=body)
        return str(run.raise_for_status().json()["id"])

    def report_run(self, flow: str) -> str:
        """A run outside all pools, as one of `diarynotes run` that reports to this server."""
        found = self.api.get(f"/flows/name/{flow}").raise_for_status().json()
        run = self.api.post("/flow_runs/", json={"flow_id": found["id"], "state": {"type": "RUNNING"}})
        return str(run.raise_for_status().json()["id"])

    def state_of(self, run: str) -> str:
        return str(self.api.get(f"/flow_runs/{run}").raise_for_status().json()["state"]["name"])

    def stop(self, number: int = signal.SIGINT) -> int:
        self.process.send_signal(number)
        status = self.process.wait(_PATIENCE_S)
        self.close()
        return status

    def close(self) -> None:
        """Lets go of a process that has ended."""
        self.api.close()
        self._reader.join(_PATIENCE_S)
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()


@contextmanager
def running(environment: dict[str, str]) -> Iterator[Up]:
    up = Up(Path(environment["DIARYNOTES_HOME"]), environment)
    try:
        yield up
    finally:
        if up.process.poll() is None:
            up.stop(signal.SIGTERM)
        up.close()


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory, stuck_writer: str, proxy: Any) -> Iterator[dict[str, str]]:
    """As a person has it who sits behind a proxy, which reaches nothing on this machine."""
    home = tmp_path_factory.mktemp("up") / "home"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("DIARYNOTES_", "PREFECT_"))}
    yield {
        **inherited,
        **proxy.environment,
        "DIARYNOTES_HOME": str(home),
        "DIARYNOTES_ENGINE": "scripted",
        "DIARYNOTES_WRITERS": "extractive",
        "DIARYNOTES_TIMEZONE": "Europe/Berlin",
        "DIARYNOTES_SERVER_BASE_URL": stuck_writer,
    }
    stop_embedded(home / "postgres")


@pytest.fixture(scope="module")
def stuck_writer() -> Iterator[str]:
    """A language model's server that never answers."""
    leaving = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            leaving.wait(_PATIENCE_S)

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    leaving.set()
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def up(environment: dict[str, str]) -> Iterator[Up]:
    with running(environment) as started:
        # a sweep would find by chance what is to be found without one
        sweep = started.deployment("pick-up/sweep")["id"]
        started.api.patch(f"/deployments/{sweep}", json={"paused": True}).raise_for_status()
        yield started


@pytest.fixture(scope="module")
def notes(make_notes: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Recordings that nobody has dropped yet."""
    return iter(make_notes(tmp_path_factory.mktemp("notes"), 12))


def wait_until(holds: Callable[[], Any]) -> None:
    end = time.monotonic() + _PATIENCE_S
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.1)


def state_of_recording(up: Up, file: str) -> str | None:
    with open_store(None, up.home) as store:
        return next((line.job.state for line in store.jobs.list() if line.uri.endswith(file)), None)


def residents(up: Up) -> list[psutil.Process]:
    return [process for process in up.processes() if "flows.residence" in process.cmdline()]


def test_a_dropped_recording_becomes_a_note_without_another_word(up: Up, notes: Any) -> None:
    dropped = up.drop(next(notes))
    told = up.wait_for("landed", file=dropped)
    assert told["day"] == dropped[:10]
    assert told["owner"] == "me"
    assert 0 < told["seconds"] < _PATIENCE_S
    shutil.copy(up.home / "bucket" / "me" / dropped, up.home / "bucket" / "me" / "a copy of it.wav")
    assert up.wait_for("known", file="a copy of it.wav")["same_as"] == dropped


def test_what_runs_on_this_machine_is_asked_through_no_proxy(up: Up, proxy: Any) -> None:
    """Else nothing would have come up at all; and Prefect's secret stays here."""
    assert up.process.poll() is None
    assert not proxy.asked


def test_nobody_gets_in_without_the_secret(up: Up) -> None:
    assert httpx.get(f"{up.url}/flows/count", timeout=_PATIENCE_S).status_code in (401, 405)
    assert httpx.post(f"{up.url}/flows/count", json={}, timeout=_PATIENCE_S).status_code == 401
    assert up.api.post("/flows/count", json={}).status_code == 200


def test_the_ui_is_served(up: Up) -> None:
    page = httpx.get(up.url.removesuffix("/api"), follow_redirects=True, timeout=_PATIENCE_S)
    assert page.status_code == 200
    assert "<html" in page.text.lower()
    asked = httpx.get(f"{up.url.removesuffix('/api')}/ui-settings", timeout=_PATIENCE_S)
    assert asked.json()["api_url"] == "/api", "the page asks the server that it came from"


def test_the_history_is_in_postgres(up: Up) -> None:
    assert not list(up.home.rglob("*.db"))


def test_a_second_up_says_so_and_leaves(up: Up) -> None:
    second = subprocess.run(
        [sys.executable, "-m", "diarynotes", "up"],
        env=up.environment,
        capture_output=True,
        text=True,
        timeout=_PATIENCE_S,
    )
    assert second.returncode == 1
    assert "runs already" in second.stderr
    assert str(up.process.pid) in second.stderr


def test_a_file_that_is_none_is_set_aside_and_leaves_no_private_word_with_prefect(up: Up, tmp_path: Path) -> None:
    """Nor its name, which is with whoever dropped it and in the event that tells of the drop alone."""
    broken = tmp_path / "2026-05-24 what I told nobody.mp3"
    broken.write_text("what stands in it is private: quetzalcoatl")
    told = up.wait_for("set_aside", file=up.drop(broken))
    assert told["code"] == "not_audio"

    def told_to_prefect() -> str:
        newest = {"logs": {"sort": "TIMESTAMP_DESC"}, "artifacts": {"sort": "CREATED_DESC"}}
        asked = {what: newest.get(what, {}) for what in ("logs", "flow_runs", "task_runs", "artifacts")}
        return json.dumps([up.api.post(f"/{what}/filter", json=body).json() for what, body in asked.items()])

    wait_until(lambda: told["recording_id"] in told_to_prefect())
    for secret in ("quetzalcoatl", "private", "told nobody"):
        assert secret not in told_to_prefect()


def test_priorities_are_those_of_the_queues(up: Up) -> None:
    for pool in ("cpu", "gpu"):
        queues = up.api.post(f"/work_pools/{pool}/queues/filter", json={}).raise_for_status().json()
        priorities = {queue["name"]: queue["priority"] for queue in queues}
        assert priorities["urgent"] < priorities["normal"] < priorities["low"]


def test_a_schedule_makes_runs(up: Up) -> None:
    """With SQLAlchemy 2.1 Prefect's server makes none, and says so in its log only."""

    def scheduled() -> Any:
        wanted = {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}}
        return [run for run in up.api.post("/flow_runs/filter", json=wanted).json() if run["auto_scheduled"]]

    wait_until(scheduled)


def test_a_cancelled_run_ends_and_what_it_was_at_is_taken_up_without_another_word(up: Up, notes: Any) -> None:
    note = next(notes)
    run = up.start_run("diary/by-hand", sources=[str(note)], writer="server")
    wait_until(lambda: state_of_recording(up, note.name) == "transcribed")
    up.api.post(f"/flow_runs/{run}/set_state", json={"state": {"type": "CANCELLING", "name": "Cancelling"}})
    wait_until(lambda: up.state_of(run) == "Cancelled")
    up.wait_for("landed", file=note.name)


def test_a_drop_that_nobody_was_told_of_is_taken_all_the_same(up: Up, notes: Any) -> None:
    note = next(notes)
    with open_store(None, up.home) as store:
        store.drops.put([Drop("me", str(note))])
    up.wait_for("landed", file=note.name)


def test_a_killed_run_is_crashed_and_what_it_was_at_is_taken_up_without_another_word(up: Up, notes: Any) -> None:
    note = next(notes)
    run = up.start_run("diary/by-hand", sources=[str(note)], writer="server")
    wait_until(lambda: state_of_recording(up, note.name) == "transcribed")
    pid = int(up.api.get(f"/flow_runs/{run}").json()["infrastructure_pid"])
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: up.state_of(run) == "Crashed")
    up.wait_for("landed", file=note.name)


@pytest.mark.parametrize("part", ["watcher", "worker", "server", "database"])
def test_a_part_that_dies_is_started_again(up: Up, notes: Any, part: str) -> None:
    before = [process.pid for process in residents(up)]
    os.kill(up.pids[part], signal.SIGKILL)
    up.wait_for("ended", what=part)
    up.wait_for("landed", file=up.drop(next(notes)))
    if part == "worker":
        wait_until(lambda: not any(psutil.pid_exists(pid) for pid in before))


def test_a_killed_up_leaves_nothing_behind_and_the_next_one_goes_on(
    environment: dict[str, str], up: Up, notes: Any
) -> None:
    note = next(notes)
    run = up.start_run("diary/by-hand", sources=[str(note)], writer="server")
    elsewhere = up.report_run("diary")
    wait_until(lambda: state_of_recording(up, note.name) == "transcribed")
    changed, gone = (up.deployment(f"pick-up/{name}")["id"] for name in ("rescue", "sweep"))
    up.api.patch(f"/deployments/{changed}", json={"description": "mine"}).raise_for_status()
    up.api.delete(f"/deployments/{gone}").raise_for_status()
    up.process.kill()
    up.process.wait()
    wait_until(lambda: not up.processes())
    up.drop(note_in_the_night := next(notes))
    with running(environment) as again:
        assert again.state_of(run) == "Crashed"
        assert again.state_of(elsewhere) == "Running", "somebody else's, who reports to this server, too"
        assert again.deployment("pick-up/sweep")["schedules"]
        assert again.deployment("pick-up/rescue")["description"] == "mine"
        again.wait_for("landed", file=note.name)
        again.wait_for("landed", file=note_in_the_night.name)
        assert again.stop() == 0
        assert again.said[-1] == {"event": "stopped"}
        assert not again.processes()
