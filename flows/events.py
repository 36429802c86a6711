"""Tells Prefect what happened to recordings: `diarynotes.recording.<name>` on the resource of the same id."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prefect.events import emit_event

from diarynotes.observe import Event, listening

_TOLD = frozenset({"registered", "quarantined", "transcribed", "landed", "dead"})


@contextmanager
def emitting_events() -> Iterator[None]:
    """Events of this process go to Prefect while the block runs; they carry ids, codes and numbers, never text."""
    with listening(_emit):
        yield


def _emit(event: Event) -> None:
    if event.name in _TOLD:
        emit_event(
            event=f"diarynotes.recording.{event.name}",
            resource={"prefect.resource.id": f"diarynotes.recording.{event.recording_id}"},
            payload=event.facts,
        )
