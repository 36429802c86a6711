"""The public keys that a cloud signs its tokens with: fetched, kept for an hour, fetched again for one that is new."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from diarynotes.errors import DiarynotesError
from diarynotes.receive.messages import Refused

_KEEP_S = 3600.0
_LOOK_AGAIN_S = 60.0
"""At most so often is an unknown key looked for, or anybody could make us ask the cloud all the time."""
_FIRST_LOOK_S = 5.0
"""The same while none is known yet."""
_TIMEOUT_S = 10.0


class KeysUnavailable(DiarynotesError):
    """The keys cannot be had just now, so nobody can be believed; the sender tries again."""

    code = "keys_unavailable"
    fault = "service"
    retryable = True

    def __init__(self, source: str) -> None:
        super().__init__(source)
        self.source = source

    def __str__(self) -> str:
        return f"The keys at {self.source} cannot be read."


class Keys:
    """A set of keys (RFC 7517) at an https URL or in a file. Safe to share between threads."""

    def __init__(self, source: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self._clock = clock
        self._lock = threading.Lock()
        self._keys: dict[str, Any] = {}
        self._fetched_at = self._tried_at = float("-inf")

    def find(self, key_id: str) -> Any:
        """The key of this name. Raises: Refused where there is none, KeysUnavailable where nobody can tell."""
        with self._lock:
            now = self._clock()
            stale = now - self._fetched_at > _KEEP_S or key_id not in self._keys
            if stale and now - self._tried_at > (_LOOK_AGAIN_S if self._keys else _FIRST_LOOK_S):
                self._tried_at = now
                self._refresh(now)
            if not self._keys:
                raise KeysUnavailable(self._source)
            if key_id not in self._keys:
                raise Refused("the token is signed with a key that nobody knows", 401)
            return self._keys[key_id]

    def _refresh(self, now: float) -> None:
        import jwt

        try:
            found = jwt.PyJWKSet.from_json(self._read())
        except Exception:  # the network, the file, or what is in it: what is known already is used on
            return
        self._keys = {key.key_id: key for key in found.keys if key.key_id and key.key_type == "RSA"}
        self._fetched_at = now

    def _read(self) -> str:
        if not self._source.startswith(("https://", "http://")):
            return Path(self._source).read_text()
        import httpx2

        answer = httpx2.get(self._source, timeout=_TIMEOUT_S)
        answer.raise_for_status()
        return answer.text
