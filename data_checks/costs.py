"""What must hold of a cost that lands. `gx` is `great_expectations.expectations`, handed in by the runner."""

from __future__ import annotations

from typing import Any

COLUMNS = {
    "usd": "number",
    "input_tokens": "number",
    "output_tokens": "number",
    "seconds": "number",
}
OPTIONAL = frozenset({"usd"})


def expectations(gx: Any) -> list[Any]:
    return [
        gx.ExpectColumnValuesToBeBetween(
            column="missing",
            max_value=0,
            severity="critical",
            meta={"code": "incomplete"},
            description="Every count of the usage is known",
        ),
        gx.ExpectColumnValuesToNotBeNull(
            column="usd",
            severity="warning",
            meta={"code": "unknown_price"},
            description="The price is known",
        ),
        gx.ExpectColumnValuesToBeBetween(
            column="usd",
            min_value=0,
            severity="critical",
            meta={"code": "usd"},
            description="The cost is not negative",
        ),
        gx.ExpectColumnValuesToBeBetween(
            column="input_tokens",
            min_value=0,
            severity="critical",
            meta={"code": "input_tokens"},
            description="The tokens read are not negative",
        ),
        gx.ExpectColumnValuesToBeBetween(
            column="output_tokens",
            min_value=0,
            severity="critical",
            meta={"code": "output_tokens"},
            description="The tokens written are not negative",
        ),
        gx.ExpectColumnValuesToBeBetween(
            column="seconds",
            min_value=0,
            severity="critical",
            meta={"code": "seconds"},
            description="The seconds are not negative",
        ),
    ]
