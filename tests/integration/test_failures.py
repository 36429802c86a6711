"""Failures on a real Postgres: waits by reason, recordings that kill their workers, and who is not to blame."""

from __future__ import annotations

import logging
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from diarynotes import observe
from diarynotes.errors import (
    DiarynotesError,
    EngineOutOfMemory,
    NotAudio,
    SourceUnavailable,
    StorageFailed,
    WriterFailed,
)
from diarynotes.models import Job, Recording
from diarynotes.settings import load_settings
from diarynotes.store import open_store
from diarynotes.store.jobs import RETRY_DELAYS_S
from diarynotes.store.store import Store
from flows.claims import Claims, group_suspects, in_turns
from flows.retries import retry_delays
from flows.workshop import Workshop
from tests.integration.store_samples import advance, bring_to, claim_one, end_session, register
from tests.waiting import PATIENCE_S, wait_for

pytest_plugins = ["tests.integration.store_fixtures"]

Child = Callable[..., "subprocess.Popen[str]"]

WORKER = """
import os, signal, sys, time
from concurrent.futures import ThreadPoolExecutor
from diarynotes.settings import load_settings
from flows.claims import Claims, in_turns
from flows.workshop import Workshop
from tests.integration.store_samples import make_transcript
url, home, poison, size = sys.argv[1:5]
shop = Workshop(load_settings({}, home=home, database_url=url))

@in_turns("validated")
def hear(shop, ids):
    with Claims(shop, "validated", ids) as claims:
        recordings = shop.store.recordings(claims.ids)
        for job in claims.jobs:
            if job.recording_id == poison:
                time.sleep(0.05)  # so that what works beside it is at work
                os.kill(os.getpid(), signal.SIGKILL)
            with claims.settling(job):
                shop.store.jobs.store_transcript(job, make_transcript(recordings[job.recording_id]))
            time.sleep(0.005)
        return len(claims.jobs)

moved = 1
while moved:
    ids = shop.store.jobs.claimable()
    chunks = [ids[start : start + int(size)] for start in range(0, len(ids), int(size))]
    with ThreadPoolExecutor(8) as pool:
        moved = sum(pool.map(lambda chunk: hear(shop, chunk), chunks))
shop.close()
"""


@pytest.fixture
def shop(database_url: str, tmp_path: Path) -> Iterator[Workshop]:
    workshop = Workshop(load_settings({}, home=tmp_path / "home", database_url=database_url))
    yield workshop
    workshop.close()


def crash(store: Store, *recordings: Recording, times: int = 1) -> None:
    """As if so many workers had died, one after the other, each with these in hand."""
    with store.engine.begin() as connection:
        connection.execute(
            text("update jobs set worker = 1, lease_until = now(), crashes = :crashes where recording_id = any(:ids)"),
            {"crashes": times - 1, "ids": [recording.id for recording in recordings]},
        )


def job_of(store: Store, recording: Recording) -> Job:
    (line,) = store.jobs.list([recording.id])
    return line.job


# -- what kills its worker --------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("size", [30, 7], ids=["one chunk", "chunks side by side"])
def test_a_poisoned_recording_ends_dead_and_its_neighbours_land(
    store: Store, database_url: str, child: Child, size: int
) -> None:
    found = register(store, 30)
    bring_to(store, "validated", found)
    poison = found[17]
    deaths = 0
    while (status := child(WORKER, database_url, store.home, poison.id, size).wait(PATIENCE_S)) == -signal.SIGKILL:
        deaths += 1
        assert deaths <= 4, "one more than most_crashes"
    assert status == 0
    assert deaths == 4
    assert store.jobs.count() == {"transcribed": 29, "dead": 1}
    dead = job_of(store, poison)
    assert (dead.state, dead.error_code, dead.crashes, dead.resume_state) == ("dead", "worker_died", 4, "validated")
    assert {line.job.crashes for line in store.jobs.list(states=["transcribed"])} == {0}
    (back,) = store.jobs.retry([poison.id])
    assert (back.state, back.crashes) == ("validated", 0)


def test_what_a_worker_died_on_is_tried_among_few_then_alone(shop: Workshop) -> None:
    found = register(shop.store, 14)
    crash(shop.store, *found[:11])
    crash(shop.store, found[11], times=2)
    ids = [recording.id for recording in found]
    turns: list[list[str]] = []

    @in_turns("received")
    def check(shop: Workshop, ids: Sequence[str], /) -> int:
        with Claims(shop, "received", ids) as claims:
            turns.append(claims.ids)
            for job in claims.jobs:
                with claims.settling(job):
                    advance(shop.store, job, next(each for each in found if each.id == job.recording_id))
            return len(claims.jobs)

    assert check(shop, ids) == 14
    assert turns == [ids[12:], ids[:10], [ids[10]], [ids[11]]]


