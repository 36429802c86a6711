"""The web server around the receivers: reads a message, has it checked, keeps its drops, and only then says so.

2xx: it is in the inbox (or is nothing for us). 4xx: it is refused, and sending it again changes nothing. 503: Postgres
does not answer, or the keys to check it with cannot be had; the sender is to send it again.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from diarynotes.errors import StorageFailed
from diarynotes.receive.inbox import Inbox
from diarynotes.receive.keys import KeysUnavailable
from diarynotes.receive.messages import Message, Receipt, Receiver, Refused
from diarynotes.receive.proof import REPLAY_WINDOW_S

_log = logging.getLogger("diarynotes.receive")

MOST_BYTES = 1_000_000
"""No provider's message is larger (Event Grid's batches are the largest)."""
_READ_TIMEOUT_S = 30.0
_SLOWEST_S = 25.0
"""How long Postgres may take; senders give up after 10 to 60 s."""
_RETRY_AFTER = {"Retry-After": "30"}


def build_app(receivers: Sequence[Receiver], inbox: Inbox, is_ready: Callable[[], bool]) -> Starlette:
    """The app with a route for each receiver, `/health` (it runs) and `/ready` (Postgres answers)."""

    async def health(_request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def ready(_request: Request) -> Response:
        if await run_in_threadpool(is_ready):
            return JSONResponse({"status": "ok"})
        return JSONResponse({"status": "Postgres does not answer"}, 503, _RETRY_AFTER)

    routes = [Route("/health", health), Route("/ready", ready)]
    for receiver in receivers:
        routes.append(Route(receiver.path, _make_endpoint(receiver, inbox), methods=["POST"]))
        if "application/cloudevents+json" in receiver.content_types:
            routes.append(Route(receiver.path, _allow_origin, methods=["OPTIONS"]))
    return Starlette(routes=routes)


async def _allow_origin(request: Request) -> Response:
    """The handshake of CloudEvents' webhooks: the origin may send; what it sends is checked all the same."""
    origin = request.headers.get("webhook-request-origin")
    if not origin:
        raise HTTPException(400)
    return Response(headers={"WebHook-Allowed-Origin": origin, "WebHook-Allowed-Rate": "*", "Allow": "POST, OPTIONS"})


def _make_endpoint(receiver: Receiver, inbox: Inbox) -> Callable[[Request], object]:
    counter = _Counter(receiver, inbox)

    async def endpoint(request: Request) -> Response:
        try:
            async with asyncio.timeout(_READ_TIMEOUT_S):
                body = await _read_body(request, receiver)
            message = Message(body, dict(request.headers), dict(request.query_params))
            async with asyncio.timeout(_SLOWEST_S):
                receipt = await run_in_threadpool(counter.take, message)
        except Refused as refusal:
            _log.warning("refused a message at %s: %s", receiver.path, refusal)
            return JSONResponse({"error": str(refusal)}, refusal.status)
        except (StorageFailed, KeysUnavailable, TimeoutError) as error:
            _log.warning("cannot take messages at %s just now: %s", receiver.path, error or "it takes too long")
            return JSONResponse({"error": "try again later"}, 503, _RETRY_AFTER)
        except ClientDisconnect:
            return Response(status_code=400)
        return JSONResponse(receipt.answer) if receipt.answer else Response(status_code=204)

    return endpoint


class _Counter:
    """Where a message is handed in: checked, kept, and remembered where it may be taken only once."""

    def __init__(self, receiver: Receiver, inbox: Inbox) -> None:
        self._receiver = receiver
        self._inbox = inbox
        self._lock = threading.Lock()
        self._taken: OrderedDict[str, float] = OrderedDict()

    def take(self, message: Message) -> Receipt:
        receipt = self._receiver.receive(message)
        if receipt.once and self._was_taken(receipt.once):
            raise Refused("the message was taken before", 409)
        new = self._inbox.put(receipt.drops)
        if receipt.once:
            with self._lock:
                self._taken[receipt.once] = time.monotonic()
        if receipt.drops:
            _log.info("%d drops by %s, %d of them new", len(receipt.drops), self._receiver.path, new)
        return receipt

    def _was_taken(self, mark: str) -> bool:
        with self._lock:
            while self._taken and next(iter(self._taken.values())) < time.monotonic() - 2 * REPLAY_WINDOW_S:
                self._taken.popitem(last=False)
            return mark in self._taken


async def _read_body(request: Request, receiver: Receiver) -> bytes:
    """At most `MOST_BYTES` of JSON. Raises: Refused."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in receiver.content_types:
        raise Refused("the content type is not JSON", 415)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES:
            raise Refused("the message is too large", 413)
    return bytes(body)
