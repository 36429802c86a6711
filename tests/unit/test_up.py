"""The parts of `diarynotes up` by themselves: its secrets, its processes, what it says. The whole: acceptance tests."""

from __future__ import annotations

import errno
import json
import os
import pickle
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml
from click.testing import CliRunner

from diarynotes.cli import main
from diarynotes.cli.up import _describe
from diarynotes.errors import BadSettings, StorageFailed
from diarynotes.prefect_api import past_proxies
from diarynotes.settings import Settings
from diarynotes.up import children, keeping, rescue, running
from diarynotes.up.api import Api
from diarynotes.up.children import Child
from diarynotes.up.deploying import find_deployments_file, find_missing, read_deployments
from diarynotes.up.keeping import Keeper, Setback
from diarynotes.up.keys import load_keys
from diarynotes.up.plan import find_local_buckets, find_port, make_plan
from diarynotes.up.registering import ask_for_run, clear_dead_runs
from diarynotes.up.rescue import Rescuer
from diarynotes.up.running import AlreadyUp, _alone
from diarynotes.up.server import client_environment, server_environment
from tests.waiting import wait_for


def test_secrets_are_made_once_and_only_their_owner_reads_them(tmp_path: Path) -> None:
    first, second = load_keys(tmp_path / "prefect"), load_keys(tmp_path / "prefect")
    assert first == second
    assert first != load_keys(tmp_path / "another")
    for path in (tmp_path / "prefect").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert first.auth_string not in repr(first)
    assert first.encryption_key not in repr(first)


def test_the_encryption_key_is_one_that_prefect_takes(tmp_path: Path) -> None:
    from cryptography.fernet import Fernet

    fernet = Fernet(load_keys(tmp_path).encryption_key)
    assert fernet.decrypt(fernet.encrypt(b"secret")) == b"secret"


def test_the_server_is_on_postgres_with_secrets_and_sends_nothing_home(tmp_path: Path) -> None:
    keys = load_keys(tmp_path)
    url = "postgresql+psycopg://postgres@/postgres?host=/a/b%20c/data"
    server = server_environment(url, keys, tmp_path)
    assert (
        server["PREFECT_SERVER_DATABASE_CONNECTION_URL"] == "postgresql+asyncpg://postgres@/prefect?host=/a/b%20c/data"
    )
    assert server["PREFECT_SERVER_API_AUTH_STRING"] == keys.auth_string
    assert server["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
    client = client_environment(1234, keys, tmp_path)
    assert client["PREFECT_API_URL"] == "http://127.0.0.1:1234/api"
    assert keys.encryption_key not in client.values()


def test_prefect_knows_every_setting_that_it_is_given(tmp_path: Path) -> None:
    """A name that Prefect does not know is ignored without a word."""
    keys = load_keys(tmp_path)
    given = {
        **server_environment("postgresql+psycopg://x@/x?host=/x", keys, tmp_path),
        **client_environment(1, keys, tmp_path),
    }
    code = (
        "from prefect.settings import get_current_settings as get; "
        "print(*get().to_environment_variables(exclude_unset=True, include_aliases=True))"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    known = subprocess.run(
        [sys.executable, "-c", code], env={**environment, **given}, capture_output=True, text=True, check=True
    ).stdout.split()
    unknown = {name for name in given if name.startswith("PREFECT_")} - set(known)
    assert unknown == {"PREFECT_SERVER_ENCRYPTION_KEY"}  # which Prefect reads by itself


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({}, {"no_proxy": "127.0.0.1,localhost", "NO_PROXY": "127.0.0.1,localhost"}),
        ({"NO_PROXY": "corp.example"}, dict.fromkeys(["no_proxy", "NO_PROXY"], "corp.example,127.0.0.1,localhost")),
        (
            {"NO_PROXY": "a.example", "no_proxy": "localhost, b.example"},
            {"NO_PROXY": "a.example,127.0.0.1,localhost", "no_proxy": "localhost,b.example,127.0.0.1"},
        ),
        ({"no_proxy": "*"}, {"no_proxy": "*", "NO_PROXY": "*"}),
    ],
)
def test_what_was_to_go_past_proxies_still_does(given: dict[str, str], kept: dict[str, str]) -> None:
    assert past_proxies(given) == kept


