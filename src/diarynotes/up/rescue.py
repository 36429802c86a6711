"""Sees to it that what a dead or frozen worker left lies no longer than the next look, and what is due for a retry.

Knows how to look and when; that a run has to be asked for, and how, is the caller's business.
"""

from __future__ import annotations

import time
from collections.abc import Callable

LOOK_EVERY_S = 10.0
ASK_EVERY_S = 20.0
"""A run that was asked for needs a moment until it has taken on all that there is."""


class Rescuer:
    """Asks for a run where `is_stranded` says that recordings wait for one. Not safe to share between threads."""

    def __init__(self, is_stranded: Callable[[], bool], ask: Callable[[], object]) -> None:
        self._is_stranded, self._ask = is_stranded, ask
        self._next_at = 0.0

    def look(self) -> None:
        """At most every `LOOK_EVERY_S`, whatever comes of it. Raises what asking raises."""
        now = time.monotonic()
        if now < self._next_at:
            return
        self._next_at = now + LOOK_EVERY_S
        if self._is_stranded():
            self._ask()
            self._next_at = now + ASK_EVERY_S
