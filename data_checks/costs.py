"""What must hold of a cost that lands."""

from __future__ import annotations

from typing import Any

from data_checks.rules import Rules

COLUMNS = {
    "usd": "number",
    "input_tokens": "number",
    "output_tokens": "number",
    "seconds": "number",
}
OPTIONAL = frozenset({"usd"})


def expectations(rules: Rules) -> list[Any]:
    return [
        rules.complete("Every count of the usage is known"),
        rules.known("usd", "unknown_price", "The price is known", severity="warning"),
        rules.between("usd", 0, None, "usd", "The cost is not negative"),
        rules.between("input_tokens", 0, None, "input_tokens", "The tokens read are not negative"),
        rules.between("output_tokens", 0, None, "output_tokens", "The tokens written are not negative"),
        rules.between("seconds", 0, None, "seconds", "The seconds are not negative"),
    ]
