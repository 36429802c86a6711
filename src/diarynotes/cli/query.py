"""`diarynotes query`: read-only SQL on the DuckDB snapshot."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import click

from diarynotes.cli.console import print_table
from diarynotes.settings import load_settings


@click.command()
@click.argument("sql")
@click.option("--limit", type=click.IntRange(1), default=1000, show_default=True, help="At most so many rows.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list of objects.")
@click.pass_obj
def query(home: str | None, sql: str, limit: int, as_json: bool) -> None:
    """Ask the diary in SQL. Tables: recordings, transcripts, segments, notes, costs, entries, jobs."""
    from diarynotes.store.snapshot import query_snapshot

    columns, rows = query_snapshot(load_settings(home=home).snapshot, sql, limit=limit)
    if as_json:
        found = [dict(zip(columns, row, strict=True)) for row in rows]
        click.echo(json.dumps(found, ensure_ascii=False, default=_plain))
    else:
        print_table("", columns, rows)


def _plain(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else str(value)


COMMANDS = (query,)
