"""Landings as rows: what the warehouse's five tables hold of a recording, column by column.

Pure: landings in, data frames out. Knows neither Delta nor Postgres.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import UTC
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeAlias

from diarynotes.store.facts import Landing

if TYPE_CHECKING:
    import polars as pl

Row: TypeAlias = dict[str, Any]

TABLES = ("notes", "recordings", "transcripts", "segments", "costs")
"""The warehouse's tables in the order in which they are landed; `notes` comes first, since it fences the others."""


def make_frame(table: str, landings: Sequence[Landing]) -> pl.DataFrame:
    """The rows of `landings` in `table`; every table has `recording_id` (to join by), `day` and `attempt`."""
    import polars as pl

    rows: list[Row] = []
    for landing in landings:
        shared = {"recording_id": landing.recording.id, "day": landing.note.day, "attempt": landing.attempt}
        rows += [shared | row for row in _ROWS[table](landing)]
    return pl.DataFrame(rows, schema=schema_of(table))


def schema_of(table: str) -> dict[str, Any]:
    """Column names and Polars types of `table`."""
    import polars as pl

    texts, money = pl.List(pl.String), pl.Decimal(20, 10)
    shared = {"recording_id": pl.String, "day": pl.Date, "attempt": pl.Int32}
    columns: dict[str, dict[str, Any]] = {
        "recordings": {
            "owner": pl.String,
            "source": pl.String,
            "sha256": pl.String,
            "size_bytes": pl.Int64,
            "recorded_at": pl.Datetime("us", "UTC"),
            "recorded_at_source": pl.String,
            "priority": pl.String,
            "container": pl.String,
            "codec": pl.String,
            "duration_s": pl.Float64,
            "sample_rate_hz": pl.Int32,
            "channels": pl.Int32,
            "quality": pl.Float64,
            "silence_ratio": pl.Float64,
            "snr_db": pl.Float64,
            "clipping_ratio": pl.Float64,
            "bandwidth_hz": pl.Float64,
            "quality_warnings": texts,
            "preprocessing": texts,
        },
        "transcripts": {
            "transcript_id": pl.String,
            "owner": pl.String,
            "source": pl.String,
            "engine": pl.String,
            "model": pl.String,
            "language": pl.String,
            "text": pl.String,
            "trust": pl.Float64,
            "trust_reasons": texts,
            "degraded": pl.Boolean,
        },
        "segments": {
            "transcript_id": pl.String,
            "number": pl.Int32,
            "start_s": pl.Float64,
            "end_s": pl.Float64,
            "text": pl.String,
            "avg_logprob": pl.Float64,
            "no_speech": pl.Float64,
            "language": pl.String,
        },
        "notes": {
            "note_id": pl.String,
            "transcript_id": pl.String,
            "owner": pl.String,
            "source": pl.String,
            "recorded_at": pl.Datetime("us", "UTC"),
            "title": pl.String,
            "mood": pl.String,
            "mood_score": pl.Float64,
            "summary": pl.String,
            "body": pl.String,
            "sentences": pl.List(pl.Struct({"text": pl.String, "evidence": pl.List(pl.Int32)})),
            "people": texts,
            "places": texts,
            "topics": texts,
            "todos": pl.List(pl.Struct({"text": pl.String, "due": pl.Date})),
            "questions": texts,
            "findings": texts,
            "engine": pl.String,
            "trust": pl.Float64,
            "writer": pl.String,
            "model": pl.String,
            "prompt_version": pl.String,
            "degraded": pl.Boolean,
            "grounded_share": pl.Float64,
            "cost_usd": money,
        },
        "costs": {
            "number": pl.Int32,
            "owner": pl.String,
            "provider": pl.String,
            "model": pl.String,
            "input_tokens": pl.Int64,
            "output_tokens": pl.Int64,
            "cached_tokens": pl.Int64,
            "seconds": pl.Float64,
            "usd": money,
            "price_source": pl.String,
        },
    }
    return shared | columns[table]


