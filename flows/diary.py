"""The whole way from recordings to a landed diary, and the only place that knows the order of its stages.

Every stage is a task over chunks of recordings: a task per recording would cost more than the recording does. Chunks
pass each other, so that one is checked while another is heard.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.futures import PrefectFuture
from prefect.runtime import flow_run
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.tasks import Task

from data_checks import CheckResult
from diarynotes import observe
from diarynotes.buckets import list_objects
from diarynotes.errors import SourceUnavailable
from diarynotes.models import BucketObject, Priority, RecordingId
from flows import stages, transcription
from flows.artifacts import Progress, publish_report
from flows.events import emitting_events
from flows.workshop import Wishes, Workshop, current_workshop

_REGISTER_CHUNK = 200
_CHUNKS = (25, 100)
"""The smallest and the largest chunk of recordings that travels through the stages together."""
_PATIENCE_S = 0.5
"""How long to wait before looking again at recordings that another worker holds."""
_RUNNER: Any = ThreadPoolTaskRunner(max_workers=8)  # Prefect's own types disagree about its futures


@dataclass(frozen=True, slots=True)
class RunReport:
    """What one run saw: every recording behind its sources, those that had landed before, and unreadable objects."""

    ids: tuple[RecordingId, ...]
    landed_before: frozenset[RecordingId]
    problems: tuple[SourceUnavailable, ...]


def may_retry(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Whether the error tree says that another try may help."""
    return bool(getattr(state.result(raise_on_failure=False), "retryable", False))


def _name_run() -> str:
    parameters = flow_run.parameters
    sources = [source.rstrip("/").rpartition("/")[2] for source in parameters["sources"]]
    more = f" and {len(sources) - 1} more" if len(sources) > 1 else ""
    return f"{sources[0] if sources else 'nothing'}{more} for {parameters.get('owner') or 'the default owner'}"


_shell: dict[str, Any] = {
    "retries": 2,
    "retry_delay_seconds": [1, 5],
    "retry_condition_fn": may_retry,
    "cache_policy": NO_CACHE,
    "persist_result": False,
}


@task(name="register", **_shell)
def register(objects: Sequence[BucketObject], owner: str, priority: Priority) -> stages.Registration:
    return stages.register_objects(current_workshop(), objects, owner=owner, priority=priority)


@task(name="validate", **_shell)
def validate(ids: Sequence[RecordingId]) -> int:
    return stages.validate_recordings(current_workshop(), ids)


@task(name="transcribe", **_shell)
def transcribe(ids: Sequence[RecordingId], wishes: Wishes) -> int:
    return transcription.transcribe_claimed(current_workshop(), ids, wishes=wishes)


@task(name="write", **_shell)
def write(ids: Sequence[RecordingId], wishes: Wishes) -> int:
    return stages.write_notes(current_workshop(), ids, wishes=wishes)


@task(name="land", **_shell)
def land(ids: Sequence[RecordingId]) -> stages.Landed:
    return stages.land_notes(current_workshop(), ids)


@flow(
    name="diary",
    flow_run_name=_name_run,
    task_runner=_RUNNER,
    persist_result=False,
)
def diary(
    sources: list[str],
    owner: str | None = None,
    engine: str | None = None,
    model: str | None = None,
    language: str | None = None,
    writer: str | None = None,
    prompt: str | None = None,
    priority: Priority = "normal",
    retry_waiting: bool = False,
) -> RunReport:
    """Turn recordings into landed diary notes.

    Args:
        sources: Files, folders or bucket URIs to pick recordings up from.
        owner: Whose recordings they are; empty takes the setting.
        engine: The speech engine: auto, whisper, ctranslate2 or pocketsphinx; empty takes the setting.
        model: A model's name or the path of its weights; empty goes by priority and length.
        language: Force a language (ISO 639-1); empty detects it.
        writer: The writer of the notes, or a chain of them separated by commas; empty takes the setting.
        prompt: Names and words that may come up, separated by commas, at most ten; empty takes the owner's glossary.
        priority: urgent, normal or low; the more urgent are claimed first.
        retry_waiting: Try recordings again at once whose last try failed, rather than when they are due.
    """
    shop = current_workshop()
    shop.stopping.clear()
    wishes = shop.wish(engine=engine, model=model, language=language, writers=writer, prompt=prompt)
    with emitting_events():
        try:
            report = _pick_up(shop, sources, owner or shop.settings.owner, priority)
            if retry_waiting:
                shop.store.jobs.retry(report.ids, states=["waiting"])
            checks = _work_off(shop, report, wishes)
        except BaseException:
            shop.stop()  # so that the runner, which waits for its tasks, can end
            raise
        shop.store.snapshot()
        publish_report(shop, report.ids, checks)
    return report


