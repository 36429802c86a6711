"""Sweeps on a real Prefect server: what is new is taken on and nothing else; what was asked for is asked for once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.states import Crashed

from diarynotes.buckets import connect
from diarynotes.errors import SourceUnavailable
from diarynotes.prefect_api import reporting_to
from diarynotes.settings import load_settings
from flows import dispatch, stages
from flows.pick_up import PickedUp, pick_up
from flows.transcribe import transcribe
from flows.workshop import Workshop, open_workshop
from tests.integration import bucket_servers as servers

pytest_plugins = ["tests.integration.store_fixtures"]
pytestmark = pytest.mark.slow


@pytest.fixture
def shop(database_url: str, tmp_path: Path, prefect_server: str) -> Iterator[Workshop]:
    settings = load_settings({}, home=tmp_path / "home", timezone="UTC", database_url=database_url)
    settings = replace(settings, engine="scripted", writers=("extractive",))
    with reporting_to(prefect_server), open_workshop(settings) as workshop:
        yield workshop


@pytest.fixture
def inbox(shop: Workshop) -> Path:
    """Where recordings of one owner are dropped."""
    folder = shop.settings.home / "bucket" / "me"
    folder.mkdir(parents=True)
    return folder


def sweep(**wanted: Any) -> tuple[PickedUp, str]:
    """What a sweep did, and the words of its last state."""
    state: Any = pick_up(sweep=True, return_state=True, **wanted)
    return state.result(), state.message


def count_queried(shop: Workshop) -> int:
    _, ((count,),) = shop.store.query("select count(*) from notes")
    return int(count)


def put(media: Any, folder: Path, *numbers: int) -> None:
    for number in numbers:
        media.encode(folder / f"{number}.wav", media.make_voice(4.0, seed=number), kind="wav")


def test_a_sweep_takes_on_what_is_new_and_nothing_else(shop: Workshop, inbox: Path, media: Any) -> None:
    put(media, inbox, 1, 2, 3)
    done, told = sweep()
    assert (done.recordings, told) == (3, "3 landed")
    assert sweep() == (PickedUp(0, (), ()), "Nothing to do")
    put(media, inbox, 4)
    done, told = sweep()
    assert (done.recordings, told) == (1, "1 landed")
    assert count_queried(shop) == 3, "the file was young"
    shop.settings = replace(shop.settings, snapshot_age_s=0.0)
    sweep()
    assert count_queried(shop) == 4
    assert pick_up([str(inbox)], owner="me").recordings == 0, "all that somebody names is known by now"


def test_a_bucket_is_listed_on_from_where_the_last_sweep_stopped(shop: Workshop, media: Any, tmp_path: Path) -> None:
    cloud = servers.Amazon(servers.start_python(servers.MOTO))
    try:
        cloud.make("voice")
        connect("s3", cloud.options())
        shop.settings = replace(shop.settings, buckets=("s3://voice",), sweep_pages=1)
        put(media, tmp_path, 1, 2)
        for number in (1, 2):
            cloud.put("voice", f"anna/{number}.wav", (tmp_path / f"{number}.wav").read_bytes())
            done, told = sweep()
            assert (done.recordings, told) == (1, "1 landed")
        assert shop.store.watermarks.read("s3://voice").newest["anna/"] == "anna/2.wav"
        assert {line.owner for line in shop.store.jobs.list()} == {"anna"}
    finally:
        connect("s3")
        cloud.server.stop()


def test_a_bucket_that_cannot_be_listed_costs_no_other(
    shop: Workshop, media: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "there" / "me"
    folder.mkdir(parents=True)
    put(media, folder, 1)
    gone = str(tmp_path / "unmounted")
    shop.settings = replace(shop.settings, buckets=(gone, str(folder.parent)))
    done, told = sweep()
    assert (done.recordings, [problem.uri for problem in done.problems]) == (1, [gone])
    assert told == "1 landed; 1 object could not be read"
    assert f"{gone} cannot be looked into" in caplog.text


def test_what_cannot_be_read_is_tried_again_until_it_is_given_up(
    shop: Workshop, inbox: Path, media: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(media, inbox, 1, 2)
    read = stages.hash_object

    def refuse(obj: Any, **options: Any) -> str:
        if obj.uri.endswith("/1.wav"):
            raise SourceUnavailable(obj.uri, "is not permitted")
        return read(obj, **options)

    monkeypatch.setattr(stages, "hash_object", refuse)
    shop.settings = replace(shop.settings, retry_delays_s=())
    done, _ = sweep()
    assert done.recordings == 1
    assert shop.store.drops.count() == {"dead": 1}, "the same run tried it again, and gave it up"
    sweep()
    assert shop.store.drops.count() == {"dead": 1}, "a sweep that finds it again does not bring it back"
    monkeypatch.undo()
    assert sweep()[0].recordings == 1


# -- other pools ------------------------------------------------------------------------------------------------------


@pytest.fixture
def apart(shop: Workshop) -> Workshop:
    """A workshop whose runs have others listen, on a pool that nobody serves; a second of sound is a shard."""
    with get_client(sync_client=True) as client:
        if "gpu" not in [pool.name for pool in client.read_work_pools()]:
            client.create_work_pool(WorkPoolCreate(name="gpu", type="process"))
        flow = client.create_flow(transcribe)
        client.create_deployment(
            flow_id=flow, name="gpu", work_pool_name="gpu", entrypoint="flows/transcribe.py:transcribe"
        )
    shop.settings = replace(shop.settings, transcribe_on="transcribe/gpu", shard_startup_s=1 / 19, shard_pace=4.0)
    return shop


def ids_of(run: str) -> set[str]:
    with get_client(sync_client=True) as client:
        return set(client.read_flow_run(run).parameters["ids"])


def crash(run: str) -> None:
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(run, Crashed(message="its pod is gone"), force=True)


def test_what_a_run_was_asked_for_is_not_asked_for_again_while_it_may_come(
    apart: Workshop, inbox: Path, media: Any
) -> None:
    put(media, inbox, 1, 2, 3)
    first = sweep()[0].runs
    assert len(first) == 3
    assert sweep()[0].runs == ()
    put(media, inbox, 4)
    (fourth,) = sweep()[0].runs
    assert not ids_of(fourth) & set().union(*map(ids_of, first))
    crash(first[0])
    (again,) = pick_up().runs
    assert again not in first
    assert ids_of(again) == ids_of(first[0])
    assert sweep()[0].runs == ()


def test_what_was_claimed_since_is_asked_for_anew(apart: Workshop, inbox: Path, media: Any) -> None:
    put(media, inbox, 1)
    (first,) = sweep()[0].runs
    (job,) = apart.store.jobs.claim("validated")
    apart.store.jobs.release(job)
    (second,) = sweep()[0].runs
    assert first != second
    apart.store.jobs.claim("validated")
    assert apart.store.asks.open() == {}


def test_of_several_that_ask_at_once_one_does(apart: Workshop, inbox: Path, media: Any) -> None:
    put(media, inbox, 1)
    sweep()
    jobs = [line.job for line in apart.store.jobs.list(states=["validated"])]
    assert apart.store.asks.reserve(jobs, "another") == set()
    (key,) = apart.store.asks.open()
    apart.store.asks.forget([key])
    assert apart.store.asks.reserve(jobs, "one") == {job.recording_id for job in jobs}
    assert apart.store.asks.reserve(jobs, "another") == set()


def test_who_died_before_the_run_was_made_is_not_waited_for(
    apart: Workshop, inbox: Path, media: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(media, inbox, 1)
    (first,) = sweep()[0].runs
    (key,) = apart.store.asks.open()
    apart.store.asks.forget([key])
    jobs = [line.job for line in apart.store.jobs.list(states=["validated"])]
    apart.store.asks.reserve(jobs, "of one that died")
    assert sweep()[0].runs == (), "it may be about to be made"
    monkeypatch.setattr(dispatch, "_COMES_WITHIN_S", 0.0)
    (second,) = sweep()[0].runs
    assert ids_of(second) == ids_of(first)
