from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diarynotes.models import SAMPLE_RATE, Audio, Media, Piece, Segment, Span, Window, WindowText
from diarynotes.transcribe.windows import (
    BRIDGE_S,
    KEPT_S,
    SNAP_S,
    WINDOW_S,
    cut_window,
    group_spans,
    lay_spans,
    place_text,
)


def make_audio(duration_s: float) -> Audio:
    pcm = np.arange(round(duration_s * SAMPLE_RATE)).astype(np.int16)
    return Audio(pcm, Media("wav", "pcm_s16le", duration_s, SAMPLE_RATE, 1))


def make_window(*spans: tuple[float, float], start_s: float | None = None) -> Window:
    first_s = spans[0][0] if start_s is None else start_s
    samples = np.zeros(round((spans[-1][1] - first_s) * SAMPLE_RATE), np.float32)
    return Window("r", 0, first_s, samples, tuple(Span(*span) for span in spans))


@st.composite
def any_spans(draw: st.DrawFn) -> tuple[Span, ...]:
    steps = draw(st.lists(st.tuples(st.integers(0, 100_000), st.integers(1, 480_000)), max_size=12))
    spans, at = [], 0
    for gap, length in steps:
        spans.append(Span((at + gap) / SAMPLE_RATE, (at + gap + length) / SAMPLE_RATE))
        at += gap + length
    return tuple(spans)


@given(any_spans())
def test_windows_hold_all_spans_in_order_and_keep_the_limits(spans: tuple[Span, ...]) -> None:
    audio = make_audio(spans[-1].end_s if spans else 1.0)
    groups = group_spans(spans)

    assert tuple(span for group in groups for span in group) == spans
    for number, group in enumerate(groups):
        window = cut_window("r", number, audio, group)
        places = lay_spans(group)
        assert len(window.samples) <= WINDOW_S * SAMPLE_RATE
        assert len(window.samples) == round(places[-1].end_s * SAMPLE_RATE)
        assert window.start_s == group[0].start_s
        assert all(b.start_s - a.end_s <= BRIDGE_S for a, b in itertools.pairwise(group))
        assert all(b.start_s - a.end_s <= KEPT_S + 1e-9 for a, b in itertools.pairwise(places))


@given(any_spans())
def test_the_sound_of_every_span_lies_where_it_is_laid(spans: tuple[Span, ...]) -> None:
    audio = make_audio(spans[-1].end_s if spans else 1.0)

    for group in group_spans(spans):
        window = cut_window("r", 0, audio, group)
        for span, place in zip(group, lay_spans(group), strict=True):
            start, stop = round(place.start_s * SAMPLE_RATE), round(place.end_s * SAMPLE_RATE)
            assert np.array_equal(window.samples[start:stop], audio.samples(span.start_s, span.end_s))


@given(any_spans())
def test_no_two_neighbouring_windows_would_fit_in_one(spans: tuple[Span, ...]) -> None:
    for a, b in itertools.pairwise(group_spans(spans)):
        together = lay_spans([*a, b[0]])[-1].end_s
        assert together > WINDOW_S - 1e-6 or b[0].start_s - a[-1].end_s > BRIDGE_S


@given(any_spans())
def test_a_piece_for_each_span_comes_back_at_its_time(spans: tuple[Span, ...]) -> None:
    for group in group_spans(spans):
        pieces = tuple(Piece(place.start_s, place.end_s, "word") for place in lay_spans(group))
        placed = place_text(group, WindowText("words", pieces))
        assert len(placed) == len(group)
        for segment, span in zip(placed, group, strict=True):
            if span.end_s - span.start_s > 2 * SNAP_S:  # a shorter one may be taken for a neighbour's edge
                assert span.start_s - SNAP_S <= segment.start_s <= span.start_s + SNAP_S


def test_a_window_holds_the_samples_of_its_time() -> None:
    audio = make_audio(3.0)

    window = cut_window("r", 0, audio, (Span(1.0, 1.5), Span(2.0, 2.25)))

    assert window.samples.dtype == np.float32
    assert np.array_equal(window.samples, audio.pcm[16000:36000] / np.float32(32768))


