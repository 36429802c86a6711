"""Runs a suite over rows with Great Expectations, as cheaply as it can be had.

The cost is per rule, not per row: about 3 ms for each to learn whether it holds, as much again to learn for which rows
it does not. So rules are first asked for a yes or no, and only the broken ones for rows. The context lives in memory
and writes no file; its telemetry is off. Knows the suites' modules, not what their rules mean.
"""

from __future__ import annotations

import importlib
import threading
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from data_checks.results import TABLES, Check, CheckResult, Table
from data_checks.rules import Rules
from diarynotes.errors import BadSettings, DiarynotesError, NotInstalled
from diarynotes.models import Finding, Severity
from diarynotes.telemetry import forbid_telemetry

_SEVERITIES: Mapping[str, Severity] = {"critical": "error", "warning": "warning", "info": "info"}
_AHEAD = timedelta(days=1)
"""How far ahead of our clock a recording may be dated: a day, for clocks and time zones that disagree."""
_WHICH_ROWS = {
    "result_format": "COMPLETE",
    "unexpected_index_column_names": ["id"],
    "return_unexpected_index_query": False,
}
_LOCK = threading.RLock()  # Great Expectations keeps its project in globals


class CheckBroken(DiarynotesError):
    """A rule could not be applied at all: a bug in a suite, not in the rows."""

    code = "check_broken"

    def __init__(self, rule: str) -> None:
        super().__init__(rule)
        self.rule = rule

    def __str__(self) -> str:
        return f"The data check {self.rule} could not be run. Please report this."


@dataclass(frozen=True, slots=True)
class Suite:
    """A table's rules, ready to be applied to data frames."""

    table: Table
    columns: Mapping[str, str]
    optional: frozenset[str]
    rules: Mapping[str, Any]
    batches: Any


def apply_suite(
    table: Table, rows: Sequence[Mapping[str, Any]], *, now: datetime | None, max_duration_s: float
) -> CheckResult:
    """See `data_checks.check_rows`."""
    with _LOCK:
        suite = open_suite(table)
        broken = _find_broken(suite, rows, now or datetime.now(UTC), max_duration_s) if rows else {}
    checks = tuple(
        Check(
            code=f"{table}.{code}",
            severity=_SEVERITIES[str(rule.severity.value)],
            message=rule.description,
            failed=len(broken.get(code, ())),
        )
        for code, rule in suite.rules.items()
    )
    findings: dict[str, tuple[Finding, ...]] = {}
    for check, failed in zip(checks, (broken.get(code, ()) for code in suite.rules), strict=True):
        for row_id in failed:
            finding = Finding(check.code, check.severity, row_id, f"This does not hold: {check.message}.")
            findings[row_id] = (*findings.get(row_id, ()), finding)
    return CheckResult(table, len(rows), checks, findings)


@cache
def _open_context() -> Any:
    forbid_telemetry()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it imports modules that Python has deprecated
            import great_expectations
            from great_expectations.data_context.types.base import (
                DataContextConfig,
                InMemoryStoreBackendDefaults,
                ProgressBarsConfig,
            )
    except ImportError as error:
        raise NotInstalled("Great Expectations", "pip install great-expectations") from error
    in_memory = InMemoryStoreBackendDefaults(init_temp_docs_sites=False)  # the default makes a folder and says so
    context = great_expectations.get_context(
        mode="ephemeral", project_config=DataContextConfig(store_backend_defaults=in_memory)
    )
    context.variables.progress_bars = ProgressBarsConfig(globally=False)  # they would write on the terminal
    return context


@cache
def _open_source() -> Any:
    return _open_context().data_sources.add_pandas("rows")


@cache
def _open_suite(table: Table) -> Suite:
    source = _open_source()
    from great_expectations import expectations

    module = importlib.import_module(f"data_checks.{table}")
    rules = {rule.meta["code"]: rule for rule in module.expectations(Rules(expectations))}
    batches = source.add_dataframe_asset(table).add_batch_definition_whole_dataframe("all")
    return Suite(table, module.COLUMNS, module.OPTIONAL, rules, batches)


def open_suite(table: Table) -> Suite:
    """The table's rules; the first call imports Great Expectations. Raises: BadSettings, NotInstalled."""
    if table not in TABLES:
        raise BadSettings("table", f"'{table}' has no data checks; known are {', '.join(TABLES)}")
    with _LOCK:
        return _open_suite(table)


def _find_broken(
    suite: Suite, rows: Sequence[Mapping[str, Any]], now: datetime, max_duration_s: float
) -> dict[str, tuple[str, ...]]:
    """The ids of the rows that break a rule, by the rule's code."""
    batch = suite.batches.get_batch({"dataframe": _build_frame(suite, rows)})
    parameters = {"latest": now + _AHEAD, "max_duration_s": max_duration_s}
    answers = _validate(batch, list(suite.rules.values()), "BOOLEAN_ONLY", parameters)
    broken = [suite.rules[code] for code, answer in answers.items() if not answer.success]
    if not broken:
        return {}
    answers = _validate(batch, broken, _WHICH_ROWS, parameters)
    return {
        code: tuple(dict.fromkeys(row["id"] for row in answer.result["unexpected_index_list"]))
        for code, answer in answers.items()
    }


def _validate(batch: Any, rules: list[Any], result_format: Any, parameters: dict[str, Any]) -> dict[str, Any]:
    from great_expectations import ExpectationSuite

    suite = ExpectationSuite("rules", expectations=rules)
    outcome = batch.validate(suite, result_format=result_format, expectation_parameters=parameters)
    answers = {answer.expectation_config.meta["code"]: answer for answer in outcome.results}
    for code, answer in answers.items():
        if answer.exception_info.get("raised_exception", True):
            raise CheckBroken(code)
    return answers


def _build_frame(suite: Suite, rows: Sequence[Mapping[str, Any]]) -> Any:
    """The rows as a frame with strict types: what has the wrong one is null, and a null is counted as missing."""
    import pandas as pd  # type: ignore[import-untyped]

    columns = {name: _convert([row.get(name) for row in rows], kind) for name, kind in suite.columns.items()}
    frame = pd.DataFrame({"id": [str(row["id"]) for row in rows], **columns})
    frame["missing"] = frame[[name for name in suite.columns if name not in suite.optional]].isna().sum(axis=1)
    return frame


def _convert(values: list[Any], kind: str) -> Any:
    import pandas as pd

    if kind == "number":
        return pd.to_numeric(pd.Series(values, dtype=object), errors="coerce").astype(float)
    if kind == "time":
        return pd.to_datetime(pd.Series(values, dtype=object), utc=True, errors="coerce")
    return pd.Series([value if isinstance(value, str) else None for value in values], dtype="str")
