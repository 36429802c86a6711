"""Prefect's REST API as we ask it: with the secret, and past any proxy, since the server is on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import httpx

from diarynotes.errors import StorageFailed

_ANSWER_S = 30.0
_BUSY_S = 5.0
"""For how long a server whose database is busy or away for a moment is asked again, as Prefect's own clients do."""


class Api:
    """Prefect's REST API. Raises: StorageFailed where it does not answer as it should."""

    def __init__(self, url: str, auth_string: str) -> None:
        user, _, password = auth_string.partition(":")
        # a proxy of the environment could not reach our server, and would see the secret
        self._client = httpx.Client(base_url=url, auth=(user, password), timeout=_ANSWER_S, trust_env=False)

    def wait(self, patience_s: float, is_alive: Callable[[], bool]) -> bool:
        """Whether it has come to answer within `patience_s`; not when `is_alive` says that it never will."""
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline and is_alive():
            try:
                if self._client.get("/health", timeout=2.0).is_success:
                    return True
            except httpx.HTTPError:
                pass
            time.sleep(0.1)
        return False

    def ask(self, method: str, path: str, body: Any = None, *, unless: int = 0) -> Any:
        """Its answer to a request; None where it answers with the status `unless`."""
        try:
            answer = self._request(method, path, body)
            if answer.status_code == unless:
                return None
            answer.raise_for_status()
        except httpx.HTTPError as error:
            raise StorageFailed("Prefect's server", f"{method} {path} failed ({type(error).__name__})") from error
        return answer.json() if answer.content else None

    def _request(self, method: str, path: str, body: Any) -> httpx.Response:
        give_up_at = time.monotonic() + _BUSY_S
        while True:
            answer = self._client.request(method, path, json=body)
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE or time.monotonic() > give_up_at:
                return answer
            time.sleep(0.1)

    def close(self) -> None:
        self._client.close()
