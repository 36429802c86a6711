"""The night from end to end: a real Postgres, a real warehouse, and a real Prefect server that is read back."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

import pytest
from prefect import flow
from sqlalchemy import text

from diarynotes import observe, prefect_api
from diarynotes.errors import StorageFailed
from diarynotes.models import WindowText
from diarynotes.prefect_api import TemporaryServer, reporting_to
from diarynotes.settings import Settings, load_settings
from diarynotes.store import open_store
from diarynotes.store.land import TABLES
from diarynotes.store.pruning import prune_answers, prune_heard
from diarynotes.store.statistics import Statistics
from flows import nightly as night
from flows import stages
from flows.events import emitting_events
from flows.pick_up import pick_up
from flows.table_checks import check_postgres, check_warehouse, compare_warehouse, mend_warehouse
from flows.workshop import Workshop, open_workshop
from tests.integration.diary_samples import hear, write
from tests.ports import find_port
from tests.prefect_client import prefect_client
from tests.processes import end_process
from tests.waiting import PATIENCE_S, wait_for

pytest_plugins = ["tests.integration.store_fixtures"]

MORNING = datetime(2026, 5, 21, 7, 30, tzinfo=UTC)
SAID = ("I walked with Zebulon to the observatory today.", "I need to buy a new hose, the old one leaks.")
SECRETS = ("walked", "zebulon", "observatory", "hose", "leaks")
ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "voice-notes"
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    found = load_settings({}, home=tmp_path / "home", timezone="UTC", database_url=database_url)
    (found.home / "bucket").mkdir(parents=True)
    return replace(found, writers=("extractive",))


@pytest.fixture
def shop(settings: Settings) -> Iterator[Workshop]:
    with open_workshop(settings) as workshop:
        yield workshop


@pytest.fixture(scope="module")
def prefect_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("prefect")


@pytest.fixture(scope="module")
def prefect_url(prefect_folder: Path) -> Iterator[str]:
    """A server of ours, with Prefect's UI where there is a browser to look at it."""
    with pytest.MonkeyPatch.context() as patch:
        if CHROMIUM:
            port = find_port()
            patch.setattr(prefect_api, "_free_port", lambda: port)
            ui = {
                "PREFECT__SERVER_EPHEMERAL": "",
                "PREFECT_UI_ENABLED": "1",
                "PREFECT_UI_API_URL": f"http://127.0.0.1:{port}/api",
                "PREFECT_UI_STATIC_DIRECTORY": str(prefect_folder / "ui"),
            }
            patch.setattr(prefect_api, "_SERVER_SETTINGS", {**prefect_api._SERVER_SETTINGS, **ui})
        server = TemporaryServer(prefect_folder)
    server.wait()
    yield server.url
    server.stop()


def land(shop: Workshop, count: int = 1) -> list[str]:
    ids = [hear(shop.store, MORNING + timedelta(days=day), SAID) for day in range(count)]
    write(shop, *ids)
    stages.land_notes(shop, ids)
    return ids


def change(shop: Workshop, statement: str) -> None:
    with shop.store.engine.begin() as connection:
        connection.execute(text(statement))


class Ui:
    """What Prefect shows, read back through its API."""

    def __init__(self, url: str) -> None:
        self._url = url

    def ask(self, what: str, **wanted: Any) -> list[Any]:
        found: list[Any] = self._call("POST", f"{what}/filter", wanted)
        return found

    def all(self, what: str, **wanted: Any) -> list[Any]:
        """Every one there is, page by page."""
        if what == "events":
            wanted = {"limit": 50, **wanted}
            answer = self._call("POST", "events/filter", wanted)
            found = answer["events"]
            while answer["next_page"]:
                answer = self._call("GET", answer["next_page"])
                found += answer["events"]
            return list(found)
        found = page = self.ask(what, limit=200, **wanted)
        while page:
            page = self.ask(what, limit=200, offset=len(found), **wanted)
            found = found + page
        return found

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        with prefect_client(self._url) as client:
            return client.request(method, path, json=body).raise_for_status().json()


