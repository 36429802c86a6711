"""The warehouse's tables become rows for the suites: ids and measures of each recording, never diary text.

The counterpart of `rows`, which makes the same measures of nouns. Knows the columns of the tables; the frames are
Polars' and are handed in, so it imports nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from data_checks.results import Table
from data_checks.rows import OVERLAP_S, UNSPACED
from diarynotes.models import PERSON

Row = dict[str, Any]


def frame_rows(frames: Mapping[str, Any]) -> dict[Table, list[Row]]:
    """Rows for all four suites out of the frames of the five tables, which hold whole recordings."""
    segments: dict[str, list[Row]] = {}
    columns = ["recording_id", "number", "start_s", "end_s"]
    for row in frames["segments"].select(columns).sort("recording_id", "number").iter_rows(named=True):
        segments.setdefault(row["recording_id"], []).append(row)
    lengths = dict(frames["recordings"].select("recording_id", "duration_s").iter_rows())
    recorded = dict(frames["recordings"].select("recording_id", "recorded_at").iter_rows())
    return {
        "recordings": [_recording(row) for row in frames["recordings"].iter_rows(named=True)],
        "transcripts": [
            _transcript(row, segments.get(row["recording_id"], []), lengths.get(row["recording_id"]))
            for row in frames["transcripts"].iter_rows(named=True)
        ],
        "notes": [
            _note(row, len(segments.get(row["recording_id"], ())), recorded.get(row["recording_id"]))
            for row in frames["notes"].iter_rows(named=True)
        ],
        "costs": [_cost(row) for row in frames["costs"].iter_rows(named=True)],
    }


def _recording(row: Row) -> Row:
    names = ("sha256", "size_bytes", "duration_s", "recorded_at", "silence_ratio")
    return {"id": row["recording_id"], "score": row["quality"], **{name: row[name] for name in names}}


def _transcript(row: Row, segments: list[Row], duration_s: float | None) -> Row:
    words = len(row["text"].split())
    speech_s = sum(max(0.0, segment["end_s"] - segment["start_s"]) for segment in segments)
    last_s = max((segment["end_s"] for segment in segments), default=0.0)
    backward = sum(segment["start_s"] < 0 or segment["end_s"] < segment["start_s"] for segment in segments)
    overlapping = sum(later["start_s"] < earlier["end_s"] - OVERLAP_S for earlier, later in pairwise(segments))
    return {
        "id": row["recording_id"],
        "trust": row["trust"],
        "words": words,
        "words_per_second": words / speech_s if speech_s > 0 and row["language"] not in UNSPACED else None,
        "disordered": backward + overlapping,
        "overrun_s": None if duration_s is None else last_s - duration_s,
    }


def _note(row: Row, segments: int, recorded_at: Any) -> Row:
    sentences = row["sentences"]
    own_words = row["writer"] == PERSON
    grounded = [
        (bool(each["evidence"]) or own_words) and all(0 <= number < segments for number in each["evidence"])
        for each in sentences
    ]
    return {
        "id": row["recording_id"],
        "title_length": len(row["title"].strip()),
        "sentences": len(sentences),
        "empty_sentences": sum(not each["text"].strip() for each in sentences),
        "ungrounded": grounded.count(False),
        "mood_score": row["mood_score"],
        "mood_label": row["mood"],
        "days_apart": None if recorded_at is None else abs((row["day"] - recorded_at.date()).days),
    }


def _cost(row: Row) -> Row:
    usd = row["usd"]
    names = ("input_tokens", "output_tokens", "seconds")
    told = {name: row[name] for name in names}
    return {"id": f"{row['recording_id']}/{row['number']}", "usd": None if usd is None else float(usd), **told}
