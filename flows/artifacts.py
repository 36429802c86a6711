"""What a run leaves in Prefect's UI: where each recording stands, what checks saw, how far long recordings are heard.

Never diary text: whoever runs Prefect need not be whose diary it is. What cannot be shown is left out: a Prefect that
does not answer costs nobody a note.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from httpx import HTTPError
from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.client.schemas.objects import State
from prefect.events import emit_event
from prefect.exceptions import PrefectException
from prefect.states import Completed

from data_checks import CheckResult, merge_results, to_markdown
from diarynotes.models import JobState, RecordingId
from diarynotes.observe import Event, listening
from diarynotes.store import JobLine
from flows.report import STATE_WORDS, Report, to_rows
from flows.report import to_markdown as tell_report
from flows.table_checks import Fault
from flows.threads import in_run
from flows.workshop import Workshop

_log = logging.getLogger("diarynotes.flows")

_MOST_ROWS = 500
LONG_S = 600.0
"""Recordings of so many seconds show how far they are heard."""
_SHOW_EVERY_S = 5.0
_UNFINISHED = "on their way"
"""How a person is told of recordings at the end of a run that are in none of the states in which they may stay."""
_FAILED: tuple[JobState, ...] = ("quarantined", "waiting", "dead")
_STAY = ("landed", "quarantined", "waiting", "dead", "discarded", "erased")


class Progress:
    """How much of a run is done, as an artifact that changes while it runs."""

    def __init__(self, total: int, *, key: str = "diary-progress", description: str = "") -> None:
        self._total = total
        self._artifact: Any = None
        with _showing():
            self._artifact = create_progress_artifact(
                0.0, key=key, description=description or f"{plural(total, 'recording')} to work on"
            )

    def tell(self, done: float) -> None:
        """So much of the total has come to an end."""
        if self._artifact is not None:
            with _showing():
                update_progress_artifact(self._artifact, 100.0 * min(done, self._total) / max(self._total, 1))


@contextmanager
def showing_long_recordings() -> Iterator[None]:
    """While the block runs, each long recording that is being heard has a progress of its own."""
    with listening(in_run(_LongRecordings().hear)):
        yield


class _LongRecordings:
    """Told of every stretch that was heard; shows a recording's share at most every few seconds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._heard_s: dict[RecordingId, float] = {}
        self._shown: dict[RecordingId, tuple[Progress, float]] = {}

    def hear(self, event: Event) -> None:
        total_s = event.facts.get("duration_s", 0.0)
        if event.name != "listened" or total_s < LONG_S:
            return
        with self._lock:
            key = event.recording_id
            heard_s = self._heard_s[key] = self._heard_s.get(key, 0.0) + event.facts["audio_s"]
            is_whole = heard_s >= total_s - 1.0
            if key not in self._shown:
                told = f"Recording {key}: {total_s / 60:.0f} minutes to hear"
                self._shown[key] = (Progress(round(total_s), key=f"hearing-{key}", description=told), 0.0)
            progress, shown_at = self._shown[key]
            if is_whole or time.monotonic() - shown_at >= _SHOW_EVERY_S:
                progress.tell(total_s if is_whole else heard_s)
                self._shown[key] = (progress, time.monotonic())


def finish(
    shop: Workshop,
    ids: Sequence[RecordingId],
    result: Any,
    *,
    checks: Sequence[CheckResult] = (),
    unreadable: int = 0,
) -> State[Any]:
    """Shows what became of a run's recordings; its last state, with a message for a person and the flow's `result`.

    Whoever calls the flow gets the result. `unreadable` objects of its sources became no recording.
    """
    told = describe_states(publish_report(shop, ids, checks))
    if unreadable:
        told += f"; {plural(unreadable, 'object')} could not be read"
    return Completed(message=told, data=result)


def tell_stand(shop: Workshop, ids: Sequence[RecordingId], result: Any) -> State[Any]:
    """A task's last state, `24 heard, 1 set aside`: where its recordings stand, with the task's `result`."""
    counts: Mapping[Any, int] = shop.store.jobs.count(ids)
    told = ", ".join(f"{counts[state]} {words}" for state, words in STATE_WORDS.items() if counts.get(state))
    return Completed(message=told, data=result)


def describe_states(states: Counter[Any]) -> str:
    """`7 landed, 2 set aside`: where recordings stand, in words."""
    if not states.total():
        return "Nothing to do"
    told = Counter[str]()
    for state, count in states.items():
        told[STATE_WORDS[state] if state in _STAY else _UNFINISHED] += count
    order = [*(STATE_WORDS[state] for state in _STAY), _UNFINISHED]
    return ", ".join(f"{told[words]} {words}" for words in order if told[words])


