"""A message of our own, for whatever else wants to drop a recording: `{"uri": …, "owner": …}`, signed by a secret.

POST /drops
X-Diarynotes-Timestamp: 1763740800
X-Diarynotes-Signature: v1=<HMAC-SHA256 of timestamp, full stop, body; hex>
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import PurePosixPath

from pydantic import Field

from diarynotes.models import Priority
from diarynotes.receive.messages import JSON, Message, Places, Receipt, Refused, Wire, parse
from diarynotes.receive.proof import check_signature
from diarynotes.store.facts import Drop


class _Told(Wire):
    uri: str = Field(min_length=1)
    owner: str = Field("", pattern=r"^[^/]*$")
    version: str = ""
    priority: Priority = "normal"


class Signed:
    """One object a message, in any of the accepted buckets and folders."""

    path = "/drops"
    content_types = JSON

    def __init__(self, places: Places, secret: str, now: Callable[[], float] = time.time) -> None:
        self._places = places
        self._secret = secret
        self._now = now

    def receive(self, message: Message) -> Receipt:
        """See `messages.Receiver`. The same message is taken once; to tell of an object again, sign again."""
        signature = check_signature(message, self._secret, self._now)
        told = parse(_Told, message.body)
        drop = _find_place(told, self._places)
        return Receipt((replace(drop, priority=told.priority),) if drop else (), once=signature)


def _find_place(told: _Told, places: Places) -> Drop | None:
    """The drop below whichever accepted bucket holds the object; the longest one, where they lie in each other."""
    if ".." in PurePosixPath(told.uri).parts:
        raise Refused("the message is malformed (uri)")
    inside = [bucket.rstrip("/") for bucket in places.buckets if told.uri.startswith(bucket.rstrip("/") + "/")]
    bucket = max(inside, key=len, default="")
    return places.drop(bucket, told.uri[len(bucket) + 1 :], told.version, told.owner)
