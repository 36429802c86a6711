"""Hands recordings on to runs of other deployments, on whichever pool those run; a run that was asked for is not again.

Which stage runs where is a setting; a stage without one runs in the process that asks. Knows Prefect's API, no stage.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from httpx import HTTPError
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterIdempotencyKey
from prefect.client.schemas.objects import FlowRun
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound
from prefect.runtime import flow_run

from diarynotes.errors import BadSettings, PrefectUnavailable
from diarynotes.models import Job, Priority, RecordingId
from diarynotes.store.asks import Asks

_COMES_WITHIN_S = 60.0
"""How long a run that was asked for may be missing in Prefect: whoever asked may have died before it was made."""
_RUNS_FOR_S = 3600.0
"""After how long a run is no longer waited for that says it is running: Prefect does not learn of every death."""
_PAGE = 200


def ask_for_run(
    asks: Asks,
    deployment: str,
    jobs: Sequence[Job],
    *,
    name: str,
    priority: Priority,
    parameters: Mapping[str, Any],
    tags: Sequence[str] = (),
) -> str | None:
    """Asks for a run of `deployment` over these jobs, in the queue of their priority; does not wait for it. Its id.

    Jobs for which somebody has asked already as they stand (the attempt counts) are left out; None where none is left.

    Raises: BadSettings where there is no such deployment; PrefectUnavailable where Prefect does not answer.
    """
    key = str(uuid4())
    mine = asks.reserve(jobs, key)
    ids = [job.recording_id for job in jobs if job.recording_id in mine]
    if not ids:
        return None
    try:
        run: Any = run_deployment(  # which is a coroutine only where it is awaited
            deployment,
            parameters={"ids": ids, **parameters},
            flow_run_name=name,
            timeout=0,
            as_subflow=False,
            idempotency_key=key,
            work_queue_name=priority,
            tags=["diarynotes", *tags, *_parent_tags()],
        )
    except ObjectNotFound as error:
        asks.forget([key])
        raise BadSettings(deployment, "there is no such deployment; prefect deploy --all makes it") from error
    except (HTTPError, OSError) as error:  # the run may have been made all the same, so the ask stands for a while
        raise PrefectUnavailable(deployment, type(error).__name__) from error
    return str(run.id)


def forget_ended_asks(asks: Asks) -> list[RecordingId]:
    """What runs have left that ended or never came: it may be asked for anew.

    Raises: PrefectUnavailable where Prefect does not answer.
    """
    if not (waiting := asks.open()):
        return []
    try:
        runs = _find_runs(list(waiting))
    except (HTTPError, OSError) as error:
        raise PrefectUnavailable("the runs that were asked for", type(error).__name__) from error
    now = datetime.now(UTC)
    return asks.forget([key for key, age_s in waiting.items() if _has_ended(runs.get(key), age_s, now)])


def _find_runs(keys: Sequence[str]) -> dict[str, FlowRun]:
    found: list[FlowRun] = []
    with get_client(sync_client=True) as client:
        for start in range(0, len(keys), _PAGE):
            wanted = FlowRunFilter(idempotency_key=FlowRunFilterIdempotencyKey(any_=list(keys[start : start + _PAGE])))
            found += client.read_flow_runs(flow_run_filter=wanted, limit=_PAGE)
    return {run.idempotency_key: run for run in found if run.idempotency_key}


def _has_ended(run: FlowRun | None, age_s: float, now: datetime) -> bool:
    if run is None:
        return age_s > _COMES_WITHIN_S
    if run.state is None or run.state.is_final():
        return True
    return bool(run.state.is_running() and run.start_time and (now - run.start_time).total_seconds() > _RUNS_FOR_S)


def _parent_tags() -> list[str]:
    return [f"asked-by:{flow_run.id}"] if flow_run.id else []


def describe_ids(ids: Sequence[RecordingId]) -> str:
    """How many recordings, for the name of a run."""
    return f"{len(ids)} recording{'s' if len(ids) != 1 else ''}"
