"""Who may work in this process beside whom: many together, or one alone.

A recording that a worker died on is worked on alone, so that it takes no other down with it if it was the cause.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

_LOOK_S = 0.2
"""How soon a wait ends when the person at the keyboard wants out."""


class Turns:
    """A lock that many may hold together, or one alone. Whoever wants it alone waits until nobody holds it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._holders = 0
        self._alone = False

    def begin(self, *, alone: bool, stopping: Callable[[], bool]) -> bool:
        """Returns when it is this thread's turn; False, and it is not, when `stopping` came first."""
        with self._changed:
            while self._alone or (alone and self._holders):
                if stopping():
                    return False
                self._changed.wait(_LOOK_S)
            self._holders += 1
            self._alone = alone
            return True

    def end(self) -> None:
        """The turn is over, whichever it was."""
        with self._changed:
            self._holders -= 1
            self._alone = False
            self._changed.notify_all()
