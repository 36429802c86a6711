"""`diarynotes query`: read-only SQL on the DuckDB snapshot."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import click

from diarynotes.cli.console import print_table, say
from diarynotes.errors import StorageFailed
from diarynotes.settings import Settings, load_settings


@click.command()
@click.argument("sql")
@click.option("--limit", type=click.IntRange(1), default=1000, show_default=True, help="At most so many rows.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list of objects.")
@click.pass_obj
def query(home: str | None, sql: str, limit: int, as_json: bool) -> None:
    """Ask the diary in SQL. Tables: recordings, transcripts, segments, notes, costs, entries, jobs."""
    from diarynotes.store.snapshot import query_snapshot

    settings = load_settings(home=home)
    _bring_up_to_date(settings)
    columns, rows = query_snapshot(settings.snapshot, sql, limit=limit)
    if as_json:
        found = [dict(zip(columns, row, strict=True)) for row in rows]
        click.echo(json.dumps(found, ensure_ascii=False, default=_plain))
    else:
        print_table("", columns, rows)


def _bring_up_to_date(settings: Settings) -> None:
    """Runs that follow each other share a snapshot, so the last of them may be missing; without a database it is read
    as it is."""
    from diarynotes.store import open_store

    if not settings.snapshot.exists():
        return
    try:
        with open_store(settings.database_url, settings.home, zone=settings.zone) as store:
            store.snapshot()
    except StorageFailed as error:
        say(f"The diary's database cannot be asked, so this is how things stood last: {error}")


def _plain(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else str(value)


COMMANDS = (query,)
