"""Sees to it that the parts of `up` run: what has ended is started again, soon at first and then ever more seldom.

Knows when; what a part is and how it is started is the part's business.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from diarynotes.errors import StorageFailed

_PATIENCE_S = (1.0, 2.0, 5.0, 15.0, 30.0)
"""How long to wait before a part that ended is started again; the last one for ever."""
_STEADY_S = 60.0
"""One that has run for so long is started again as if it had never failed."""


class Part(Protocol):
    """What is to run for as long as we do. Its words go to `log`."""

    name: str
    log: Path

    @property
    def pid(self) -> int | None: ...

    @property
    def is_running(self) -> bool: ...

    def start(self) -> None:
        """Raises: StorageFailed where it cannot be started now."""


@dataclass(frozen=True, slots=True)
class Setback:
    """A part has ended, or could not be started again (then with `why`); the next try is `again_in_s` away."""

    again_in_s: float
    why: str | None = None


class Keeper:
    """Keeps one part running that has just been started."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self._started_at = time.monotonic()
        self._failures = 0
        self._due_at: float | None = None

    def look_after(self) -> Setback | None:
        """Starts the part again where it is time to. What went wrong, once for each time that it does."""
        if self.part.is_running:
            self._due_at = None
            return None
        now = time.monotonic()
        if self._due_at is None:
            self._failures = 0 if now - self._started_at > _STEADY_S else self._failures
            return self._put_off(now)
        if now < self._due_at:
            return None
        try:
            self.part.start()
        except StorageFailed as error:
            return self._put_off(now, error.why)
        self._started_at, self._due_at = now, None
        return None

    def _put_off(self, now: float, why: str | None = None) -> Setback:
        patience_s = _PATIENCE_S[min(self._failures, len(_PATIENCE_S) - 1)]
        self._failures += 1
        self._due_at = now + patience_s
        return Setback(patience_s, why)
