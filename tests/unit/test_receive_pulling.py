"""Queues that are asked: what is settled and when, and Pub/Sub's REST API as strictly as it answers itself."""

from __future__ import annotations

import base64
import json
import logging
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from diarynotes.errors import BadSettings, StorageFailed
from diarynotes.receive.inbox import Inbox
from diarynotes.receive.messages import Places, Refused
from diarynotes.receive.pubsub import Subscription
from diarynotes.receive.pulling import Parcel, keep_pulling, pull_once
from diarynotes.store.facts import Drop
from tests.waiting import PATIENCE_S

PLACES = Places(("gs://voice",), "me")
NAME = "projects/p-1/subscriptions/voice-notes"


class Shelf:
    """A queue of messages that are keys; `x` is refused. Settled ones go."""

    name = "shelf"

    def __init__(self, *keys: str, failures: int = 0) -> None:
        self.parcels = [Parcel(str(number), key) for number, key in enumerate(keys)]
        self.failures = failures
        self.emptied = threading.Event()

    def take(self) -> Sequence[Parcel]:
        if self.failures:
            self.failures -= 1
            raise ConnectionError("secret words of a library")
        if not [parcel for parcel in self.parcels if parcel.body != "x"]:
            self.emptied.set()
        return list(self.parcels)

    def read(self, parcel: Parcel) -> tuple[Drop, ...]:
        if parcel.body == "x":
            raise Refused("the message is malformed (key)")
        return (Drop("me", f"gs://voice/{parcel.body}"),) if parcel.body else ()

    def settle(self, parcels: Sequence[Parcel]) -> None:
        self.parcels = [parcel for parcel in self.parcels if parcel not in parcels]


def test_messages_are_settled_when_their_drops_are_kept() -> None:
    shelf, kept = Shelf("a", "x", "", "b"), list[Drop]()
    with Inbox(lambda drops: kept.extend(drops) or len(drops), None) as inbox:
        assert pull_once(shelf, inbox) == 2
    assert [drop.uri for drop in kept] == ["gs://voice/a", "gs://voice/b"]
    assert [parcel.body for parcel in shelf.parcels] == ["x"], "what is refused is left to the queue's own limit"


def test_nothing_is_settled_while_postgres_is_down() -> None:
    def fail(_drops: Sequence[Drop]) -> int:
        raise StorageFailed("postgresql://…", "no connection")

    shelf = Shelf("a")
    with Inbox(fail, None) as inbox, pytest.raises(StorageFailed):
        pull_once(shelf, inbox)
    assert [parcel.body for parcel in shelf.parcels] == ["a"]


def test_a_queue_that_fails_is_asked_again(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("diarynotes.receive.pulling._PATIENCE_S", (0.01,))
    caplog.set_level(logging.INFO, "diarynotes")
    shelf, stopping, kept = Shelf("a", failures=3), threading.Event(), list[Drop]()
    with Inbox(lambda drops: kept.extend(drops) or len(drops), None) as inbox:
        thread = threading.Thread(target=keep_pulling, args=(shelf, inbox, stopping))
        thread.start()
        assert shelf.emptied.wait(PATIENCE_S)
        stopping.set()
        thread.join(PATIENCE_S)
    assert len(kept) == 1
    assert "ConnectionError" in caplog.text
    assert "secret words" not in caplog.text


class PubSub:
    """Pub/Sub's pull and acknowledge, refusing what the real one refuses."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.messages: dict[str, dict[str, Any]] = {}
        self.problems: list[str] = []
        self.status = 200

    def publish(self, **attributes: str) -> None:
        number = str(len(self.messages) + 1)
        data = base64.b64encode(b"{}").decode()
        message = {"attributes": attributes, "data": data, "messageId": number, "publishTime": "2026-11-21T12:00:00Z"}
        self.messages[f"ack {number}"] = {"ackId": f"ack {number}", "message": message}

    def answer(self, path: str, headers: Any, body: bytes) -> tuple[int, dict[str, Any]]:
        if headers.get("Authorization") != "Bearer fresh":
            return 401, {"error": {"code": 401, "status": "UNAUTHENTICATED"}}
        if self.status != 200:
            return self.status, {"error": {"code": self.status}}
        asked = json.loads(body)
        if path == f"/v1/{NAME}:pull" and asked.keys() == {"maxMessages"} and 0 < asked["maxMessages"] <= 1_000:
            found = list(self.messages.values())[: asked["maxMessages"]]
            return 200, {"receivedMessages": found} if found else {}
        if path == f"/v1/{NAME}:acknowledge" and asked.keys() == {"ackIds"} and asked["ackIds"]:
            for ack in asked["ackIds"]:
                del self.messages[ack]
            return 200, {}
        self.problems.append(path)
        return 400, {"error": {"code": 400, "status": "INVALID_ARGUMENT"}}


@pytest.fixture
def pubsub() -> Iterator[PubSub]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, answer = service.answer(self.path, self.headers, body)
            raw = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_words: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        service = PubSub(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield service
        server.shutdown()
        thread.join()
    assert not service.problems


@pytest.fixture
def subscription(pubsub: PubSub) -> Iterator[Subscription]:
    opened = Subscription(NAME, PLACES, lambda: {"Authorization": "Bearer fresh"}, pubsub.url)
    yield opened
    opened.close()


def test_a_subscription_is_pulled_and_acknowledged(pubsub: PubSub, subscription: Subscription) -> None:
    for number in range(3):
        pubsub.publish(eventType="OBJECT_FINALIZE", bucketId="voice", objectId=f"anna/{number}", objectGeneration="7")
    pubsub.publish(eventType="OBJECT_DELETE", bucketId="voice", objectId="anna/0")
    pubsub.publish(eventType="OBJECT_FINALIZE", bucketId="strange", objectId="anna/0")
    kept: list[Drop] = []
    with Inbox(lambda drops: kept.extend(drops) or len(drops), None) as inbox:
        assert pull_once(subscription, inbox) == 3
        assert list(pubsub.messages) == ["ack 5"], "only what is about a strange bucket is left"
        assert pull_once(subscription, inbox) == 0
    assert kept == [Drop("anna", f"gs://voice/anna/{number}", "7") for number in range(3)]


def test_an_empty_subscription_and_one_that_fails(pubsub: PubSub, subscription: Subscription) -> None:
    assert subscription.take() == []
    pubsub.status = 503
    with pytest.raises(Exception, match="503"):
        subscription.take()


@pytest.mark.parametrize("name", ["voice-notes", "projects/p/topics/t", "projects/p", ""])
def test_a_subscription_has_its_whole_name(name: str) -> None:
    with pytest.raises(BadSettings):
        Subscription(name, PLACES, dict, "http://127.0.0.1:1")
