"""What a run says in Prefect's log: sentences about what happens, for a person, without a word of the diary.

The terminal stays as it is: these lines go to Prefect alone. What succeeds is counted and told from time to time,
because a line for each recording would cost Prefect's server more than the recording costs us.
"""

from __future__ import annotations

import copy
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prefect.context import FlowRunContext
from prefect.logging.handlers import APILogHandler

from diarynotes.observe import Event, listening
from flows.threads import in_run

_TELL_EVERY_S = 5.0
_COUNTED = {
    "registered": "registered",
    "validated": "checked",
    "transcribed": "heard",
    "written": "written",
    "landed": "landed",
}
_SENTENCES: dict[str, Callable[[Event], str]] = {
    "planned": lambda event: f"{event.facts['count']} recordings to work on",
    "shard_planned": lambda event: (
        f"A run over {event.facts['count']} recordings, {event.facts['audio_s'] / 60:.0f} minutes, for "
        f"{event.facts['model'] or 'any model'} is asked for"
    ),
    "writers_chosen": lambda event: f"Notes are written by {', then '.join(event.facts['chain'])}",
    "batch_halved": lambda event: f"The engine takes {event.facts['limit']} windows at once from now on",
    "quarantined": lambda event: f"Recording {event.recording_id} was set aside: {event.facts['code']}",
    "waiting": lambda event: f"Recording {event.recording_id} will be tried again: {event.facts['code']}",
    "dead": lambda event: f"Recording {event.recording_id} was given up: {event.facts['code']}",
    "upgrade_failed": lambda event: f"The note of {event.recording_id} stays as it is: {event.facts['code']}",
    "entry_written": lambda event: f"The entry of {event.facts['day']} is written",
    "entry_failed": lambda event: f"The entry of {event.facts['day'] or 'any day'} failed: {event.facts['code']}",
}
_LEVELS = {"quarantined": logging.WARNING, "waiting": logging.WARNING, "dead": logging.ERROR}


@contextmanager
def logging_to_run() -> Iterator[None]:
    """While the block runs, Prefect's log of the run tells what happens, and repeats our warnings."""
    if FlowRunContext.get() is None:
        yield
        return
    handler = _RunHandler()
    teller = _Teller(handler)
    ours = logging.getLogger("diarynotes")
    ours.addHandler(handler)
    try:
        with listening(teller.hear):
            yield
    finally:
        teller.tell_counts()
        ours.removeHandler(handler)


class _RunHandler(APILogHandler):
    """Sends records to the log of the task that they come from, or of the flow where they come from no task."""

    def __init__(self) -> None:
        super().__init__()
        self._send = in_run(super().emit)

    def emit(self, record: logging.LogRecord) -> None:
        if hasattr(record, "diarynotes"):
            return  # an event, of which the teller tells
        record = copy.copy(record)
        record.exc_info = record.exc_text = None  # a foreign error's own words may quote a diary
        self._send(record)


class _Teller:
    """Makes sentences of events. Safe to use from several threads."""

    def __init__(self, handler: logging.Handler) -> None:
        self._handler = handler
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._told_at = time.monotonic()

    def hear(self, event: Event) -> None:
        if event.name in _SENTENCES:
            self._say(_SENTENCES[event.name](event), _LEVELS.get(event.name, logging.INFO))
        elif event.name in _COUNTED:
            with self._lock:
                self._counts[event.name] += 1
                is_due = time.monotonic() - self._told_at >= _TELL_EVERY_S
            if is_due:
                self.tell_counts()

    def tell_counts(self) -> None:
        """What was done since the last time."""
        with self._lock:
            counts, self._counts = self._counts, Counter()
            self._told_at = time.monotonic()
        told = ", ".join(f"{counts[name]} {words}" for name, words in _COUNTED.items() if counts[name])
        if told:
            self._say(f"Recordings: {told}", logging.INFO)

    def _say(self, words: str, level: int) -> None:
        self._handler.emit(logging.LogRecord("diarynotes.run", level, __file__, 0, words, None, None))
