"""What a suite says about rows, for storing, for showing, and for setting rows aside.

Knows nothing of how rules are applied.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from diarynotes.models import Finding, Severity

Table = Literal["recordings", "transcripts", "notes", "costs"]
TABLES: tuple[Table, ...] = ("recordings", "transcripts", "notes", "costs")


@dataclass(frozen=True, slots=True)
class Check:
    """One rule of a suite and how many rows broke it."""

    code: str
    severity: Severity
    message: str
    failed: int


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What a suite says about rows: every rule that it applied, and the findings of each row that broke one."""

    table: Table
    rows: int
    checks: tuple[Check, ...]
    findings: Mapping[str, tuple[Finding, ...]]

    @property
    def rejected(self) -> frozenset[str]:
        """The ids of the rows that must not land: those with a finding of severity error."""
        return frozenset(
            row_id
            for row_id, findings in self.findings.items()
            if any(finding.severity == "error" for finding in findings)
        )

    @property
    def passed(self) -> bool:
        """Whether every row may land; warnings do not matter."""
        return not self.rejected

    def summary(self) -> dict[str, Any]:
        """The result in a few numbers, fit for JSON: rules that held are only counted."""
        return {
            "table": self.table,
            "rows": self.rows,
            "passed": self.passed,
            "rejected": len(self.rejected),
            "checks": len(self.checks),
            "failed": {check.code: check.failed for check in self.checks if check.failed},
        }


def merge_results(results: Iterable[CheckResult]) -> tuple[CheckResult, ...]:
    """The results of several chunks as one for each table, as if all rows had been checked together."""
    merged: dict[Table, CheckResult] = {}
    for result in results:
        before = merged.get(result.table)
        merged[result.table] = _join(before, result) if before else result
    return tuple(merged.values())


def _join(first: CheckResult, second: CheckResult) -> CheckResult:
    failed = {check.code: check.failed for check in first.checks}
    return CheckResult(
        table=first.table,
        rows=first.rows + second.rows,
        checks=tuple(replace(check, failed=check.failed + failed.get(check.code, 0)) for check in second.checks),
        findings={**first.findings, **second.findings},
    )


def to_markdown(results: Iterable[CheckResult]) -> str:
    """The results as a Markdown table, one line for each rule."""
    lines = ["| table | rule | severity | rows | broken by |", "|---|---|---|---:|---:|"]
    lines += [
        f"| {result.table} | {check.message} | {check.severity} | {result.rows} | {check.failed or ''} |"
        for result in results
        for check in result.checks
    ]
    return "\n".join(lines) + "\n"
