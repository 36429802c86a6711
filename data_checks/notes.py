"""What must hold of a note that lands."""

from __future__ import annotations

from typing import Any, get_args

from data_checks.rules import Rules
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


def expectations(rules: Rules) -> list[Any]:
    return [
        rules.complete("Every measure of the note is known"),
        rules.between("title_length", 1, 120, "title", "The title has 1 to 120 characters"),
        rules.between("sentences", 1, None, "empty", "The note says something"),
        rules.between("empty_sentences", None, 0, "empty_sentence", "No sentence is empty"),
        rules.between("ungrounded", None, 0, "ungrounded", "Every sentence points at segments that exist"),
        rules.between("mood_score", -1, 1, "mood_score", "The mood's score lies between -1 and 1"),
        rules.one_of("mood_label", get_args(MoodLabel), "mood_label", "The mood's label is a known one"),
        # two, because the writer's time zone and the hour at which the day begins can each shift it by one
        rules.between("days_apart", None, 2, "day", "The day is that of the recording, give or take two"),
    ]
