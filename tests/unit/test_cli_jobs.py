"""`jobs`, `dead`, `retry` and `discard` on a store of a few made-up jobs: who is chosen, what is said and changed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from click.testing import CliRunner, Result

import diarynotes.store
from diarynotes.cli import main
from diarynotes.models import Job, JobState
from diarynotes.store import Drop, DropLine, JobLine

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)


def line(name: str, state: JobState, code: str | None = None, owner: str = "me") -> JobLine:
    job = Job(name, state, error_code=code, error_message=f"{name} failed." if code else None, updated_at=NOW)
    return JobLine(job, owner, f"file:///in/{name}.wav")


class FakeQueue:
    """As much of `store.jobs` as the commands use; `changed` is what they asked for."""

    def __init__(self, lines: Sequence[JobLine]) -> None:
        self.lines = list(lines)
        self.changed: list[tuple[str, list[str]]] = []

    def list(
        self, *, states: Sequence[JobState] | None = None, owner: str | None = None, limit: int | None = None
    ) -> list[JobLine]:
        found = [
            one for one in self.lines if (states is None or one.job.state in states) and owner in (None, one.owner)
        ]
        return found[:limit]

    def retry(self, ids: Sequence[str], *, states: Sequence[JobState]) -> Sequence[Job]:
        self.changed.append(("retry", [*ids]))
        return [replace(one.job, state="received") for one in self.lines if one.job.recording_id in ids]

    def discard(self, ids: Sequence[str]) -> Sequence[Job]:
        self.changed.append(("discard", [*ids]))
        return [replace(one.job, state="discarded") for one in self.lines if one.job.recording_id in ids]


class FakeDrops:
    """As much of `store.drops` as the commands use."""

    def __init__(self) -> None:
        self.changed: list[tuple[str, list[int]]] = []

    def list(self, *, dead: bool | None = None, owner: str | None = None) -> list[DropLine]:
        gone = DropLine(Drop("me", "s3://b/x.m4a", id=7, received_at=NOW), True, None, "source_unavailable", "Gone.")
        due = DropLine(Drop("me", "s3://b/y.m4a", id=8, received_at=NOW), False, None, None, None)
        return [one for one in (gone, due) if dead in (None, one.is_dead) and owner in (None, "me")]

    def retry(self, ids: Sequence[int]) -> None:
        self.changed.append(("retry", [*ids]))

    def forget(self, ids: Sequence[int]) -> None:
        if ids:
            self.changed.append(("forget", [*ids]))


class FakeStore:
    def __init__(self) -> None:
        self.jobs = FakeQueue(
            [
                line("aa-landed", "landed"),
                line("ab-fresh", "received"),
                line("ba-engine", "dead", "engine_failed"),
                line("bb-engine", "dead", "engine_failed", owner="anna"),
                line("bc-killed", "dead", "worker_died"),
                line("ca-bad", "quarantined", "not_audio"),
                line("cb-wait", "waiting", "source_unavailable"),
                line("da-gone", "discarded", "engine_failed"),
            ]
        )
        self.drops = FakeDrops()


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> FakeStore:
    made = FakeStore()

    @contextmanager
    def open_store(*_arguments: Any, **_more: Any) -> Iterator[FakeStore]:
        yield made

    monkeypatch.setattr(diarynotes.store, "open_store", open_store)
    return made


def call(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


def as_json(*arguments: str) -> Any:
    result = call(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_jobs_tell_the_reason(store: FakeStore) -> None:
    found = as_json("jobs", "--reason", "model_error")
    assert [(one["recording_id"], one["reason"], one["code"]) for one in found] == [
        ("ba-engine", "model_error", "engine_failed"),
        ("bb-engine", "model_error", "engine_failed"),
        ("da-gone", "model_error", "engine_failed"),
    ]
    assert len(as_json("jobs", "--reason", "model_error", "--limit", "1")) == 1
    assert "validation_error" in call("jobs", "--state", "quarantined").stdout


def test_the_dead_are_grouped_with_what_to_do(store: FakeStore) -> None:
    causes = as_json("dead")
    assert [(cause["code"], cause["kind"], cause["count"]) for cause in causes] == [
        ("engine_failed", "recording", 2),
        ("source_unavailable", "drop", 1),
        ("worker_died", "recording", 1),
    ]
    assert causes[0]["retry"] == "diarynotes retry --code engine_failed"
    assert all(cause["what_to_do"] for cause in causes)
    told = call("dead", "--reason", "model_error").stdout
    assert "2 recordings: engine_failed (model_error)" in told
    assert "worker_died" not in told
    assert [cause["count"] for cause in as_json("dead", "--owner", "anna")] == [1]


RETRIED = [
    (("--code", "engine_failed"), ["ba-engine", "bb-engine"], []),
    (("--code", "engine_failed", "--owner", "anna"), ["bb-engine"], []),
    (("--reason", "external_api_error"), ["cb-wait"], ["drop-7"]),
    (("--reason", "validation_error"), ["ca-bad"], []),
    (("--all",), ["ba-engine", "bb-engine", "bc-killed", "cb-wait"], ["drop-7"]),
    (("--state", "quarantined"), ["ca-bad"], []),
    (("--state", "discarded"), ["da-gone"], []),
    (("b", "da"), ["ba-engine", "bb-engine", "bc-killed", "da-gone"], []),
    (("drop-7",), [], ["drop-7"]),
    (("--code", "no_such"), [], []),
]


@pytest.mark.parametrize(("arguments", "ids", "drops"), RETRIED, ids=[" ".join(one[0]) for one in RETRIED])
def test_what_a_retry_is_about(store: FakeStore, arguments: tuple[str, ...], ids: list[str], drops: list[str]) -> None:
    assert as_json("retry", *arguments, "--dry-run") == {"would_retry": ids, "drops": drops}
    assert (store.jobs.changed, store.drops.changed) == ([], [])
    assert as_json("retry", *arguments) == {"retried": ids, "drops": drops}
    assert store.jobs.changed == ([("retry", ids)] if ids else [])
    assert store.drops.changed == ([("retry", [7])] if drops else [])


def test_a_trial_shows_which_ones(store: FakeStore) -> None:
    told = call("retry", "--code", "worker_died", "--dry-run").stdout
    assert "bc-kille" in told
    assert "1 would be tried again." in told
    assert call("retry", "--code", "worker_died").stdout.startswith("1 will be tried again")


def test_discarding_marks_what_failed(store: FakeStore) -> None:
    assert as_json("discard", "--code", "engine_failed", "--dry-run") == {
        "would_discard": ["ba-engine", "bb-engine"],
        "drops": [],
    }
    assert store.jobs.changed == []
    assert as_json("discard", "--code", "engine_failed")["discarded"] == ["ba-engine", "bb-engine"]
    assert as_json("discard", "ab") == {"discarded": ["ab-fresh"], "drops": []}
    assert as_json("discard", "--reason", "external_api_error") == {"discarded": ["cb-wait"], "drops": []}
    assert as_json("discard", "drop-7") == {"discarded": [], "drops": ["drop-7"]}
    assert store.drops.changed == [("forget", [7])]


@pytest.mark.parametrize(
    "arguments",
    [
        ("discard", "aa"),
        ("discard",),
        ("retry",),
        ("retry", "aa"),
        ("retry", "--owner", "me"),
        ("dead", "--reason", "x"),
    ],
    ids=" ".join,
)
def test_what_is_refused_changes_nothing(store: FakeStore, arguments: tuple[str, ...]) -> None:
    assert call(*arguments).exit_code == 2
    assert store.jobs.changed == []
