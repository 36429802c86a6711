"""What happened, said once: one function per event writes the log line and tells whoever listens.

Knows ids, codes and numbers only; no diary text ever passes through here.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
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


def recording_quarantined(recording_id: str, code: str, reason: str) -> None:
    _tell("quarantined", recording_id, code=code, reason=reason)


def recording_postponed(recording_id: str, code: str, state: str, reason: str) -> None:
    """A try failed; `state` says whether it waits for the next one or is dead, which an operator should see."""
    if state == "dead":
        _tell("dead", recording_id, logging.ERROR, code=code, reason=reason)
    else:
        _tell("waiting", recording_id, code=code, reason=reason)


def run_planned(ids: Sequence[str]) -> None:
    """So many recordings are going to be worked on by this run."""
    _tell("planned", "", count=len(ids))


def shard_planned(model: str, priority: str, count: int, audio_s: float) -> None:
    """So many recordings are going to be heard by one run with this model."""
    _tell("shard_planned", "", model=model, priority=priority, count=count, audio_s=audio_s)


def engine_chosen(engine: str, reason: str) -> None:
    """The engine was chosen for the person; `reason` is a sentence for them."""
    _tell("engine_chosen", "", engine=engine, reason=reason)


def listening_planned(audio_s: float) -> None:
    """So many seconds of sound are going to be heard."""
    _tell("listening_planned", "", audio_s=audio_s)


def listened(recording_id: str, audio_s: float, duration_s: float = 0.0) -> None:
    """So many more seconds of a recording that lasts `duration_s` were heard; it may not be complete yet."""
    _tell("listened", recording_id, audio_s=audio_s, duration_s=duration_s)


def batch_halved(engine: str, limit: int) -> None:
    """The engine could not take as many windows at once; from now on it gets `limit`."""
    _tell("batch_halved", "", engine=engine, limit=limit)


def writers_chosen(chain: Sequence[str], cloud: Sequence[str]) -> None:
    """These writers are going to be asked, in this order; `cloud` are those of them on another's machine."""
    _tell("writers_chosen", "", chain=list(chain), cloud=list(cloud))


def upgrade_failed(recording_id: str, code: str) -> None:
    """No better writer gave a note that may land, so the one that is there stands."""
    _tell("upgrade_failed", recording_id, code=code)


def model_called(recording_id: str, **facts: Any) -> None:
    """A call to a language model came back, or failed: by which writer and model, what it used, took and cost."""
    _tell("model_called", recording_id, **facts)


def budget_nearly_used(owner: str, period: str, spent_usd: Decimal, limit_usd: Decimal) -> None:
    """Four fifths of a budget are spent: of one owner's, or of all owners' together where `owner` is empty."""
    _tell("budget_nearly_used", "", owner=owner, period=period, spent_usd=spent_usd, limit_usd=limit_usd)


def entry_written(day: str, writer: str, degraded: bool) -> None:
    """The entry of a day was written or amended."""
    _tell("entry_written", "", day=day, writer=writer, degraded=degraded)


def entry_failed(day: str, code: str) -> None:
    """The entry of a day could not be written; the next run tries again. `day` is empty where all days failed."""
    _tell("entry_failed", "", day=day, code=code)


def _tell(name: str, recording_id: str, level: int = logging.INFO, /, **facts: Any) -> None:
    event = Event(name, recording_id, facts)
    told = {"diarynotes": {"event": name, "recording_id": recording_id, **facts}}
    words = "".join(f" {facts[key]}" for key in ("reason", "code") if key in facts)
    _log.log(level, "%s %s%s", name, recording_id, words, extra=told)
    for listener in tuple(_listeners):
        listener(event)
