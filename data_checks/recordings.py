"""What must hold of a recording that lands."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from data_checks.rules import Rules

COLUMNS = {
    "sha256": "text",
    "size_bytes": "number",
    "duration_s": "number",
    "recorded_at": "time",
    "score": "number",
    "silence_ratio": "number",
}
OPTIONAL: frozenset[str] = frozenset()


def expectations(rules: Rules) -> list[Any]:
    longest, latest = {"$PARAMETER": "max_duration_s"}, {"$PARAMETER": "latest"}
    dated = "It was recorded after 1990 and not in the future"
    heard, silent = "The speech can be heard well (score of at least 0.3)", "At most 80 % of the recording are silent"
    return [
        rules.complete("Every measure of the recording is known"),
        rules.like("sha256", r"^[0-9a-f]{64}\Z", "sha256", "The SHA-256 has 64 hex digits"),
        rules.between("size_bytes", 1, None, "size", "The file is not empty"),
        rules.between("duration_s", 0, longest, "duration", "The duration lies within the limits", strict_min=True),
        rules.between("recorded_at", datetime(1990, 1, 1, tzinfo=UTC), latest, "recorded_at", dated),
        rules.between("score", 0, 1, "score", "The quality score lies between 0 and 1"),
        rules.between("score", 0.3, None, "poor_quality", heard, severity="warning"),
        rules.between("silence_ratio", 0, 1, "silence_ratio", "The share of silence lies between 0 and 1"),
        rules.between("silence_ratio", None, 0.8, "mostly_silent", silent, severity="warning"),
    ]
