"""The receiver as a process on a Postgres that stops and starts, SQS as moto plays it, and a real Prefect server."""

from __future__ import annotations

import contextvars
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client

from diarynotes import prefect_api
from diarynotes.buckets import list_objects
from diarynotes.prefect_api import TemporaryServer, reporting_to
from diarynotes.receive.inbox import Inbox
from diarynotes.receive.messages import Places
from diarynotes.receive.proof import sign
from diarynotes.receive.pulling import keep_pulling, pull_once
from diarynotes.receive.sqs import SqsQueue
from diarynotes.settings import load_settings
from diarynotes.store import Drop, open_store, start_embedded, stop_embedded
from diarynotes.store.store import Store
from flows.draining import register_drops
from flows.events import tell_dropped
from flows.stages import register_objects
from flows.workshop import Workshop
from tests.waiting import PATIENCE_S, wait_for

pytest_plugins = ["tests.integration.store_fixtures"]

SECRET = "s" * 32


class Running:
    """A `diarynotes receive` of its own."""

    def __init__(self, home: Path, database_url: str, **settings: str) -> None:
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("DIARYNOTES", "PREFECT"))
        }
        environment |= {"DIARYNOTES_HOME": str(home), "DIARYNOTES_DATABASE_URL": database_url}
        environment |= {"PREFECT_HOME": str(home / "prefect"), "DIARYNOTES_RECEIVE_BUCKETS": "gs://voice"}
        environment |= {f"DIARYNOTES_RECEIVE_{name.upper()}": value for name, value in settings.items()}
        command = [sys.executable, "-m", "diarynotes", "receive", "--port", "0"]
        self.process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        self.said: list[str] = []
        self.port = 0
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said.append(line)
            if found := re.search(r"http://127\.0\.0\.1:(\d+)", line):
                self.port = int(found[1])
                break
        self._reader = threading.Thread(target=lambda: self.said.extend(self.process.stderr or ()))
        self._reader.start()

    def request(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        try:
            connection.request(method, path, body, headers or {})
            return connection.getresponse().status
        finally:
            connection.close()

    def drop(self, uri: str) -> int:
        body, now = json.dumps({"uri": uri}).encode(), int(time.time())
        headers = {"X-Diarynotes-Timestamp": str(now), "X-Diarynotes-Signature": sign(SECRET, now, body)}
        return self.request("POST", "/drops", body, headers | {"Content-Type": "application/json"})

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        status = self.process.wait(timeout=PATIENCE_S)
        self._reader.join(PATIENCE_S)
        if self.process.stderr is not None:
            self.process.stderr.close()
        return status


@pytest.fixture
def own_postgres(tmp_path: Path) -> Iterator[Path]:
    """The folder of a server that the test may stop."""
    folder = tmp_path / "own"
    yield folder
    stop_embedded(folder)


def test_the_receiver_outlives_its_postgres(own_postgres: Path, tmp_path: Path) -> None:
    url = start_embedded(own_postgres)
    running = Running(tmp_path / "home", url, secret=SECRET)
    try:
        assert running.request("GET", "/health") == 200
        assert running.request("GET", "/ready") == 200
        assert running.drop("gs://voice/anna/1.m4a") == 204
        assert running.drop("gs://strange/anna/1.m4a") == 403
        stop_embedded(own_postgres)
        wait_for(lambda: running.request("GET", "/ready") == 503)
        assert running.drop("gs://voice/anna/2.m4a") == 503
        assert running.request("GET", "/health") == 200
        assert start_embedded(own_postgres) == url
        wait_for(lambda: running.drop("gs://voice/anna/2.m4a") == 204)
        assert running.request("GET", "/ready") == 200
        with open_store(url, tmp_path / "home") as store:
            found = [line.drop.uri for line in store.drops.list()]
    finally:
        status = running.stop()
    assert status == 0
    assert found == ["gs://voice/anna/1.m4a", "gs://voice/anna/2.m4a"]
    said = "".join(running.said)
    assert "Traceback" not in said
    assert SECRET not in said


def test_the_receiver_refuses_what_a_web_server_must(database_url: str, tmp_path: Path) -> None:
    running = Running(tmp_path / "home", database_url, secret=SECRET, s3_key="k" * 32)
    try:
        json_type = {"Content-Type": "application/json", "X-API-Key": "k" * 32}
        assert running.request("POST", "/s3", b"[" * 999_999, json_type) == 400
        assert running.request("POST", "/s3", b" " * 1_000_001, json_type) == 413
        assert running.request("POST", "/s3", b"{}", {"X-API-Key": "k" * 32}) == 415
        assert running.request("POST", "/azure", b"{}", json_type) == 404, "its secret is not set"
        assert running.request("POST", "/s3?" + "x" * 100_000, b"{}", json_type) == 400
    finally:
        assert running.stop(signal.SIGINT) == 0
    assert "Traceback" not in "".join(running.said)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, "No way in is open"),
        ({"DIARYNOTES_RECEIVE_SECRET": "short"}, "too short"),
        ({"DIARYNOTES_RECEIVE_SECRET": SECRET}, "Name the buckets"),
        ({"DIARYNOTES_RECEIVE_PUBSUB_EMAIL": "a@b"}, "receive_pubsub_audience: is needed"),
    ],
)
def test_the_receiver_does_not_start_half_open(tmp_path: Path, settings: dict[str, str], told: str) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DIARYNOTES")}
    ended = subprocess.run(
        [sys.executable, "-m", "diarynotes", "--home", str(tmp_path / "home"), "receive"],
        env=environment | settings,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert ended.returncode == 2
    assert told in ended.stderr
    assert "short\n" not in ended.stderr.replace("too short", "")
    assert not (tmp_path / "home").exists()


# -- SQS --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def amazon() -> Iterator[str]:
    """The address of moto's server."""
    server = pytest.importorskip("moto.server", reason="moto is not installed: pip install 'diarynotes[dev]'")
    running = server.ThreadedMotoServer(port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host.replace('0.0.0.0', '127.0.0.1')}:{port}"
    running.stop()


@pytest.fixture
def sqs(amazon: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    import httpx2
    from botocore.session import Session

    httpx2.post(f"{amazon}/moto-api/reset")
    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_ENDPOINT_URL": amazon,
    }.items():
        monkeypatch.setenv(name, value)
    return Session().create_client("sqs")


@pytest.fixture
def queue_url(sqs: Any, request: pytest.FixtureRequest) -> str:
    attributes = {"VisibilityTimeout": "1", "ReceiveMessageWaitTimeSeconds": "0"}
    name = re.sub(r"\W", "-", request.node.name)[:70]
    return str(sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"])


@pytest.fixture
def queue(queue_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[SqsQueue]:
    monkeypatch.setattr("diarynotes.receive.sqs._WAIT_S", 0)
    opened = SqsQueue(queue_url, Places(("s3://voice",), "me"))
    yield opened
    opened.close()


def notify(sqs: Any, url: str, *keys: str, bucket: str = "voice") -> None:
    for key in keys:
        told = {"bucket": {"name": bucket}, "object": {"key": quote_plus(key), "eTag": "1"}}
        body = {"Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": told}]}
        sqs.send_message(QueueUrl=url, MessageBody=json.dumps(body))


def left(sqs: Any, url: str) -> int:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    return sum(map(int, sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"].values()))


def test_messages_of_a_queue_are_deleted_when_the_inbox_has_them(
    sqs: Any, queue: SqsQueue, queue_url: str, store: Store
) -> None:
    notify(sqs, queue_url, *(f"anna/a b+{number}.m4a" for number in range(25)))
    with Inbox(store.drops.put, None) as inbox:
        while pull_once(queue, inbox):
            pass
    found = {line.drop.uri for line in store.drops.list()}
    assert found == {f"s3://voice/anna/a b+{number}.m4a" for number in range(25)}
    assert left(sqs, queue_url) == 0


def test_messages_stay_on_the_queue_while_postgres_fails(
    sqs: Any, queue: SqsQueue, queue_url: str, store: Store
) -> None:
    notify(sqs, queue_url, "anna/a.m4a")
    stopping = threading.Event()
    tries: list[int] = []

    def put(drops: Any) -> int:
        tries.append(len(drops))
        if len(tries) == 1:
            raise ConnectionError
        stopping.set()
        return store.drops.put(drops)

    with Inbox(put, None) as inbox:
        keep_pulling(queue, inbox, stopping)
    assert [line.drop.uri for line in store.drops.list()] == ["s3://voice/anna/a.m4a"]
    assert left(sqs, queue_url) == 0


def test_what_is_refused_stays_for_the_queue_of_dead_letters(
    sqs: Any, queue: SqsQueue, queue_url: str, store: Store
) -> None:
    notify(sqs, queue_url, "anna/a.m4a", bucket="strange")
    sqs.send_message(QueueUrl=queue_url, MessageBody="no JSON")
    sqs.send_message(QueueUrl=queue_url, MessageBody=json.dumps({"Service": "", "Event": "s3:TestEvent", "Bucket": ""}))
    with Inbox(store.drops.put, None) as inbox:
        assert pull_once(queue, inbox) == 0
    assert left(sqs, queue_url) == 2
    assert store.drops.count() == {}


@pytest.mark.parametrize("listed", [False, True])
def test_what_amazon_itself_tells_of_becomes_recordings(
    sqs: Any, queue: SqsQueue, queue_url: str, store: Store, database_url: str, tmp_path: Path, listed: bool
) -> None:
    from botocore.session import Session

    s3 = Session().create_client("s3")
    s3.create_bucket(Bucket="voice", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    arn = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    wanted = {"QueueArn": arn, "Events": ["s3:ObjectCreated:*"]}
    s3.put_bucket_notification_configuration(
        Bucket="voice", NotificationConfiguration={"QueueConfigurations": [wanted]}
    )
    keys = ("anna/a b.m4a", "anna/a+b.m4a", "anna/100%.m4a", "anna/Ünï/😀.m4a", "anna/p", "anna/p/q.m4a", "anna/sub/")
    for key in keys:
        s3.put_object(Bucket="voice", Key=key, Body=key.encode())
    with Inbox(store.drops.put, None) as inbox:
        wait_for(lambda: pull_once(queue, inbox) == 0 and not left(sqs, queue_url))
    shop = Workshop(load_settings({}, home=tmp_path / "home", database_url=database_url, timezone="UTC"))
    try:
        if listed:  # a sweep was here before
            objects = [obj for obj in list_objects("s3://voice/anna") if not obj.uri.endswith("/")]
            register_objects(shop, objects, owner="anna", priority="normal")
        found = shop.store.recordings(register_drops(shop))
    finally:
        shop.close()
    assert {one.uri for one in found.values()} == {f"s3://voice/{key}" for key in keys if not key.endswith("/")}
    assert {one.owner for one in found.values()} == {"anna"}
    assert store.jobs.count() == {"received": len(keys) - 1}
    assert store.drops.count() == {}


# -- Prefect ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def prefect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SyncPrefectClient]:
    """A client of a whole server, which keeps events."""
    monkeypatch.delitem(prefect_api._SERVER_SETTINGS, "PREFECT__SERVER_EPHEMERAL")
    server = TemporaryServer(tmp_path / "prefect")
    try:
        server.wait()
        with reporting_to(server.url), get_client(sync_client=True) as client:
            yield client
    finally:
        server.stop()


def heard(prefect: SyncPrefectClient) -> list[dict[str, Any]]:
    asked = {"filter": {"event": {"name": ["diarynotes.recording.dropped"]}}}
    return list(prefect.request("POST", "/events/filter", json=asked).json()["events"])


@pytest.mark.slow
def test_prefect_hears_of_drops_unless_a_run_that_will_find_them_has_yet_to_begin(
    prefect: SyncPrefectClient, store: Store
) -> None:
    context = contextvars.copy_context()  # where the flow's settings are, for the thread that tells
    with Inbox(store.drops.put, lambda drops: context.run(tell_dropped, drops)) as inbox:
        inbox.put([Drop("anna", f"gs://voice/anna/{number}.m4a", "1") for number in range(3)])
        wait_for(lambda: heard(prefect))
    (event,) = heard(prefect)
    assert event["payload"] == {"uri": "gs://voice/anna/0.m4a", "owner": "anna", "count": 3}
    assert event["resource"]["prefect.resource.id"].startswith("diarynotes.drop.")

    def ask(path: str, **facts: Any) -> str:
        return str(prefect.request("POST", path, json=facts).json().get("id"))

    def schedule(in_hours: float) -> str:
        when = datetime.now(UTC) + timedelta(hours=in_hours)
        state = {"type": "SCHEDULED", "state_details": {"scheduled_time": when.isoformat()}}
        return ask(f"/deployments/{inbox_id}/create_flow_run", state=state)

    def move(run: str, state: str) -> None:
        ask(f"/flow_runs/{run}/set_state", state={"type": state}, force=True)

    inbox_id = ask("/deployments/", name="inbox", flow_id=ask("/flows/", name="pick-up"))
    schedule(in_hours=-1)  # lost: nobody serves its queue
    schedule(in_hours=24)
    tell_dropped([Drop("anna", "told beside the lost.m4a")])
    run = schedule(in_hours=0)
    tell_dropped([Drop("anna", "found by the run.m4a")])
    move(run, "PENDING")
    tell_dropped([Drop("anna", "told while pending.m4a")])
    move(run, "RUNNING")
    tell_dropped([Drop("anna", "told while running.m4a")])
    wait_for(lambda: len(heard(prefect)) >= 4)
    assert [each["payload"]["uri"] for each in sorted(heard(prefect), key=lambda each: each["occurred"])[1:]] == [
        "told beside the lost.m4a",
        "told while pending.m4a",
        "told while running.m4a",
    ]
