from __future__ import annotations

import pytest

from diarynotes.models import Piece, Segment, Span, WindowText
from diarynotes.testing import SENTENCES
from diarynotes.transcribe.trust import (
    COMPRESSION_LIMIT,
    compression_ratio,
    drop_silence,
    is_phantom,
    judge_window,
    score,
)


def spoken(*texts: str, pace_s: float = 4.0, **numbers: float) -> list[Segment]:
    return [Segment(i * pace_s, (i + 1) * pace_s, text, **numbers) for i, text in enumerate(texts)]


def judge(segments: list[Segment], language: str = "en", degraded: bool = False) -> tuple[float, tuple[str, ...]]:
    speech_s = sum(segment.end_s - segment.start_s for segment in segments)
    return score(segments, speech_s=speech_s, duration_s=speech_s * 1.2, language=language, degraded=degraded)


def rules(reasons: tuple[str, ...]) -> list[str]:
    return [reason.split(":")[0] for reason in reasons]


def test_plain_speech_is_trusted() -> None:
    trust, reasons = judge(spoken(*SENTENCES, avg_logprob=-0.25, no_speech=0.02))

    assert (trust, reasons) == (pytest.approx(0.779, abs=0.001), ())
    assert judge(spoken(*SENTENCES)) == (1.0, ())


def test_a_long_plain_text_is_no_repetition() -> None:
    assert compression_ratio(" ".join(SENTENCES * 20)) > COMPRESSION_LIMIT
    assert judge(spoken(*SENTENCES * 20)) == (1.0, ())


def test_repetition_is_seen_in_the_stretch_where_it_is() -> None:
    half, reasons = judge(spoken(*SENTENCES[:8], *["I know I know I know I know I know I know"] * 8))
    whole, _ = judge(spoken(*["I know I know I know I know I know I know"] * 16))

    assert rules(reasons) == ["repetition"]
    assert whole < half < 1


@pytest.mark.parametrize(("pace_s", "rule"), [(0.5, "too fast"), (60.0, "too slow")])
def test_nobody_speaks_so_fast_or_so_slowly(pace_s: float, rule: str) -> None:
    trust, reasons = judge(spoken(*SENTENCES[:6], pace_s=pace_s))

    assert rules(reasons) == [rule]
    assert trust < 1


def test_words_are_not_counted_where_none_are_spaced() -> None:
    assert judge(spoken("今日は川まで歩いて行きました。水がとても高かったです。", pace_s=9), language="ja") == (1.0, ())


def test_what_the_engine_doubts_counts_by_how_much_text_it_covers() -> None:
    sure, unsure = (spoken(*SENTENCES[:4], avg_logprob=logprob) for logprob in (-0.1, -1.4))

    assert judge(sure)[0] > judge(sure[:2] + unsure[2:])[0] > judge(unsure)[0]
    assert rules(judge(unsure)[1]) == ["unsure"]


def test_what_the_engine_takes_for_silence_is_trusted_least() -> None:
    trust, reasons = judge(spoken(*SENTENCES[:3], avg_logprob=-1.4, no_speech=0.9))

    assert rules(reasons) == ["unsure", "no speech"]
    assert trust == pytest.approx(0.123, abs=0.001)


@pytest.mark.parametrize(
    "text",
    ["Thanks for watching!", " Thank you for watching. ", "Untertitel der Amara.org-Community", "See you next time."],
)
def test_phantoms_are_known(text: str) -> None:
    assert is_phantom(text)
    assert judge(spoken(text, pace_s=1.5)) == (0.1, ("phantom: 1 of 1 segments are what engines say of noise",))


@pytest.mark.parametrize("text", ["Thank you for watching the children.", "Thank you", "I see you next time we meet"])
def test_what_a_person_says_is_no_phantom(text: str) -> None:
    assert not is_phantom(text)


def test_little_speech_in_a_long_recording_is_suspicious() -> None:
    _, reasons = score(spoken(SENTENCES[0]), speech_s=4.0, duration_s=600.0)

    assert rules(reasons) == ["little speech"]


