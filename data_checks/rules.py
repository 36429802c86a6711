"""The rules that suites are written in: a column, what must hold of it, a code, and a sentence for a person.

Each makes one expectation of Great Expectations, whose namespace is handed in, because its import takes seconds. A
broken rule keeps its row from landing unless the rule only warns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

Severity = Literal["critical", "warning"]


class Rules:
    """`gx` is `great_expectations.expectations`."""

    def __init__(self, gx: Any) -> None:
        self._gx = gx

    def complete(self, says: str) -> Any:
        """No column that must be known is missing."""
        return self.between("missing", None, 0, "incomplete", says)

    def between(
        self, column: str, low: Any, high: Any, code: str, says: str, *, severity: Severity = "critical", **more: Any
    ) -> Any:
        """The value lies between `low` and `high`, both included; None is no bound."""
        return self._gx.ExpectColumnValuesToBeBetween(
            column=column, min_value=low, max_value=high, **_about(code, says, severity), **more
        )

    def known(self, column: str, code: str, says: str, *, severity: Severity = "critical") -> Any:
        """There is a value."""
        return self._gx.ExpectColumnValuesToNotBeNull(column=column, **_about(code, says, severity))

    def one_of(self, column: str, values: Sequence[str], code: str, says: str) -> Any:
        """The value is one of these."""
        return self._gx.ExpectColumnValuesToBeInSet(
            column=column, value_set=list(values), **_about(code, says, "critical")
        )

    def like(self, column: str, pattern: str, code: str, says: str) -> Any:
        """The value matches the regular expression."""
        return self._gx.ExpectColumnValuesToMatchRegex(column=column, regex=pattern, **_about(code, says, "critical"))


def _about(code: str, says: str, severity: Severity) -> dict[str, Any]:
    return {"severity": severity, "meta": {"code": code}, "description": says}