def test_a_silence_is_cut_down_to_what_is_next_to_speech() -> None:
    audio = make_audio(12.0)

    window = cut_window("r", 0, audio, (Span(1.0, 2.0), Span(8.0, 9.0)))

    kept = np.concatenate([audio.samples(1.0, 2.5), audio.samples(7.5, 9.0)])
    assert np.array_equal(window.samples, kept)
    assert lay_spans(window.spans) == (Span(0.0, 1.0), Span(2.0, 3.0))


@pytest.mark.parametrize(
    ("piece", "segment"),
    [
        ((0.0, 1.0), (1.0, 2.0)),
        ((2.0, 3.0), (8.0, 9.0)),
        ((0.0, 3.0), (1.0, 9.0)),
        ((0.1, 1.4), (1.0, 2.0)),  # a little into the silence after it
        ((1.6, 2.9), (8.0, 9.0)),  # or before it
        ((2.6, 3.0), (8.6, 9.0)),
    ],
)
def test_times_in_a_window_are_times_of_the_recording_again(
    piece: tuple[float, float], segment: tuple[float, float]
) -> None:
    (placed,) = place_text((Span(1.0, 2.0), Span(8.0, 9.0)), WindowText("a", (Piece(*piece, "a"),)))

    assert (placed.start_s, placed.end_s) == pytest.approx(segment)


def test_a_long_silence_is_not_bridged() -> None:
    groups = group_spans([Span(0, 5), Span(6, 7), Span(7 + BRIDGE_S + 0.1, 22)])

    assert groups == [(Span(0, 5), Span(6, 7)), (Span(7 + BRIDGE_S + 0.1, 22),)]


def test_a_window_says_how_it_is_to_be_heard() -> None:
    window = cut_window("r", 3, make_audio(2.0), (Span(0, 1),), language="de", terms=("Zug",), temperature=0.4)

    assert (window.number, window.language, window.terms, window.temperature) == (3, "de", ("Zug",), 0.4)


def test_text_without_pieces_covers_the_speech_of_its_window() -> None:
    window = make_window((10.0, 12.0), (13.0, 14.5))

    assert place_text(window.spans, WindowText(" hello there ", avg_logprob=-0.3, no_speech=0.1)) == (
        Segment(10.0, 14.5, "hello there", -0.3, 0.1),
    )


@pytest.mark.parametrize("text", [WindowText(""), WindowText("  "), WindowText("x", (Piece(0, 1, " "),))])
def test_no_text_gives_no_segment(text: WindowText) -> None:
    assert place_text(make_window((1.0, 2.0)).spans, text) == ()


def test_pieces_are_laid_on_the_edges_of_speech() -> None:
    window = make_window((10.0, 12.0), (13.0, 15.0))
    text = WindowText("a b", (Piece(0.2, 2.4, "a"), Piece(2.7, 4.8, "b")))

    assert place_text(window.spans, text) == (Segment(10.0, 12.0, "a"), Segment(13.0, 15.0, "b"))


def test_pieces_inside_one_span_keep_their_times() -> None:
    window = make_window((10.0, 20.0))
    text = WindowText("a b", (Piece(0.0, 4.2, "a"), Piece(4.2, 9.9, "b")))

    assert place_text(window.spans, text) == (Segment(10.0, 14.2, "a"), Segment(14.2, 20.0, "b"))


def test_a_piece_in_the_silence_moves_to_speech() -> None:
    window = make_window((10.0, 12.0), (13.9, 15.0))

    (segment,) = place_text(window.spans, WindowText("a", (Piece(2.6, 2.9, "a"),)))

    assert (segment.start_s, segment.end_s) == (13.9, 15.0)


@given(
    any_spans().filter(bool),
    st.lists(st.tuples(st.floats(0, 40), st.floats(0, 40)), max_size=8),
)
def test_segments_are_in_order_inside_the_window_whatever_the_engine_says(
    spans: tuple[Span, ...], times: list[tuple[float, float]]
) -> None:
    group = group_spans(spans)[0]
    window = make_window(*((span.start_s, span.end_s) for span in group))
    pieces = tuple(Piece(min(pair), max(pair), "word") for pair in sorted(times))

    segments = place_text(window.spans, WindowText("word", pieces))

    assert len(segments) == max(1, len(pieces))
    for segment in segments:
        assert group[0].start_s <= segment.start_s <= segment.end_s <= group[-1].end_s
    assert all(a.end_s <= b.start_s for a, b in itertools.pairwise(segments))
