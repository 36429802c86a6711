"""Drills: what goes wrong at its worst hour. What each one shows is told in docs/chaos.md."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from deltalake import DeltaTable
from sqlalchemy import text

from diarynotes.buckets import list_objects
from diarynotes.cli import main
from diarynotes.cli.doctor import _check_store
from diarynotes.settings import Settings, load_settings
from diarynotes.store.land import TABLES
from flows import entries, stages, transcription
from flows.upgrades import upgrade_notes
from flows.workshop import Wishes, Workshop
from tests.integration.vendor_server import Answer, Seen, Vendor, serve
from tests.integration.vendor_wire import KEY, WIRES, conversation
from tests.processes import end_process
from tests.waiting import PATIENCE_S

pytest_plugins = ["tests.integration.store_fixtures"]
pytestmark = pytest.mark.slow

WISHES = Wishes("scripted", "", "", ())
OWNER = "anna"


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    with serve() as running:
        running.answers = [WIRES["openai"].behave]
        yield running


@pytest.fixture
def settings(tmp_path: Path, database_url: str, vendor: Vendor) -> Settings:
    keys = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": f"{vendor.url}/v1"}
    found = load_settings(keys, home=tmp_path / "home", database_url=database_url, timezone="Europe/Berlin")
    return replace(found, writers=("openai",), writer_concurrency=1, workers=1)


@pytest.fixture
def open_shop() -> Iterator[Callable[[Settings], Workshop]]:
    """Opens workshops that are closed at the end."""
    opened: list[Workshop] = []

    def open_(settings: Settings) -> Workshop:
        settings.home.mkdir(exist_ok=True)
        opened.append(Workshop(settings))
        return opened[-1]

    yield open_
    for shop in opened:
        shop.close()


def register(shop: Workshop, source: str) -> tuple[str, ...]:
    return stages.register_objects(shop, list(list_objects(source)), owner=OWNER, priority="normal").ids


def work_off(shop: Workshop, ids: tuple[str, ...]) -> None:
    """Every stage over these recordings, once."""
    stages.validate_recordings(shop, ids)
    transcription.transcribe_claimed(shop, ids, wishes=WISHES)
    stages.write_notes(shop, ids, wishes=WISHES)
    stages.land_notes(shop, ids)
    entries.write_entries(shop, ids, wishes=WISHES)


def writers_of(shop: Workshop) -> list[str]:
    return sorted(line.note.writer for line in shop.store.notes())


def assert_whole(shop: Workshop, count: int) -> None:
    """So many notes landed, each once, on all sides."""
    assert shop.store.jobs.count() == {"landed": count}
    assert len(shop.store.notes()) == count
    assert shop.store.verify() == ()
    assert shop.store.stale_days() == []


# -- a key is revoked -------------------------------------------------------------------------------------------------


def test_a_key_that_is_revoked_in_mid_run_degrades_what_is_left_until_it_is_back(
    open_shop: Any, settings: Settings, vendor: Vendor, make_notes: Any, tmp_path: Path
) -> None:
    make_notes(tmp_path / "notes", 4)
    shop = open_shop(settings)
    wire = WIRES["openai"]
    known: set[str] = set()

    def answer(seen: Seen) -> Answer:
        known.add(question(seen))
        return wire.behave(seen) if len(known) < 3 else wire.refuse(401, "Incorrect API key provided")

    vendor.answers = [answer]
    work_off(shop, register(shop, str(tmp_path / "notes")))
    assert_whole(shop, 4)
    assert writers_of(shop) == ["extractive", "extractive", "openai", "openai"]
    assert len(known) == 3  # after one refusal nobody asks in vain again
    (breaker,) = shop.store.breakers()
    assert (breaker.key, breaker.reason) == ("openai", "auth")
    told = [finding.code for line in shop.store.notes() for finding in line.note.findings]
    assert told.count("writer_failed") == 2

    vendor.answers = [wire.behave]
    with shop.store.engine.begin() as connection:  # a quarter of an hour later
        connection.execute(text("update breakers set open_until = now()"))
    degraded = tuple(shop.store.degraded())
    assert len(degraded) == 2
    assert set(upgrade_notes(shop, degraded, wishes=WISHES).ids) == set(degraded)
    work_off(shop, degraded)
    assert_whole(shop, 4)
    assert writers_of(shop) == ["openai"] * 4
    assert shop.store.breakers() == []


# -- a bucket shuts its door ------------------------------------------------------------------------------------------


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Callable[[bool], None]]]:
    """A bucket's address in Amazon, as moto plays it, and what gives or takes the permission to read it."""
    server = pytest.importorskip("moto.server", reason="moto is not installed: pip install 'diarynotes[dev]'")
    running = server.ThreadedMotoServer(port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    url = f"http://{host.replace('0.0.0.0', '127.0.0.1')}:{port}"
    names = {"AWS_ENDPOINT_URL": url, "AWS_DEFAULT_REGION": "us-east-1", "AWS_MAX_ATTEMPTS": "1"}
    for name, value in {**names, "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "k"}.items():
        monkeypatch.setenv(name, value)

    def permit(is_allowed: bool) -> None:
        told = b"inf" if is_allowed else b"0"  # how many calls moto answers before it asks for a right
        plain = {"content-type": "text/plain"}
        urllib.request.urlopen(urllib.request.Request(f"{url}/moto-api/reset-auth", told, plain)).close()

    yield "s3://notes", permit
    permit(True)
    running.stop()


def test_recordings_come_home_when_a_lost_permission_is_back(
    open_shop: Any, settings: Settings, bucket: Any, make_notes: Any, tmp_path: Path
) -> None:
    from botocore.session import Session

    source, permit = bucket
    amazon = Session().create_client("s3")
    amazon.create_bucket(Bucket="notes")
    for path in make_notes(tmp_path / "notes", 3):
        amazon.put_object(Bucket="notes", Key=f"{OWNER}/{path.name}", Body=path.read_bytes())
    shop = open_shop(settings)
    ids = register(shop, source)
    permit(False)
    problems: list[Any] = []
    assert list(list_objects(source, on_problem=problems.append)) == []
    assert [problem.code for problem in problems] == ["source_unavailable"]
    work_off(shop, ids)
    lines = shop.store.jobs.list(ids)
    assert {(line.job.state, line.job.error_code) for line in lines} == {("waiting", "source_unavailable")}
    assert all(source in str(line.job.error_message) for line in lines)

    permit(True)
    shop.store.jobs.retry(ids)
    work_off(shop, ids)
    assert_whole(shop, 3)


# -- a clock is wrong -------------------------------------------------------------------------------------------------

# Whatever of diarynotes asks Python for the time is told another one; what comes from Postgres is not.
LATE = """
import datetime, sys, time
from pathlib import Path
from diarynotes.settings import load_settings
from flows.workshop import Workshop
from tests.acceptance import test_drills as drills

skew_s, claimed, ids = float(sys.argv[1]), sys.argv[2], tuple(sys.argv[3:])
real, true = datetime.datetime, time.time
time.time = lambda: true() + skew_s

class Late(real):
    @classmethod
    def now(cls, zone=None):
        return real.fromtimestamp(time.time(), zone)

for name, module in list(sys.modules.items()):
    if name.startswith(("diarynotes", "flows")) and getattr(module, "datetime", None) is real:
        module.datetime = Late

shop = Workshop(load_settings())
print("claims", len(shop.store.jobs.claim("received", ids=[claimed])), flush=True)
sys.stdin.readline()
drills.work_off(shop, ids)
shop.close()
"""


def test_workers_whose_clocks_are_an_hour_off_take_nothing_from_the_others(
    open_shop: Any, settings: Settings, vendor: Vendor, make_notes: Any, tmp_path: Path
) -> None:
    make_notes(tmp_path / "notes", 5)
    shop = open_shop(settings)
    ids = register(shop, str(tmp_path / "notes"))
    (mine,) = shop.store.jobs.claim("received", ids=ids[:1])
    names = {"HOME": settings.home, "DATABASE_URL": settings.database_url, "WRITERS": "openai"}
    names["TIMEZONE"] = "Europe/Berlin"
    environment = {f"DIARYNOTES_{name}": str(value) for name, value in names.items()}
    environment |= {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": f"{vendor.url}/v1"}
    command = [sys.executable, "-c", LATE]
    with ExitStack() as ending:
        workers = [
            subprocess.Popen(
                [*command, str(skew_s), claimed, *ids],
                env=os.environ | environment,
                cwd=Path(__file__).parents[2],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for skew_s, claimed in ((3600, ids[1]), (-3600, ids[2]))
        ]
        for worker in workers:
            ending.callback(end_process, worker)
        assert [worker.stdout.readline() for worker in workers if worker.stdout] == ["claims 1\n"] * 2
        # Their leases are no shorter for their clocks.
        assert shop.store.jobs.claim_suspects("received", ids=ids[1:3]) == []
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.write("go\n")
            worker.stdin.flush()
        for worker in workers:
            worker.communicate(timeout=2 * PATIENCE_S)
            assert worker.returncode == 0
    states = {line.job.recording_id: line.job.state for line in shop.store.jobs.list()}
    assert [states[key] for key in (ids[0], *ids[3:])] == ["received", "landed", "landed"]
    shop.store.jobs.release(mine)
    work_off(shop, ids)
    assert_whole(shop, 5)
    days = {line.recording.id: line.note.day.isoformat() for line in shop.store.notes()}
    assert sorted(days.values()) == [f"2026-05-0{day}" for day in range(1, 6)]
    calls = shop.store.ledger()
    with shop.store.engine.begin() as connection:
        off_s = connection.scalar(text("select max(abs(extract(epoch from now() - begun_at))) from calls"))
        assert connection.scalar(text("select count(*) from spend where reserved_usd <> 0")) == 0
    assert len(calls) == len(vendor.seen) == 5
    assert off_s < 600


# -- an older database ------------------------------------------------------------------------------------------------


def copy_database(home: Path, place: Path) -> None:
    """The folder of the embedded Postgres, which is stopped."""
    assert not (home / "postgres" / "data" / "postmaster.pid").exists()
    shutil.copytree(home / "postgres" / "data", place, symlinks=True)


def restore_database(home: Path, place: Path) -> None:
    """Puts a copy into the place of what is there now."""
    data = home / "postgres" / "data"
    user = data.stat()
    shutil.rmtree(data)
    shutil.copytree(place, data, symlinks=True)
    for path in [data, *data.rglob("*")]:
        os.chown(path, user.st_uid, user.st_gid, follow_symlinks=False)


def remedies(settings: Settings) -> list[str]:
    """What the doctor says is to be done about the database and the warehouse."""
    return [check.remedy for check in _check_store(settings) if check.status != "ok"]


def test_a_database_of_yesterday_gets_back_what_it_forgot_from_the_warehouse_of_today(
    open_shop: Any, settings: Settings, vendor: Vendor, make_notes: Any, tmp_path: Path, caplog: Any
) -> None:
    notes = make_notes(tmp_path / "notes", 5)
    (tmp_path / "later").mkdir()
    for path in notes[3:]:
        path.rename(tmp_path / "later" / path.name)
    own = replace(settings, database_url=None)
    shop = open_shop(own)
    wire = WIRES["openai"]
    vendor.answers = [lambda seen: wire.behave(seen) if len(vendor.seen) < 3 else wire.refuse(401, "No such key")]
    work_off(shop, register(shop, str(tmp_path / "notes")))
    assert writers_of(shop) == ["extractive", "openai", "openai"]
    shop.close()
    copy_database(own.home, tmp_path / "yesterday")

    vendor.answers = [wire.behave]
    shop = open_shop(own)
    with shop.store.engine.begin() as connection:
        connection.execute(text("update breakers set open_until = now()"))
    work_off(shop, register(shop, str(tmp_path / "later")))
    degraded = tuple(shop.store.degraded())
    assert upgrade_notes(shop, degraded, wishes=WISHES).ids == degraded
    work_off(shop, degraded)
    assert_whole(shop, 5)
    written = {line.recording.id: (line.note.id, line.usd) for line in shop.store.notes()}
    landed = rows(shop)
    shop.close()

    restore_database(own.home, tmp_path / "yesterday")
    (remedy,) = remedies(own)
    assert "`diarynotes mend`" in remedy
    assert "older copy" in remedy
    asked = len(vendor.seen)
    shop = open_shop(own)
    for folder in ("notes", "later"):
        work_off(shop, register(shop, str(tmp_path / folder)))
    assert "older copy of the database was restored: 3 recordings" in caplog.text
    assert_whole(shop, 5)
    assert {line.recording.id: (line.note.id, line.usd) for line in shop.store.notes()} == written
    assert rows(shop) == landed
    shop.store.rebuild()
    assert rows(shop) == landed
    assert shop.store.degraded() == []
    assert len(vendor.seen) == asked  # nobody is paid for anything twice


def test_a_database_of_ten_minutes_ago_takes_back_what_was_under_way_then(
    open_shop: Any, settings: Settings, vendor: Vendor, make_notes: Any, tmp_path: Path
) -> None:
    make_notes(tmp_path / "notes", 5)
    own = replace(settings, database_url=None)
    shop = open_shop(own)
    ids = register(shop, str(tmp_path / "notes"))
    work_off(shop, ids[:1])
    stages.validate_recordings(shop, ids[1:4])
    transcription.transcribe_claimed(shop, ids[1:3], wishes=WISHES)
    stages.write_notes(shop, ids[1:2], wishes=WISHES)
    assert shop.store.jobs.count() == {"landed": 1, "written": 1, "transcribed": 1, "validated": 1, "received": 1}
    shop.close()
    copy_database(own.home, tmp_path / "before")
    shop = open_shop(own)
    work_off(shop, ids[:4])
    landed = rows(shop)
    shop.close()
    asked = len(vendor.seen)
    assert asked == 4

    restore_database(own.home, tmp_path / "before")
    mend = ["--home", str(own.home), "mend"]
    assert CliRunner().invoke(main, [*mend, "--dry-run"]).exit_code == 1
    outcome = CliRunner().invoke(main, mend)
    assert outcome.exit_code == 0, outcome.output
    assert "had forgotten 3 recordings" in outcome.output
    assert remedies(own) == []
    shop = open_shop(own)
    assert rows(shop) == landed
    assert shop.store.jobs.count() == {"landed": 4, "received": 1}
    work_off(shop, ids)
    assert_whole(shop, 5)
    assert len(vendor.seen) == asked + 1


def test_whatever_else_differs_is_made_anew_by_the_command_that_the_doctor_names(
    open_shop: Any, settings: Settings, make_notes: Any, tmp_path: Path
) -> None:
    make_notes(tmp_path / "notes", 3)
    shop = open_shop(settings)
    work_off(shop, register(shop, str(tmp_path / "notes")))
    landed = rows(shop)
    folder = shop.store.warehouse.folder
    first, second = sorted(line.recording.id for line in shop.store.notes())[:2]
    for hurt in (
        lambda: DeltaTable(folder / "notes").delete(f"recording_id = '{first}'"),
        lambda: DeltaTable(folder / "segments").delete(f"recording_id = '{second}'"),
        lambda: shutil.rmtree(folder),
        lambda: max((folder / "costs" / "_delta_log").glob("*.json")).write_bytes(b""),
    ):
        hurt()
        (remedy,) = remedies(settings)
        assert "`diarynotes mend`" in remedy
        assert (
            CliRunner().invoke(main, ["--home", str(settings.home), "mend"], env=environment_of(settings)).exit_code
            == 0
        )
        assert remedies(settings) == []
        assert rows(shop) == landed


def environment_of(settings: Settings) -> dict[str, str]:
    return {"DIARYNOTES_DATABASE_URL": str(settings.database_url)}


def rows(shop: Workshop) -> dict[str, list[str]]:
    """What the warehouse holds."""
    read = shop.store.warehouse.read
    return {table: sorted(map(repr, read(table).collect().rows())) for table in TABLES}


def question(seen: Seen) -> str:
    return hashlib.sha256(conversation(seen)[0].encode()).hexdigest()
