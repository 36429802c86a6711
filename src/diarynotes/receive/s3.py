"""Amazon S3 tells of objects through EventBridge, or straight into a queue: both forms of message.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html (keys as they are) and
https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html (keys encoded as in a form).
"""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote_plus

from pydantic import Field

from diarynotes.receive.messages import JSON, Message, Places, Receipt, Refused, Wire, parse, read_each
from diarynotes.receive.proof import check_key
from diarynotes.store.facts import Drop


class _Bucket(Wire):
    name: str = Field(min_length=1)


class _BridgeObject(Wire):
    key: str = Field(min_length=1)
    etag: str = ""
    version_id: str = Field("", alias="version-id")


class _Detail(Wire):
    bucket: _Bucket
    object: _BridgeObject


class _BridgeEvent(Wire):
    source: str
    detail_type: str = Field(alias="detail-type")
    detail: _Detail


class _QueueObject(Wire):
    key: str = Field(min_length=1)
    etag: str = Field("", alias="eTag")
    version_id: str = Field("", alias="versionId")


class _S3(Wire):
    bucket: _Bucket
    object: _QueueObject


class _Record(Wire):
    source: str = Field(alias="eventSource")
    name: str = Field(alias="eventName")
    s3: _S3


class _Records(Wire):
    records: list[_Record] = Field(alias="Records", max_length=1_000)


class _Published(Wire):
    type: str = Field(alias="Type")
    message: str = Field(alias="Message")


def read_event(body: bytes | str, places: Places) -> tuple[Drop, ...]:
    """The drop of a new object out of an event of EventBridge; nothing for other events. Raises: Refused."""
    event = parse(_BridgeEvent, body)
    if event.source != "aws.s3" or event.detail_type != "Object Created":
        return ()
    told = event.detail.object
    drop = places.drop(f"s3://{event.detail.bucket.name}", told.key, told.version_id or told.etag)
    return (drop,) if drop else ()


def read_queued(body: bytes | str, places: Places) -> tuple[Drop, ...]:
    """The drops in a message of a queue: S3's own, one that SNS passed on, or EventBridge's. Raises: Refused."""
    shape = parse(dict[str, Any], body).keys()
    if {"Type", "Message"} <= shape:
        published = parse(_Published, body)
        if published.type != "Notification":
            raise Refused("the message is one of SNS that is not read here")
        body = published.message
        shape = parse(dict[str, Any], body).keys()
    if {"Service", "Event", "Bucket"} <= shape:  # what S3 sends when notifications are set up
        return ()
    if "detail-type" in shape:
        return read_event(body, places)
    return read_each(parse(_Records, body).records, lambda record: _read_record(record, places))


def _read_record(record: _Record, places: Places) -> Drop | None:
    if record.source != "aws:s3" or not record.name.startswith("ObjectCreated:"):
        return None
    told = record.s3.object
    try:
        key = unquote_plus(told.key, errors="strict")
    except UnicodeDecodeError:
        raise Refused("the message is malformed (key)") from None
    return places.drop(f"s3://{record.s3.bucket.name}", key, told.version_id or told.etag)


class EventBridge:
    """What an API destination of EventBridge posts, with the key of its connection in `X-API-Key`."""

    path = "/s3"
    content_types = JSON

    def __init__(self, places: Places, key: str) -> None:
        self._places = places
        self._key = key

    def receive(self, message: Message) -> Receipt:
        """See `messages.Receiver`."""
        check_key(message.headers.get("x-api-key"), self._key)
        return Receipt(read_event(message.body, self._places))
