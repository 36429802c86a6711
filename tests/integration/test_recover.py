"""An older copy of Postgres beside a newer warehouse: what it has forgotten comes back, and nothing else moves."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from diarynotes.errors import LeaseLost
from diarynotes.models import PERSON, Finding, Recording
from diarynotes.store import open_store
from diarynotes.store.land import TABLES, make_frame
from diarynotes.store.read_back import make_landings
from diarynotes.store.store import Store
from tests.integration.store_samples import (
    MEDIA,
    QUALITY,
    advance,
    bring_to,
    claim_one,
    make_cost,
    make_note,
    make_recording,
    make_transcript,
    register,
)
from tests.integration.test_warehouse import make_landing

pytest_plugins = ["tests.integration.store_fixtures"]

Copies = Callable[[], Store]
_numbers = itertools.count()


@pytest.fixture
def stores(database_url: str, tmp_path: Path) -> Copies:
    """Opens the store, as often as asked."""
    return lambda: open_store(database_url, tmp_path / "home")


@pytest.fixture
def copied(database_url: str, tmp_path: Path) -> Callable[[], Copies]:
    """Copies the database as it is now; what is returned opens the copy beside the same warehouse."""

    def copy() -> Copies:
        url = make_url(database_url)
        name = f"{url.database}_copy_{next(_numbers)}"
        engine = create_engine(url.set(database="postgres", drivername="postgresql+psycopg"))
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text(f"create database {name} template {url.database}"))
        engine.dispose()
        older = url.set(database=name).render_as_string(hide_password=False)
        return lambda: open_store(older, tmp_path / "home")

    return copy


def upgrade(store: Store, recording: Recording, title: str, writer: str = "scripted") -> None:
    job = claim_one(store, "landed", recording)
    note = make_note(make_transcript(recording), title=title, writer=writer)
    store.land([claim_one(store, "written", recording) if store.jobs.store_note(job, note, [make_cost()]) else job])


def titles(store: Store) -> dict[str, str]:
    return {line.recording.id: line.note.draft.title for line in store.notes()}


def rows(store: Store) -> dict[str, list[str]]:
    return {table: sorted(map(repr, store.warehouse.read(table).collect().rows())) for table in TABLES}


def test_rows_come_back_as_what_they_were_made_of() -> None:
    heard_well = replace(make_landing(1, 4, costs=2), recording=make_recording(1, media=MEDIA, quality=QUALITY))
    landings = [heard_well, make_landing(2, segments=0, costs=0)]
    for number, reasons in ((3, ()), (4, (Finding("writer_failed", "info", "writer", "It did not answer."),))):
        landing = make_landing(number)
        transcript = replace(landing.transcript, degraded=True)
        note = replace(landing.note, degraded=bool(reasons), findings=reasons)
        landings.append(replace(landing, transcript=transcript, note=note, costs=(make_cost(None),)))
    frames = {table: make_frame(table, landings) for table in TABLES}
    back = make_landings(frames)
    for table in TABLES:
        assert make_frame(table, back).equals(frames[table]), table
    assert [replace(each.note, findings=()) for each in back] == [replace(each.note, findings=()) for each in landings]
    assert [each.note.degraded for each in back] == [False, False, False, True]
    # only what others have been paid for may go to others again
    assert [each.recording for each in back] == [replace(each.recording, cloud=each is heard_well) for each in landings]


@pytest.mark.parametrize("table", TABLES)
def test_what_was_broken_off_comes_back_in_no_part(table: str) -> None:
    older, newer = make_landing(1, 3, costs=2), make_landing(1, 5, segments=3, costs=1)
    landed = TABLES[: TABLES.index(table) + 1]
    frames = {each: make_frame(each, [newer if each in landed else older]) for each in TABLES}
    assert len(make_landings(frames)) == (table == TABLES[-1])
    frames = {each: make_frame(each, [newer] if each in landed else []) for each in TABLES}
    assert len(make_landings(frames)) == (table == TABLES[-1])


def test_in_ordinary_times_nothing_is_forgotten(store: Store) -> None:
    found = register(store, 3)
    assert not store.recover()
    bring_to(store, "landed", found[:2])
    bring_to(store, "written", found[2:])
    store.warehouse.land(store.landings([claim_one(store, "written", found[2])]))  # not marked yet
    before = store.jobs.list(), store.warehouse.versions()
    assert store.forgotten() == []
    assert not store.recover()
    assert (store.jobs.list(), store.warehouse.versions()) == before


def test_what_an_older_copy_has_forgotten_comes_back_from_the_warehouse(
    stores: Copies, copied: Callable[[], Copies]
) -> None:
    with stores() as store:
        found = register(store, 5)
        bring_to(store, "landed", found[:3])
        bring_to(store, "validated", found[3:4])
    older = copied()
    with stores() as store:
        upgrade(store, found[0], "Better")
        upgrade(store, found[1], "By hand", PERSON)
        bring_to(store, "landed", found[3:])
        known, landed, spent = titles(store), rows(store), {line.recording.id: line.usd for line in store.notes()}
        assert store.verify() == ()
    with older() as store:
        held = claim_one(store, "validated", found[3])
        assert store.forgotten() == sorted(found[number].id for number in (0, 1, 3, 4))
        assert store.recover().ids == tuple(sorted(found[number].id for number in (0, 1, 3, 4)))
        with pytest.raises(LeaseLost):
            store.jobs.store_transcript(held, make_transcript(found[3]))
        assert titles(store) == known
        assert {line.recording.id: line.usd for line in store.notes()} == spent
        assert store.jobs.count() == {"landed": 5}
        assert store.verify() == ()
        assert rows(store) == landed
        assert not store.recover()
        store.rebuild()
        assert rows(store) == landed
        upgrade(store, found[2], "Later")
        assert titles(store)[found[2].id] == "Later"
        assert store.verify() == ()


def test_a_landing_that_meets_what_was_forgotten_gives_way_to_it(stores: Copies, copied: Callable[[], Copies]) -> None:
    with stores() as store:
        (recording,) = register(store, 1)
        bring_to(store, "landed", [recording])
    older = copied()
    with stores() as store:
        for title in ("Better", "Best"):
            upgrade(store, recording, title)
    with older() as store:
        job = claim_one(store, "landed", recording)
        store.jobs.store_note(job, make_note(make_transcript(recording), title="Anew"))
        assert store.land([claim_one(store, "written", recording)]) == []
        assert titles(store) == {recording.id: "Best"}
        assert store.verify() == ()


def test_a_landing_that_was_broken_off_and_forgotten_is_made_anew(stores: Copies, copied: Callable[[], Copies]) -> None:
    with stores() as store:
        found = register(store, 3)
        bring_to(store, "landed", found[:1])
        bring_to(store, "transcribed", found[1:2])
    older = copied()
    with stores() as store:
        landings = [replace(make_landing(number, 20), recording=each) for number, each in enumerate(found)]
        store.warehouse._replace("notes", landings)
    with older() as store:
        assert store.recover().broken_off == tuple(sorted(each.id for each in found))
        bring_to(store, "landed", found)
        for job in store.jobs.claim("written"):
            advance(store, job, found[0])
        assert store.jobs.count() == {"landed": 3}
        assert store.verify() == ()
