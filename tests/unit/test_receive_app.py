"""The receiving server: first the inbox, then the answer, then Prefect; and nothing of what is refused."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from diarynotes.errors import BadSettings, StorageFailed
from diarynotes.receive.app import MOST_BYTES, build_app
from diarynotes.receive.inbox import Inbox
from diarynotes.receive.opening import open_queues, open_receivers
from diarynotes.receive.proof import sign
from diarynotes.settings import Settings
from diarynotes.store.facts import Drop
from tests.waiting import PATIENCE_S

SECRET, S3_KEY, AZURE_KEY = "s" * 32, "k" * 32, "a" * 32
PRIVATE = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PUSH = {"message": {"attributes": {"eventType": "OBJECT_FINALIZE", "bucketId": "voice", "objectId": "anna/a.m4a"}}}
BRIDGE = {
    "source": "aws.s3",
    "detail-type": "Object Created",
    "detail": {"bucket": {"name": "voice"}, "object": {"key": "anna/a.m4a", "etag": "1"}},
}
GRID = {
    "eventType": "Microsoft.Storage.BlobCreated",
    "subject": "/blobServices/default/containers/voice/blobs/anna/a.m4a",
    "data": {"api": "PutBlob", "eTag": "1"},
}


class Desk:
    """Stands for Postgres and Prefect, each of which can be down."""

    def __init__(self) -> None:
        self.drops: list[Drop] = []
        self.events: list[Sequence[Drop]] = []
        self.storage_down = self.prefect_down = False
        self.told, self.refused = threading.Event(), threading.Event()

    def put(self, drops: Sequence[Drop]) -> int:
        if self.storage_down:
            raise StorageFailed("postgresql://…", "no connection")
        self.drops += drops
        return len(drops)

    def tell(self, drops: Sequence[Drop]) -> None:
        assert self.drops, "Prefect is told after the inbox"
        if self.prefect_down:
            self.refused.set()
            raise ConnectionError
        self.events.append(drops)
        self.told.set()


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture(scope="module")
def ways(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    keys = tmp_path_factory.mktemp("keys") / "jwks.json"
    shown = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(PRIVATE.public_key())) | {"kid": "one"}
    keys.write_text(json.dumps({"keys": [shown]}))
    return Settings(
        home=Path("/nowhere"),
        receive_buckets=("gs://voice", "s3://voice", "az://voice"),
        receive_secret=SECRET,
        receive_s3_key=S3_KEY,
        receive_azure_key=AZURE_KEY,
        receive_pubsub_audience="https://diary.example",
        receive_pubsub_email="pusher@example.com",
        receive_pubsub_keys=str(keys),
    )


@pytest.fixture
def client(desk: Desk, ways: Settings) -> Iterator[TestClient]:
    with Inbox(desk.put, desk.tell, tell_every_s=0.01) as inbox:
        app = build_app(open_receivers(ways), inbox, lambda: not desk.storage_down)
        with TestClient(app, raise_server_exceptions=True) as opened:
            yield opened


def google_token() -> str:
    now = int(time.time())
    claims = {"aud": "https://diary.example", "iss": "https://accounts.google.com", "iat": now, "exp": now + 600}
    claims |= {"email": "pusher@example.com", "email_verified": True}
    return jwt.encode(claims, PRIVATE, algorithm="RS256", headers={"kid": "one"})


def authentic(path: str, body: bytes) -> dict[str, str]:
    """The headers with which the true sender would send `body`."""
    now = int(time.time())
    return {
        "/gcs": {"Authorization": f"Bearer {google_token()}"},
        "/s3": {"X-API-Key": S3_KEY},
        "/azure": {"aeg-sas-key": AZURE_KEY},
        "/drops": {"X-Diarynotes-Timestamp": str(now), "X-Diarynotes-Signature": sign(SECRET, now, body)},
    }[path] | {"Content-Type": "application/json; charset=utf-8"}


MESSAGES = {
    "/gcs": PUSH,
    "/s3": BRIDGE,
    "/azure": [GRID],
    "/drops": {"uri": "gs://voice/anna/a.m4a", "owner": "anna"},
}


def post(client: TestClient, path: str, message: object, **headers: str) -> int:
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    return client.post(path, content=body, headers=authentic(path, body) | headers).status_code


@pytest.mark.parametrize("path", MESSAGES)
def test_a_message_is_kept_and_told_of(client: TestClient, desk: Desk, path: str) -> None:
    assert post(client, path, MESSAGES[path]) == 204
    assert [(drop.owner, drop.uri.partition("://")[2]) for drop in desk.drops] == [("anna", "voice/anna/a.m4a")]
    assert desk.told.wait(PATIENCE_S)
    assert desk.events[0][0] == desk.drops[0]


@pytest.mark.parametrize("path", MESSAGES)
def test_while_postgres_is_down_the_sender_is_to_send_again(client: TestClient, desk: Desk, path: str) -> None:
    desk.storage_down = True
    body = json.dumps(MESSAGES[path]).encode()
    headers = authentic(path, body)
    answer = client.post(path, content=body, headers=headers)
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    assert client.get("/ready").status_code == 503
    assert client.get("/health").status_code == 200
    desk.storage_down = False
    assert client.post(path, content=body, headers=headers).status_code == 204
    assert client.get("/ready").status_code == 200
    assert len(desk.drops) == 1


def test_while_prefect_is_down_drops_are_kept_all_the_same(
    client: TestClient, desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    desk.prefect_down = True
    assert post(client, "/s3", BRIDGE) == 204
    assert len(desk.drops) == 1
    assert desk.refused.wait(PATIENCE_S)
    desk.prefect_down = False
    assert desk.told.wait(PATIENCE_S), "Prefect is told when it is back"
    assert any("Prefect could not be told" in record.message for record in caplog.records)


@pytest.mark.parametrize("path", MESSAGES)
def test_nobody_else_gets_in(client: TestClient, desk: Desk, path: str, caplog: pytest.LogCaptureFixture) -> None:
    body = json.dumps(MESSAGES[path]).encode()
    good = authentic(path, body)
    name, value = next(item for item in reversed(list(good.items())) if item[0] != "Content-Type")
    for headers in ({}, {name: ""}, {name: value[:-1]}, {name: value + "x"}, {name: "Bearer " + value}):
        sent = {key: kept for key, kept in good.items() if key != name} | headers
        assert client.post(path, content=body, headers=sent).status_code in (401, 403)
    assert not desk.drops
    assert len(caplog.records) >= 5
    for secret in (SECRET, S3_KEY, AZURE_KEY, value[:-1], "anna", "a.m4a"):
        assert secret not in caplog.text


def test_a_key_for_one_way_in_opens_no_other(client: TestClient, desk: Desk) -> None:
    headers = {"X-API-Key": AZURE_KEY, "aeg-sas-key": S3_KEY, "Content-Type": "application/json"}
    assert client.post("/s3", json=BRIDGE, headers=headers).status_code == 401
    assert client.post("/azure", json=[GRID], headers=headers).status_code == 401
    assert not desk.drops


@pytest.mark.parametrize("path", MESSAGES)
@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b'{"uri": 1}', 400),
        (b"[" * 200_000, 400),
        (b'{"a":' * 100_000, 400),
        (b" " * (MOST_BYTES + 1), 413),
    ],
    ids=["empty", "half", "wrong", "deep lists", "deep tables", "huge"],
)
def test_malformed_messages_of_the_true_sender_are_refused(
    client: TestClient, desk: Desk, path: str, body: bytes, status: int
) -> None:
    assert post(client, path, body) == status
    assert not desk.drops


@pytest.mark.parametrize("path", MESSAGES)
@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonp"])
def test_only_json_is_read(client: TestClient, desk: Desk, path: str, kind: str) -> None:
    assert post(client, path, MESSAGES[path], **{"Content-Type": kind}) == 415
    assert not desk.drops


def test_a_signed_message_is_taken_once(client: TestClient, desk: Desk) -> None:
    body = json.dumps(MESSAGES["/drops"]).encode()
    headers = authentic("/drops", body)
    assert client.post("/drops", content=body, headers=headers).status_code == 204
    assert client.post("/drops", content=body, headers=headers).status_code == 409
    assert len(desk.drops) == 1


def test_what_is_nothing_for_us_is_taken_without_a_drop(client: TestClient, desk: Desk) -> None:
    assert post(client, "/s3", BRIDGE | {"detail-type": "Object Deleted"}) == 204
    assert post(client, "/azure", []) == 204
    assert not desk.drops


def test_event_grids_handshakes_are_answered(client: TestClient) -> None:
    data = {"validationCode": "512d", "validationUrl": "https://rp"}
    event = {"subject": "", "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent", "data": data}
    answer = client.post(f"/azure?code={AZURE_KEY}", json=[event])
    assert (answer.status_code, answer.json()) == (200, {"validationResponse": "512d"})
    assert client.post("/azure?code=wrong", json=[event]).status_code == 401
    allowed = client.options("/azure", headers={"WebHook-Request-Origin": "eventgrid.azure.net"})
    assert allowed.headers["webhook-allowed-origin"] == "eventgrid.azure.net"
    assert client.options("/azure").status_code == 400


def test_strange_methods_and_paths_are_refused(client: TestClient, desk: Desk) -> None:
    assert client.get("/gcs").status_code == 405
    assert client.put("/drops", json=MESSAGES["/drops"]).status_code == 405
    assert client.post("/", json={}).status_code == 404
    assert client.post("/drops/", json={}, follow_redirects=False).status_code in (404, 307)
    assert not desk.drops


_ONE_CLIENT = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
"""One client and one desk serve all examples."""
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
_KEYS = "message attributes eventType bucketId objectId detail bucket object key name".split()
_NEAR = st.recursive(
    st.sampled_from(["OBJECT_FINALIZE", "voice", "anna/a.m4a", "aws.s3", "Object Created", "", None, 7]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_KEYS), inner, max_size=6),
    max_leaves=20,
)


@settings(max_examples=150, suppress_health_check=_ONE_CLIENT)
@given(path=st.sampled_from(sorted(MESSAGES)), message=_JSON | _NEAR, forged=st.booleans())
def test_whatever_comes_the_answer_is_plain(
    client: TestClient, desk: Desk, path: str, message: object, forged: bool
) -> None:
    before = len(desk.drops)
    status = post(client, path, message, **({"Authorization": "Bearer x", "X-API-Key": "x"} if forged else {}))
    assert status in (204, 400, 401, 403)
    assert len(desk.drops) == before or status == 204


@settings(max_examples=150, suppress_health_check=_ONE_CLIENT)
@given(path=st.sampled_from(sorted(MESSAGES)), body=st.binary(max_size=200))
def test_whatever_bytes_come_nothing_gets_into_the_inbox(
    client: TestClient, desk: Desk, path: str, body: bytes
) -> None:
    assert post(client, path, body) in (204, 400)
    assert not desk.drops


def test_a_burst_is_told_of_at_its_beginning_and_at_its_end(desk: Desk) -> None:
    drops = [Drop("me", f"gs://voice/me/{number}") for number in range(300)]
    with Inbox(desk.put, desk.tell, tell_every_s=3600) as inbox:
        for drop in drops:
            inbox.put([drop])
        assert desk.told.wait(PATIENCE_S)
    assert len(desk.drops) == 300
    assert sum(len(told) for told in desk.events) == 300
    assert len(desk.events) <= 2


def test_what_could_not_be_kept_is_told_to_nobody(desk: Desk) -> None:
    desk.storage_down = True
    with Inbox(desk.put, desk.tell) as inbox, pytest.raises(StorageFailed):
        inbox.put([Drop("me", "gs://voice/me/1")])
    assert not desk.events


def test_an_inbox_that_tells_nobody_keeps_all_the_same(desk: Desk) -> None:
    with Inbox(desk.put, None) as inbox:
        assert inbox.put([Drop("me", "gs://voice/me/1")]) == 1
        assert inbox.put([]) == 0


def test_each_way_in_is_closed_without_its_secret(ways: Settings) -> None:
    assert [receiver.path for receiver in open_receivers(ways)] == ["/drops", "/gcs", "/s3", "/azure"]
    assert open_receivers(Settings(home=Path("/nowhere"))) == []
    assert open_queues(Settings(home=Path("/nowhere"))) == []


@pytest.mark.parametrize(
    "half",
    [
        {"receive_secret": "short"},
        {"receive_pubsub_audience": "https://x"},
        {"receive_pubsub_email": "a@b"},
        {"receive_azure_tenant": "t"},
    ],
)
def test_half_a_way_in_is_no_way_in(half: dict[str, str]) -> None:
    with pytest.raises(BadSettings) as bad:
        open_receivers(Settings(home=Path("/nowhere"), **half))
    assert "short" not in str(bad.value).replace("too short", "")


def test_secrets_are_in_no_repr(ways: Settings) -> None:
    shown = repr(ways) + "".join(map(repr, open_receivers(ways)))
    assert not any(secret in shown for secret in (SECRET, S3_KEY, AZURE_KEY))


@pytest.fixture(autouse=True)
def _listening(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "diarynotes")
