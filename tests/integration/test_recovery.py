"""What is left when something broke half-way: a commit whose answer was lost, a torn log, locks of a frozen worker."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import deltalake
import pytest
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError, DeltaError
from sqlalchemy import text

import diarynotes.store.database as database
import diarynotes.store.entries as entries
from diarynotes.errors import LeaseLost, StorageFailed
from diarynotes.models import Job, Recording
from diarynotes.store import StaleDay, open_store
from diarynotes.store.land import TABLES
from diarynotes.store.store import Store
from tests.integration.store_samples import DAY, advance, bring_to, claim_one, register
from tests.waiting import PATIENCE_S, wait_for

pytest_plugins = ["tests.integration.store_fixtures"]

PAUSE_S = 3.0


def versions(store: Store) -> dict[str, int]:
    return {table: DeltaTable(store.warehouse.folder / table).version() for table in TABLES}


# -- a commit that succeeded while its caller saw an error ------------------------------------------------------------


@pytest.mark.parametrize("error", [CommitFailedError, DeltaError, OSError])
@pytest.mark.parametrize("table", ["notes", "costs"])
def test_a_commit_whose_answer_was_lost_is_looked_up_before_anything_is_written_again(
    store: Store, monkeypatch: pytest.MonkeyPatch, error: type[Exception], table: str
) -> None:
    found = register(store, 3)
    bring_to(store, "landed", found[:1])
    bring_to(store, "written", found[1:])
    before = versions(store)
    write, lost = deltalake.write_deltalake, [table]

    def write_and_lose_the_answer(target: DeltaTable, *args: Any, **kwargs: Any) -> None:
        write(target, *args, **kwargs)
        if lost and Path(target.table_uri.rstrip("/")).name == lost[0]:
            lost.clear()
            raise error("the connection broke")

    monkeypatch.setattr(deltalake, "write_deltalake", write_and_lose_the_answer)
    jobs = store.jobs.claim("written", limit=2)
    if error is CommitFailedError:  # what another's commit looks like, so it is tried again at once
        store.land(jobs)
    else:
        with pytest.raises(StorageFailed):
            store.land(jobs)
        assert [line.job.state for line in store.jobs.list(states=["written"])] == ["written"] * 2
        store.land(jobs)
    assert not lost
    assert versions(store) == {name: version + 1 for name, version in before.items()}, "one commit a table"
    assert store.jobs.count() == {"landed": 3}
    assert store.verify() == ()


# -- the newest entry of a table's log is cut -------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.0, 0.5], ids=["to nothing", "to half"])
@pytest.mark.parametrize("table", ["notes", "segments"])
def test_a_torn_log_is_told_and_loses_nothing(store: Store, table: str, share: float) -> None:
    found = register(store, 4)
    bring_to(store, "landed", found[:2])
    bring_to(store, "landed", found[2:3])  # the commit that is torn
    bring_to(store, "written", found[3:])
    torn = max((store.warehouse.folder / table / "_delta_log").glob("*.json"))
    content = torn.read_bytes()
    torn.write_bytes(content[: int(len(content) * share)])

    job = claim_one(store, "written", found[3])
    with pytest.raises(StorageFailed, match="diarynotes mend"):
        store.land([job])
    assert [line.job.state for line in store.jobs.list([found[3].id])] == ["written"], "it must not pass for landed"
    with pytest.raises(StorageFailed, match="diarynotes mend"):
        store.warehouse.read(table)
    assert [finding.code for finding in store.verify() if finding.where == table] == ["warehouse_torn"]

    store.mend()
    assert store.verify() == ()
    store.land([job])
    assert store.verify() == ()
    assert store.warehouse.read("notes").collect().height == 4
    assert store.jobs.count() == {"landed": 4}


# -- a job that is finished between somebody's look and the claim ------------------------------------------------------


@pytest.fixture
def late(store: Store) -> tuple[Recording, Job]:
    """A recording whose worker lives, but is late to renew its lease."""
    (recording,) = register(store, 1)
    job = claim_one(store, "received", recording)
    with store.engine.begin() as connection:
        connection.execute(text("update jobs set lease_until = now() - interval '1 second'"))
    return recording, job


def test_what_is_finished_after_the_look_is_not_claimed(
    store: Store, other: Store, late: tuple[Recording, Job]
) -> None:
    recording, job = late
    assert other.jobs.stranded(idle_s=600) == [recording.id]
    assert other.jobs.suspects("received") == {recording.id: 1}
    advance(store, job, recording)
    assert other.jobs.claim_suspects("received", ids=[recording.id]) == []
    assert other.jobs.count() == {"validated": 1}


def test_what_is_being_finished_is_left_to_who_does(store: Store, other: Store, late: tuple[Recording, Job]) -> None:
    recording, job = late
    with store.jobs.together() as queue:
        queue.store_validated(job, recording)
        assert other.jobs.claim_suspects("received", ids=[recording.id]) == []
    assert claim_one(other, "validated", recording).crashes == 0


def test_who_finishes_while_another_takes_over_writes_nothing(
    store: Store, other: Store, late: tuple[Recording, Job]
) -> None:
    recording, job = late
    with ThreadPoolExecutor(1) as pool:
        with other.jobs.together() as queue:
            (taken,) = queue.claim_suspects("received", ids=[recording.id])
            finishing = pool.submit(advance, store, job, recording)
            wait_for(lambda: count_waiting(other))
        with pytest.raises(LeaseLost):
            finishing.result(PATIENCE_S)
    assert advance(other, taken, recording).state == "validated"


def count_waiting(store: Store) -> int:
    """How many sessions wait for a lock of another's."""
    with store.engine.begin() as connection:
        return int(connection.execute(text("select count(*) from pg_locks where not granted")).scalar_one())


# -- locks of a worker that froze -------------------------------------------------------------------------------------


def test_a_worker_that_froze_within_a_transaction_does_not_keep_its_locks(
    database_url: str, other: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(other, 1)
    monkeypatch.setattr(database, "LONGEST_PAUSE_S", PAUSE_S)
    with open_store(database_url, other.home) as frozen:
        with pytest.raises(StorageFailed), frozen.jobs.together() as queue:  # noqa: PT012 it is told at the end
            assert len(queue.claim("received")) == 1
            assert other.jobs.claim("received") == []
            wait_for(lambda: other.jobs.claim("received"))
            queue.claim("received")  # thawed
        assert frozen.jobs.claim("received") == [], "it goes on with another connection"
    assert other.jobs.count() == {"received": 1}


def test_a_frozen_writers_turn_at_a_day_goes_on_to_another(
    database_url: str, store: Store, other: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring_to(store, "landed", register(store, 1))
    monkeypatch.setattr(entries, "TURN_S", PAUSE_S)
    monkeypatch.setattr(entries, "_beat", lambda session, done: done.wait())
    with store.entry_turn("me", DAY) as frozen:
        assert frozen is not None
        assert wait_for(lambda: try_turn(other)) == frozen
    assert try_turn(store) == frozen, "who lost it does not fail for that"


def test_a_slow_writer_keeps_its_turn(store: Store, other: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    bring_to(store, "landed", register(store, 1))
    monkeypatch.setattr(entries, "TURN_S", PAUSE_S)
    slow_until = time.monotonic() + 2.5 * PAUSE_S
    with store.entry_turn("me", DAY) as turn:
        assert turn is not None
        while time.monotonic() < slow_until:
            assert try_turn(other) is None
            time.sleep(0.05)


def try_turn(store: Store) -> StaleDay | None:
    with store.entry_turn("me", DAY) as turn:
        return turn
