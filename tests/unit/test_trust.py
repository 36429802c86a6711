from __future__ import annotations

import pytest

from diarynotes.models import Segment
from diarynotes.testing import SENTENCES
from diarynotes.transcribe.trust import COMPRESSION_LIMIT, compression_ratio, is_phantom, score


def spoken(*texts: str, pace_s: float = 4.0, **numbers: float) -> list[Segment]:
    return [Segment(i * pace_s, (i + 1) * pace_s, text, **numbers) for i, text in enumerate(texts)]


def judge(segments: list[Segment], language: str = "en", degraded: bool = False) -> tuple[float, tuple[str, ...]]:
    speech_s = sum(segment.end_s - segment.start_s for segment in segments)
    return score(segments, speech_s=speech_s, duration_s=speech_s * 1.2, language=language, degraded=degraded)


def rules(reasons: tuple[str, ...]) -> list[str]:
    return [reason.split(":")[0] for reason in reasons]


def test_plain_speech_is_trusted() -> None:
    assert judge(spoken(*SENTENCES, avg_logprob=-0.25, no_speech=0.02)) == (1.0, ())


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


def test_doubt_counts_by_how_much_text_it_covers() -> None:
    sure, unsure = (spoken(*SENTENCES[:4], avg_logprob=logprob) for logprob in (-0.3, -1.4))

    assert judge(sure)[0] == 1
    assert judge(sure[:2] + unsure[2:])[0] > judge(unsure)[0]
    assert rules(judge(unsure)[1]) == ["unsure"]


def test_what_the_engine_takes_for_silence_is_trusted_least() -> None:
    trust, reasons = judge(spoken(*SENTENCES[:3], avg_logprob=-1.4, no_speech=0.9))

    assert rules(reasons) == ["unsure", "no speech"]
    assert trust == pytest.approx(0.2)


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


def test_a_simple_engine_is_trusted_half() -> None:
    assert judge(spoken(*SENTENCES), degraded=True)[0] == 0.5


def test_reasons_hold_no_word_of_the_diary() -> None:
    secret = "Margarethe Margarethe Margarethe Margarethe Margarethe Margarethe Margarethe Margarethe"
    _, reasons = judge(spoken(*[secret] * 9, avg_logprob=-2.0, no_speech=0.9, pace_s=0.4), degraded=True)

    assert len(reasons) >= 4
    assert "margarethe" not in " ".join(reasons).casefold()


@pytest.mark.parametrize("segments", [[], spoken(""), spoken("word", avg_logprob=-9.0, no_speech=1.0, pace_s=0.01)])
def test_trust_is_between_nothing_and_everything(segments: list[Segment]) -> None:
    trust, _ = score(segments, speech_s=0.0, duration_s=0.0)

    assert 0 <= trust <= 1
