"""Queues that are asked for messages, for machines that nobody can reach from outside.

A message is taken off its queue when its drops are in the inbox, not before. One that is refused stays on it: the queue
gives it again until its own limit moves it to where dead letters go.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from diarynotes.errors import DiarynotesError
from diarynotes.receive.inbox import Inbox
from diarynotes.receive.messages import Refused
from diarynotes.store.facts import Drop

_log = logging.getLogger("diarynotes.receive")

_PATIENCE_S = (1.0, 5.0, 30.0)


@dataclass(frozen=True, slots=True)
class Parcel:
    """A message as a queue gives it out: what names this giving-out, and the message."""

    receipt: str
    body: str = field(repr=False)


class Queue(Protocol):
    """A provider's queue. Its methods may raise anything; it is asked again then."""

    name: str

    def take(self) -> Sequence[Parcel]:
        """Some messages; waits a few seconds for one."""
        ...

    def read(self, parcel: Parcel) -> tuple[Drop, ...]:
        """The drops in a message. Raises: Refused."""
        ...

    def settle(self, parcels: Sequence[Parcel]) -> None:
        """These messages are done with."""
        ...


def keep_pulling(queue: Queue, inbox: Inbox, stopping: threading.Event) -> None:
    """Moves what comes on a queue into the inbox, until `stopping` is set."""
    failures = 0
    while not stopping.is_set():
        try:
            pull_once(queue, inbox)
            failures = 0
        except Exception as error:  # Postgres, the network, or the provider's library, which raises a family of its own
            failures += 1
            why = str(error) if isinstance(error, DiarynotesError) else type(error).__name__
            _log.warning("cannot pull from %s just now: %s", queue.name, why)
            stopping.wait(_PATIENCE_S[min(failures, len(_PATIENCE_S)) - 1])


def pull_once(queue: Queue, inbox: Inbox) -> int:
    """Takes some messages and settles those whose drops are in the inbox; how many drops they were."""
    drops: list[Drop] = []
    settled: list[Parcel] = []
    for parcel in queue.take():
        try:
            drops += queue.read(parcel)
            settled.append(parcel)
        except Refused as refusal:
            _log.warning("refused a message of %s: %s", queue.name, refusal)
    inbox.put(drops)
    if settled:
        queue.settle(settled)
    return len(drops)
