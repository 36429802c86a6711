"""What must hold of a transcript that lands. `gx` is `great_expectations.expectations`, handed in by the runner."""

from __future__ import annotations

from typing import Any

COLUMNS = {
    "trust": "number",
    "words": "number",
    "words_per_second": "number",
    "disordered": "number",
    "overrun_s": "number",
}
OPTIONAL = frozenset({"words_per_second"})


def expectations(gx: Any) -> list[Any]:
    return [
        gx.ExpectColumnValuesToBeBetween(
            column="missing",
            max_value=0,
            severity="critical",
            meta={"code": "incomplete"},
            description="Every measure of the transcript is known",
        ),
        gx.ExpectColumnValuesToBeBetween(
            column="trust",
            min_value=0,
            max_value=1,
            severity="critical",
            meta={"code": "trust"},
            description="The trust lies between 0 and 1",
        ),
        gx.ExpectColumnValuesToBeBetween(
            column="words",
            min_value=1,
            severity="critical",
            meta={"code": "empty"},
            description="The text is not empty",
        ),
        gx.ExpectColumnValuesToBeBetween(
            column="words_per_second",
            min_value=0.3,
            max_value=7,
            severity="warning",
            meta={"code": "speech_rate"},
            description="It is spoken at 0.3 to 7 words a second",
        ),
        gx.ExpectColumnValuesToBeBetween(
            column="disordered",
            max_value=0,
            severity="critical",
            meta={"code": "disordered"},
            description="The segments follow one another in time",
        ),
        gx.ExpectColumnValuesToBeBetween(
            column="overrun_s",
            max_value=1,
            severity="critical",
            meta={"code": "overrun"},
            description="No segment ends after the recording does",
        ),
    ]
