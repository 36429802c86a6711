"""Data checks on what lands: which rows break which rule of their table, and how badly.

`check_rows` judges rows before they land: a row with an error is set aside, the rest goes on. `run_table_checks` judges
whole tables afterwards. The rules are Great Expectations suites, one module for each table; `rows.py` makes the rows,
which hold measures and never diary text. Knows no database; Great Expectations is imported at the first check, or by
`warm_up`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from data_checks.results import TABLES, Check, CheckResult, Table, merge_results, to_markdown

__all__ = [
    "TABLES",
    "Check",
    "CheckResult",
    "Table",
    "check_rows",
    "merge_results",
    "run_table_checks",
    "to_markdown",
    "warm_up",
]

DEFAULT_MAX_DURATION_S = 36_000.0
"""The longest recording that may land, s, where the caller sets no other limit."""


def check_rows(
    table: Table,
    rows: Sequence[Mapping[str, Any]],
    *,
    now: datetime | None = None,
    max_duration_s: float = DEFAULT_MAX_DURATION_S,
) -> CheckResult:
    """What is wrong with rows made by `data_checks.rows`; a row is known by its `id`.

    `now` (default: the clock) is what recordings must not lie ahead of. Values of the wrong type count as missing.

    Raises: NotInstalled without Great Expectations; BadSettings for an unknown table.
    """
    from data_checks.runner import apply_suite  # pulls in Great Expectations

    return apply_suite(table, rows, now=now, max_duration_s=max_duration_s)


def run_table_checks(
    tables: Mapping[Table, Iterable[Mapping[str, Any]]], *, now: datetime | None = None
) -> tuple[CheckResult, ...]:
    """`check_rows` over whole tables, such as `{"costs": frame.iter_rows(named=True)}` of a Polars frame."""
    return tuple(check_rows(table, list(rows), now=now) for table, rows in tables.items())


def warm_up() -> None:
    """Import Great Expectations (seconds) and build the suites now, for instance in a thread while others work."""
    from data_checks.runner import open_suite

    for table in TABLES:
        open_suite(table)
