"""What happened, said once: one function per event writes the log line and tells whoever listens.

Knows ids, codes and numbers only; no diary text ever passes through here.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

_log = logging.getLogger("diarynotes")


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened; to a recording where `recording_id` is one, to the whole run where it is empty."""

    name: str
    recording_id: str
    facts: dict[str, Any] = field(default_factory=dict)


Listener = Callable[[Event], None]
_listeners: list[Listener] = []


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Calls `listener` for every event of this process while the block runs (from any thread)."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def recording_registered(recording_id: str, uri: str, size_bytes: int) -> None:
    _tell("registered", recording_id, uri=uri, size_bytes=size_bytes)


def recording_validated(recording_id: str, duration_s: float, quality: float) -> None:
    _tell("validated", recording_id, duration_s=duration_s, quality=quality)


def recording_transcribed(recording_id: str, engine: str, trust: float) -> None:
    _tell("transcribed", recording_id, engine=engine, trust=trust)


def recording_written(recording_id: str, writer: str, degraded: bool) -> None:
    _tell("written", recording_id, writer=writer, degraded=degraded)


def recording_landed(recording_id: str, day: str) -> None:
    _tell("landed", recording_id, day=day)


def recording_quarantined(recording_id: str, code: str) -> None:
    _tell("quarantined", recording_id, code=code)


def recording_postponed(recording_id: str, code: str, state: str) -> None:
    """A try failed; `state` says whether it waits for the next one or is dead."""
    _tell("dead" if state == "dead" else "waiting", recording_id, code=code)


def run_planned(ids: Sequence[str]) -> None:
    """So many recordings are going to be worked on by this run."""
    _tell("planned", "", count=len(ids))


def engine_chosen(engine: str, reason: str) -> None:
    """The engine was chosen for the person; `reason` is a sentence for them."""
    _tell("engine_chosen", "", engine=engine, reason=reason)


def listening_planned(audio_s: float) -> None:
    """So many seconds of sound are going to be heard."""
    _tell("listening_planned", "", audio_s=audio_s)


def listened(recording_id: str, audio_s: float) -> None:
    """So many more seconds of a recording were heard; it may not be complete yet."""
    _tell("listened", recording_id, audio_s=audio_s)


def batch_halved(engine: str, limit: int) -> None:
    """The engine could not take as many windows at once; from now on it gets `limit`."""
    _tell("batch_halved", "", engine=engine, limit=limit)


def _tell(name: str, recording_id: str, **facts: Any) -> None:
    event = Event(name, recording_id, facts)
    _log.info("%s %s", name, recording_id, extra={"diarynotes": {"event": name, "recording_id": recording_id, **facts}})
    for listener in tuple(_listeners):
        listener(event)
