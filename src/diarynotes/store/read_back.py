"""Rows as landings: what the warehouse's five tables hold of a recording, back as the nouns that they were made of.

Pure: data frames in, landings out; the reverse of `land`. What no table keeps comes back as good as it can be told: of
a finding its code alone, and whether a recording may be sent to others by whether others have been paid for it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from diarynotes.models import (
    Cost,
    DiaryNote,
    Draft,
    Finding,
    Media,
    Mood,
    Quality,
    Recording,
    Segment,
    Sentence,
    Todo,
    Transcript,
    Usage,
)
from diarynotes.store.facts import Landing
from diarynotes.store.land import TABLES, Row, total_usd

if TYPE_CHECKING:
    import polars as pl

_SECOND_BEST = {"writer_failed"}
"""Codes of findings in notes that a better writer should have written."""

_FORGOTTEN = "Read back from the warehouse, which keeps the code alone."


def make_landings(frames: Mapping[str, pl.DataFrame]) -> list[Landing]:
    """The landings that `frames`, a frame for each of `TABLES`, hold whole.

    Left out is what a landing that was broken off has left: rows of several attempts, or too few of them.
    """
    found: dict[str, dict[str, list[Row]]] = defaultdict(lambda: {table: [] for table in TABLES})
    for table in TABLES:
        frame = frames[table].sort("number") if "number" in frames[table].columns else frames[table]
        for row in frame.iter_rows(named=True):
            found[row["recording_id"]][table].append(row)
    return [_landing(rows) for rows in found.values() if _is_whole(rows)]


def _is_whole(rows: Mapping[str, Sequence[Row]]) -> bool:
    if any(len(rows[table]) != 1 for table in ("notes", "recordings", "transcripts")):
        return False
    if len({(row["attempt"], row["day"]) for table in TABLES for row in rows[table]}) != 1:
        return False
    (note,), (transcript,) = rows["notes"], rows["transcripts"]
    landing = _landing(rows)
    told = (note["transcript_id"], transcript["text"], note["cost_usd"])
    return told == (landing.transcript.id, landing.transcript.text, total_usd(landing))


def _landing(rows: Mapping[str, Sequence[Row]]) -> Landing:
    (note,), (recording,), (transcript,) = rows["notes"], rows["recordings"], rows["transcripts"]
    costs = tuple(map(_cost, rows["costs"]))
    return Landing(
        _recording(recording, cloud=any(cost.usd for cost in costs)),
        _transcript(transcript, rows["segments"]),
        _note(note, transcript),
        costs,
        note["attempt"],
    )


def _recording(row: Row, *, cloud: bool) -> Recording:
    media = quality = None
    if row["container"] is not None:
        media = Media(**_pick(row, "container", "codec", "duration_s", "sample_rate_hz", "channels"))
    if row["quality"] is not None:
        measured = _pick(row, "silence_ratio", "clipping_ratio", "bandwidth_hz")
        measured["snr_db"] = float("inf") if row["snr_db"] is None else row["snr_db"]
        measured |= {"warnings": tuple(row["quality_warnings"]), "preprocessing": tuple(row["preprocessing"])}
        quality = Quality(row["quality"], **measured)
    known = _pick(row, "owner", "sha256", "size_bytes", "recorded_at", "recorded_at_source", "priority")
    return Recording(row["recording_id"], uri=row["source"], media=media, quality=quality, cloud=cloud, **known)


def _transcript(row: Row, segments: Sequence[Row]) -> Transcript:
    said = [
        Segment(**_pick(each, "start_s", "end_s", "text", "avg_logprob", "no_speech", "language")) for each in segments
    ]
    known = _pick(row, "recording_id", "engine", "model", "language", "trust", "degraded")
    return Transcript(row["transcript_id"], segments=tuple(said), trust_reasons=tuple(row["trust_reasons"]), **known)


def _note(row: Row, transcript: Row) -> DiaryNote:
    draft = Draft(
        row["title"],
        row["summary"],
        Mood(row["mood"], row["mood_score"]),
        tuple(Sentence(each["text"], tuple(each["evidence"])) for each in row["sentences"]),
        todos=tuple(Todo(each["text"], each["due"]) for each in row["todos"]),
        **{name: tuple(row[name]) for name in ("people", "places", "topics", "questions")},
    )
    known = _pick(row, "transcript_id", "recording_id", "day", "writer", "model", "prompt_version", "grounded_share")
    findings = tuple(Finding(code, "info", "", _FORGOTTEN) for code in row["findings"])
    # The table says of note and transcript together whether they are degraded. Where the transcript is, the note is
    # too if a better writer failed: calling all of them degraded would have all of them written and paid for again.
    degraded = row["degraded"] and (not transcript["degraded"] or not _SECOND_BEST.isdisjoint([*row["findings"]]))
    return DiaryNote(row["note_id"], draft=draft, degraded=degraded, findings=findings, **known)


def _cost(row: Row) -> Cost:
    counted = _pick(row, "provider", "model", "input_tokens", "output_tokens", "seconds", "cached_tokens")
    return Cost(Usage(**counted), row["usd"], row["price_source"])


def _pick(row: Row, *names: str) -> dict[str, Any]:
    return {name: row[name] for name in names}
