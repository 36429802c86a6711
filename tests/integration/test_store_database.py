"""The schema and the connection: migrations by many at once, and errors that say where but never what."""

from __future__ import annotations

import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, event, text

import diarynotes.store
import diarynotes.store.asks
import diarynotes.store.call_tables
import diarynotes.store.drop_tables
from diarynotes.errors import BadSettings, StorageFailed
from diarynotes.store import open_store
from diarynotes.store.database import HEAD, begin, open_database
from diarynotes.store.store import Store
from diarynotes.store.tables import metadata
from tests.integration.store_samples import register
from tests.waiting import PATIENCE_S

pytest_plugins = ["tests.integration.store_fixtures"]

MIGRATIONS = Path(diarynotes.store.__file__).with_name("migrations")


def test_migrations_lead_to_the_tables(empty_database: str) -> None:
    engine = open_database(empty_database)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []
        assert context.get_current_revision() == HEAD == ScriptDirectory(str(MIGRATIONS)).get_current_head()
    engine.dispose()


def test_every_migration_can_be_undone(empty_database: str) -> None:
    from alembic.operations import Operations

    engine = open_database(empty_database)
    scripts = ScriptDirectory(str(MIGRATIONS)).walk_revisions()  # the newest first
    with engine.begin() as connection, Operations.context(MigrationContext.configure(connection)):
        for script in scripts:
            script.module.downgrade()
    with engine.connect() as connection:
        tables = connection.scalars(text("select tablename from pg_tables where schemaname = 'public'")).all()
    assert tables == ["alembic_version"]
    engine.dispose()


def test_processes_that_migrate_at_once_all_arrive(empty_database: str, tmp_path: Path, child: object) -> None:
    code = (
        "import sys; from diarynotes.store.database import open_database; sys.stdin.readline();"
        "open_database(sys.argv[1]).dispose(); print('up')"
    )
    starters = [child(code, empty_database) for _ in range(3)]  # type: ignore[operator]
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda process: process.communicate("\n", timeout=PATIENCE_S)[0], starters))
    assert answers == ["up\n"] * 3


def test_opening_an_up_to_date_store_asks_little(database_url: str, tmp_path: Path) -> None:
    asked: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        asked.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        open_store(database_url, tmp_path).close()
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    assert 1 <= len(asked) <= 3, asked


def test_a_newer_database_is_left_alone(database_url: str, store: Store) -> None:
    with store.engine.begin() as connection:
        connection.execute(text("update alembic_version set version_num = '9999'"))
    with pytest.raises(BadSettings, match="newer"):
        open_database(database_url)


def test_no_answer_is_named_without_the_password() -> None:
    password = "s3" + "cret"
    with pytest.raises(StorageFailed, match=r"127\.0\.0\.1") as caught:
        open_database(f"postgresql://me:{password}@127.0.0.1:1/diary?connect_timeout=2")
    assert password not in "".join(traceback.format_exception(caught.value))


def test_a_refused_row_is_not_quoted(store: Store) -> None:
    words = "dear " + "diary"
    with pytest.raises(StorageFailed, match="NotNullViolation") as caught, begin(store.engine) as connection:
        connection.execute(text("insert into recordings (id, owner) values ('r', :words)"), {"words": words})
    assert words not in "".join(traceback.format_exception(caught.value))


def test_one_question_may_be_about_more_recordings_than_a_statement_takes_parameters(store: Store) -> None:
    (known,) = register(store, 1)
    many = [known.id, *(f"{number:064x}" for number in range(70_000))]
    assert list(store.recordings(many)) == [known.id]
    assert (store.transcripts(many), store.notes(recording_ids=many)) == ({}, [])
    assert store.jobs.count(many) == {"received": 1}


def test_a_check_is_kept(store: Store) -> None:
    store.store_check("notes", "10 rows", success=False, details={"unexpected": float("nan")})
    with store.engine.connect() as connection:
        (row,) = connection.execute(text("select suite, subject, success, details from check_results")).all()
    assert tuple(row) == ("notes", "10 rows", False, {"unexpected": "NaN"})


def test_the_embedded_store_opens_and_closes(tmp_path: Path) -> None:
    with open_store(None, tmp_path) as store:
        assert store.jobs.count() == {}
    assert not (tmp_path / "postgres" / "data" / "postmaster.pid").exists()
