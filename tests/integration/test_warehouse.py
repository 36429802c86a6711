"""The warehouse against Postgres: landing by many at once, fencing, verifying, rebuilding, the DuckDB snapshot."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from deltalake import DeltaTable, write_deltalake

import diarynotes.store.land as land_module
import diarynotes.store.warehouse as warehouse_module
from diarynotes.errors import BadSettings, StorageFailed
from diarynotes.store import Landing, rebuild, verify
from diarynotes.store.land import TABLES, make_frame, schema_of
from diarynotes.store.snapshot import query_snapshot
from diarynotes.store.store import Store
from diarynotes.store.warehouse import Warehouse
from tests.integration.store_samples import (
    DAY,
    bring_to,
    claim_one,
    make_cost,
    make_note,
    make_recording,
    make_transcript,
    register,
)
from tests.waiting import PATIENCE_S

pytest_plugins = ["tests.integration.store_fixtures"]

Child = Callable[..., "subprocess.Popen[str]"]

LAND = """
import sys
from pathlib import Path
from diarynotes.store.warehouse import Warehouse
from tests.integration.test_warehouse import make_landing
folder, attempt, first, last = Path(sys.argv[1]), *map(int, sys.argv[2:])
print("ready", flush=True)
sys.stdin.readline()
for start in range(first, last, 4):
    chunk = range(start, min(start + 4, last))
    Warehouse(folder).land([make_landing(number, attempt, title=f"by {attempt}") for number in chunk])
