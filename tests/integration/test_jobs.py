"""The queue on a real Postgres: claims, leases, fencing, retries, and workers that are killed or frozen."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from diarynotes.calls import KeptAnswer
from diarynotes.errors import LeaseLost, NotAudio, StorageFailed, WriterFailed
from diarynotes.models import Piece, Recording, WindowText
from diarynotes.store import KnownSource, SourceFacts, jobs_sql, open_store
from diarynotes.store.store import Store
from tests.integration.store_samples import (
    MEDIA,
    QUALITY,
    advance,
    bring_to,
    claim_one,
    end_session,
    make_cost,
    make_note,
    make_recording,
    make_transcript,
    register,
)
from tests.waiting import wait_for

pytest_plugins = ["tests.integration.store_fixtures"]

HEARD = WindowText("one", (Piece(0.0, 1.0, "one", -0.2),), "en", -0.2, 0.1, (("en", 0.9), ("de", 0.1)))
Child = Callable[..., "subprocess.Popen[str]"]

HOLD = """
import os, sys, time
from pathlib import Path
from diarynotes.store import open_store
store = open_store(sys.argv[1], Path(sys.argv[2]), lease_s=float(sys.argv[3]))
jobs = store.jobs.claim("received", limit=100)
forked = os.fork() if "fork" in sys.argv else 0
if "fork" in sys.argv and not forked:
    os.close(1)
    time.sleep(600)
    os._exit(0)
print(len(jobs), forked, flush=True)
sys.stdin.readline()
from diarynotes.errors import LeaseLost
lost = 0
for job in jobs:
    try:
        store.jobs.release(job)
    except LeaseLost:
        lost += 1
