"""Speech cut into windows for an engine, and an engine's texts stitched to segments of the recording.

Knows nothing of engines or of where speech was found. Times are anchored on the edges of the spans, since the
times that Whisper predicts drift (Bain et al., 2023, "WhisperX", section 1).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from diarynotes.models import SAMPLE_RATE, Audio, Piece, RecordingId, Segment, Span, Window, WindowText

WINDOW_S = 30.0
"""What a window may hold at most: Whisper's input, s."""
BRIDGE_S = 2.0
"""The longest silence kept inside a window, s: a long silence is where Whisper invents text."""
SNAP_S = 0.5
"""How far an engine's time may lie from an edge of speech and still mean that edge, s."""


def group_spans(spans: Sequence[Span]) -> list[tuple[Span, ...]]:
    """Consecutive spans (in order, each at most 30 s) packed into groups that fit a window each."""
    groups: list[tuple[Span, ...]] = []
    for span in spans:
        if groups and _fits(groups[-1], span):
            groups[-1] = (*groups[-1], span)
        else:
            groups.append((span,))
    return groups


def _fits(group: tuple[Span, ...], span: Span) -> bool:
    length = round(span.end_s * SAMPLE_RATE) - round(group[0].start_s * SAMPLE_RATE)
    return span.start_s - group[-1].end_s <= BRIDGE_S and length <= WINDOW_S * SAMPLE_RATE


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
    """The samples from the first to the last edge of `spans` (one of `group_spans`), with how they are to be heard."""
    samples = audio.samples(spans[0].start_s, spans[-1].end_s)
    audio.forget()
    return Window(recording_id, number, spans[0].start_s, samples, spans, language, terms, temperature)


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
    first_s, last_s = spans[0].start_s, spans[-1].end_s
    start_s = _snap_start(spans, min(max(first_s + piece.start_s, floor_s), last_s))
    start_s = max(start_s, floor_s)
    end_s = _snap_end(spans, min(max(first_s + piece.end_s, start_s), last_s))
    if end_s <= start_s:
        end_s = next((span.end_s for span in spans if span.end_s > start_s), last_s)
    return start_s, end_s


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
