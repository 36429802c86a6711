"""What commands that run until they are stopped share: signals, a log on stderr, and whom they tell of drops."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from diarynotes.cli.console import say
from diarynotes.cli.signals import on_leaving
from diarynotes.store.facts import Drop


@contextmanager
def stopping_in_order(on_stop: Callable[[], None] | None = None) -> Iterator[threading.Event]:
    """An event that Ctrl-C, a closed terminal and `kill` set; `on_stop` is called as often as they come."""
    stopping = threading.Event()

    def stop() -> None:
        stopping.set()
        if on_stop is not None:
            on_stop()

    with on_leaving(stop):
        yield stopping


def show_log() -> None:
    """What is taken, refused and left out, on stderr."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log = logging.getLogger("diarynotes")
    log.addHandler(handler)
    log.setLevel(logging.INFO)


def find_teller() -> Callable[[Sequence[Drop]], None] | None:
    """What tells Prefect of drops; None, and a word about it, where no Prefect API is configured."""
    from diarynotes.prefect_api import configured_url

    if configured_url() is None:
        say("No Prefect API is configured (PREFECT_API_URL), so drops wait in the inbox for the next pick-up.")
        return None
    from flows.events import tell_dropped

    return tell_dropped