print("done", flush=True)
"""


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return Warehouse(tmp_path / "warehouse")


def make_landing(
    number: int = 1, attempt: int = 1, *, day: date = DAY, segments: int = 2, costs: int = 1, title: str = "A day"
) -> Landing:
    recording = make_recording(number)
    transcript = make_transcript(recording, segments)
    return Landing(recording, transcript, make_note(transcript, day, title=title), (make_cost(),) * costs, attempt)


def versions(warehouse: Warehouse) -> list[int]:
    return [DeltaTable(warehouse.folder / table).version() for table in TABLES]


def titles(warehouse: Warehouse) -> list[tuple[int, str]]:
    return sorted(warehouse.read("notes").select("attempt", "title").collect().iter_rows())


# -- landing ----------------------------------------------------------------------------------------------------------


def test_landing_twice_changes_nothing(warehouse: Warehouse) -> None:
    landings = [make_landing(number) for number in range(3)]
    warehouse.land(landings)
    before = versions(warehouse)
    warehouse.land(landings)
    warehouse.land(landings[:1])
    assert versions(warehouse) == before
    assert warehouse.read("segments").collect().height == 6


def test_landing_replaces_all_rows_of_a_recording(warehouse: Warehouse) -> None:
    warehouse.land([make_landing(1, 1, segments=5, costs=3), make_landing(2, 1)])
    warehouse.land([make_landing(1, 2, segments=1, costs=0, title="Again")])
    assert titles(warehouse) == [(1, "A day"), (2, "Again")]
    assert warehouse.read("segments").collect().height == 1 + 2
    assert warehouse.read("costs").collect().height == 1


def test_an_older_attempt_counts_for_nothing(warehouse: Warehouse) -> None:
    warehouse.land([make_landing(1, 5, segments=1, costs=0)])
    before = [warehouse.read(table).collect() for table in TABLES]
    warehouse.land([make_landing(1, 4, segments=3, costs=2, title="Stale")])
    for table, rows in zip(TABLES, before, strict=True):
        assert warehouse.read(table).collect().equals(rows)


@pytest.mark.parametrize("days", [None, (DAY,)], ids=["days unknown", "days known"])
def test_a_note_that_moves_to_another_day_leaves_the_old_one(
    warehouse: Warehouse, days: tuple[date, ...] | None
) -> None:
    warehouse.land([make_landing(1, 1), make_landing(2, 1)])
    warehouse.land([replace(make_landing(1, 2, day=DAY + timedelta(days=1)), days=days)])
    for table in TABLES:
        found = warehouse.read(table).select("recording_id", "day").unique().collect()
        assert sorted(found["day"].to_list()) == [DAY, DAY + timedelta(days=1)], table


def test_threads_that_land_at_once_lose_and_double_nothing(warehouse: Warehouse) -> None:
    chunks = [[make_landing(number) for number in range(start, start + 3)] for start in (0, 3, 6, 9)] * 2
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda chunk: Warehouse(warehouse.folder).land(chunk), chunks))
    for table, rows in (("notes", 12), ("recordings", 12), ("transcripts", 12), ("segments", 24), ("costs", 12)):
        found = warehouse.read(table).collect()
        assert (found.height, found["recording_id"].n_unique()) == (rows, 12), table


@pytest.mark.slow
def test_processes_that_land_the_same_rows_leave_the_newest_attempt(warehouse: Warehouse, child: Child) -> None:
    landers = [child(LAND, warehouse.folder, attempt, 0, 8) for attempt in (1, 2, 3)]
    landers += [child(LAND, warehouse.folder, 3, 8, 16)]
    for each in landers:
        assert each.stdout is not None
        each.stdout.readline()
    for each in landers:
        out, _ = each.communicate("\n", timeout=PATIENCE_S)
        assert out == "done\n"
    assert titles(warehouse) == [(3, "by 3")] * 16
    assert warehouse.read("segments").collect().height == 32


def test_what_a_killed_write_leaves_behind_does_not_hurt(warehouse: Warehouse) -> None:
    warehouse.land([make_landing(1)])
    for table in TABLES:
        stray = warehouse.folder / table / f"day={DAY}" / "part-00000-killed-c000.snappy.parquet"
        stray.write_bytes(b"PAR1 torn")
        (warehouse.folder / table / "_delta_log" / "_commit_killed.json.tmp").write_bytes(b"{")
    warehouse.land([make_landing(2)])
    assert len(titles(warehouse)) == 2
    warehouse.tidy()
    assert len(titles(warehouse)) == 2


def test_a_day_stays_in_few_files(warehouse: Warehouse) -> None:
    for number in range(20):
        warehouse.land([make_landing(number)])
    assert len(warehouse.files("notes")) <= 8
    assert len(titles(warehouse)) == 20


@pytest.mark.parametrize("name", ["Application Support", "ü #? <>", "q'uote * (x)"])
def test_the_home_may_have_a_name_of_any_kind(tmp_path: Path, name: str) -> None:
    warehouse = Warehouse(tmp_path / name / "warehouse")
    warehouse.land([make_landing(1)])
    warehouse.land([make_landing(2)])
    assert len(titles(warehouse)) == 2


def test_a_name_that_delta_cannot_take_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="folder"):
        Warehouse(tmp_path / "a%5b" / "warehouse").land([make_landing(1)])


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageFailed, match="file"):
        Warehouse(tmp_path / "file" / "warehouse").land([make_landing(1)])


@pytest.mark.parametrize("torn", [b"", b'{"commitInfo":{"timest'], ids=["empty", "torn"])
def test_a_torn_newest_log_entry_is_an_alarm(warehouse: Warehouse, torn: bytes) -> None:
    warehouse.land([make_landing(1)])
    max((warehouse.folder / "notes" / "_delta_log").glob("*.json")).write_bytes(torn)
    for use in (lambda: warehouse.read("notes"), lambda: warehouse.land([make_landing(2)])):
        with pytest.raises(StorageFailed, match="torn"):
            use()


# -- against Postgres -------------------------------------------------------------------------------------------------


def test_a_landed_store_agrees_with_its_warehouse(store: Store) -> None:
    found = register(store, 5)
    assert store.verify() == ()
    bring_to(store, "landed", found)
    assert store.verify() == verify(store, store.home / "warehouse") == ()
    for landing in store.landings(store.jobs.claim("landed", ids=[found[0].id])):
        assert landing.days == (DAY,)
        assert [cost.usd for cost in landing.costs] == [Decimal(0), Decimal("0.0012")]


def test_a_thawed_worker_changes_nothing_in_the_warehouse(store: Store, other: Store) -> None:
    (recording,) = register(store, 1)
    bring_to(store, "written", [recording])
    stale = store.landings([claim_one(store, "written", recording)])
    store.worker.close()  # as if it had died: its claim is free
    rescued = claim_one(other, "written", recording)
    assert [job.state for job in other.land([rescued])] == ["landed"]
    before = versions(other.warehouse)
    store.warehouse.land([replace(stale[0], note=replace(stale[0].note, day=DAY + timedelta(days=1)))])
    assert versions(other.warehouse) == before
    assert other.verify() == ()


def test_missing_stale_and_left_over_rows_are_found_and_mended(store: Store) -> None:
    found = register(store, 4)
    bring_to(store, "landed", found[:3])
    DeltaTable(store.warehouse.folder / "notes").delete(f"recording_id = '{found[0].id}'")
    DeltaTable(store.warehouse.folder / "segments").delete(f"recording_id = '{found[1].id}' and number = 1")
    stranger = make_landing(99)
    write_deltalake(store.warehouse.folder / "recordings", make_frame("recordings", [stranger]), mode="append")
    findings = store.verify()
    assert {(finding.code, finding.where) for finding in findings} == {
        ("warehouse_missing", f"notes/{found[0].id}"),
        ("warehouse_stale", f"segments/{found[1].id}"),
        ("warehouse_extra", f"recordings/{stranger.recording.id}"),
    }
    rebuild(store, store.home / "warehouse")
    assert store.verify() == ()


def test_a_torn_table_is_found_and_mended(store: Store) -> None:
    bring_to(store, "landed", register(store, 3))
    max((store.warehouse.folder / "costs" / "_delta_log").glob("*.json")).write_bytes(b"")
    assert [(finding.code, finding.where) for finding in store.verify()] == [("warehouse_torn", "costs")]
    store.rebuild()
    assert store.verify() == ()
    assert sorted(path.name for path in store.home.iterdir()) == ["warehouse"]


def test_a_duplicate_row_is_found(store: Store) -> None:
    (recording,) = register(store, 1)
    bring_to(store, "landed", [recording])
    copy = store.warehouse.read("notes").collect()
    write_deltalake(store.warehouse.folder / "notes", copy, mode="append")
    assert [finding.code for finding in store.verify()] == ["warehouse_stale"]


# -- the snapshot -----------------------------------------------------------------------------------------------------


def test_the_snapshot_answers_by_the_tables_names(store: Store) -> None:
    found = register(store, 3)
    bring_to(store, "landed", found[:2])
    store.snapshot()
    count = "select (select count(*) from recordings), (select count(*) from jobs), (select sum(usd) from costs)"
    assert store.query(count)[1] == [(2, 3, Decimal("0.0024"))]
    columns, rows = store.query(
        "select n.day, n.title, n.people, n.todos, n.cost_usd, r.source from notes n "
        "join recordings r using (recording_id) order by r.recorded_at limit 1"
    )
    assert columns == ["day", "title", "people", "todos", "cost_usd", "source"]
    todos = [{"text": "Call Ann", "due": date(2026, 11, 3)}, {"text": "Rest", "due": None}]
    assert rows == [(DAY, "A day", ["Ann"], todos, Decimal("0.0012"), found[0].uri)]
    assert store.query("select number from segments", limit=3)[1] == [(0,), (1,), (0,)]
    assert store.snapshot_path.stat().st_mode & 0o077 == 0


def test_the_snapshot_of_an_empty_store_has_its_tables(store: Store) -> None:
    store.snapshot()
    for table in (*TABLES, "jobs"):
        assert store.query(f"select count(*) from {table}")[1] == [(0,)]


def test_readers_of_the_old_snapshot_are_not_disturbed(store: Store) -> None:
    found = register(store, 2)
    bring_to(store, "landed", found[:1])
    with duckdb.connect(store.snapshot(), read_only=True) as reader:
        bring_to(store, "landed", found[1:])
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: store.snapshot(), range(4)))
        assert reader.execute("select count(*) from notes").fetchall() == [(1,)]
    assert store.query("select count(*) from notes")[1] == [(2,)]
    assert [path.name for path in store.home.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize(
    "sql",
    [
        "select * from read_text('{secret}')",
        "select * from read_csv('{secret}')",
        "copy notes to '{secret}.out'",
        "attach '{secret}.db'",
        "install httpfs",
        "load httpfs",
        "set enable_external_access = true",
        "create table more (x int)",
        "delete from notes",
        "create temp table t as select * from '{secret}'",
        "export database '{secret}.d'",
        "select getenv('HOME')",
        "set lock_configuration = false",
    ],
)
def test_a_query_can_read_the_snapshot_and_nothing_else(store: Store, tmp_path: Path, sql: str) -> None:
    store.snapshot()
    secret = tmp_path / "secret.csv"
    secret.write_text("a,b\n1,hidden\n")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(BadSettings) as caught:
        store.query(sql.format(secret=secret))
    assert "hidden" not in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_wrong_query_says_what_is_wrong_without_quoting_rows(store: Store) -> None:
    bring_to(store, "landed", register(store, 1))
    store.snapshot()
    with pytest.raises(BadSettings, match="nonsense"):
        store.query("select nonsense from notes")
    with pytest.raises(BadSettings) as caught:
        store.query("select cast(summary as integer) from notes")
    assert "day" not in str(caught.value)


def test_without_a_snapshot_there_is_nothing_to_ask(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="landed"):
        query_snapshot(tmp_path / "diarynotes.duckdb", "select 1")


def test_a_table_from_before_a_column_was_added_is_read_and_gets_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = {name: kind for name, kind in schema_of("segments").items() if name != "language"}
    recordings = register(store, 2)
    with monkeypatch.context() as before:
        for module in (land_module, warehouse_module):
            before.setattr(module, "schema_of", lambda table: old if table == "segments" else schema_of(table))
        bring_to(store, "landed", recordings[:1])
    store.snapshot()
    languages = "select language from segments order by recording_id, number"

    assert store.query(languages)[1] == [(None,), (None,)]
    bring_to(store, "landed", recordings[1:])
    store.snapshot()

    assert sorted(store.query(languages)[1], key=str) == [("en",), ("en",), (None,), (None,)]
