"""Hands recordings on to runs of other deployments, on whichever pool those run; a run that was asked for is not again.

Which stage runs where is a setting; a stage without one runs in the process that asks. Knows Prefect's API, no stage.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

from httpx import HTTPError
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound
from prefect.runtime import flow_run

from diarynotes.errors import BadSettings, PrefectUnavailable
from diarynotes.models import Job, Priority, RecordingId

_KEY_HOLDS_S = 3600
"""For how long the same request is one: a run that was lost before it claimed anything is asked for again after it."""


def ask_for_run(
    deployment: str,
    jobs: Sequence[Job],
    *,
    name: str,
    priority: Priority,
    parameters: Mapping[str, Any],
    tags: Sequence[str] = (),
) -> str:
    """Asks for a run of `deployment` over these jobs, in the queue of their priority; does not wait for it. Its id.

    Asked twice for the same jobs as they stand now (the attempt counts), Prefect makes one run.

    Raises: BadSettings where there is no such deployment; PrefectUnavailable where Prefect does not answer.
    """
    ids = [job.recording_id for job in jobs]
    try:
        run: Any = run_deployment(  # which is a coroutine only where it is awaited
            deployment,
            parameters={"ids": ids, **parameters},
            flow_run_name=name,
            timeout=0,
            as_subflow=False,
            idempotency_key=_key(deployment, jobs),
            work_queue_name=priority,
            tags=["diarynotes", *tags, *_parent_tags()],
        )
    except ObjectNotFound as error:
        raise BadSettings(deployment, "there is no such deployment; prefect deploy --all makes it") from error
    except (HTTPError, OSError) as error:
        raise PrefectUnavailable(deployment, type(error).__name__) from error
    return str(run.id)


def _key(deployment: str, jobs: Sequence[Job]) -> str:
    stand = sorted((job.recording_id, job.attempt) for job in jobs)
    told = f"{deployment} {stand} {int(time.time() // _KEY_HOLDS_S)}"
    return hashlib.sha256(told.encode()).hexdigest()


def _parent_tags() -> list[str]:
    return [f"asked-by:{flow_run.id}"] if flow_run.id else []


def describe_ids(ids: Sequence[RecordingId]) -> str:
    """How many recordings, for the name of a run."""
    return f"{len(ids)} recording{'s' if len(ids) != 1 else ''}"