def _pick_up(shop: Workshop, sources: Sequence[str], owner: str, priority: Priority) -> RunReport:
    """Everything behind the sources becomes known; what is unreadable is reported and hurts no other."""
    problems: list[SourceUnavailable] = []
    objects = [obj for source in sources for obj in list_objects(source, on_problem=problems.append)]
    futures = [
        register.with_options(task_run_name=f"register {label}").submit(chunk, owner, priority)
        for chunk, label in _label_chunks(objects, _REGISTER_CHUNK)
    ]
    registrations = [future.result() for future in futures]
    ids = tuple(dict.fromkeys(found for registration in registrations for found in registration.ids))
    problems += [problem for registration in registrations for problem in registration.problems]
    landed = (
        frozenset(line.job.recording_id for line in shop.store.jobs.list(ids, states=["landed"]))
        if ids
        else frozenset()
    )
    return RunReport(ids, landed, tuple(problems))


def _work_off(shop: Workshop, report: RunReport, wishes: Wishes) -> list[CheckResult]:
    """Stages over the recordings until each has landed, was set aside or waits; others may hold some meanwhile."""
    checks: list[CheckResult] = []
    progress: Progress | None = None
    while report.ids and (pending := shop.store.jobs.pending(report.ids)):
        if progress is None:
            observe.run_planned([job.recording_id for job in pending])
            progress = Progress(len(pending))
        moved, found = _run_stages([job.recording_id for job in pending], wishes, progress)
        checks += found
        if not moved:
            time.sleep(_PATIENCE_S)
    return checks


def _run_stages(ids: Sequence[RecordingId], wishes: Wishes, progress: Progress) -> tuple[int, list[CheckResult]]:
    """Every stage over chunks of `ids`, in order within a chunk; how many jobs moved, and what the checks saw."""
    size = min(max(_CHUNKS[0], len(ids) // 4), _CHUNKS[1])
    chains: list[tuple[PrefectFuture[Any], ...]] = []
    for chunk, label in _label_chunks(ids, size):
        checked = _submit(validate, label, (), chunk)
        heard = _submit(transcribe, label, (checked,), chunk, wishes)
        written = _submit(write, label, (heard,), chunk, wishes)
        landed = _submit(land, label, (written,), chunk)
        chains.append((checked, heard, written, landed))
    moved = 0
    checks: list[CheckResult] = []
    for number, chain in enumerate(chains, start=1):
        *counts, landed_chunk = [future.result() for future in chain]
        moved += sum(counts) + landed_chunk.count
        checks += landed_chunk.checks
        progress.tell(number * size)
    return moved, checks


def _submit(stage: Task[..., Any], label: str, after: Sequence[PrefectFuture[Any]], *inputs: Any) -> PrefectFuture[Any]:
    """The stage over one chunk, named for what it works on, begun when those before it have ended."""
    named = stage.with_options(task_run_name=f"{stage.name} {label}")
    return named.submit(*inputs, return_state=False, wait_for=after)


def _label_chunks(items: Sequence[Any], size: int) -> list[tuple[list[Any], str]]:
    """Chunks of at most `size` with a name that says which of how many they hold."""
    return [
        (list(items[start : start + size]), f"{start + 1}-{min(start + size, len(items))} of {len(items)}")
        for start in range(0, len(items), size)
    ]
