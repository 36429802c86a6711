"""What commands do when somebody wants them to end."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def on_leaving(handle: Callable[[], None]) -> Iterator[None]:
    """While the block runs, Ctrl-C, a closed terminal and `kill` call `handle`, as often as they come."""
    usual = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    for number in usual:
        signal.signal(number, lambda _number, _frame: handle())
    try:
        yield
    finally:
        for number, handler in usual.items():
            signal.signal(number, handler)
