"""Many workers at one desk in Postgres, threads and processes; one that dies; what only the store tells."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from threading import Event
from typing import Any

import pytest
from sqlalchemy import text

import diarynotes.store.desk as desk
from diarynotes.errors import StorageFailed
from diarynotes.models import Recording
from diarynotes.store import SourceFacts
from diarynotes.store.store import Store
from tests.integration.desk_samples import CALL, FREE, Office, answer, limit, open_postgres_office
from tests.integration.desk_work import BUDGETS, MOST_USD, WorkerProcess, fail, probe, spend
from tests.integration.store_samples import make_recording

pytest_plugins = ["tests.integration.store_fixtures", "tests.integration.desk_fixtures"]

Totals = dict[tuple[str, str], Decimal]
LIMITS: Totals = {
    ("", "day"): BUDGETS.day_usd,
    ("", "month"): BUDGETS.month_usd,
    **{(owner, "day"): BUDGETS.owner_day_usd for owner in ("ann", "ben", "eve")},
    **{(owner, "month"): BUDGETS.owner_month_usd for owner in ("ann", "ben", "eve")},
}  # type: ignore[dict-item]

COUNTED = """
select owner, coalesce(sum(coalesce(usd, reserved_usd)) filter (where outcome is not null), 0) as spent_usd,
    coalesce(sum(reserved_usd) filter (where outcome is null), 0) as reserved_usd
from calls group by owner
"""


@pytest.fixture
def office(desk_store: Store) -> Office:
    return open_postgres_office(desk_store)


def rows(store: Store, statement: str, **values: object) -> list[tuple[object, ...]]:
    with store.engine.begin() as connection:
        return [tuple(row) for row in connection.execute(text(statement), values)]


def run(store: Store, statement: str) -> None:
    with store.engine.begin() as connection:
        connection.execute(text(statement))


@contextmanager
def watch(store: Store) -> Iterator[Totals]:
    """The highest that each account ever stood at while the block ran, what was set aside included."""
    highest: Totals = {}
    over = Event()

    def look() -> None:
        while not over.is_set():
            for owner, period, usd in rows(store, "select owner, period, spent_usd + reserved_usd from spend"):
                key = (owner, period)
                highest[key] = max(highest.get(key, Decimal(0)), usd)  # type: ignore[index, call-overload]

    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(look)
        yield highest
        over.set()
        watching.result()


# -- many at once -----------------------------------------------------------------------------------------------------


def test_no_budget_is_passed_at_any_moment(desk_store: Store, office: Office, workers: list[WorkerProcess]) -> None:
    office.set_clock(datetime(2027, 1, 15, tzinfo=UTC))
    with watch(desk_store) as highest:
        for seed, worker in enumerate(workers, start=1):
            worker.start("spend", seed=seed, threads=4, calls=20)
        done = Counter(spend(desk_store, 0, threads=16, calls=20))
        for worker in workers:
            done += Counter(worker.result())

    assert done["over_budget"] > 50
    assert done["lost"] > 5
    assert done["admitted"] == len(desk_store.ledger())
    assert {key for key, usd in highest.items() if usd > LIMITS[key]} == set()
    assert highest["", "day"] > LIMITS["", "day"] - MOST_USD, "what fits is not refused"
    assert highest["ann", "day"] > LIMITS["ann", "day"] - MOST_USD
    counted = {owner: (spent_usd, reserved_usd) for owner, spent_usd, reserved_usd in rows(desk_store, COUNTED)}
    counted[""] = tuple(map(sum, zip(*counted.values(), strict=True)))  # type: ignore[arg-type]
    booked = rows(desk_store, "select owner, period, spent_usd, reserved_usd from spend")
    assert len(booked) == 8
    assert {(owner, period): tuple(usd) for owner, period, *usd in booked} == {
        (owner, period): usd for owner, usd in counted.items() for period in ("day", "month")
    }


def test_one_of_all_workers_gets_the_probe(desk_store: Store, office: Office, workers: list[WorkerProcess]) -> None:
    for _ in range(5):
        run(desk_store, "truncate breakers")
        run(desk_store, "insert into breakers (key, failures, open_until) select 'openai:large', 3, clock_timestamp()")
        for worker in workers:
            worker.start("probe", threads=4)
        assert probe(desk_store, threads=16) + sum(worker.result() for worker in workers) == 1


def test_failures_are_counted_across_processes(desk_store: Store, office: Office, workers: list[WorkerProcess]) -> None:
    for worker in workers:
        worker.start("fail", threads=1)
    assert [worker.result() for worker in workers] == [1, 1, 1]
    assert office.refusal() == ("cooling_down", 30)


def test_no_failure_is_lost_among_many(desk_store: Store, office: Office) -> None:
    fail(desk_store, threads=16)
    assert [breaker.failures for breaker in desk_store.breakers()] == [16]


def test_a_warning_is_told_to_one_of_all_who_settle(desk_store: Store, office: Office) -> None:
    budgets = limit("16", "day", "owner_month")
    numbers = [office.admit(budgets=budgets) for _ in range(16)]
    with ThreadPoolExecutor(16) as pool:
        told = [
            warned for each in pool.map(lambda number: office.warned(number, "1", budgets), numbers) for warned in each
        ]
    assert sorted(told) == [("", "day"), ("me", "month")]


def test_one_of_all_who_settle_a_call_counts(desk_store: Store, office: Office) -> None:
    number = office.admit()
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda _: desk_store.desk.settle(number, answer("0.5"), FREE), range(16)))
    assert desk_store.spent("me", "day") == Decimal("0.5")


# -- a worker that dies -----------------------------------------------------------------------------------------------


def test_a_call_whose_worker_was_killed_stays_counted(
    desk_store: Store, office: Office, dying_worker: WorkerProcess
) -> None:
    dying_worker.start("hang")
    number = dying_worker.result()
    os.kill(dying_worker.process.pid, signal.SIGKILL)
    dying_worker.process.wait()

    (line,) = desk_store.ledger()
    assert (line.number, line.outcome, line.reserved_usd) == (number, None, 1)
    assert office.refusal(usd="0.5", budgets=limit("1.4", "owner_day")) == ("over_budget", 0)
    office.admit(usd="0.4", budgets=limit("1.4", "owner_day"))


def test_a_worker_that_freezes_in_the_middle_is_cut_off(
    desk_store: Store, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the frozen one is short of time: what others do meanwhile may take them as long as it takes."""
    enter, frozen, thawed = desk._enter, Event(), Event()

    def freeze(*arguments: Any) -> int:
        frozen.set()
        assert thawed.wait(300)
        return enter(*arguments)

    budgets = limit("1", "day")
    with ThreadPoolExecutor(1) as pool, monkeypatch.context() as patch:
        patch.setitem(desk._PATIENCE, "longest_pause", "200ms")
        patch.setattr(desk, "_enter", freeze)
        freezing = pool.submit(office.admit, CALL, "1", budgets)
        assert frozen.wait(300)
        patch.undo()
        office.admit(budgets=budgets)
        thawed.set()
        assert isinstance(freezing.exception(), StorageFailed)
    assert len(desk_store.ledger()) == 1