def test_suspects_are_grouped_by_how_often_they_were_there() -> None:
    once = {f"once {number}": 1 for number in range(12)}
    groups = group_suspects({"thrice": 3, "twice": 2, **once})
    assert [len(group) for group in groups] == [10, 2, 1, 1]
    assert groups[2:] == [["twice"], ["thrice"]]


def test_a_suspect_waits_until_nobody_here_holds_anything_else(shop: Workshop) -> None:
    other, suspect = register(shop.store, 2)
    crash(shop.store, suspect, times=2)
    taken = threading.Event()

    def take() -> None:
        with Claims(shop, "received", [suspect.id]) as claims:
            assert claims.ids == [suspect.id]
            taken.set()

    with Claims(shop, "received", [other.id]) as claims:
        assert claims.ids == [other.id]
        waiting = threading.Thread(target=take)
        waiting.start()
        assert not taken.wait(0.5)
    waiting.join(PATIENCE_S)
    assert taken.is_set()


def test_whoever_waits_alone_leaves_when_all_are_to_stop(shop: Workshop) -> None:
    other, suspect = register(shop.store, 2)
    crash(shop.store, suspect)
    with Claims(shop, "received", [other.id]):
        shop.stopping.set()
        with Claims(shop, "received", [suspect.id]) as claims:
            assert claims.jobs == []


def test_a_release_is_no_crash_and_forgives_none(shop: Workshop) -> None:
    innocent, suspect = register(shop.store, 2)
    crash(shop.store, suspect)
    for recording, crashes in ((innocent, 0), (suspect, 1)):
        for _ in range(3):
            with Claims(shop, "received", [recording.id]) as claims:
                assert [job.crashes for job in claims.jobs] == [crashes]
    assert job_of(shop.store, innocent).crashes == 0


def test_a_worker_that_closes_with_claims_has_not_crashed(store: Store, other: Store) -> None:
    (recording,) = register(store, 1)
    claim_one(other, "received", recording)
    other.close()
    assert claim_one(store, "received", recording).crashes == 0


def test_getting_on_with_a_recording_clears_it(store: Store) -> None:
    (recording,) = register(store, 1)
    bring_to(store, "validated", [recording])
    crash(store, recording, times=3)
    (job,) = store.jobs.claim_suspects("validated")
    assert job.crashes == 3
    store.jobs.keep_heard(job, "key", {})
    assert job_of(store, recording).crashes == 0
    crash(store, recording, times=3)
    (job,) = store.jobs.claim_suspects("validated")
    assert advance(store, job, recording).crashes == 0


def test_a_landed_note_outlives_an_upgrade_that_kills(shop: Workshop) -> None:
    (recording,) = register(shop.store, 1)
    bring_to(shop.store, "landed", [recording])
    crash(shop.store, recording, times=4)
    with Claims(shop, "landed", [recording.id]) as claims:
        assert claims.jobs == []
    assert job_of(shop.store, recording).state == "landed"


def test_workers_whose_database_went_away_for_a_moment_keep_what_they_hold(store: Store, other: Store) -> None:
    (recording,) = register(store, 1)
    job = claim_one(store, "received", recording)
    number = store.worker.number
    end_session(other, number)
    store.worker.renew()
    assert store.worker.number != number
    assert other.jobs.suspects("received") == {}
    assert advance(store, job, recording).crashes == 0


# -- what fails -------------------------------------------------------------------------------------------------------

WAITS = [
    (WriterFailed("w", "no"), (60, 300, 1800)),
    (WriterFailed("w", "limit", "rate_limit", 900.0), (900, 900, 1800)),
    (EngineOutOfMemory("e"), (300, 300, 1800)),
    (StorageFailed("/", "is full"), (300, 300, 1800)),
    (SourceUnavailable("s3://b/x", "is no longer there"), (60, 300, 1800)),
    (NotAudio(), ()),
]


@pytest.mark.parametrize(("error", "waits_s"), WAITS, ids=[type(error).__name__ for error, _ in WAITS])
def test_how_long_a_failure_waits_goes_by_its_reason(error: DiarynotesError, waits_s: tuple[float, ...]) -> None:
    assert retry_delays(error, RETRY_DELAYS_S) == waits_s


