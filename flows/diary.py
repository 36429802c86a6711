"""The whole way from recordings to a landed diary in one process, as `diarynotes run` goes it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run

from data_checks import CheckResult
from diarynotes import observe
from diarynotes.buckets import list_objects
from diarynotes.errors import SourceUnavailable
from diarynotes.models import Priority, RecordingId
from flows.artifacts import Progress, finish
from flows.running import working
from flows.stages import Registration
from flows.tasks import REGISTER_CHUNK, RUNNER, label_chunks, register, run_stages, submit, write_entries
from flows.workshop import Wishes, Workshop, current_workshop
from flows.writers import describe_writer

_PATIENCE_S = 0.5
"""How long to wait before looking again at recordings that another worker holds."""


@dataclass(frozen=True, slots=True)
class RunReport:
    """What one run saw: every recording behind its sources, those that had landed before, and unreadable objects."""

    ids: tuple[RecordingId, ...]
    landed_before: frozenset[RecordingId]
    problems: tuple[SourceUnavailable, ...]


def _name_run() -> str:
    parameters = flow_run.parameters
    sources = [source.rstrip("/").rpartition("/")[2] for source in parameters["sources"]]
    more = f" and {len(sources) - 1} more" if len(sources) > 1 else ""
    return f"{sources[0] if sources else 'nothing'}{more} for {parameters.get('owner') or 'the default owner'}"


@flow(
    name="diary",
    flow_run_name=_name_run,
    task_runner=RUNNER,
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
    cloud: bool = True,
    retry_waiting: bool = False,
) -> State[RunReport]:
    """Turn recordings into landed diary notes.

    Args:
        sources: Files, folders or bucket URIs to pick recordings up from.
        owner: Whose recordings they are; empty takes the setting.
        engine: The speech engine: auto, whisper, ctranslate2 or pocketsphinx; empty takes the setting.
        model: A model's name or the path of its weights; empty goes by priority and length.
        language: Force a language (ISO 639-1); empty detects it.
        writer: The writer of the notes, or a chain of them (openai:gpt-5.4,anthropic); empty takes the setting.
        prompt: Names and words that may come up, separated by commas, at most ten; empty takes the owner's glossary.
        priority: urgent, normal or low; the more urgent are claimed first.
        cloud: Whether what is said may be sent, masked, to another's machine; once forbidden it stays so.
        retry_waiting: Try recordings again at once whose last try failed, rather than when they are due.
    """
    shop = current_workshop()
    wishes = shop.wish(engine=engine, model=model, language=language, writers=writer, prompt=prompt)
    with working(shop):
        report = _pick_up(shop, sources, owner or shop.settings.owner, priority, cloud)
        if retry_waiting:
            shop.store.jobs.retry(report.ids, states=["waiting"])
        _tell_writers(shop, owner or shop.settings.owner, wishes, priority)
        checks = _work_off(shop, report, wishes)
        if shop.settings.daily_entries:
            write_entries.submit(report.ids, wishes).result()
        shop.store.snapshot()
        return finish(shop, report.ids, report, checks=checks, unreadable=len(report.problems))


def _pick_up(shop: Workshop, sources: Sequence[str], owner: str, priority: Priority, cloud: bool) -> RunReport:
    """Everything behind the sources becomes known; what is unreadable is reported and hurts no other."""
    problems: list[SourceUnavailable] = []
    objects = [obj for source in sources for obj in list_objects(source, on_problem=problems.append)]
    futures = [
        submit(register, label, (), chunk, owner, priority, cloud)
        for chunk, label in label_chunks(objects, REGISTER_CHUNK)
    ]
    registrations: list[Registration] = [future.result() for future in futures]
    ids = tuple(dict.fromkeys(found for registration in registrations for found in registration.ids))
    problems += [problem for registration in registrations for problem in registration.problems]
    landed = (
        frozenset(line.job.recording_id for line in shop.store.jobs.list(ids, states=["landed"]))
        if ids
        else frozenset()
    )
    return RunReport(ids, landed, tuple(problems))


def _tell_writers(shop: Workshop, owner: str, wishes: Wishes, priority: Priority) -> None:
    """Who is going to write, and what may leave this machine for it, before anything does."""
    chain = shop.writers.chain(owner, wished=wishes.writers, priority=priority)
    cloud = [writer.name for writer in chain if not writer.local]
    observe.writers_chosen([describe_writer(writer) for writer in chain], list(dict.fromkeys(cloud)))


def _work_off(shop: Workshop, report: RunReport, wishes: Wishes) -> list[CheckResult]:
    """Stages over the recordings until each has landed, was set aside or waits; others may hold some meanwhile."""
    checks: list[CheckResult] = []
    progress: Progress | None = None
    while report.ids and (pending := shop.store.jobs.pending(report.ids)):
        if progress is None:
            observe.run_planned([job.recording_id for job in pending])
            progress = Progress(len(pending))
        moved, found = run_stages([job.recording_id for job in pending], wishes, progress)
        checks += found
        if not moved:
            time.sleep(_PATIENCE_S)
    return checks
