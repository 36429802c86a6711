"""The dead by cause: what is grouped, which example stands for a group, and in which order they come."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from diarynotes.models import Job
from diarynotes.store.dead import group_causes
from diarynotes.store.facts import Drop, DropLine, JobLine

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def job(name: str, code: str, minutes: int) -> JobLine:
    dead = Job(
        name, "dead", error_code=code, error_message=f"{name} failed", updated_at=NOW + timedelta(minutes=minutes)
    )
    return JobLine(dead, "me", f"file:///in/{name}.wav")


def drop(number: int, code: str) -> DropLine:
    return DropLine(Drop("me", f"s3://b/{number}", id=number, received_at=NOW), True, None, code, "gone")


def test_causes_are_grouped_with_the_newest_as_an_example() -> None:
    causes = group_causes([job("a", "engine_failed", 5), job("b", "engine_failed", 9), job("c", "worker_died", 1)], [])
    assert [(cause.reason, cause.code, cause.count) for cause in causes] == [
        ("model_error", "engine_failed", 2),
        ("resource_exhaustion", "worker_died", 1),
    ]
    assert (causes[0].since, causes[0].source, causes[0].message) == (
        NOW + timedelta(minutes=5),
        "file:///in/b.wav",
        "b failed",
    )


def test_drops_are_a_cause_of_their_own() -> None:
    causes = group_causes(
        [job("a", "source_unavailable", 0)], [drop(1, "source_unavailable"), drop(2, "not_installed")]
    )
    assert {(cause.are_drops, cause.code, cause.count) for cause in causes} == {
        (False, "source_unavailable", 1),
        (True, "source_unavailable", 1),
        (True, "not_installed", 1),
    }


def test_nothing_is_dead() -> None:
    assert group_causes([], []) == []