def test_a_recording_whose_memory_ran_out_waits_five_minutes(shop: Workshop) -> None:
    (recording,) = register(shop.store, 1)
    with Claims(shop, "received", [recording.id]) as claims:
        claims.fail(claims.jobs[0], EngineOutOfMemory("e"))
    job = job_of(shop.store, recording)
    assert job.next_attempt_at is not None
    assert job.updated_at is not None
    assert (job.next_attempt_at - job.updated_at).total_seconds() == pytest.approx(300, abs=1)


def test_an_ordinary_failure_shows_that_the_worker_survived(shop: Workshop) -> None:
    (recording,) = register(shop.store, 1)
    crash(shop.store, recording, times=2)
    with Claims(shop, "received", [recording.id]) as claims:
        claims.fail(claims.jobs[0], WriterFailed("w", "no"))
    assert (job_of(shop.store, recording).state, job_of(shop.store, recording).crashes) == ("waiting", 0)


def test_events_and_log_lines_tell_reason_and_code(shop: Workshop, caplog: pytest.LogCaptureFixture) -> None:
    shop.settings = replace(shop.settings, retry_delays_s=(0.0,))
    bad, unlucky = register(shop.store, 2)
    told: list[observe.Event] = []
    with observe.listening(told.append), caplog.at_level(logging.INFO, "diarynotes"):
        for recording, error in (
            (bad, NotAudio()),
            (unlucky, WriterFailed("w", "no")),
            (unlucky, WriterFailed("w", "no")),
        ):
            with Claims(shop, "received", [recording.id]) as claims:
                claims.fail(claims.jobs[0], error)
    assert [(event.name, event.facts["reason"], event.facts["code"]) for event in told] == [
        ("quarantined", "validation_error", "not_audio"),
        ("waiting", "external_api_error", "writer_failed"),
        ("dead", "external_api_error", "writer_failed"),
    ]
    (line,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert line.getMessage() == f"dead {unlucky.id} external_api_error writer_failed"


# -- what was left lying ----------------------------------------------------------------------------------------------


def test_what_the_dead_had_taken_on_is_stranded_at_once(database_url: str, store: Store, tmp_path: Path) -> None:
    with open_store(database_url, tmp_path / "home") as dying:
        untouched, halfway, passed_on = register(dying, 3)
        bring_to(dying, "validated", [halfway])
        bring_to(store, "validated", [passed_on])
        assert store.jobs.stranded(idle_s=600) == []
    left = wait_for(lambda: store.jobs.stranded(idle_s=600), "its session's end")  # which the server takes note of soon
    assert set(left) == {untouched.id, halfway.id}


def test_who_comes_back_under_another_number_has_still_taken_on_what_it_had(store: Store, other: Store) -> None:
    register(store, 1)
    end_session(other, store.worker.number)
    store.worker.renew()
    assert other.jobs.stranded(idle_s=600) == []


def test_what_is_stranded(store: Store, other: Store) -> None:
    fresh, held, dropped, due, waiting, old = register(store, 6)
    claim_one(other, "received", held)
    crash(store, dropped)
    store.jobs.postpone(claim_one(store, "received", due), WriterFailed("w", "no"), (0,))
    store.jobs.postpone(claim_one(store, "received", waiting), WriterFailed("w", "no"), (60,))
    with store.engine.begin() as connection:
        connection.execute(
            text("update jobs set updated_at = now() - interval '11 minutes' where recording_id = :id"), {"id": old.id}
        )
    assert set(store.jobs.stranded(idle_s=600)) == {dropped.id, due.id, old.id}
    assert list(store.jobs.stranded(idle_s=600, limit=1)) == [dropped.id]
    assert set(store.jobs.stranded(idle_s=0)) == {fresh.id, dropped.id, due.id, old.id}


def test_discarding_is_a_mark_that_a_retry_takes_away(store: Store) -> None:
    going, failed, broken, landed = register(store, 4)
    bring_to(store, "validated", [going])
    store.jobs.postpone(claim_one(store, "received", failed), WriterFailed("w", "no"), ())
    store.jobs.quarantine(claim_one(store, "received", broken), NotAudio())
    bring_to(store, "landed", [landed])
    everything = [going, failed, broken, landed]
    assert {job.recording_id for job in store.jobs.discard([each.id for each in everything])} == {
        each.id for each in everything[:3]
    }
    assert [job_of(store, each).error_code for each in everything] == [None, "writer_failed", "not_audio", None]
    assert store.jobs.retry([each.id for each in everything]) == [], "what a person has discarded must be asked for"
    back = store.jobs.retry([each.id for each in everything], states=["discarded", "landed"])
    assert {job.recording_id: job.state for job in back} == {
        going.id: "validated",
        failed.id: "received",
        broken.id: "received",
    }
