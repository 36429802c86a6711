"""Looks over everything that has landed: the suites over whole tables, and the warehouse against Postgres.

Reads by chunks, so that memory holds some hundreds of recordings (and of the warehouse a day at least) however many
there are. Only mending changes anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from data_checks import CheckResult, check_rows, merge_results
from data_checks.frames import frame_rows
from diarynotes.models import Finding, Job
from diarynotes.store.land import TABLES
from diarynotes.store.repair import read_landed
from diarynotes.store.statistics import Statistics
from flows.gate import check_landings
from flows.workshop import Workshop

_CHUNK = 500
_MOST_EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class Fault:
    """A rule that is broken: where it was looked at, how often, and by which rows (a few of them)."""

    where: str
    code: str
    message: str
    count: int
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Looked:
    """How many recordings were looked at, what every rule said, and what is wrong (without what only warns)."""

    recordings: int
    checks: tuple[CheckResult, ...]
    faults: tuple[Fault, ...]


def check_postgres(shop: Workshop) -> Looked:
    """The four suites over all recordings that have landed, as Postgres holds them."""
    return _collect("Postgres", _check_landed(shop))


def check_warehouse(shop: Workshop) -> Looked:
    """The four suites over the warehouse's own tables, a few days at a time."""
    return _collect("the warehouse", _check_days(shop))


def compare_warehouse(shop: Workshop) -> tuple[Finding, ...]:
    """Where the warehouse differs from Postgres, in both of two looks: in one alone, something was just landing."""
    first = shop.store.verify()
    if not first:
        return ()
    again = {(finding.code, finding.where) for finding in shop.store.verify()}
    return tuple(finding for finding in first if (finding.code, finding.where) in again)


def mend_warehouse(shop: Workshop, found: Sequence[Finding]) -> tuple[Finding, ...]:
    """Bring the recordings of these differences into the warehouse once more; where it differs still.

    By landings like any other, so that others may land meanwhile. A table that cannot be read is left as it is, and so
    are rows of what has not landed. Raises: StorageFailed.
    """
    if not any(finding.code == "warehouse_torn" for finding in found):
        shop.store.recover()  # first what Postgres itself has forgotten
        ids = sorted({finding.where.partition("/")[2] for finding in found})
        for landings in read_landed(shop.store.engine, ids):
            shop.store.warehouse.land(landings)
    return compare_warehouse(shop)


def count_faults(findings: Iterable[Finding]) -> tuple[Fault, ...]:
    """Differences of the warehouse, one fault for each kind and table."""
    groups: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        table, _, _ = finding.where.partition("/")
        groups.setdefault((finding.code, table), []).append(finding)
    faults = []
    for (code, table), group in groups.items():
        examples = tuple(each.where for each in group[:_MOST_EXAMPLES])
        faults.append(Fault(f"the warehouse: {table}", code, _SAYS.get(code, code), len(group), examples))
    return tuple(faults)


_SAYS = {
    "warehouse_missing": "What has landed is in the table",
    "warehouse_stale": "The table holds the newest rows of a recording",
    "warehouse_extra": "The table holds only what has landed",
    "warehouse_torn": "The table can be read",
}


def _check_landed(shop: Workshop) -> Iterator[tuple[int, Sequence[CheckResult]]]:
    landed = Statistics(shop.store.engine, zone=shop.settings.zone).landed
    after = ""
    while chunk := landed(after, limit=_CHUNK):
        after = chunk[-1][0]
        landings = shop.store.landings([Job(key, "landed", attempt) for key, attempt in chunk])
        yield len(landings), check_landings(landings, max_duration_s=shop.settings.max_duration_s)


def _check_days(shop: Workshop) -> Iterator[tuple[int, Sequence[CheckResult]]]:
    """Whole days together, until there are enough recordings for the price of a check."""
    warehouse = shop.store.warehouse
    files = {table: _by_day(warehouse.files(table)) for table in TABLES}
    gathered: dict[Any, list[dict[str, Any]]] = {}
    for day in sorted(files["recordings"]):
        frames = {table: warehouse.scan(table, found.get(day, [])).collect() for table, found in files.items()}
        for table, rows in frame_rows(frames).items():
            gathered.setdefault(table, []).extend(rows)
        if len(gathered["recordings"]) >= _CHUNK:
            yield _check(shop, gathered)
            gathered = {}
    if gathered:
        yield _check(shop, gathered)


def _check(shop: Workshop, tables: dict[Any, list[dict[str, Any]]]) -> tuple[int, list[CheckResult]]:
    longest = shop.settings.max_duration_s
    checks = [check_rows(table, rows, max_duration_s=longest) for table, rows in tables.items()]
    return len(tables["recordings"]), checks


def _by_day(files: Sequence[Any]) -> dict[date, list[Any]]:
    days: dict[date, list[Any]] = {}
    for path in files:
        days.setdefault(date.fromisoformat(path.parent.name.removeprefix("day=")), []).append(path)
    return days


def _collect(where: str, chunks: Iterable[tuple[int, Sequence[CheckResult]]]) -> Looked:
    recordings = 0
    merged: tuple[CheckResult, ...] = ()
    examples: dict[str, list[str]] = {}
    for count, checks in chunks:
        recordings += count
        for check in checks:
            for row_id, findings in check.findings.items():
                for finding in findings:
                    kept = examples.setdefault(finding.code, [])
                    if len(kept) < _MOST_EXAMPLES:
                        kept.append(row_id)
        merged = merge_results((*merged, *(replace(check, findings={}) for check in checks)))
    faults = tuple(
        Fault(f"{where}: {result.table}", check.code, check.message, check.failed, tuple(examples.get(check.code, ())))
        for result in merged
        for check in result.checks
        if check.failed and check.severity == "error"
    )
    return Looked(recordings, merged, faults)
