"""Tells Prefect what happened to recordings, `diarynotes.recording.<name>`, and which budgets run out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.events import Event as PrefectEvent
from prefect.events import emit_event

from diarynotes.models import make_id
from diarynotes.observe import Event, listening
from diarynotes.store import Drop
from flows.artifacts import showing_long_recordings
from flows.telling import logging_to_run
from flows.threads import in_run

_WAITS_FOR = timedelta(minutes=10)
_IS_SOON = timedelta(minutes=1)
"""Longer than a run that found no slot waits until it asks for one again, which is 30 s at Prefect."""
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

    What starts on it drains the whole inbox, so one event a batch is enough, and none is needed while a run has yet to
    begin: where runs are slow to begin, they would come faster than they go. It is posted here and now, where Prefect's
    own sender works in the background, so that the caller knows whether it arrived. Raises what the client raises.
    """
    with get_client(sync_client=True) as client:
        if not _is_run_waiting(client):
            client.request("POST", "/events", json=[_describe(drops).model_dump(mode="json")])


def _describe(drops: Sequence[Drop]) -> PrefectEvent:
    first = drops[0]
    return PrefectEvent(
        event="diarynotes.recording.dropped",
        resource={"prefect.resource.id": f"diarynotes.drop.{make_id('drop', first.owner, first.uri, first.version)}"},
        payload={"uri": first.uri, "owner": first.owner, "count": len(drops)},
    )


def _is_run_waiting(client: SyncPrefectClient) -> bool:
    """Whether a run of pick-up/inbox has yet to begin: it will find all that lies in the inbox by now.

    One that a worker has in hand (Pending) does not count, since it may have been lost with its process; nor does one
    that has waited for so long that nobody may ever begin it, or is meant for later.
    """
    now = datetime.now(UTC)
    wanted = {
        "flows": {"name": {"any_": ["pick-up"]}},
        "deployments": {"name": {"any_": ["inbox"]}},
        "flow_runs": {
            "state": {"type": {"any_": ["SCHEDULED"]}},  # late, or waiting for a slot, too
            "next_scheduled_start_time": {
                "after_": (now - _WAITS_FOR).isoformat(),
                "before_": (now + _IS_SOON).isoformat(),
            },
        },
    }
    return bool(client.request("POST", "/flow_runs/count", json=wanted).json())
