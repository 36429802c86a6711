"""The DuckDB snapshot: built beside the old one and renamed into its place, read with everything else locked away.

Knows the warehouse's files and DuckDB. Readers of the old snapshot keep it until they close it.
"""

from __future__ import annotations

import re
import shutil
import time
import uuid
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diarynotes.errors import BadSettings, StorageFailed
from diarynotes.store.facts import JobLine, StoredEntry
from diarynotes.store.land import TABLES, make_frame, schema_of
from diarynotes.store.warehouse import Warehouse

if TYPE_CHECKING:
    import polars as pl
    from duckdb import DuckDBPyConnection

_MOST_MEMORY = "1GB"
"""What DuckDB may take; what needs more, such as the order of very many notes, goes over the disk."""
_LEFTOVER_AGE_S = 3600.0
"""A half-built snapshot this old belongs to a process that was killed."""


def build_snapshot(
    path: Path,
    warehouse: Warehouse,
    jobs: Iterable[Sequence[JobLine]],
    entries: Sequence[StoredEntry] = (),
    *,
    stand: str = "",
) -> None:
    """Put a new DuckDB file at `path`: the warehouse's tables as they are now, `jobs` page by page, and `entries`.

    `stand` names what the file was built from; `read_stand` gives it back. Raises StorageFailed.
    """
    import duckdb

    fresh = path.with_name(f".{path.name}-{uuid.uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(path)
        with duckdb.connect(fresh, config={"memory_limit": _MOST_MEMORY}) as connection:
            connection.execute("set TimeZone = 'UTC'")
            connection.begin()
            for table in TABLES:
                _copy_table(connection, table, warehouse, fresh)
            _copy_frame(connection, "jobs", _jobs_frame(()), fresh)
            for page in jobs:
                _add_frame(connection, "insert into jobs", _jobs_frame(page), fresh)
            _copy_frame(connection, "entries", _entries_frame(entries), fresh)
            connection.execute(f"comment on table jobs is '{stand}'")
            connection.commit()
        fresh.chmod(0o600)
        fresh.replace(path)
    except duckdb.Error as failure:
        raise StorageFailed(str(path), f"the snapshot cannot be built ({type(failure).__name__})") from failure
    except OSError as failure:
        raise StorageFailed(str(path), failure.strerror or type(failure).__name__) from failure
    finally:
        for leftover in (fresh, Path(f"{fresh}.wal"), Path(f"{fresh}.parquet")):
            leftover.unlink(missing_ok=True)


def read_stand(path: Path) -> str | None:
    """What the snapshot at `path` was built from; None where there is none that can be read."""
    import duckdb

    try:
        with duckdb.connect(path, read_only=True) as connection:
            row = connection.execute("select comment from duckdb_tables() where table_name = 'jobs'").fetchone()
    except duckdb.Error:
        return None
    return row[0] if row else None


def query_snapshot(path: Path, sql: str, *, limit: int = 1000) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Column names and at most `limit` rows of a query that can read the snapshot and nothing else, and write nothing.

    Raises BadSettings where there is no snapshot yet or the query is wrong.
    """
    import duckdb

    if not path.exists():
        raise BadSettings("query", "Nothing has landed yet, so there is nothing to ask. Run `diarynotes run` first.")
    locks: dict[str, str | bool | int | float | list[str]] = {
        "enable_external_access": False,
        "autoinstall_known_extensions": False,
    }
    try:
        with duckdb.connect(path, read_only=True, config=locks) as connection:
            connection.execute("set TimeZone = 'UTC'; set lock_configuration = true")
            result = connection.execute(sql)
            columns = [column[0] for column in result.description or []]
            return columns, result.fetchmany(limit)
    except duckdb.Error as failure:
        raise BadSettings("query", _explain(failure)) from None


def _copy_table(connection: DuckDBPyConnection, table: str, warehouse: Warehouse, fresh: Path) -> None:
    files = [_unglobbed(path) for path in warehouse.files(table)]
    if not files:
        _copy_frame(connection, table, make_frame(table, []), fresh)
        return
    rows = "read_parquet($files, hive_partitioning = true, hive_types = {'day': date}, union_by_name = true)"
    present = {row[0] for row in connection.execute(f"describe select * from {rows}", {"files": files}).fetchall()}  # noqa: S608
    if not present.issuperset(schema_of(table)):  # every file is from before a column was added
        _copy_frame(connection, table, warehouse.read(table).sort("day", "recording_id").collect(), fresh)
        return
    connection.execute(
        f"create table {table} as select {', '.join(schema_of(table))} from {rows} order by day, recording_id",  # noqa: S608
        {"files": files},
    )


def _copy_frame(connection: DuckDBPyConnection, table: str, frame: pl.DataFrame, fresh: Path) -> None:
    _add_frame(connection, f"create table {table} as", frame, fresh)


def _add_frame(connection: DuckDBPyConnection, statement: str, frame: pl.DataFrame, fresh: Path) -> None:
    rows = Path(f"{fresh}.parquet")  # DuckDB takes frames over Arrow only with pyarrow, which is not needed otherwise
    rows.touch(mode=0o600)
    frame.write_parquet(rows)
    connection.execute(f"{statement} select * from read_parquet($file)", {"file": _unglobbed(rows)})  # noqa: S608
    rows.unlink()  # now, since a process that is killed later leaves it behind


def _jobs_frame(jobs: Sequence[JobLine]) -> pl.DataFrame:
    import polars as pl

    schema: dict[str, Any] = dict.fromkeys(("recording_id", "owner", "source", "state", "resume_state"), pl.String)
    schema |= {"attempt": pl.Int32, "failures": pl.Int32, "error_code": pl.String, "error_message": pl.String}
    schema |= {"next_attempt_at": pl.Datetime("us", "UTC"), "updated_at": pl.Datetime("us", "UTC")}
    rows = [
        {"owner": line.owner, "source": line.uri} | {f.name: getattr(line.job, f.name) for f in fields(line.job)}
        for line in jobs
    ]
    return pl.DataFrame(rows, schema=schema)


def _entries_frame(entries: Sequence[StoredEntry]) -> pl.DataFrame:
    import polars as pl

    texts = pl.List(pl.String)
    schema: dict[str, Any] = {"day": pl.Date, "owner": pl.String, "title": pl.String, "mood": pl.String}
    schema |= {"mood_score": pl.Float64, "summary": pl.String, "body": pl.String}
    schema |= {"people": texts, "places": texts, "topics": texts}
    schema |= {"todos": pl.List(pl.Struct({"text": pl.String, "due": pl.Date})), "questions": texts}
    schema |= {"writer": pl.String, "model": pl.String, "degraded": pl.Boolean, "grounded_share": pl.Float64}
    schema |= {"note_ids": texts, "written_at": pl.Datetime("us", "UTC")}
    return pl.DataFrame([_entry_row(stored) for stored in entries], schema=schema)


def _entry_row(stored: StoredEntry) -> dict[str, Any]:
    entry, draft = stored.entry, stored.entry.draft
    row: dict[str, Any] = {name: getattr(entry, name) for name in ("day", "owner", "writer", "model", "degraded")}
    row |= {"title": draft.title, "mood": draft.mood.label, "mood_score": draft.mood.score, "summary": draft.summary}
    row |= {"body": " ".join(sentence.text for sentence in draft.body)}
    row |= {name: list(getattr(draft, name)) for name in ("people", "places", "topics", "questions")}
    row |= {"todos": [{"text": todo.text, "due": todo.due} for todo in draft.todos]}
    row |= {"grounded_share": entry.grounded_share, "written_at": stored.written_at}
    return row | {"note_ids": list(dict.fromkeys(note_id for note_id, _ in entry.sources))}


def _remove_leftovers(path: Path) -> None:
    for leftover in path.parent.glob(f".{path.name}-*"):
        with suppress(FileNotFoundError):
            if time.time() - leftover.stat().st_mtime > _LEFTOVER_AGE_S:
                shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()


def _unglobbed(path: Path) -> str:
    return re.sub(r"([*?\[])", r"[\1]", str(path))


def _explain(failure: Exception) -> str:
    """What was wrong with the query. Failures while rows are read quote those rows, so they are named only."""
    if type(failure).__name__ in ("ParserException", "BinderException", "CatalogException", "PermissionException"):
        return (str(failure).strip().splitlines() or [""])[0]
    return f"The query failed ({type(failure).__name__})."
