"""A Pub/Sub subscription that is asked for messages, by its REST API.

Google's own library speaks gRPC and keeps streams and threads of its own; two calls are all that is needed here.
https://cloud.google.com/pubsub/docs/reference/rest/v1/projects.subscriptions/pull
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from pydantic import Field

from diarynotes.errors import BadSettings
from diarynotes.receive.gcs import Notification, read_notification
from diarynotes.receive.messages import Places, Wire, parse
from diarynotes.receive.pulling import Parcel
from diarynotes.store.facts import Drop

PUBSUB_URL = "https://pubsub.googleapis.com"
SCOPE = "https://www.googleapis.com/auth/pubsub"
_MOST_MESSAGES = 500
_TIMEOUT_S = 100.0
"""The server holds an empty pull back for up to 90 s."""


class _Received(Wire):
    ack_id: str = Field(alias="ackId", min_length=1)
    message: dict[str, Any]


class _Pulled(Wire):
    received: list[_Received] = Field([], alias="receivedMessages")


class Subscription:
    """`name` is projects/PROJECT/subscriptions/NAME; `authorize` gives the headers that let a request pass."""

    def __init__(self, name: str, places: Places, authorize: Callable[[], dict[str, str]], url: str) -> None:
        import httpx2

        if [part for part in name.split("/") if part][::2] != ["projects", "subscriptions"]:
            raise BadSettings("receive_pubsub_subscription", "is called projects/PROJECT/subscriptions/NAME")
        self.name = name
        self._places = places
        self._authorize = authorize
        self._client = httpx2.Client(base_url=url, timeout=_TIMEOUT_S)

    def take(self) -> Sequence[Parcel]:
        """See `pulling.Queue`."""
        pulled = parse(_Pulled, self._call("pull", {"maxMessages": _MOST_MESSAGES}))
        return [Parcel(one.ack_id, json.dumps(one.message)) for one in pulled.received]

    def read(self, parcel: Parcel) -> tuple[Drop, ...]:
        """See `pulling.Queue`."""
        return read_notification(parse(Notification, parcel.body), self._places)

    def settle(self, parcels: Sequence[Parcel]) -> None:
        """See `pulling.Queue`."""
        self._call("acknowledge", {"ackIds": [parcel.receipt for parcel in parcels]})

    def close(self) -> None:
        """Ends a call that is under way, too."""
        self._client.close()

    def _call(self, verb: str, body: dict[str, Any]) -> bytes:
        answer = self._client.post(f"/v1/{self.name}:{verb}", json=body, headers=self._authorize())
        answer.raise_for_status()
        return answer.content


def google_login() -> Callable[[], dict[str, str]]:
    """Headers with a fresh token of this machine's Google account (`GOOGLE_APPLICATION_CREDENTIALS`, or its own)."""
    import google.auth
    from google.auth.transport.requests import Request

    credentials, _ = google.auth.default(scopes=[SCOPE])

    def authorize() -> dict[str, str]:
        if not credentials.valid:
            credentials.refresh(Request())  # type: ignore[no-untyped-call]
        return {"Authorization": f"Bearer {credentials.token}"}

    return authorize