def total_usd(landing: Landing) -> Decimal | None:
    """What the recording cost in USD; None where a part of it is unknown."""
    known = [cost.usd for cost in landing.costs if cost.usd is not None]
    return sum(known, Decimal(0)) if len(known) == len(landing.costs) else None


def _recordings(landing: Landing) -> Iterator[Row]:
    recording, media, quality = landing.recording, landing.recording.media, landing.recording.quality
    row: Row = {"owner": recording.owner, "source": recording.uri, "sha256": recording.sha256}
    row |= {"size_bytes": recording.size_bytes, "recorded_at": recording.recorded_at.astimezone(UTC)}
    row |= {"recorded_at_source": recording.recorded_at_source, "priority": recording.priority}
    if media:
        row |= {"container": media.container, "codec": media.codec, "duration_s": media.duration_s}
        row |= {"sample_rate_hz": media.sample_rate_hz, "channels": media.channels}
    if quality:
        row |= {"quality": quality.score, "silence_ratio": quality.silence_ratio, "snr_db": _finite(quality.snr_db)}
        row |= {"clipping_ratio": quality.clipping_ratio, "bandwidth_hz": quality.bandwidth_hz}
        row |= {"quality_warnings": list(quality.warnings), "preprocessing": list(quality.preprocessing)}
    yield row


def _transcripts(landing: Landing) -> Iterator[Row]:
    transcript = landing.transcript
    row: Row = {"transcript_id": transcript.id, "owner": landing.recording.owner, "source": landing.recording.uri}
    row |= {"engine": transcript.engine, "model": transcript.model, "language": transcript.language}
    row |= {"text": transcript.text, "trust": transcript.trust, "trust_reasons": list(transcript.trust_reasons)}
    yield row | {"degraded": transcript.degraded}


def _segments(landing: Landing) -> Iterator[Row]:
    for number, segment in enumerate(landing.transcript.segments):
        row: Row = {"transcript_id": landing.transcript.id, "number": number, "text": segment.text}
        row |= {"start_s": segment.start_s, "end_s": segment.end_s}
        row |= {"avg_logprob": segment.avg_logprob, "no_speech": segment.no_speech}
        yield row | {"language": segment.language or landing.transcript.language}


def _notes(landing: Landing) -> Iterator[Row]:
    note, draft, recording, transcript = landing.note, landing.note.draft, landing.recording, landing.transcript
    row: Row = {"note_id": note.id, "transcript_id": note.transcript_id, "owner": recording.owner}
    row |= {"source": recording.uri, "recorded_at": recording.recorded_at.astimezone(UTC), "title": draft.title}
    row |= {"mood": draft.mood.label, "mood_score": draft.mood.score, "summary": draft.summary}
    row |= {"body": " ".join(sentence.text for sentence in draft.body)}
    row |= {"sentences": [{"text": each.text, "evidence": list(each.evidence)} for each in draft.body]}
    row |= {"people": list(draft.people), "places": list(draft.places), "topics": list(draft.topics)}
    row |= {"todos": [{"text": todo.text, "due": todo.due} for todo in draft.todos]}
    row |= {"questions": list(draft.questions), "findings": [finding.code for finding in note.findings]}
    row |= {"engine": transcript.engine, "trust": transcript.trust, "writer": note.writer, "model": note.model}
    row |= {"prompt_version": note.prompt_version, "degraded": note.degraded or transcript.degraded}
    yield row | {"grounded_share": note.grounded_share, "cost_usd": total_usd(landing)}


def _costs(landing: Landing) -> Iterator[Row]:
    for number, cost in enumerate(landing.costs):
        usage = cost.usage
        row: Row = {"number": number, "owner": landing.recording.owner, "provider": usage.provider}
        row |= {"model": usage.model, "input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}
        row |= {"cached_tokens": usage.cached_tokens}
        yield row | {"seconds": usage.seconds, "usd": cost.usd, "price_source": cost.price_source}


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


_ROWS = {
    "recordings": _recordings,
    "transcripts": _transcripts,
    "segments": _segments,
    "notes": _notes,
    "costs": _costs,
}
