"""What was given up, grouped by cause: the recordings whose retries are used up, and drops that were never registered.

Pure: lines of jobs and of drops in, causes out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from diarynotes.errors import Reason, reason_of
from diarynotes.store.facts import DropLine, JobLine


@dataclass(frozen=True, slots=True)
class Cause:
    """Why so many recordings (or drops) are dead, since when, and the newest of them as an example."""

    reason: Reason
    code: str
    are_drops: bool
    count: int
    since: datetime | None
    source: str
    message: str


@dataclass(frozen=True, slots=True)
class _Death:
    code: str
    are_drops: bool
    at: datetime | None
    source: str
    message: str


def group_causes(jobs: Sequence[JobLine], drops: Sequence[DropLine]) -> list[Cause]:
    """Dead jobs and drops by reason and code, the most frequent cause first."""
    groups: dict[tuple[str, bool], list[_Death]] = {}
    for death in (*_deaths_of_jobs(jobs), *_deaths_of_drops(drops)):
        groups.setdefault((death.code, death.are_drops), []).append(death)
    causes = [_describe(group) for group in groups.values()]
    return sorted(causes, key=lambda cause: (-cause.count, cause.reason, cause.code, cause.are_drops))


def _deaths_of_jobs(lines: Sequence[JobLine]) -> Iterator[_Death]:
    for line in lines:
        job = line.job
        yield _Death(job.error_code or "unexpected", False, job.updated_at, line.uri, job.error_message or "")


def _deaths_of_drops(lines: Sequence[DropLine]) -> Iterator[_Death]:
    for line in lines:
        drop = line.drop
        yield _Death(line.error_code or "unexpected", True, drop.received_at, drop.uri, line.error_message or "")


def _describe(group: Sequence[_Death]) -> Cause:
    timed = sorted((death for death in group if death.at), key=lambda death: (death.at, death.source))
    newest = timed[-1] if timed else group[-1]
    return Cause(
        reason_of(newest.code),
        newest.code,
        newest.are_drops,
        len(group),
        timed[0].at if timed else None,
        newest.source,
        newest.message,
    )
