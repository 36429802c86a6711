"""What providers send, in the forms that their documentation shows, and what becomes of it."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diarynotes.buckets import owner_of, owner_of_key
from diarynotes.receive import azure, gcs, s3
from diarynotes.receive.messages import Message, Places, Receipt, Refused, parse
from diarynotes.receive.names import is_dropped
from diarynotes.receive.proof import sign
from diarynotes.receive.signed import Signed
from diarynotes.store.facts import Drop

PLACES = Places(("gs://voice", "s3://voice", "az://voice", "/data/voice", "/data/voice/deeper"), "me")
ODD_NAMES = (
    "anna/a b.m4a",
    "anna/a+b.m4a",
    "anna/100%.m4a",
    "anna/%2F.m4a",
    "anna/Ünï/日本語 😀.m4a",
    "anna/New Recording 5, 10.33 AM.m4a",
    "anna/a?b#c&d=e.m4a",
    'anna/"quoted".m4a',
)


def pubsub(**attributes: str) -> dict[str, Any]:
    told = {"eventType": "OBJECT_FINALIZE", "bucketId": "voice", "objectId": "anna/a.m4a", "objectGeneration": "17"}
    return {
        "message": {
            "attributes": {**told, "payloadFormat": "JSON_API_V1", **attributes},
            "data": "e30=",
            "messageId": "2070443601311540",
            "publishTime": "2026-02-26T19:13:55.749Z",
        },
        "subscription": "projects/p/subscriptions/s",
    }


def bridge(key: str = "anna/a.m4a", bucket: str = "voice", kind: str = "Object Created", **told: str) -> dict[str, Any]:
    return {
        "version": "0",
        "id": "2d4eba74-fd51-3966-4bfa-b013c9da8ff1",
        "detail-type": kind,
        "source": "aws.s3",
        "account": "111122223333",
        "time": "2026-11-13T00:00:59Z",
        "detail": {
            "version": "0",
            "bucket": {"name": bucket},
            "object": {"key": key, "size": 5, "etag": "b1946", **told},
        },
    }


def queued(key: str = "anna/a.m4a", name: str = "ObjectCreated:Put", bucket: str = "voice") -> dict[str, Any]:
    record = {
        "eventVersion": "2.3",
        "eventSource": "aws:s3",
        "eventName": name,
        "s3": {
            "bucket": {"name": bucket},
            "object": {"key": quote_plus(key), "size": 5, "eTag": "d41d", "sequencer": "0"},
        },
    }
    return {"Records": [record]}


def blob(path: str = "anna/a.m4a", container: str = "voice", kind: str = "BlobCreated", api: str = "PutBlob") -> Any:
    return {
        "topic": "/subscriptions/1/resourceGroups/r/providers/Microsoft.Storage/storageAccounts/s",
        "subject": f"/blobServices/default/containers/{container}/blobs/{path}",
        "eventType": f"Microsoft.Storage.{kind}",
        "id": "831e1650-001e-001b-66ab-eeb76e069631",
        "eventTime": "2026-06-26T18:41:00.9584103Z",
        "data": {
            "api": api,
            "eTag": "0x8D4BCC2E4835CD0",
            "contentLength": 5,
            "url": "https://s.blob.core.windows.net/",
        },
        "dataVersion": "",
        "metadataVersion": "1",
    }


def cloud_event(**changes: Any) -> Any:
    event = blob()
    told = {"specversion": "1.0", "type": event.pop("eventType"), "source": event.pop("topic"), "time": "2026-06-26"}
    return {key: event[key] for key in ("subject", "id", "data")} | told | changes


def read_push(body: Any) -> tuple[Drop, ...]:
    return gcs.read_notification(parse(gcs._Envelope, json.dumps(body)).message, PLACES)


def read_bridge(body: Any) -> tuple[Drop, ...]:
    return s3.read_event(json.dumps(body), PLACES)


def read_queued(body: Any) -> tuple[Drop, ...]:
    return s3.read_queued(json.dumps(body), PLACES)


def read_grid(body: Any) -> tuple[Drop, ...]:
    return azure.read_events(json.dumps(body), PLACES).drops


def test_each_provider_names_object_owner_and_version() -> None:
    assert read_push(pubsub()) == (Drop("anna", "gs://voice/anna/a.m4a", "17"),)
    assert read_bridge(bridge()) == (Drop("anna", "s3://voice/anna/a.m4a", "b1946"),)
    assert read_bridge(bridge(**{"version-id": "v2"})) == (Drop("anna", "s3://voice/anna/a.m4a", "v2"),)
    assert read_queued(queued()) == (Drop("anna", "s3://voice/anna/a.m4a", "d41d"),)
    assert read_grid([blob()]) == (Drop("anna", "az://voice/anna/a.m4a", "0x8D4BCC2E4835CD0"),)


@pytest.mark.parametrize("name", ODD_NAMES)
def test_names_arrive_as_they_are(name: str) -> None:
    assert read_push(pubsub(objectId=name))[0].uri == f"gs://voice/{name}"
    assert read_bridge(bridge(name))[0].uri == f"s3://voice/{name}"
    assert read_queued(queued(name))[0].uri == f"s3://voice/{name}"
    assert read_grid([blob(name)])[0].uri == f"az://voice/{name}"


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=60))
def test_every_key_comes_through_a_queue_as_it_was(name: str) -> None:
    key = f"anna/x{name}x.m4a"
    found = read_queued(queued(key))
    assert [drop.uri for drop in found] == ([f"s3://voice/{key}"] if is_dropped(key) else [])


def test_what_lies_in_no_folder_belongs_to_the_default_owner() -> None:
    assert read_push(pubsub(objectId="a.m4a")) == (Drop("me", "gs://voice/a.m4a", "17"),)
    assert read_push(pubsub(objectId="/a.m4a")) == (Drop("me", "gs://voice//a.m4a", "17"),)


def test_who_hears_of_an_object_and_who_lists_it_agree_on_its_owner() -> None:
    (drop,) = read_push(pubsub(objectId="/anna/a.m4a"))
    assert drop.owner == owner_of(drop.uri, "gs://voice", "me") == "anna"


@pytest.mark.parametrize("kind", ["OBJECT_DELETE", "OBJECT_ARCHIVE", "OBJECT_METADATA_UPDATE"])
def test_only_creations_count_at_google(kind: str) -> None:
    assert read_push(pubsub(eventType=kind)) == ()


def test_only_creations_count_at_amazon_and_microsoft() -> None:
    assert read_bridge(bridge(kind="Object Deleted")) == ()
    assert read_queued(queued(name="ObjectRemoved:Delete")) == ()
    assert read_queued(queued(name="ObjectCreated:CompleteMultipartUpload")) != ()
    assert read_grid([blob(kind="BlobDeleted")]) == ()
    assert read_grid([blob(api="CreateFile")]) == ()
    assert read_grid([blob(api="FlushWithClose")]) != ()


@pytest.mark.parametrize(
    "name", ["anna/", "anna/.hidden.m4a", ".cache/a.m4a", "anna/a.m4a.part", "anna/~$a", "anna/a~"]
)
def test_folders_hidden_and_unfinished_objects_are_nothing_for_us(name: str) -> None:
    assert read_push(pubsub(objectId=name)) == ()
    assert read_bridge(bridge(name)) == ()


def test_messages_that_other_services_wrap_are_unwrapped() -> None:
    published = {"Type": "Notification", "MessageId": "1", "Message": json.dumps(queued())}
    assert read_queued(published) == read_queued(queued())
    assert read_queued(bridge()) == read_bridge(bridge())


def test_what_amazon_sends_when_notifications_are_set_up_is_ignored() -> None:
    told = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Time": "2026", "Bucket": "voice", "RequestId": "1"}
    assert read_queued(told) == ()


def test_a_subscription_to_sns_is_not_confirmed_for_strangers() -> None:
    with pytest.raises(Refused):
        read_queued({"Type": "SubscriptionConfirmation", "Message": "…", "SubscribeURL": "https://x"})


def test_azure_batches_in_both_schemas() -> None:
    several = read_grid([blob("anna/1.m4a"), blob("ben/2.m4a"), blob(kind="BlobDeleted")])
    assert [(drop.owner, drop.uri) for drop in several] == [
        ("anna", "az://voice/anna/1.m4a"),
        ("ben", "az://voice/ben/2.m4a"),
    ]
    assert read_grid(cloud_event()) == read_grid([cloud_event()]) == read_grid([blob()])


def test_azure_wants_to_hear_its_code() -> None:
    data = {"validationCode": "512d38b6-c7b8-40c8-89fe-f46f9e9622b6", "validationUrl": "https://rp/validate"}
    event = {"id": "1", "topic": "t", "subject": "", "data": data}
    receipt = azure.read_events(
        json.dumps([event | {"eventType": "Microsoft.EventGrid.SubscriptionValidationEvent"}]), PLACES
    )
    assert receipt == Receipt(answer={"validationResponse": "512d38b6-c7b8-40c8-89fe-f46f9e9622b6"})


def test_a_stranger_in_a_batch_hurts_no_other() -> None:
    assert len(read_grid([blob(), blob(container="strange")])) == 1
    with pytest.raises(Refused) as refused:
        read_grid([blob(container="strange")])
    assert refused.value.status == 403


@pytest.mark.parametrize("bucket", ["strange", "voice2", "Voice", "voice/anna", ""])
def test_other_buckets_are_refused(bucket: str) -> None:
    for read, body in (
        (read_push, pubsub(bucketId=bucket)),
        (read_bridge, bridge(bucket=bucket)),
        (read_queued, queued(bucket=bucket)),
    ):
        with pytest.raises(Refused):
            read(body)


@pytest.mark.parametrize(
    "name", ["anna/\0.m4a", "anna/a\nb.m4a", "anna/\ud800.m4a", "anna/" + "x" * 2_000, "o" * 300 + "/a.m4a"]
)
def test_names_that_the_inbox_cannot_hold_are_refused(name: str) -> None:
    with pytest.raises(Refused):
        read_push(pubsub(objectId=name))


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"null", b"{}", b'"text"', b"1e999", b"\xff\xfe", b"NaN"),
        b'{"message": []}',
        b'{"message": {"attributes": {"eventType": 1, "bucketId": "voice", "objectId": "a"}}}',
        b"[" * 100_000,
        b'{"message":' * 50_000,
        b'{"message": ' + b"1" * 10_000 + b"}",
    ],
)
def test_what_is_malformed_is_refused_and_not_quoted(body: bytes) -> None:
    reads = (
        lambda: parse(gcs._Envelope, body),
        lambda: s3.read_event(body, PLACES),
        lambda: s3.read_queued(body, PLACES),
        lambda: azure.read_events(body, PLACES),
    )
    for read in reads:
        with pytest.raises(Refused) as refused:
            read()
        assert refused.value.status == 400
        assert len(str(refused.value)) < 120


def signed(body: Any, secret: str = "s" * 32, at: int = 1_000_000) -> Message:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Message(raw, {"x-diarynotes-timestamp": str(at), "x-diarynotes-signature": sign(secret, at, raw)})


def receive_signed(message: Message, now: float = 1_000_000.0) -> Receipt:
    return Signed(PLACES, "s" * 32, now=lambda: now).receive(message)


def test_our_own_message_names_any_accepted_place() -> None:
    receipt = receive_signed(signed({"uri": "gs://voice/anna/a.m4a", "owner": "ben", "priority": "urgent"}))
    assert receipt.drops == (Drop("ben", "gs://voice/anna/a.m4a", priority="urgent"),)
    assert receipt.once
    assert receive_signed(signed({"uri": "/data/voice/anna/a.m4a"})).drops == (Drop("anna", "/data/voice/anna/a.m4a"),)
    assert receive_signed(signed({"uri": "/data/voice/deeper/ben/a.m4a"})).drops[0].owner == "ben"


@pytest.mark.parametrize(
    "uri",
    [
        "/etc/passwd",
        "/data/voice/../../etc/passwd",
        "/data/voices/a.m4a",
        "gs://voice",
        "gs://voicex/a.m4a",
        "file:///data/voice/a.m4a",
        "https://voice/a.m4a",
        "",
    ],
)
def test_our_own_message_leads_nowhere_else(uri: str) -> None:
    with pytest.raises(Refused):
        receive_signed(signed({"uri": uri}))


@pytest.mark.parametrize("owner", ["../x", "a/b", "a\nb", "x" * 300, 7])
def test_an_owner_is_a_name(owner: object) -> None:
    with pytest.raises(Refused):
        receive_signed(signed({"uri": "gs://voice/anna/a.m4a", "owner": owner}))


def test_a_signature_is_of_this_message_this_secret_and_this_time() -> None:
    good = signed({"uri": "gs://voice/anna/a.m4a"})
    forged = [
        Message(good.body + b" ", good.headers),
        signed({"uri": "gs://voice/anna/a.m4a"}, secret="t" * 32),
        Message(good.body, {**good.headers, "x-diarynotes-timestamp": "1000001"}),
        Message(good.body, {**good.headers, "x-diarynotes-timestamp": "１000000"}),
        Message(good.body, {**good.headers, "x-diarynotes-timestamp": "9" * 400}),
        Message(good.body, {**good.headers, "x-diarynotes-signature": ""}),
        Message(good.body, {**good.headers, "x-diarynotes-signature": "v1=é"}),
        Message(good.body),
    ]
    for message in forged:
        with pytest.raises(Refused) as refused:
            receive_signed(message)
        assert refused.value.status == 401
    for now in (1_000_000 + 301, 1_000_000 - 301):
        with pytest.raises(Refused):
            receive_signed(good, now=now)
    assert receive_signed(good, now=1_000_000 + 299).drops


@given(st.text(max_size=80))
def test_names_are_judged_without_a_stumble(key: str) -> None:
    assert is_dropped(key) in (True, False)
    assert owner_of_key(key, "me")
