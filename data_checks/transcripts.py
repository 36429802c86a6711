"""What must hold of a transcript that lands."""

from __future__ import annotations

from typing import Any

from data_checks.rules import Rules

COLUMNS = {
    "trust": "number",
    "words": "number",
    "words_per_second": "number",
    "disordered": "number",
    "overrun_s": "number",
}
OPTIONAL = frozenset({"words_per_second"})


def expectations(rules: Rules) -> list[Any]:
    spoken = "It is spoken at 0.3 to 7 words a second"
    return [
        rules.complete("Every measure of the transcript is known"),
        rules.between("trust", 0, 1, "trust", "The trust lies between 0 and 1"),
        rules.between("words", 1, None, "empty", "The text is not empty"),
        rules.between("words_per_second", 0.3, 7, "speech_rate", spoken, severity="warning"),
        rules.between("disordered", None, 0, "disordered", "The segments follow one another in time"),
        rules.between("overrun_s", None, 1, "overrun", "No segment ends after the recording does"),
    ]
