"""What must hold of a note that lands. `gx` is `great_expectations.expectations`, handed in by the runner."""

from __future__ import annotations

from typing import Any, get_args

from diarynotes.models import MoodLabel

COLUMNS = {
    "title_length": "number",
    "sentences": "number",
    "empty_sentences": "number",
    "ungrounded": "number",
    "mood_score": "number",
    "mood_label": "text",
    "days_apart": "number",
}
OPTIONAL: frozenset[str] = frozenset()


def expectations(gx: Any) -> list[Any]:
    return [
        gx.ExpectColumnValuesToBeBetween(
            column="missing",
            max_value=0,
            severity="critical",
            meta={"code": "incomplete"},
            description="Every measure of the note is known",
        ),
        gx.ExpectColumnValuesToBeBetween(
            column="title_length",
            min_value=1,
            max_value=120,
            severity="critical",
            meta={"code": "title"},
            description="The title has 1 to 120 characters",
        ),
        gx.ExpectColumnValuesToBeBetween(
            column="sentences",
            min_value=1,
            severity="critical",
            meta={"code": "empty"},
            description="The note says something",
        ),
        gx.ExpectColumnValuesToBeBetween(
            column="empty_sentences",
            max_value=0,
            severity="critical",
            meta={"code": "empty_sentence"},
            description="No sentence is empty",
        ),
        gx.ExpectColumnValuesToBeBetween(
            column="ungrounded",
            max_value=0,
            severity="critical",
            meta={"code": "ungrounded"},
            description="Every sentence points at segments that exist",
        ),
        gx.ExpectColumnValuesToBeBetween(
            column="mood_score",
            min_value=-1,
            max_value=1,
            severity="critical",
            meta={"code": "mood_score"},
            description="The mood's score lies between -1 and 1",
        ),
        gx.ExpectColumnValuesToBeInSet(
            column="mood_label",
            value_set=list(get_args(MoodLabel)),
            severity="critical",
            meta={"code": "mood_label"},
            description="The mood's label is a known one",
        ),
        gx.ExpectColumnValuesToBeBetween(
            column="days_apart",
            max_value=1,
            severity="critical",
            meta={"code": "day"},
            description="The day is that of the recording, give or take one",
        ),
    ]
