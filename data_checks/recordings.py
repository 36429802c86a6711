"""What must hold of a recording that lands. `gx` is `great_expectations.expectations`, handed in by the runner."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

COLUMNS = {
    "sha256": "text",
    "size_bytes": "number",
    "duration_s": "number",
    "recorded_at": "time",
    "score": "number",
    "silence_ratio": "number",
}
OPTIONAL: frozenset[str] = frozenset()


def expectations(gx: Any) -> list[Any]:
    return [
        gx.ExpectColumnValuesToBeBetween(
            column="missing",
            max_value=0,
            severity="critical",
            meta={"code": "incomplete"},
            description="Every measure of the recording is known",
        ),
        gx.ExpectColumnValuesToMatchRegex(
            column="sha256",
            regex=r"^[0-9a-f]{64}\Z",
            severity="critical",
            meta={"code": "sha256"},
            description="The SHA-256 has 64 hex digits",
        ),
        gx.ExpectColumnValuesToBeBetween(
            column="size_bytes",
            min_value=1,
            severity="critical",
            meta={"code": "size"},
            description="The file is not empty",
        ),
        gx.ExpectColumnValuesToBeBetween(
            column="duration_s",
            min_value=0,
            strict_min=True,
            max_value={"$PARAMETER": "max_duration_s"},
            severity="critical",
            meta={"code": "duration"},
            description="The duration lies within the limits",
        ),
        gx.ExpectColumnValuesToBeBetween(
            column="recorded_at",
            min_value=datetime(1990, 1, 1, tzinfo=UTC),
            max_value={"$PARAMETER": "latest"},
            severity="critical",
            meta={"code": "recorded_at"},
            description="It was recorded after 1990 and not in the future",
        ),
        gx.ExpectColumnValuesToBeBetween(
            column="score",
            min_value=0,
            max_value=1,
            severity="critical",
            meta={"code": "score"},
            description="The quality score lies between 0 and 1",
        ),
        gx.ExpectColumnValuesToBeBetween(
            column="score",
            min_value=0.3,
            severity="warning",
            meta={"code": "poor_quality"},
            description="The speech can be heard well (score of at least 0.3)",
        ),
        gx.ExpectColumnValuesToBeBetween(
            column="silence_ratio",
            min_value=0,
            max_value=1,
            severity="critical",
            meta={"code": "silence_ratio"},
            description="The share of silence lies between 0 and 1",
        ),
        gx.ExpectColumnValuesToBeBetween(
            column="silence_ratio",
            max_value=0.8,
            severity="warning",
            meta={"code": "mostly_silent"},
            description="At most 80 % of the recording are silent",
        ),
    ]
