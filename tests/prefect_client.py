"""Prefect's REST API as tests ask it: where the server is busy, again, as Prefect's own clients do."""

from __future__ import annotations

import time
from typing import Any

import httpx

from tests.waiting import PATIENCE_S

_BUSY = httpx.codes.SERVICE_UNAVAILABLE
"""What the server answers where its database was busy, SQLite's for one; the request has then changed nothing."""


def prefect_client(url: str, **facts: Any) -> httpx.Client:
    """A client of the API at `url`; `facts` are for `httpx.Client`."""
    return httpx.Client(base_url=url, timeout=PATIENCE_S, transport=_AgainWhereBusy(), **facts)


class _AgainWhereBusy(httpx.HTTPTransport):
    def handle_request(self, request: httpx.Request) -> httpx.Response:
        give_up_at = time.monotonic() + PATIENCE_S
        while True:
            answer = super().handle_request(request)
            if answer.status_code != _BUSY or time.monotonic() > give_up_at:
                return answer
            answer.close()
            time.sleep(0.1)
