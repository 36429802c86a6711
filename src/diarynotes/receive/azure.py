"""Azure Blob Storage tells of objects through Event Grid: its own schema and CloudEvents, one event or a batch.

https://learn.microsoft.com/azure/event-grid/event-schema-blob-storage and …/event-grid/webhook-event-delivery
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from pydantic import Field, TypeAdapter

from diarynotes.receive.messages import JSON, Message, Places, Receipt, Refused, Wire, parse, parse_part, read_each
from diarynotes.receive.proof import Tokens, check_key
from diarynotes.store.facts import Drop

EVENT_GRID_APP = "4962773b-9cdb-44cf-a8bf-237846a00ab7"
"""What Event Grid calls itself in the tokens of the public cloud."""
_SUBJECT = re.compile(r"/blobServices/default/containers/(?P<container>[^/]+)/blobs/(?P<blob>.+)", re.DOTALL)
_UNFINISHED = frozenset({"CreateFile", "SftpCreate", "CreateDirectory"})
"""Calls of a hierarchical storage account that make an empty file; another event follows when it is written."""


class _Event(Wire):
    """An event of either schema: the one says `eventType`, the other `type`."""

    event_type: str = Field("", alias="eventType")
    type: str = ""
    subject: str
    data: dict[str, Any]


class _Blob(Wire):
    api: str = ""
    etag: str = Field("", alias="eTag")


class _Validation(Wire):
    code: str = Field(alias="validationCode", min_length=1, max_length=200)


_EVENTS: TypeAdapter[_Event | list[_Event]] = TypeAdapter(_Event | list[_Event])


def tell_issuers(tenant: str) -> tuple[str, ...]:
    """Who signs the tokens of a tenant: the older form and the newer."""
    return f"https://sts.windows.net/{tenant}/", f"https://login.microsoftonline.com/{tenant}/v2.0"


def tell_keys(tenant: str) -> str:
    """Where the keys of a tenant are."""
    return f"https://login.microsoftonline.com/{tenant}/discovery/v2.0/keys"


def read_events(body: bytes | str, places: Places) -> Receipt:
    """The drops of a batch, or the answer to the handshake that comes before the first one. Raises: Refused."""
    events = parse(_EVENTS, body)
    events = events if isinstance(events, list) else [events]
    for event in events:
        if event.event_type == "Microsoft.EventGrid.SubscriptionValidationEvent":
            return Receipt(answer={"validationResponse": parse_part(_Validation, event.data).code})
    return Receipt(_read_created(events, places))


def _read_created(events: Sequence[_Event], places: Places) -> tuple[Drop, ...]:
    def read(event: _Event) -> Drop | None:
        if "Microsoft.Storage.BlobCreated" not in (event.event_type, event.type):
            return None
        blob = parse_part(_Blob, event.data)
        named = _SUBJECT.fullmatch(event.subject)
        if named is None:
            raise Refused("the message is malformed (subject)")
        drop = places.drop(f"az://{named['container']}", named["blob"], blob.etag)
        return None if blob.api in _UNFINISHED else drop

    return read_each(events, read)


class EventGrid:
    """What Event Grid delivers, with the key that the subscription was given, or with a token of the tenant's.

    The key is a header `aeg-sas-key` among the delivery properties, or `?code=` at the end of the webhook's address.
    """

    path = "/azure"
    content_types = JSON | {"application/cloudevents+json", "application/cloudevents-batch+json"}

    def __init__(self, places: Places, key: str, tokens: Tokens | None) -> None:
        self._places = places
        self._key = key
        self._tokens = tokens

    def receive(self, message: Message) -> Receipt:
        """See `messages.Receiver`."""
        if self._tokens is not None and ("authorization" in message.headers or not self._key):
            self._tokens.check(message)
        else:
            check_key(message.headers.get("aeg-sas-key") or message.query.get("code"), self._key)
        return read_events(message.body, self._places)
