"""Speech cut into windows for an engine, and an engine's texts stitched to segments of the recording.

Knows nothing of engines or of where speech was found. Times are anchored on the edges of the spans, since the
times that Whisper predicts drift (Bain et al., 2023, "WhisperX", section 1).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np

from diarynotes.models import SAMPLE_RATE, Audio, Piece, RecordingId, Segment, Span, Window, WindowText

WINDOW_S = 30.0
"""What a window may hold at most: Whisper's input, s."""
KEPT_S = 1.0
"""How much of a silence stays in a window, s: more would fill it with nothing, and is where Whisper invents text."""
BRIDGE_S = 10.0
"""The longest silence that a window reaches across, s: what comes after is another matter."""
SNAP_S = 0.5
"""How far an engine's time may lie from an edge of speech and still mean that edge, s."""
_KEPT = round(KEPT_S * SAMPLE_RATE)


def group_spans(spans: Sequence[Span]) -> list[tuple[Span, ...]]:
    """Consecutive spans (in order, each at most 30 s) packed into groups that fit a window each."""
    groups: list[tuple[Span, ...]] = []
    length = 0  # of the last group as it lies in its window, samples
    for span in spans:
        gap = _edges(span)[0] - _edges(groups[-1][-1])[1] if groups else 0
        longer = length + min(gap, _KEPT) + _edges(span)[1] - _edges(span)[0]
        if groups and gap <= BRIDGE_S * SAMPLE_RATE and longer <= WINDOW_S * SAMPLE_RATE:
            groups[-1] = (*groups[-1], span)
            length = longer
        else:
            groups.append((span,))
            length = _edges(span)[1] - _edges(span)[0]
    return groups


def lay_spans(spans: Sequence[Span]) -> tuple[Span, ...]:
    """Where the spans of a window lie in its samples, s from its beginning: silences are cut down to `KEPT_S`."""
    laid: list[Span] = []
    place, before = 0, _edges(spans[0])[0]
    for span in spans:
        start, stop = _edges(span)
        place += min(start - before, _KEPT)
        laid.append(Span(place / SAMPLE_RATE, (place + stop - start) / SAMPLE_RATE))
        place, before = place + stop - start, stop
    return tuple(laid)


def cut_window(
    recording_id: RecordingId,
    number: int,
    audio: Audio,
    spans: tuple[Span, ...],
    *,
    language: str | None = None,
    terms: tuple[str, ...] = (),
    temperature: float = 0.0,
) -> Window:
    """The samples of `spans` (one of `group_spans`) as `lay_spans` lays them, with how they are to be heard.

    Of a silence that is cut down, what follows the speech before it stays, and what precedes the speech after it.
    """
    parts = [audio.pcm[start:stop] for start, stop in _stretches(spans)]
    samples = np.concatenate(parts).astype(np.float32) / 32768.0
    audio.forget()
    return Window(recording_id, number, spans[0].start_s, samples, spans, language, terms, temperature)


def _stretches(spans: Sequence[Span]) -> Iterator[tuple[int, int]]:
    """First sample, and the one after the last, of what is kept of a recording for a window."""
    first = _edges(spans[0])[0]
    for span, after in itertools.pairwise(spans):
        stop, start = _edges(span)[1], _edges(after)[0]
        if start - stop > _KEPT:
            yield first, stop + _KEPT // 2
            first = start - (_KEPT - _KEPT // 2)
    yield first, _edges(spans[-1])[1]


def _edges(span: Span) -> tuple[int, int]:
    return round(span.start_s * SAMPLE_RATE), round(span.end_s * SAMPLE_RATE)


def place_text(spans: Sequence[Span], text: WindowText) -> tuple[Segment, ...]:
    """What was heard in the window of `spans` as segments of the recording, in order; empty text gives none.

    A piece is laid on the edges of speech it lies next to. Text without pieces covers all speech of its window.
    """
    return tuple(segment for segment in _segments(spans, text) if segment.text)


def _segments(spans: Sequence[Span], text: WindowText) -> Iterator[Segment]:
    if not text.pieces:
        start_s, end_s = spans[0].start_s, spans[-1].end_s
        yield Segment(start_s, end_s, text.text.strip(), text.avg_logprob, text.no_speech, text.language)
    floor_s = spans[0].start_s
    for piece in text.pieces:
        start_s, end_s = _snap(spans, piece, floor_s)
        yield Segment(start_s, end_s, piece.text.strip(), piece.avg_logprob, piece.no_speech, text.language)
        floor_s = end_s


def _snap(spans: Sequence[Span], piece: Piece, floor_s: float) -> tuple[float, float]:
    """The piece's times from the recording's beginning, on edges of speech, not before `floor_s` and in order."""
    last_s = spans[-1].end_s
    laid = lay_spans(spans)
    start_s = _snap_start(spans, min(max(_unlay(piece.start_s, laid, spans), floor_s), last_s))
    start_s = max(start_s, floor_s)
    end_s = _snap_end(spans, min(max(_unlay(piece.end_s, laid, spans), start_s), last_s))
    if end_s <= start_s:
        end_s = next((span.end_s for span in spans if span.end_s > start_s), last_s)
    return start_s, end_s


def _unlay(time_s: float, laid: Sequence[Span], spans: Sequence[Span]) -> float:
    """A time in a window as one from the recording's beginning; `laid` is `lay_spans(spans)`."""
    for place, span, after in itertools.zip_longest(laid, spans, laid[1:]):
        gap_s = after.start_s - place.end_s if after else math.inf
        if time_s <= place.end_s + gap_s / 2:  # what is kept of a silence belongs to the speech that is nearer
            return float(span.start_s + time_s - place.start_s)
    raise AssertionError("the last span has no end to its silence")


def _snap_start(spans: Sequence[Span], time_s: float) -> float:
    near = min((span.start_s for span in spans), key=lambda edge_s: abs(edge_s - time_s))
    if abs(near - time_s) <= SNAP_S:
        return near
    if any(span.start_s <= time_s < span.end_s for span in spans):
        return time_s
    return next((span.start_s for span in spans if span.start_s >= time_s), time_s)


def _snap_end(spans: Sequence[Span], time_s: float) -> float:
    near = min((span.end_s for span in spans), key=lambda edge_s: abs(edge_s - time_s))
    if abs(near - time_s) <= SNAP_S:
        return near
    if any(span.start_s < time_s <= span.end_s for span in spans):
        return time_s
    return next((span.end_s for span in reversed(spans) if span.end_s <= time_s), time_s)
