"""Tells Prefect what happened to recordings, `diarynotes.recording.<name>`, and which budgets run out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from prefect.client.orchestration import get_client
from prefect.events import Event as PrefectEvent
from prefect.events import emit_event

from diarynotes.models import make_id
from diarynotes.observe import Event, listening
from diarynotes.store import Drop
from flows.artifacts import showing_long_recordings
from flows.telling import logging_to_run
from flows.threads import in_run

_TOLD = frozenset({"registered", "quarantined", "transcribed", "landed", "dead"})


@contextmanager
def emitting_events() -> Iterator[None]:
    """What happens in this process is told to Prefect while the block runs: ids, codes and numbers, never text.

    As events, in the run's log, and as the progress of long recordings.
    """
    with listening(in_run(_emit)), logging_to_run(), showing_long_recordings():
        yield


def _emit(event: Event) -> None:
    if event.name in _TOLD:
        emit_event(
            event=f"diarynotes.recording.{event.name}",
            resource={"prefect.resource.id": f"diarynotes.recording.{event.recording_id}"},
            payload=event.facts,
        )
    elif event.name == "budget_nearly_used":
        emit_event(
            event="diarynotes.budget.nearly_used",
            resource={"prefect.resource.id": f"diarynotes.budget.{event.facts['owner'] or 'all'}"},
            payload={key: str(value) for key, value in event.facts.items()},
        )


def tell_dropped(drops: Sequence[Drop]) -> None:
    """One event for objects that lie in the inbox: `diarynotes.recording.dropped`, about the first of them.

    What starts on it drains the whole inbox, so one event a batch is enough. It is posted here and now, where Prefect's
    own sender works in the background, so that the caller knows whether it arrived. Raises what the client raises.
    """
    first = drops[0]
    event = PrefectEvent(
        event="diarynotes.recording.dropped",
        resource={"prefect.resource.id": f"diarynotes.drop.{make_id('drop', first.owner, first.uri, first.version)}"},
        payload={"uri": first.uri, "owner": first.owner, "count": len(drops)},
    )
    with get_client(sync_client=True) as client:
        client.request("POST", "/events", json=[event.model_dump(mode="json")])
