"""Ports for servers that must be told theirs, and addresses at which nobody answers."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from contextlib import contextmanager

_FIRST, _LAST = 20_000, 32_000
"""Below those that systems hand out by themselves, to connections and to servers that take any, all the time."""


def find_port() -> int:
    """A port of this machine that is free, and that nobody is given who does not ask for it by its number."""
    while True:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", random.SystemRandom().randint(_FIRST, _LAST)))
            except OSError:
                continue
            return int(probe.getsockname()[1])


@contextmanager
def nobody_there() -> Iterator[int]:
    """A port that is taken, so that nobody comes to listen there, and at which nobody answers while the block runs."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield int(taken.getsockname()[1])
