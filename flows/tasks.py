"""The stages as Prefect tasks over chunks of recordings, and the only place that knows their order.

A task per recording would cost more than the recording does. Chunks pass each other, so that one is checked while
another is heard. Tasks are thin: the work is in `stages`, `transcription` and `entries`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from datetime import date
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.futures import PrefectFuture
from prefect.states import Completed
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.tasks import Task

from data_checks import CheckResult, merge_results
from diarynotes import observe
from diarynotes.models import BucketObject, Priority, RecordingId
from flows import entries, stages, transcription
from flows.artifacts import Progress, plural, tell_stand
from flows.discretion import discreet
from flows.workshop import Wishes, Workshop, current_workshop

CHUNKS = (25, 100)
"""The smallest and the largest chunk of recordings that travels through the stages together."""
RUNNER: Any = ThreadPoolTaskRunner(max_workers=8)  # Prefect's own types disagree about its futures
_CHAINS_AT_ONCE = 8
"""How many chunks are on their way at once: what Prefect holds for each task that was submitted adds up."""
REGISTER_CHUNK = 200
"""How many objects are registered together."""


def may_retry(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Whether the error tree says that another try may help."""
    return bool(getattr(state.result(raise_on_failure=False), "retryable", False))


_shell: dict[str, Any] = {
    "retries": 2,
    "retry_delay_seconds": [1, 5],
    "retry_condition_fn": may_retry,
    "cache_policy": NO_CACHE,
    "persist_result": False,
}


@task(name="register", **_shell)
@discreet()
def register(
    objects: Sequence[BucketObject], owner: str, priority: Priority, cloud: bool
) -> State[stages.Registration]:
    done = stages.register_objects(current_workshop(), objects, owner=owner, priority=priority, cloud=cloud)
    unreadable = f"; {plural(len(done.problems), 'object')} could not be read" if done.problems else ""
    return Completed(message=f"{plural(len(set(done.ids)), 'recording')} known{unreadable}", data=done)


@task(name="validate", **_shell)
@discreet()
def validate(ids: Sequence[RecordingId]) -> State[int]:
    shop = current_workshop()
    return tell_stand(shop, ids, stages.validate_recordings(shop, ids))


@task(name="transcribe", **_shell)
@discreet()
def transcribe(ids: Sequence[RecordingId], wishes: Wishes) -> State[int]:
    shop = current_workshop()
    return tell_stand(shop, ids, transcription.transcribe_claimed(shop, ids, wishes=wishes))


@task(name="write", **_shell)
@discreet()
def write(ids: Sequence[RecordingId], wishes: Wishes) -> State[int]:
    shop = current_workshop()
    return tell_stand(shop, ids, stages.write_notes(shop, ids, wishes=wishes))


@task(name="land", **_shell)
@discreet()
def land(ids: Sequence[RecordingId]) -> State[stages.Landed]:
    shop = current_workshop()
    return tell_stand(shop, ids, stages.land_notes(shop, ids))


@task(name="entries", task_run_name="entries", **_shell)
@discreet()
def write_entries(ids: Sequence[RecordingId], wishes: Wishes, left: Sequence[tuple[str, date]] = ()) -> State[int]:
    shop = current_workshop()
    written = entries.write_entries(shop, ids, wishes=wishes) if ids else 0
    written += entries.write_left_entries(shop, left, wishes=wishes) if left else 0
    return Completed(message=f"{plural(written, 'entry', 'entries')} written", data=written)


def run_stages(ids: Sequence[RecordingId], wishes: Wishes, progress: Progress) -> tuple[int, list[CheckResult]]:
    """Every stage over chunks of `ids`, in order within a chunk; how many jobs moved, and what the checks saw."""
    size = chunk_size(len(ids))
    chains: deque[tuple[PrefectFuture[Any], ...]] = deque()
    ended = moved = 0
    checks: list[CheckResult] = []

    def end_first() -> None:
        nonlocal ended, moved, checks
        *counts, landed_chunk = [future.result() for future in chains.popleft()]
        ended += 1
        moved += sum(counts) + landed_chunk.count
        checks = [*merge_results([*checks, *landed_chunk.checks])]
        progress.tell(ended * size)

    for chunk, label in label_chunks(ids, size):
        if len(chains) == _CHAINS_AT_ONCE:
            end_first()
        checked = submit(validate, label, (), chunk)
        heard = submit(transcribe, label, (checked,), chunk, wishes)
        written = submit(write, label, (heard,), chunk, wishes)
        landed = submit(land, label, (written,), chunk)
        chains.append((checked, heard, written, landed))
    while chains:
        end_first()
    return moved, checks


def work_off(shop: Workshop, ids: Sequence[RecordingId], wishes: Wishes) -> list[CheckResult]:
    """Every stage over these recordings until nothing of them can be moved on here; what the checks saw.

    What another worker holds is its business.
    """
    checks: list[CheckResult] = []
    progress: Progress | None = None
    while ids and (open_ids := shop.store.jobs.claimable(ids)):
        if progress is None:
            observe.run_planned(open_ids)
            progress = Progress(len(open_ids))
        moved, found = run_stages(open_ids, wishes, progress)
        checks += found
        if not moved:
            break
    return checks


def finish_notes(shop: Workshop, ids: Sequence[RecordingId], wishes: Wishes) -> tuple[int, list[CheckResult]]:
    """Writes and lands what was heard of these recordings, and amends their days; how many landed, and the checks."""
    futures = []
    for chunk, label in label_chunks(ids, chunk_size(len(ids))):
        written = submit(write, label, (), chunk, wishes)
        futures.append(submit(land, label, (written,), chunk))
    landed = [future.result() for future in futures]
    if shop.settings.daily_entries and ids:
        write_entries.submit(list(ids), wishes).result()
    refresh_snapshot(shop)
    return sum(part.count for part in landed), [check for part in landed for check in part.checks]


def refresh_snapshot(shop: Workshop) -> None:
    """Builds the DuckDB file anew where it is older than the settings allow; runs that follow each other share one."""
    path = shop.settings.snapshot
    if not path.exists() or time.time() - path.stat().st_mtime >= shop.settings.snapshot_age_s:
        shop.store.snapshot()


def chunk_size(count: int) -> int:
    """How many of `count` recordings travel together, so that several chunks can pass each other."""
    return min(max(CHUNKS[0], count // 4), CHUNKS[1])


def submit(stage: Task[..., Any], label: str, after: Sequence[PrefectFuture[Any]], *inputs: Any) -> PrefectFuture[Any]:
    """The stage over one chunk, named for what it works on, begun when those before it have ended."""
    named = stage.with_options(task_run_name=f"{stage.name} {label}")
    return named.submit(*inputs, return_state=False, wait_for=after)


def label_chunks(items: Sequence[Any], size: int) -> list[tuple[list[Any], str]]:
    """Chunks of at most `size` with a name that says which of how many they hold."""
    return [
        (list(items[start : start + size]), f"{start + 1}-{min(start + size, len(items))} of {len(items)}")
        for start in range(0, len(items), size)
    ]