def publish_report(shop: Workshop, ids: Sequence[RecordingId], checks: Sequence[CheckResult]) -> Counter[JobState]:
    """A table of the recordings, those that failed first, a page about the run, and a link to the snapshot.

    Returns how many recordings stand where.
    """
    jobs = shop.store.jobs
    states = Counter(jobs.count(ids))
    failed = jobs.list(ids, states=_FAILED)
    others = jobs.list(ids, states=[state for state in states if state not in _FAILED], limit=_MOST_ROWS)
    with _showing():
        create_table_artifact(
            key="diary-recordings",
            description=f"Where each of {plural(states.total(), 'recording')} stands"
            + (f" (the first {_MOST_ROWS})" if states.total() > _MOST_ROWS else ""),
            table=[_row(line) for line in [*failed, *others][:_MOST_ROWS]],
        )
        create_markdown_artifact(
            key="diary-run",
            description="This run at a glance",
            markdown=_describe(states, failed, checks),
        )
        create_link_artifact(
            key="diary-snapshot",
            link=shop.settings.snapshot.as_uri(),
            link_text="diarynotes.duckdb",
            description="Every table of the diary, to query with DuckDB",
        )
    return states


def publish_table_checks(checks: Sequence[CheckResult], faults: Sequence[Fault], *, key: str) -> None:
    """What the suites said of whole tables, and which rows broke a rule."""
    broken = "\n".join(
        f"| {fault.where} | {fault.message} | {fault.count:,} | {', '.join(f'`{one}`' for one in fault.examples)} |"
        for fault in faults
    )
    head = "## Broken rules\n\n| where | rule | rows | such as |\n|---|---|---:|---|\n"
    first = f"{head}{broken}" if faults else "Every rule is kept."
    with _showing():
        create_markdown_artifact(
            key=key,
            description=f"{plural(len(faults), 'rule')} broken by what has landed",
            markdown=f"{first}\n\n## All rules\n\n{to_markdown(checks)}\n",
        )


def publish_night(report: Report, page: Path) -> None:
    """The report with its plots, its days as a table, and a link to its page."""
    with _showing():
        told = tell_report(report, page=str(page))
        create_markdown_artifact(key="nightly-report", description=f"The diary up to {report.day}", markdown=told)
        create_table_artifact(key="nightly-days", description="The same day by day", table=to_rows(report))
        create_link_artifact(
            key="nightly-page", link=page.as_uri(), link_text=page.name, description="The report as a page"
        )


def tell_fault(fault: Fault) -> None:
    """An event and a log line about a broken rule, with counts and ids alone."""
    _log.error("%s: %s is broken by %d: %s", fault.where, fault.code, fault.count, ", ".join(fault.examples))
    emit_event(
        event="diarynotes.check.failed",
        resource={"prefect.resource.id": f"diarynotes.check.{fault.code}", "prefect.resource.name": fault.message},
        payload={"where": fault.where, "code": fault.code, "count": fault.count, "examples": list(fault.examples)},
    )


def plural(count: int, one: str, many: str = "") -> str:
    """`1 note`, `2 notes`."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


@contextmanager
def _showing() -> Iterator[None]:
    try:
        yield
    except (HTTPError, OSError, PrefectException) as error:
        _log.warning("Prefect did not take what was to be shown: %s", type(error).__name__)


def _row(line: JobLine) -> dict[str, Any]:
    job = line.job
    return {
        "stands": STATE_WORDS[job.state],
        "its note": f"diarynotes show {job.recording_id[:8]}" if job.state == "landed" else "",
        "why": job.error_code or "",
        "what that means": job.error_message or "",
        "next try": f"{job.next_attempt_at:%Y-%m-%d %H:%M} UTC" if job.next_attempt_at else "",
        "recording": job.recording_id,
    }


def _describe(states: Counter[JobState], failed: Sequence[JobLine], checks: Sequence[CheckResult]) -> str:
    parts = [f"## Recordings\n\n{describe_states(states)}"]
    causes = Counter((line.job.state, line.job.error_code) for line in failed)
    if causes:
        rows = "\n".join(
            f"| {STATE_WORDS[state]} | {code} | {count} |" for (state, code), count in causes.most_common()
        )
        parts.append(f"| stands | why | recordings |\n|---|---|---:|\n{rows}")
    if checks:
        parts.append(f"## Data checks\n\n{to_markdown(merge_results(checks))}")
    return "\n\n".join(parts) + "\n"