# -- what only the store tells ----------------------------------------------------------------------------------------


def register(store: Store, number: int) -> Recording:
    recording = make_recording(number)
    store.register([(recording, SourceFacts(recording.uri, 100, "v1"))])
    return recording


def test_the_ledger_is_read_by_day_owner_and_recording(desk_store: Store, office: Office) -> None:
    recording = register(desk_store, 1)
    office.set_clock(datetime(2027, 1, 14, 10, 30, tzinfo=UTC))  # 23:30 in Auckland
    first = office.admit(replace(CALL, recording_id=recording.id))
    office.pass_time(3600)
    second = office.admit(replace(CALL, owner="you"))
    third = office.admit()

    def numbers(**wanted: object) -> list[int]:
        return [line.number for line in desk_store.ledger(**wanted)]  # type: ignore[arg-type]

    assert numbers() == [third, second, first]
    assert numbers(until=date(2027, 1, 14)) == [first]
    assert numbers(since=date(2027, 1, 15), until=date(2027, 1, 15)) == [third, second]
    assert numbers(since=date(2027, 1, 16)) == []
    assert numbers(owner="me") == [third, first]
    assert numbers(recording_id=recording.id) == [first]
    assert numbers(limit=2) == [third, second]
    assert desk_store.ledger()[-1].call == replace(CALL, recording_id=recording.id)


def find(store: Store, key: str) -> str | None:
    found = store.desk.find_answer(key, owner="me", recording_id=None)
    return found.text if found else None


def test_an_erased_recording_leaves_its_calls_and_takes_its_answers(desk_store: Store, office: Office) -> None:
    recording = register(desk_store, 2)

    def keep(key: str) -> None:
        desk_store.desk.keep_answer(key, "{}", owner="me", recording_id=recording.id, usd=None)

    office.admit(replace(CALL, recording_id=recording.id))
    keep("before")
    assert find(desk_store, "before") == "{}"
    run(desk_store, f"delete from recordings where id = '{recording.id}'")
    keep("after")
    office.admit(replace(CALL, recording_id=recording.id))
    assert [line.call.recording_id for line in desk_store.ledger()] == [None, None]
    assert [find(desk_store, key) for key in ("before", "after")] == [None, None]


def test_uses_of_an_answer_are_counted(desk_store: Store, office: Office) -> None:
    desk_store.desk.keep_answer("a", "one", owner="me", recording_id=None, usd=Decimal("0.01"))
    for _ in range(3):
        office.pass_time(1)
        find(desk_store, "a")
    office.pass_time(1)
    desk_store.desk.keep_answer("a", "two", owner="me", recording_id=None, usd=Decimal("0.02"))
    assert rows(desk_store, "select uses, usd, kept_at - used_at from answers") == [
        (3, Decimal("0.02"), timedelta(seconds=1))
    ]


def test_old_answers_go_when_new_ones_come(desk_store: Store, office: Office) -> None:
    for key in "abc":
        desk_store.desk.keep_answer(key, "old", owner="me", recording_id=None, usd=None)
    office.pass_time(31 * 86400)
    desk_store.desk.keep_answer("b", "new", owner="me", recording_id=None, usd=None)
    assert rows(desk_store, "select key, text from answers") == [("b", "new")]


def test_an_answer_that_postgres_cannot_hold_is_made_to_fit(desk_store: Store, office: Office) -> None:
    desk_store.desk.keep_answer("a", "x\0y\ud83d", owner="me", recording_id=None, usd=None)
    assert find(desk_store, "a") == "xy?"