@contextmanager
def reporting(url: str) -> Iterator[Ui]:
    with reporting_to(url):
        yield Ui(url)


class Standing(datetime):
    """A clock that says for ever when this began."""

    began = datetime.now(UTC)

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        return cls.began.astimezone(tz)


def run_night(url: str, **wanted: Any) -> Any:
    with reporting(url):
        return night.nightly(return_state=True, **wanted)


@pytest.mark.slow
def test_a_night_does_every_step_and_a_second_one_next_to_nothing(
    shop: Workshop, prefect_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(night, "datetime", Standing)  # both are of one day, whenever this runs
    land(shop, 2)
    left = hear(shop.store, MORNING + timedelta(days=2), SAID)  # by a run that died
    state = run_night(prefect_url)
    assert state.is_completed(), state.message
    done = state.result()
    assert [name for name, _ in night.STEPS] == list(done)
    assert done["sweep"].startswith("1 recording taken on")
    assert done["entries"] == "2 entries written"  # the third was written by the sweep
    assert done["check tables"] == "3 recordings in Postgres and 3 in the warehouse keep every rule"
    assert shop.store.jobs.count() == {"landed": 3}
    assert shop.store.notes(recording_ids=[left])
    page = next((shop.settings.home / "reports").iterdir())
    assert "<svg" in page.read_text()

    versions = shop.store.warehouse.versions()
    again = run_night(prefect_url).result()
    assert again["sweep"].startswith("0 recordings")
    assert again["entries"] == "0 entries written"
    assert shop.store.warehouse.versions() == versions
    assert [page.name] == [each.name for each in (shop.settings.home / "reports").iterdir()]


@pytest.mark.slow
def test_a_run_that_picks_up_writes_the_entry_that_a_dead_one_left(shop: Workshop, prefect_url: str) -> None:
    land(shop, 1)
    change(shop, "update jobs set updated_at = now() - interval '61 seconds'")
    with reporting(prefect_url):
        first, second = [pick_up(return_state=True) for _ in range(2)]
    assert (first.message, second.message) == ("1 day had been left without an entry", "Nothing to do")
    assert [stored.entry.day for stored in shop.store.entries()] == [MORNING.date()]
    assert shop.store.query("select count(*) from entries")[1] == [(1,)]


@pytest.mark.slow
def test_a_step_that_fails_is_told_of_and_the_others_are_done(
    shop: Workshop, prefect_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    land(shop)

    def fail() -> None:
        raise StorageFailed("the warehouse", "no space left on device")

    monkeypatch.setattr(shop.store.warehouse, "tidy", fail)
    monkeypatch.setattr(night, "write_entries", lambda *_, **__: 1 / 0)
    state = run_night(prefect_url)
    assert state.is_failed()
    assert state.message is not None
    assert state.message.startswith(f"2 of {len(night.STEPS)} steps failed, the others are done. entries: ")
    assert "ZeroDivisionError" in state.message
    assert "no space left on device" in state.message
    assert list((shop.settings.home / "reports").iterdir())


@contextmanager
def start(what: str, *arguments: str, shop: Workshop, url: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A process with work of `night_work`, on the home and the database of `shop`."""
    settings = shop.settings
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("DIARYNOTES_", "PREFECT_"))}
    assert settings.database_url is not None
    ours = {
        "DIARYNOTES_HOME": str(settings.home),
        "DIARYNOTES_DATABASE_URL": settings.database_url,
        "DIARYNOTES_TIMEZONE": "UTC",
        "DIARYNOTES_ENGINE": "scripted",
        "DIARYNOTES_WRITERS": "extractive",
        "PREFECT_API_URL": url,
        "PREFECT_HOME": str(settings.home / "prefect"),
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-m", "tests.integration.night_work", what, *arguments]
    process = subprocess.Popen(command, env={**inherited, **ours, **environment}, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        end_process(process)


@pytest.mark.slow
def test_a_night_that_was_killed_is_completed_by_the_next(shop: Workshop, prefect_url: str) -> None:
    land(shop, 2)
    with start("hang", shop=shop, url=prefect_url) as night_of_death:
        assert night_of_death.stdout is not None
        assert night_of_death.stdout.readline() == "writing an entry\n"
    assert not shop.store.entries()
    state = run_night(prefect_url)
    assert state.is_completed(), state.message
    assert state.result()["entries"] == "2 entries written"
    assert len(shop.store.entries()) == 2


@pytest.mark.slow
def test_nothing_that_was_said_gets_into_prefect(shop: Workshop, prefect_url: str, prefect_folder: Path) -> None:
    names = sorted(path.name for path in EXAMPLES.iterdir() if path.suffix in (".wav", ".webm", ".ogg"))
    for folder, name in zip(("first", "first", "second"), names, strict=True):
        (shop.settings.home / folder).mkdir(exist_ok=True)
        shutil.copy(EXAMPLES / name, shop.settings.home / folder / name)
    (shop.settings.home / "first" / "broken.wav").write_bytes(b"nothing like sound")
    talkative = {"PREFECT_LOGGING_LEVEL": "DEBUG", "PREFECT_LOGGING_ROOT_LEVEL": "DEBUG"}
    with start("talk", str(shop.settings.home / "first"), *SAID, shop=shop, url=prefect_url, **talkative) as work:
        told, _ = work.communicate(timeout=2 * PATIENCE_S)
    ids, failed, night_state = [line for line in told.splitlines() if re.match(r"\[|[A-Z]+$", line)]
    assert (failed, night_state) == ("FAILED", "COMPLETED")
    # it was heard, and got into the diary
    notes = shop.store.notes()
    assert len(notes) == 3
    assert all(stored.transcript.text in SAID for stored in notes)

    ui = Ui(prefect_url)
    asked = {
        "logs": {"sort": "TIMESTAMP_ASC"},
        "artifacts": {},
        "flow_runs": {},
        "task_runs": {},
        "events": {"filter": {"order": "ASC"}},
        "deployments": {},
        "block_documents": {"include_secrets": True},
        "variables": {},
    }
    wait_for(lambda: "prefect.flow-run.Completed" in {event["event"] for event in ui.all("events")[:20]})
    back = {what: ui.all(what, **wanted) for what, wanted in asked.items()}
    assert {str(run["state"]["message"]) for run in back["flow_runs"]} >= {"2 landed, 1 set aside"}
    tasks = {(run["name"], str(run["state"]["message"])) for run in back["task_runs"]}
    assert tasks >= {("register 1-3 of 3", "3 recordings known"), ("transcribe 1-3 of 3", "2 heard, 1 set aside")}
    assert {found["key"] for found in back["artifacts"]} >= {"diary-recordings", "nightly-report", "nightly-tables"}
    assert {f"hearing-{key}" for key in json.loads(ids)} & {found["key"] for found in back["artifacts"]}
    assert any("ValueError in " in line["message"] for line in back["logs"])  # told, without its words
    assert any(line["level"] == logging.DEBUG for line in back["logs"])
    assert {event["event"] for event in back["events"]} >= {"diarynotes.recording.landed"}
    for what, found in back.items():
        text = json.dumps(found).lower()
        assert not [word for word in SECRETS if word in text], what
    # whatever else Prefect keeps
    for path in prefect_folder.glob("prefect.db*"):
        kept = path.read_bytes().lower()
        assert not [word for word in SECRETS if word.encode() in kept], path


def browse(page: str, folder: Path) -> str:
    """What a browser makes of a page, as HTML."""
    assert CHROMIUM is not None
    options = [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        f"--user-data-dir={folder}",
    ]
    command = [CHROMIUM, *options, "--virtual-time-budget=15000", "--dump-dom", page]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S).stdout


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_a_browser_shows_the_run_and_the_pictures_of_its_report(
    shop: Workshop, prefect_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    land(shop)
    monkeypatch.setattr(night, "STEPS", [("report", night.report)])
    state = run_night(prefect_url)
    run_id = str(state.state_details.flow_run_id)
    artifacts = Ui(prefect_url).ask("artifacts", artifacts={"flow_run_id": {"any_": [run_id]}})
    (report,) = [each["id"] for each in artifacts if each["key"] == "nightly-report"]
    server = prefect_url.removesuffix("/api")

    def shows(page: str, *wanted: str) -> bool:
        html = browse(f"{server}/{page}", tmp_path / "browser")
        return all(each in html for each in wanted)

    wait_for(lambda: shows(f"runs/flow-run/{run_id}", f"night of {datetime.now(UTC):%Y-}", "Completed"))
    title = "Minutes of sound a day"
    wait_for(
        lambda: shows(f"artifacts/artifact/{report}", "The diary on", f'alt="{title}"', "data:image/svg+xml;base64,")
    )


@pytest.mark.slow
def test_threads_of_ours_report_to_the_server_of_their_run(prefect_url: str) -> None:
    def warn() -> None:
        logging.getLogger("diarynotes.flows").warning("told by a thread of ours")
        observe.recording_quarantined("thread", "silent", "validation_error")

    @flow(name="threads")
    def probe() -> None:
        with emitting_events():
            thread = threading.Thread(target=warn)
            thread.start()
            thread.join()

    with reporting(prefect_url) as ui:
        state = probe(return_state=True)
    wanted = {"flow_run_id": {"any_": [str(state.state_details.flow_run_id)]}}
    messages = {"told by a thread of ours", "Recording thread was set aside: silent"}
    wait_for(lambda: messages <= {line["message"] for line in ui.ask("logs", logs=wanted)}, "what the thread tells")
    wanted = {"event": {"name": ["diarynotes.recording.quarantined"]}}
    wait_for(lambda: "thread" in json.dumps(ui.all("events", filter=wanted)))


def test_whole_tables_are_checked_by_chunks(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.table_checks._CHUNK", 2)
    ids = land(shop, 5)
    for looked in (check_postgres(shop), check_warehouse(shop)):
        assert looked.recordings == len(ids)
        assert not looked.faults
        assert {check.table: check.rows for check in looked.checks if check.table != "costs"} == dict.fromkeys(
            ("recordings", "transcripts", "notes"), 5
        )


def test_both_sides_measure_the_same(shop: Workshop) -> None:
    land(shop, 2)
    first, second = ({check.table: check.checks for check in look(shop).checks} for look in LOOKS)
    assert first == second


LOOKS: tuple[Callable[[Workshop], Any], ...] = (check_postgres, check_warehouse)


def test_rows_that_break_a_rule_are_named(shop: Workshop) -> None:
    ids = land(shop, 2)
    change(shop, f"update transcripts set trust = 7 where recording_id = '{ids[0]}'")
    (fault,) = check_postgres(shop).faults
    assert (fault.code, fault.count, fault.examples) == ("transcripts.trust", 1, (ids[0],))
    assert not check_warehouse(shop).faults


def test_a_warehouse_that_differs_is_seen(shop: Workshop) -> None:
    ids = land(shop, 2)
    assert not compare_warehouse(shop)
    change(shop, f"update jobs set landed_attempt = 99 where recording_id = '{ids[0]}'")
    found = compare_warehouse(shop)
    assert {finding.code for finding in found} == {"warehouse_stale"}
    shop.store.rebuild()
    assert not compare_warehouse(shop)


def test_what_differs_lands_once_more(shop: Workshop) -> None:
    ids = land(shop, 3)
    forget(shop, "notes", ids[0])
    forget(shop, "segments", ids[1])
    assert not mend_warehouse(shop, compare_warehouse(shop))
    versions = shop.store.warehouse.versions()
    assert not mend_warehouse(shop, compare_warehouse(shop))
    assert shop.store.warehouse.versions() == versions


def test_a_table_that_cannot_be_read_is_left_to_a_person(shop: Workshop) -> None:
    land(shop)
    max((shop.store.warehouse.folder / "costs" / "_delta_log").glob("*.json")).write_bytes(b"")
    found = compare_warehouse(shop)
    assert [finding.code for finding in mend_warehouse(shop, found)] == ["warehouse_torn"]


@pytest.mark.slow
def test_the_warehouse_is_mended_while_others_land(shop: Workshop, database_url: str) -> None:
    ids = land(shop, 12)
    over = threading.Event()

    def land_anew(mine: list[str]) -> int:
        """Newer and newer attempts of some recordings, as upgrades bring them."""
        count = 0
        with open_store(database_url, shop.settings.home) as other:
            while not over.is_set():
                for job in other.jobs.claim("landed", ids=[mine[count % len(mine)]]):
                    (stored,) = other.notes(recording_ids=[job.recording_id])
                    other.jobs.store_note(job, stored.note)
                    other.land(other.jobs.claim("written", ids=[job.recording_id]))
                    count += 1
        return count

    with ThreadPoolExecutor(2) as pool:
        landing = [pool.submit(land_anew, ids[start::3]) for start in (0, 1)]  # nobody lands the others
        try:
            for number, key in enumerate(ids):
                forget(shop, TABLES[number % len(TABLES)], key)
                mend_warehouse(shop, shop.store.verify())
        finally:
            over.set()
        assert min(each.result() for each in landing) > 3
    assert shop.store.verify() == ()
    attempts = {line.job.recording_id: line.job.attempt for line in shop.store.jobs.list()}
    for table in ("notes", "recordings", "transcripts", "segments"):
        rows = shop.store.warehouse.read(table).collect()
        assert {row["recording_id"]: row["attempt"] for row in rows.iter_rows(named=True)} == attempts, table


def forget(shop: Workshop, table: str, recording_id: str) -> None:
    """The rows of a recording leave a table of the warehouse."""
    from deltalake import DeltaTable
    from deltalake.exceptions import CommitFailedError

    for _ in range(20):
        with suppress(CommitFailedError):  # somebody has landed meanwhile
            DeltaTable(shop.store.warehouse.folder / table).delete(f"recording_id = '{recording_id}'")
            return


def test_days_add_up(shop: Workshop) -> None:
    land(shop, 3)
    change(shop, "update recordings set registered_at = '2026-05-20T23:30:00Z' where recorded_at < '2026-05-22'")
    change(shop, "update recordings set registered_at = '2026-05-22T12:00:00Z' where recorded_at > '2026-05-22'")
    found = Statistics(shop.store.engine, zone=shop.settings.zone).days(
        datetime(2026, 5, 19).date(), datetime(2026, 5, 22).date()
    )
    assert [day.recordings for day in found] == [0, 1, 0, 2]
    assert [day.landed for day in found] == [0, 1, 0, 2]
    assert [day.notes for day in found] == [0, 1, 0, 2]
    assert found[3].audio_s == 2 * 8.0
    assert found[3].trust == pytest.approx(0.9)
    words = sum(len(each.split()) for each in SAID)
    assert found[3].words_per_minute == pytest.approx(60 * words / 7.0)
    assert found[0].trust is None


def test_what_is_old_is_forgotten_and_nothing_else(shop: Workshop) -> None:
    (done,) = land(shop)
    waiting = hear(shop.store, MORNING + timedelta(days=5), SAID)
    put = "insert into heard_windows (recording_id, key, number, text, heard_at) values ('{}', 'k', 0, '{}', {})"
    said = '{"text": "x"}'
    assert WindowText("x").text == "x"
    change(shop, put.format(done, said, "now()"))
    change(shop, put.format(waiting, said, "now()"))
    change(shop, put.format(waiting, said, "now() - interval '31 days'"))
    for key, age in (("new", 1), ("old", 31)):
        kept = f"now() - interval '{age} days'"
        change(shop, f"insert into answers (key, owner, text, kept_at) values ('{key}', 'me', 'x', {kept})")
    assert prune_answers(shop.store.engine) == 1
    assert prune_heard(shop.store.engine) == 2
    assert (prune_answers(shop.store.engine), prune_heard(shop.store.engine)) == (0, 0)