def test_a_simple_engine_is_trusted_half_or_as_far_as_it_trusts_itself() -> None:
    sure = spoken(*SENTENCES[:2], avg_logprob=-0.1)
    unsure = spoken(*SENTENCES[:2], avg_logprob=-1.5)

    assert judge(spoken(*SENTENCES), degraded=True)[0] == 0.5
    assert judge(sure, degraded=True)[0] == pytest.approx(0.905, abs=0.001)
    assert judge(unsure, degraded=True)[0] == pytest.approx(0.223, abs=0.001)
    assert rules(judge(unsure, degraded=True)[1]) == ["degraded"]


def test_reasons_hold_no_word_of_the_diary() -> None:
    secret = "Margarethe Margarethe Margarethe Margarethe Margarethe Margarethe Margarethe Margarethe"
    said = spoken(*[secret] * 9, avg_logprob=-2.0, no_speech=0.9, pace_s=0.4)
    reasons = (*judge(said)[1], *judge(said, degraded=True)[1])

    assert len(set(map(str.casefold, rules(reasons)))) >= 5
    assert "margarethe" not in " ".join(reasons).casefold()


@pytest.mark.parametrize("segments", [[], spoken(""), spoken("word", avg_logprob=-9.0, no_speech=1.0, pace_s=0.01)])
def test_trust_is_between_nothing_and_everything(segments: list[Segment]) -> None:
    trust, _ = score(segments, speech_s=0.0, duration_s=0.0)

    assert 0 <= trust <= 1


SPANS = (Span(10.0, 14.0), Span(15.5, 20.0))


def heard(text: str, *pieces: Piece, **numbers: float) -> WindowText:
    return WindowText(text, pieces, "en", **numbers)


def test_plain_text_in_a_window_is_not_doubted() -> None:
    assert judge_window(heard("I walked to the river this morning.", avg_logprob=-0.3, no_speech=0.1), SPANS) == 1
    assert judge_window(heard("", avg_logprob=-3.0), SPANS) == 1


@pytest.mark.parametrize(
    "text",
    [
        heard("I know I know I know I know I know I know I know I know", avg_logprob=-0.1),
        heard("I walked to the river this morning.", avg_logprob=-1.5),
        heard("Thanks for watching!", avg_logprob=-0.1),
        heard("word " * 80, avg_logprob=-0.1),
        heard("in the pause", Piece(4.05, 4.95, "in the pause", -0.1), avg_logprob=-0.1),
    ],
)
def test_signs_of_a_failed_decoding_are_doubted(text: WindowText) -> None:
    assert judge_window(text, SPANS) < 0.65


def test_text_that_is_put_where_nobody_speaks_is_suspicious() -> None:
    placed = (Piece(0.0, 4.2, "I walked to the river"), Piece(4.05, 4.95, "and then some"))
    text = heard("I walked to the river and then some", *placed)

    trust, reasons = score(spoken("I walked to the river", "and then some"), [(SPANS, text)], speech_s=8, duration_s=9)

    assert rules(reasons) == ["misplaced"]
    assert 0.4 < trust < 1


def test_speech_in_which_nothing_was_heard_is_told() -> None:
    placed = [(SPANS, heard(SENTENCES[0])), ((Span(30.0, 34.0),), heard(""))]

    trust, reasons = score(spoken(SENTENCES[0]), placed, speech_s=12.5, duration_s=40.0)

    assert reasons == ("unheard: the engine heard nothing in 32% of the speech",)
    assert trust < 1


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (heard("Well then.", avg_logprob=-1.3, no_speech=0.7), False),
        (heard("Thanks for watching!", avg_logprob=-0.2, no_speech=0.7), False),
        (heard("Thanks for watching!", avg_logprob=-0.2, no_speech=0.2), True),
        (heard("Well then.", avg_logprob=-0.4, no_speech=0.9), True),
        (heard("Well then.", avg_logprob=-1.3, no_speech=0.5), True),
        (heard("Well then."), True),
    ],
)
def test_silence_is_what_the_engine_takes_for_it_and_doubts(text: WindowText, kept: bool) -> None:
    assert bool(drop_silence(text).text) is kept
    assert drop_silence(text).no_speech == text.no_speech
