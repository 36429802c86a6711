"""Nouns become rows for the suites: ids and measures, never diary text.

Knows the nouns, not the rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

from diarynotes.models import PERSON, Cost, DiaryNote, Recording, Segment, Transcript

UNSPACED = frozenset({"zh", "yue", "ja", "th", "lo", "km", "my"})
"""Languages written without blanks between words, where words cannot be counted by them."""
OVERLAP_S = 0.05
"""How far a segment may reach into the next one: less than a syllable."""


def recording_row(recording: Recording) -> dict[str, Any]:
    """A decoded and measured recording; what was not measured is None and counts as missing."""
    media, quality = recording.media, recording.quality
    return {
        "id": recording.id,
        "sha256": recording.sha256,
        "size_bytes": recording.size_bytes,
        "duration_s": media.duration_s if media else None,
        "recorded_at": recording.recorded_at,
        "score": quality.score if quality else None,
        "silence_ratio": quality.silence_ratio if quality else None,
    }


def transcript_row(transcript: Transcript, *, duration_s: float) -> dict[str, Any]:
    """A transcript of a recording that lasts `duration_s`."""
    segments = transcript.segments
    words = len(transcript.text.split())
    speech_s = sum(max(0.0, segment.end_s - segment.start_s) for segment in segments)
    countable = speech_s > 0 and transcript.language not in UNSPACED
    return {
        "id": transcript.id,
        "trust": transcript.trust,
        "words": words,
        "words_per_second": words / speech_s if countable else None,
        "disordered": _count_disordered(segments),
        "overrun_s": max((segment.end_s for segment in segments), default=0.0) - duration_s,
    }


def note_row(note: DiaryNote, *, segments: int, recorded_at: datetime) -> dict[str, Any]:
    """A note on a transcript of that many segments, recorded at `recorded_at` (UTC).

    What a person has written needs nothing that carries it; what they kept of the evidence must exist all the same.
    """
    draft = note.draft
    own_words = note.writer == PERSON
    return {
        "id": note.id,
        "title_length": len(draft.title.strip()),
        "sentences": len(draft.body),
        "empty_sentences": sum(not sentence.text.strip() for sentence in draft.body),
        "ungrounded": sum(
            not (_is_grounded(sentence.evidence, segments) or (own_words and not sentence.evidence))
            for sentence in draft.body
        ),
        "mood_score": draft.mood.score,
        "mood_label": draft.mood.label,
        "days_apart": abs((note.day - recorded_at.date()).days),
    }


def cost_row(cost: Cost, *, cost_id: str) -> dict[str, Any]:
    """A cost under the id that the caller knows it by."""
    usage = cost.usage
    return {
        "id": cost_id,
        "usd": None if cost.usd is None else float(cost.usd),
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "seconds": usage.seconds,
    }


def _count_disordered(segments: Sequence[Segment]) -> int:
    backward = sum(segment.start_s < 0 or segment.end_s < segment.start_s for segment in segments)
    return backward + sum(later.start_s < earlier.end_s - OVERLAP_S for earlier, later in pairwise(segments))


def _is_grounded(evidence: Sequence[int], segments: int) -> bool:
    return bool(evidence) and all(0 <= number < segments for number in evidence)