print(lost, flush=True)
"""


def ids(found: list[Recording]) -> list[str]:
    return [each.id for each in found]


# -- registering ------------------------------------------------------------------------------------------------------


def test_the_same_bytes_are_registered_once(store: Store) -> None:
    one, two = make_recording(1), make_recording(2)
    copy = replace(one, uri="file:///in/copy.wav")
    found = [(each, SourceFacts(each.uri, 100, "v1")) for each in (one, copy, two)]
    assert [entry.is_new for entry in store.register(found)] == [True, False, True]
    again = store.register(found)
    assert [entry.is_new for entry in again] == [False] * 3
    assert [entry.recording for entry in again] == [one, one, two]
    assert store.jobs.count() == {"received": 2}
    assert store.known_sources([copy.uri, "file:///none"], owner="me") == {copy.uri: KnownSource(100, "v1", one.id)}
    assert store.known_sources([copy.uri], owner="you") == {}


def test_a_changed_source_points_at_its_new_recording(store: Store) -> None:
    old, new = make_recording(1), make_recording(2, uri="file:///in/1.wav")
    store.register([(old, SourceFacts(old.uri, 100, "v1"))])
    store.register([(new, SourceFacts(new.uri, 101, "v2"))])
    assert store.known_sources([old.uri], owner="me") == {old.uri: KnownSource(101, "v2", new.id)}


def test_registering_at_the_same_time_makes_each_new_once(store: Store) -> None:
    found = [(each, SourceFacts(each.uri, 100, "v1")) for each in map(make_recording, range(50))]
    orders = [found, found[::-1]] * 4
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(store.register, orders))
    assert sum(entry.is_new for answer in answers for entry in answer) == 50


# -- claiming ---------------------------------------------------------------------------------------------------------


def test_claims_come_urgent_first_then_oldest(store: Store) -> None:
    found = [
        make_recording(1),
        make_recording(0),
        make_recording(3, priority="urgent"),
        make_recording(2, priority="low"),
    ]
    store.register([(each, SourceFacts(each.uri, 100, "v1")) for each in found])
    claimed = store.jobs.claim("received", limit=3)
    assert [job.recording_id for job in claimed] == [found[2].id, found[1].id, found[0].id]
    assert {job.attempt for job in claimed} == {1}


def test_no_job_is_claimed_twice(store: Store, other: Store) -> None:
    found = register(store, 60)
    with ThreadPoolExecutor(8) as pool:
        takers = [(store if number % 2 else other).jobs for number in range(30)]
        claimed = [job for jobs in pool.map(lambda jobs: jobs.claim("received", limit=3), takers) for job in jobs]
    assert sorted(job.recording_id for job in claimed) == sorted(ids(found))


def test_claiming_by_id_takes_no_other(store: Store) -> None:
    found = register(store, 3)
    assert [job.recording_id for job in store.jobs.claim("received", ids=[found[1].id])] == [found[1].id]
    assert store.jobs.claim("received", ids=[]) == []


def test_a_released_job_is_free_at_once(store: Store, other: Store) -> None:
    (recording,) = register(store, 1)
    job = claim_one(store, "received", recording)
    assert other.jobs.claim("received") == []
    store.jobs.release(job)
    assert claim_one(other, "received", recording).attempt == 2
    with pytest.raises(LeaseLost):
        store.jobs.release(job)


# -- moving on --------------------------------------------------------------------------------------------------------


def test_each_stage_stores_its_result_with_the_state(store: Store) -> None:
    (recording,) = register(store, 1)
    transcript = make_transcript(recording)
    note = make_note(transcript)
    store.jobs.store_validated(
        claim_one(store, "received", recording), replace(recording, media=MEDIA, quality=QUALITY)
    )
    assert store.recordings([recording.id])[recording.id] == replace(recording, media=MEDIA, quality=QUALITY)
    store.jobs.store_transcript(claim_one(store, "validated", recording), transcript, [make_cost("0").usage])
    assert store.transcripts([recording.id]) == {recording.id: transcript}
    store.jobs.store_note(claim_one(store, "transcribed", recording), note, [make_cost("0.5")])
    (stored,) = store.notes(owner="me")
    assert (stored.note, stored.transcript) == (note, transcript)
    assert stored.usd is None, "an engine without a price makes the sum unknown"
    job = claim_one(store, "written", recording)
    assert store.land([job])[0].state == "landed"
    assert store.jobs.pending() == []


def test_what_an_answer_used_is_billed_with_the_note_that_is_stored_or_not_at_all(store: Store, other: Store) -> None:
    (recording,) = register(store, 1)
    bring_to(store, "transcribed", [recording])
    note, cost = make_note(make_transcript(recording)), make_cost("0.5")
    whose = {"owner": recording.owner, "recording_id": recording.id}
    store.desk.keep_answer("a", "{}", **whose, usd=cost.usd, usages=[cost.usage])
    stale = claim_one(store, "transcribed", recording)
    store.jobs.release(stale)
    job = claim_one(other, "transcribed", recording)
    with pytest.raises(LeaseLost):
        store.jobs.store_note(stale, note, [cost], answers=["a"])
    assert other.desk.find_answer("a", **whose) == KeptAnswer("{}", (cost.usage,))
    other.jobs.store_note(job, note, [cost], answers=["a"])
    assert other.desk.find_answer("a", **whose) == KeptAnswer("{}")


def test_what_was_overtaken_writes_nothing(store: Store, other: Store) -> None:
    (recording,) = register(store, 1)
    stale = claim_one(store, "received", recording)
    store.jobs.release(stale)
    fresh = claim_one(other, "received", recording)
    seen = replace(recording, media=MEDIA)
    for write in (
        lambda: store.jobs.store_validated(stale, seen),
        lambda: store.jobs.store_transcript(stale, make_transcript(recording), [make_cost()]),
        lambda: store.jobs.quarantine(stale, NotAudio()),
        lambda: store.jobs.postpone(stale, WriterFailed("w", "no")),
        lambda: store.jobs.store_landed(stale),
    ):
        with pytest.raises(LeaseLost):
            write()
    assert store.recordings([recording.id]) == {recording.id: recording}
    assert store.transcripts([recording.id]) == {}
    assert other.jobs.store_validated(fresh, seen).state == "validated"
    with pytest.raises(LeaseLost):
        other.jobs.store_validated(fresh, seen)


def test_one_lost_lease_does_not_undo_a_shared_transaction(store: Store) -> None:
    found = register(store, 3)
    jobs = store.jobs.claim("received")
    store.jobs.discard([jobs[1].recording_id])
    with store.jobs.together() as queue:
        for job, recording in zip(jobs, found, strict=True):
            if job is jobs[1]:
                with pytest.raises(LeaseLost):
                    queue.store_validated(job, recording)
            else:
                queue.store_validated(job, recording)
    assert store.jobs.count() == {"validated": 2, "discarded": 1}


def test_a_better_note_makes_the_old_one_history(store: Store) -> None:
    (recording,) = register(store, 1)
    bring_to(store, "landed", [recording])
    better = make_note(make_transcript(recording), writer="better", title="Better")
    job = store.jobs.store_note(claim_one(store, "landed", recording), better, [make_cost(None)])
    assert job.state == "written"
    assert [entry.note.writer for entry in store.notes()] == ["better"]
    with store.engine.connect() as connection:
        rows = connection.execute(text("select writer, is_current from notes order by writer")).all()
    assert [tuple(row) for row in rows] == [("better", True), ("scripted", False)]


def test_notes_are_found_by_owner_day_and_prefix(store: Store) -> None:
    mine, yours = make_recording(1), make_recording(2, owner="you")
    store.register([(each, SourceFacts(each.uri, 100, "v1")) for each in (mine, yours)])
    bring_to(store, "written", [mine, yours])
    (note,) = store.notes(owner="you")
    assert note.recording.owner == "you"
    assert store.notes(prefix=note.note.id[:8]) == [note]
    assert store.notes(prefix=yours.id[:8], owner="you") == [note]
    assert store.notes(prefix="%") == []
    assert store.notes(since=note.note.day + timedelta(days=1)) == []
    assert len(store.notes(until=note.note.day)) == 2


def test_text_that_postgres_cannot_hold_is_made_to_fit(store: Store) -> None:
    (recording,) = register(store, 1)
    bring_to(store, "transcribed", [recording])
    odd = make_note(make_transcript(recording), title="a\0b\ud800c")
    store.jobs.store_note(claim_one(store, "transcribed", recording), odd)
    assert store.notes()[0].note.draft.title == "ab?c"


# -- failing and retrying ---------------------------------------------------------------------------------------------


def test_retries_wait_longer_and_then_the_job_is_dead(store: Store) -> None:
    (recording,) = register(store, 1)
    bring_to(store, "validated", [recording])
    error = WriterFailed("w", "no answer")
    for failures in (1, 2):
        job = store.jobs.postpone(claim_one(store, "validated", recording), error, (0, 0))
        assert (job.state, job.resume_state, job.failures) == ("waiting", "validated", failures)
        assert (job.error_code, job.error_message) == (error.code, str(error))
    dead = store.jobs.postpone(claim_one(store, "validated", recording), error, (0, 0))
    assert (dead.state, dead.next_attempt_at) == ("dead", None)
    (back,) = store.jobs.retry([recording.id])
    assert (back.state, back.failures, back.error_code) == ("validated", 0, None)


def test_a_waiting_job_waits(store: Store) -> None:
    (recording,) = register(store, 1)
    job = store.jobs.postpone(claim_one(store, "received", recording), WriterFailed("w", "no"))
    assert job.next_attempt_at is not None
    assert timedelta(seconds=50) < job.next_attempt_at - datetime.now(UTC) <= timedelta(seconds=60)
    assert store.jobs.claim("received") == []
    assert store.jobs.pending() == []
    assert [job.state for job in store.jobs.retry(states=["waiting"])] == ["received"]


def test_success_forgets_earlier_failures(store: Store) -> None:
    (recording,) = register(store, 1)
    store.jobs.postpone(claim_one(store, "received", recording), WriterFailed("w", "no"), (0,))
    moved = advance(store, claim_one(store, "received", recording), recording)
    assert (moved.failures, moved.error_code, moved.resume_state) == (0, None, None)


def test_foreign_errors_are_kept_by_name_only(store: Store) -> None:
    (recording,) = register(store, 1)
    job = store.jobs.quarantine(claim_one(store, "received", recording), ValueError("dear diary"))
    assert (job.error_code, job.error_message) == ("bug", "ValueError")


def test_quarantined_recordings_start_again_from_the_beginning(store: Store) -> None:
    (recording,) = register(store, 1)
    bring_to(store, "transcribed", [recording])
    store.jobs.quarantine(claim_one(store, "transcribed", recording), NotAudio())
    assert store.jobs.count() == {"quarantined": 1}
    assert [job.state for job in store.jobs.retry([recording.id])] == ["received"]


def test_a_discarded_recording_is_taken_from_its_worker(store: Store) -> None:
    (recording,) = register(store, 1)
    job = claim_one(store, "received", recording)
    assert [gone.state for gone in store.jobs.discard([recording.id])] == ["discarded"]
    with pytest.raises(LeaseLost):
        advance(store, job, recording)
    assert store.jobs.discard([recording.id]) == []


def test_jobs_are_listed_by_state_and_owner(store: Store) -> None:
    mine, yours = make_recording(1), make_recording(2, owner="you")
    store.register([(each, SourceFacts(each.uri, 100, "v1")) for each in (mine, yours)])
    bring_to(store, "validated", [yours])
    assert [line.uri for line in store.jobs.list(owner="you", states=["validated"])] == [yours.uri]
    assert store.jobs.list(owner="you", states=["received"]) == []
    assert [job.recording_id for job in store.jobs.pending([mine.id])] == [mine.id]
    assert len(store.jobs.list(limit=1)) == 1


# -- workers that die, freeze, or lose their session ------------------------------------------------------------------


@pytest.mark.parametrize("forked", [(), ("fork",)], ids=["alone", "with a forked child that lives on"])
def test_a_killed_workers_jobs_are_free_at_once(
    store: Store, database_url: str, child: Child, forked: tuple[str, ...]
) -> None:
    found = register(store, 5)
    holder = child(HOLD, database_url, store.home, 3600, *forked)
    assert holder.stdout is not None
    count, survivor = map(int, holder.stdout.readline().split())
    assert count == 5
    assert store.jobs.claim_suspects("received") == []
    holder.kill()
    holder.wait()
    # The server needs a moment to see that the socket is closed; the leases have an hour to go.
    claimed = wait_for(lambda: store.jobs.claim_suspects("received", limit=100))
    assert sorted(job.recording_id for job in claimed) == sorted(ids(found))
    assert {(job.attempt, job.crashes) for job in claimed} == {(2, 1)}
    assert store.jobs.quarantine(claimed[0], NotAudio()).crashes == 0, "nobody dies on what is set aside"
    if survivor:
        os.kill(survivor, signal.SIGKILL)


def test_a_frozen_workers_jobs_are_free_when_the_lease_has_run_out(
    store: Store, database_url: str, child: Child
) -> None:
    register(store, 3)
    holder = child(HOLD, database_url, store.home, 5)
    assert holder.stdin is not None
    assert holder.stdout is not None
    assert holder.stdout.readline() == "3 0\n"
    os.kill(holder.pid, signal.SIGSTOP)
    assert store.jobs.claim_suspects("received") == [], "a frozen worker keeps its session, so its lease decides"
    claimed = wait_for(lambda: store.jobs.claim_suspects("received", limit=100))
    assert len(claimed) == 3
    os.kill(holder.pid, signal.SIGCONT)
    holder.stdin.write("\n")
    holder.stdin.flush()
    assert holder.stdout.readline() == "3\n", "each of the thawed worker's writes must be refused"
    for job in claimed:
        store.jobs.release(job)


def test_a_live_worker_keeps_its_lease(database_url: str, other: Store) -> None:
    register(other, 1)
    with open_store(database_url, other.home, lease_s=3) as holder, other.engine.connect() as watch:
        (job,) = holder.jobs.claim("received")
        ends = watch.scalar(text("select lease_until from jobs"))
        while not watch.scalar(text("select clock_timestamp() > :ends"), {"ends": ends}):
            assert other.jobs.claim_suspects("received") == []
            time.sleep(0.05)
        assert other.jobs.claim_suspects("received") == [], "the lease of the claim alone would have run out"
        holder.jobs.release(job)


def test_a_claim_that_could_not_be_given_back_runs_out_while_its_worker_lives(
    database_url: str, other: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(other, 2)
    with open_store(database_url, other.home, lease_s=2) as holder:
        kept, lost = holder.jobs.claim("received")
        with monkeypatch.context() as patch:
            patch.setattr(jobs_sql, "RELEASE", text("select 1 / 0 where 1 = :attempt or cast(:id as text) = :held"))
            with pytest.raises(StorageFailed):
                holder.jobs.release(lost)
        (taken,) = wait_for(lambda: other.jobs.claim("received"))
        assert (taken.recording_id, taken.crashes) == (lost.recording_id, 0)
        other.jobs.release(taken)
        holder.jobs.release(kept)


def test_a_claim_that_was_made_though_postgres_said_otherwise_runs_out_while_its_worker_lives(
    database_url: str, other: Store
) -> None:
    (recording,) = register(other, 1)
    with open_store(database_url, other.home, lease_s=2) as holder:
        with other.engine.begin() as connection:
            unheard = "update jobs set worker = :worker, attempt = 1, lease_until = now() + interval '3 seconds'"
            connection.execute(text(unheard), {"worker": holder.worker.number})
        assert other.jobs.claim("received") == []
        (taken,) = wait_for(lambda: other.jobs.claim("received"))
        assert (taken.recording_id, taken.crashes) == (recording.id, 0)
        other.jobs.release(taken)


def test_all_jobs_come_page_by_page(store: Store) -> None:
    register(store, 5)
    pages = list(store.jobs.pages(2))
    assert [len(page) for page in pages] == [2, 2, 1]
    everything = {line.job.recording_id: line for line in store.jobs.list()}
    assert {line.job.recording_id: line for page in pages for line in page} == everything


def test_a_worker_that_lost_its_session_comes_back_as_another(store: Store, other: Store) -> None:
    (recording,) = register(store, 1)
    job = claim_one(store, "received", recording)
    number = store.worker.number
    end_session(other, number)
    (taken,) = other.jobs.claim_suspects("received")
    assert (taken.recording_id, taken.attempt) == (recording.id, 2)
    store.worker.renew()
    assert store.worker.number != number
    with pytest.raises(LeaseLost):
        advance(store, job, recording)


def test_closing_frees_what_is_claimed(database_url: str, store: Store) -> None:
    (recording,) = register(store, 1)
    with open_store(database_url, store.home) as leaving:
        claim_one(leaving, "received", recording)
    (job,) = wait_for(lambda: store.jobs.claim("received"))
    assert job.recording_id == recording.id


def test_heard_windows_are_kept_until_the_transcript_is_whole(store: Store) -> None:
    (recording,) = register(store, 1)
    bring_to(store, "validated", [recording])
    job = claim_one(store, "validated", recording)

    store.jobs.keep_heard(job, "key", {0: [HEARD], 2: [HEARD, replace(HEARD, text="two", temperature=0.4)]})
    store.jobs.keep_heard(job, "other", {0: [HEARD]})

    windows = {0: [HEARD], 2: [HEARD, replace(HEARD, text="two", temperature=0.4)]}
    assert store.heard_windows([recording.id]) == {recording.id: {"key": windows, "other": {0: [HEARD]}}}
    store.jobs.store_transcript(job, make_transcript(recording))
    assert store.heard_windows([recording.id]) == {}


def test_who_lost_the_job_keeps_no_windows(store: Store, other: Store) -> None:
    (recording,) = register(store, 1)
    bring_to(store, "validated", [recording])
    stale = claim_one(store, "validated", recording)
    store.jobs.release(stale)
    claim_one(other, "validated", recording)

    with pytest.raises(LeaseLost):
        store.jobs.keep_heard(stale, "key", {0: [HEARD]})
    assert store.heard_windows([recording.id]) == {}


def test_what_is_set_aside_or_given_up_keeps_no_windows(store: Store) -> None:
    first, second = register(store, 2)
    bring_to(store, "validated", [first, second])
    jobs = store.jobs.claim("validated", limit=2)
    for job in jobs:
        store.jobs.keep_heard(job, "key", {0: [HEARD]})

    store.jobs.quarantine(jobs[0], NotAudio())
    store.jobs.discard([jobs[1].recording_id])

    assert store.heard_windows([first.id, second.id]) == {}
