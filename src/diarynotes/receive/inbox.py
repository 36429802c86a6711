"""Where drops go first: into Postgres, and only then is Prefect told that something lies there.

A burst is told of at its first drop and then once a second, because every event may start a run that drains the whole
inbox. When Prefect is down nothing is lost: the drops lie in the inbox, and a sweep finds them too.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from diarynotes.store.facts import Drop

_log = logging.getLogger("diarynotes.receive")

TELL_EVERY_S = 1.0
_PATIENCE_S = (1.0, 5.0, 30.0)
"""How long to wait before Prefect is told again after it could not be; the last one for ever."""


class Inbox:
    """Keeps drops with `put` and tells of them with `tell` (None: nobody). Safe to share between threads."""

    def __init__(
        self,
        put: Callable[[Sequence[Drop]], int],
        tell: Callable[[Sequence[Drop]], None] | None,
        *,
        tell_every_s: float = TELL_EVERY_S,
    ) -> None:
        self._put = put
        self._tell = tell
        self._every_s = tell_every_s
        self._lock = threading.Lock()
        self._untold: list[Drop] = []
        self._waiting = threading.Event()
        self._closing = threading.Event()
        self._teller = threading.Thread(target=self._keep_telling, name="telling-prefect", daemon=True)
        if tell is not None:
            self._teller.start()

    def put(self, drops: Sequence[Drop]) -> int:
        """Keeps them; how many nobody had told of before. Raises: StorageFailed, and then nothing is kept or told."""
        if not drops:
            return 0
        new = self._put(drops)
        if self._tell is not None:
            with self._lock:
                self._untold += drops
            self._waiting.set()
        return new

    def close(self) -> None:
        """Tells of what is left, if that goes at once."""
        self._closing.set()
        self._waiting.set()
        if self._teller.is_alive():
            self._teller.join(timeout=10)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _keep_telling(self) -> None:
        failures = 0
        while True:
            self._waiting.wait()
            self._waiting.clear()
            failures = 0 if self._tell_now() else failures + 1
            if self._closing.is_set():
                return
            if failures:
                self._waiting.set()
            patience_s = _PATIENCE_S[min(failures, len(_PATIENCE_S)) - 1] if failures else self._every_s
            self._closing.wait(patience_s)

    def _tell_now(self) -> bool:
        with self._lock:
            untold, self._untold = self._untold, []
        if not untold or self._tell is None:
            return True
        try:
            self._tell(untold)
        except Exception as error:  # Prefect's client raises a family of its own
            with self._lock:
                self._untold[:0] = untold[:1]  # one is enough to tell by, however long this takes
            _log.warning(
                "Prefect could not be told of drops (%s); they lie in the inbox, and the next sweep takes them up",
                type(error).__name__,
            )
            return False
        return True