def test_our_own_server_is_asked_past_a_proxy_and_strangers_through_it(
    proxy: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in proxy.environment.items():
        monkeypatch.setenv(name, value)
    api = Api(proxy.url, "diarynotes:secret")  # any server on this machine will do
    with pytest.raises(StorageFailed):
        api.ask("GET", "/health")
    api.close()
    assert proxy.asked == ["GET /health"], "asked as a server, by a path alone, and not as a proxy"

    environment = {**os.environ, **make_plan(Settings(home=tmp_path), 0).as_client}
    code = "import httpx, sys; print([httpx.get(url).status_code for url in sys.argv[1:]])"
    asking = [sys.executable, "-c", code, f"{proxy.url}/ours", "http://vendor.example/theirs"]
    said = subprocess.run(asking, env=environment, capture_output=True, text=True, check=True).stdout
    assert said.strip() == "[502, 502]"
    assert proxy.asked[1:] == ["GET /ours", "GET http://vendor.example/theirs"]


def test_a_server_that_is_busy_is_asked_again() -> None:
    statuses = [503, 503, 200]

    class Busy(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(statuses.pop(0))
            self.end_headers()

        def log_message(self, *arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Busy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        api = Api(f"http://127.0.0.1:{server.server_address[1]}", "diarynotes:secret")
        assert api.ask("POST", "/flows/count", {}) is None
        api.close()
        server.shutdown()
    assert statuses == []


class Answers:
    """Stands for Prefect's API: answers every request alike, and keeps them."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, str, Any]] = []

    def ask(self, method: str, path: str, body: Any = None, *, unless: int = 0) -> Any:
        self.asked.append((method, path, body))
        return self.answers.pop(0)


def test_what_the_server_does_not_have_is_deployed_and_only_that() -> None:
    wanted = read_deployments(ZoneInfo("America/Los_Angeles"))
    there = [
        {"entrypoint": each["entrypoint"], "name": each["name"], "version": wanted.version}
        for each in wanted.definitions
    ]

    def missing(found: list[dict[str, Any]]) -> list[tuple[str, str]]:
        return [(each["entrypoint"], each["name"]) for each in find_missing(Answers(found), wanted)]  # type: ignore[arg-type]

    everything = [(each["entrypoint"], each["name"]) for each in there]
    assert missing(there) == []
    assert missing([]) == everything
    assert missing([{**each, "version": "of last year"} for each in there]) == everything
    assert missing([each for each in there if each["name"] != "sweep"]) == [("flows/pick_up.py:pick_up", "sweep")]


def test_the_night_begins_by_the_clock_of_the_owner() -> None:
    def nightly(zone: str) -> Any:
        definitions = read_deployments(ZoneInfo(zone)).definitions
        return next(each for each in definitions if each["name"] == "nightly")["schedules"]

    assert nightly("America/Los_Angeles") == [{"cron": "30 4 * * *", "timezone": "America/Los_Angeles", "active": True}]
    here, there = (read_deployments(ZoneInfo(zone)).version for zone in ("UTC", "America/Los_Angeles"))
    assert here != there


def test_prefect_yaml_lies_where_the_flows_do() -> None:
    folder, file = find_deployments_file()
    for deployment in yaml.safe_load(file.read_text())["deployments"]:
        path, _, _ = deployment["entrypoint"].partition(":")
        assert (folder / path).is_file()


def test_only_one_up_runs_on_a_home(tmp_path: Path) -> None:
    with _alone(tmp_path) as lock:
        lock.write_text("4711 http://127.0.0.1:1\n")
        with pytest.raises(AlreadyUp, match=r"process 4711.* http://127\.0\.0\.1:1") as caught, _alone(tmp_path):
            pass
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    with _alone(tmp_path):
        pass


def test_only_runs_of_our_own_pools_are_taken_for_dead() -> None:
    started_at = datetime(2026, 5, 24, 12, tzinfo=UTC)
    runs = [
        {"id": "stale", "state": {"timestamp": "2026-05-24T11:59:00Z"}},
        {"id": "fresh", "state": {"timestamp": "2026-05-24T12:01:00Z"}},
    ]
    api = Answers(runs, None, [])
    clear_dead_runs(api, ("cpu", "gpu"), started_at)  # type: ignore[arg-type]
    looked, marked, _ = api.asked
    assert looked[2]["work_pools"] == {"name": {"any_": ["cpu", "gpu"]}}
    assert marked[1] == "/flow_runs/stale/set_state"


@pytest.mark.parametrize(("waiting", "is_asked_for"), [(0, True), (1, False)])
def test_no_run_is_asked_for_while_one_waits_for_its_turn(waiting: int, is_asked_for: bool) -> None:
    api = Answers({"id": "7"}, waiting, {})
    ask_for_run(api, "pick-up/rescue")  # type: ignore[arg-type]
    paths = [path for _, path, _ in api.asked]
    assert paths[:2] == ["/deployments/name/pick-up/rescue", "/flow_runs/count"]
    assert ("/deployments/7/create_flow_run" in paths) == is_asked_for


def test_only_folders_are_watched(tmp_path: Path) -> None:
    assert list(find_local_buckets(Settings(home=tmp_path))) == [str(tmp_path / "bucket")]
    assert (tmp_path / "bucket" / "me").is_dir()
    (tmp_path / "a b").mkdir()
    buckets = ("gs://notes", str(tmp_path / "bucket"), f"file://{tmp_path}/a%20b")
    here = [str(tmp_path / "bucket"), str(tmp_path / "a b")]
    assert list(find_local_buckets(Settings(home=tmp_path, buckets=buckets))) == here
    with pytest.raises(BadSettings, match="there is no folder"):
        list(find_local_buckets(Settings(home=tmp_path, buckets=("/nowhere/at/all",))))


def test_the_port_of_last_time_is_taken_again_where_it_is_free(tmp_path: Path) -> None:
    port = find_port(tmp_path)
    assert find_port(tmp_path) == port
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        other = find_port(tmp_path)
        assert other != port
    assert find_port(tmp_path) == other
    (tmp_path / "port").write_text("no number")
    assert find_port(tmp_path) > 0


def test_a_port_that_is_asked_for_is_that_of_last_time_from_then_on(
    tmp_path: Path,
) -> None:
    find_port(tmp_path)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        wanted = probe.getsockname()[1]
    assert find_port(tmp_path, wanted) == wanted
    assert find_port(tmp_path) == wanted
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", wanted))
        taken.listen()
        with pytest.raises(BadSettings, match="cannot be used"):
            find_port(tmp_path, wanted)


@pytest.mark.parametrize("as_json", [False, True])
def test_what_is_said_fits_a_line_whatever_files_are_called(monkeypatch: pytest.MonkeyPatch, as_json: bool) -> None:
    name = "a\nb\x1b[31m.wav"

    def run_up(_settings: Any, _port: int, tell: Any, _stopping: Any) -> None:
        tell("known", {"file": name, "same_as": "c.wav"})

    monkeypatch.setattr(running, "run_up", run_up)
    out = CliRunner().invoke(main, ["up", *(["--json"] if as_json else [])]).output
    said, stopped = out.splitlines()
    assert (
        (json.loads(said)["file"] == name)
        if as_json
        else (said == "known      a?b?[31m.wav: the same recording as c.wav")
    )
    assert "stopped" in stopped.lower()


def altered(module: ModuleType, **changes: Any) -> SimpleNamespace:
    """The module as one of ours is to see it; for everybody else it stays as it is."""
    return SimpleNamespace(**vars(module) | changes)


@pytest.mark.parametrize(
    ("why", "said"),
    [
        (None, "The worker has ended and is started again in 2 s; see /w.log"),
        ("no space", "The worker could not be started (no space) and is tried again in 2 s; see /w.log"),
    ],
)
def test_a_part_that_does_not_run_is_told_of(why: str | None, said: str) -> None:
    assert list(_describe("ended", {"what": "worker", "why": why, "again_in_s": 2.0, "log": "/w.log"})) == [said]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that goes as it is told."""
    now = [0.0]
    monkeypatch.setattr(keeping, "time", altered(time, monotonic=lambda: now[0]))
    return now


@pytest.fixture
def failing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Child]:
    """A child that ends as soon as it is started."""
    monkeypatch.setattr(children, "sys", altered(sys, executable="/bin/false"))
    (tmp_path / "logs").mkdir()
    child = Child("failing", [], {}, tmp_path / "logs" / "log")
    child.start()
    yield child
    child.stop(5.0)


def look_again(keeper: Keeper, clock: list[float], setback: Setback) -> Setback | None:
    """What is found when it is time to start the part again; nothing is before."""
    assert keeper.look_after() is None
    clock[0] += setback.again_in_s
    return keeper.look_after()


def test_a_child_that_ends_again_and_again_is_started_less_and_less_often(failing: Child, clock: list[float]) -> None:
    keeper, waits = Keeper(failing), []
    for _ in range(7):
        wait_until_ended(failing)
        before = failing.pid
        setback = keeper.look_after()
        assert setback is not None
        assert look_again(keeper, clock, setback) is None
        assert failing.pid != before
        waits.append(setback.again_in_s)
    assert waits == [1.0, 2.0, 5.0, 15.0, 30.0, 30.0, 30.0]
    clock[0] += 100.0
    wait_until_ended(failing)
    assert keeper.look_after() == Setback(1.0)


def test_a_child_that_cannot_be_started_now_is_tried_again_as_one_that_ended(
    failing: Child, clock: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = Keeper(failing)
    wait_until_ended(failing)
    clock[0] += 100.0  # it was steady until then, but what cannot be started is not
    setback = keeper.look_after()
    assert setback == Setback(1.0)
    (tmp_path / "logs").rename(tmp_path / "away")
    setback = look_again(keeper, clock, setback)
    assert setback == Setback(2.0, "No such file or directory")
    (tmp_path / "away").rename(tmp_path / "logs")

    def refuse(*_: Any, **__: Any) -> None:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    with monkeypatch.context() as patch:
        patch.setattr(children.subprocess, "Popen", refuse)
        setback = look_again(keeper, clock, setback)
    assert setback == Setback(5.0, os.strerror(errno.EAGAIN))
    before = failing.pid
    assert look_again(keeper, clock, setback) is None
    assert failing.pid != before


def test_a_part_that_somebody_else_has_started_again_is_not_due_any_more(clock: list[float], tmp_path: Path) -> None:
    part = SimpleNamespace(name="database", log=tmp_path, pid=1, is_running=False, start=lambda: pytest.fail("twice"))
    keeper = Keeper(part)
    assert keeper.look_after() == Setback(1.0)
    part.is_running = True
    clock[0] += 5.0
    assert keeper.look_after() is None
    part.is_running = False
    assert keeper.look_after() == Setback(2.0)


def wait_until_ended(child: Child) -> None:
    wait_for(lambda: not child.is_running)


def test_a_run_is_asked_for_when_something_is_stranded_and_not_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, asked = [100.0], []
    monkeypatch.setattr(rescue, "time", altered(time, monotonic=lambda: clock[0]))
    stranded = iter([False, True, True])
    rescuer = Rescuer(lambda: next(stranded), lambda: asked.append(clock[0]))
    while clock[0] < 150:
        rescuer.look()
        clock[0] += 1
    assert asked == [110, 130]
