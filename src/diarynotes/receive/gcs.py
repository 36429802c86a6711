"""Google Cloud Storage tells of objects through Pub/Sub: its notifications, and the envelope in which they are pushed.

https://cloud.google.com/storage/docs/pubsub-notifications, https://cloud.google.com/pubsub/docs/push
"""

from __future__ import annotations

from pydantic import Field

from diarynotes.receive.messages import JSON, Message, Places, Receipt, Wire, parse
from diarynotes.receive.proof import Tokens
from diarynotes.store.facts import Drop

ISSUERS = ("https://accounts.google.com", "accounts.google.com")


class _Attributes(Wire):
    event_type: str = Field(alias="eventType")
    bucket: str = Field(alias="bucketId", min_length=1)
    object: str = Field(alias="objectId", min_length=1)
    generation: str = Field("", alias="objectGeneration")


class Notification(Wire):
    """A message of a topic to which a bucket's notifications go; all that we need is in its attributes."""

    attributes: _Attributes


class _Envelope(Wire):
    message: Notification


def read_notification(notification: Notification, places: Places) -> tuple[Drop, ...]:
    """The drop of a new object; nothing for what was deleted, archived or given other metadata. Raises: Refused."""
    told = notification.attributes
    if told.event_type != "OBJECT_FINALIZE":
        return ()
    drop = places.drop(f"gs://{told.bucket}", told.object, told.generation)
    return (drop,) if drop else ()


class Push:
    """What Pub/Sub pushes, with a token of the service account that the subscription names."""

    path = "/gcs"
    content_types = JSON

    def __init__(self, places: Places, tokens: Tokens) -> None:
        self._places = places
        self._tokens = tokens

    def receive(self, message: Message) -> Receipt:
        """See `messages.Receiver`."""
        self._tokens.check(message)
        return Receipt(read_notification(parse(_Envelope, message.body).message, self._places))
