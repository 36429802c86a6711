from __future__ import annotations

from typing import Any

import pytest

from diarynotes.cli.scores import Progress, advise, print_scores, score_trial
from diarynotes.cli.trial import Trial
from diarynotes.errors import EngineFailed, NoSpeech
from diarynotes.models import Segment, Transcript


def make_transcript(text: str, trust: float) -> Transcript:
    return Transcript("t", "r", "whisper", "tiny", "en", (Segment(0.0, 1.0, text),), trust)


def make_score(engine: str, wrong: list[int], pace: float, preprocess: str = "auto") -> dict[str, Any]:
    clips = [{"file": f"{n}.wav", "wrong": count, "words": 10} for n, count in enumerate(wrong)]
    return {
        "engine": engine,
        "model": "tiny",
        "preprocess": preprocess,
        "word_error_rate": sum(wrong) / (10 * len(wrong)),
        "real_time_factor": pace,
        "peak_memory_mb": 300,
        "mean_trust": 0.8,
        "trust_error_correlation": -0.5,
        "trust_error_clips": len(wrong),
        "clips": clips,
    }


def test_a_trial_is_scored_on_all_clips_but_those_that_failed() -> None:
    said = {"a": ("the small dog", "en"), "b": ("a river", "en"), "c": ("home", "en"), "d": ("sept", "fr")}
    results = (
        ("a", make_transcript("the small fog", 0.5)),
        ("b", NoSpeech()),
        ("c", EngineFailed("whisper", "it died")),
        ("d", make_transcript("Sept.", 0.9)),
    )
    problems: list[dict[str, str]] = []

    score = score_trial(
        Trial("whisper", "tiny", results, 2.0), said, problems, way="loudness", audio_s=9.0, peak_bytes=250_400_000
    )

    assert (score["wrong"], score["words"], score["word_error_rate"]) == (3, 6, 0.5)
    assert (score["real_time_factor"], score["peak_memory_mb"], score["preprocess"]) == (4.5, 250, "loudness")
    assert score["mean_trust"] == pytest.approx(0.7)
    assert (score["trust_error_correlation"], score["trust_error_clips"]) == (None, 2)
    assert [row["file"] for row in score["clips"]] == ["a", "b", "d"]
    assert [(problem["source"], problem["code"]) for problem in problems] == [("c", "engine_failed")]


GOOD, BAD = [1, 2, 0, 3, 1, 2], [3, 5, 2, 6, 3, 4]


def test_what_is_faster_and_surely_worse_is_told_with_its_cost() -> None:
    advice = advise([make_score("whisper", GOOD, 2.0), make_score("pocketsphinx", BAD, 8.0)])

    assert advice.startswith("whisper tiny gets the fewest words wrong (15% wrong, 2.0 × real time, 300 MB)")
    assert (
        "the fastest, pocketsphinx tiny (38% wrong, 8.0 × real time, 300 MB), gets 23 more words of 100 wrong" in advice
    )


def test_what_is_faster_and_not_surely_worse_is_named() -> None:
    nearly = [1, 2, 1, 3, 1, 2]

    advice = advise([make_score("whisper", GOOD, 2.0), make_score("ctranslate2", nearly, 8.0)])

    assert advice.startswith("whisper tiny gets")
    assert "do not show that it is better than ctranslate2 tiny, which is faster (17% wrong" in advice
    assert "the fastest" not in advice


def test_a_little_faster_is_no_reason() -> None:
    advice = advise([make_score("whisper", GOOD, 2.0), make_score("ctranslate2", BAD, 2.4)])

    assert "ctranslate2" not in advice


def test_of_equals_what_leaves_the_sound_alone_is_advised() -> None:
    advice = advise([make_score("whisper", GOOD, 2.2, "loudness"), make_score("whisper", GOOD, 2.0)])

    assert advice.startswith("whisper tiny gets")


def test_one_alone_and_none_at_all_are_said() -> None:
    assert "to choose, try others too" in advise([make_score("whisper", GOOD, 2.0, "loudness")])
    assert "Nothing can be advised" in advise([])
    assert "Nothing can be advised" in advise([{**make_score("whisper", GOOD, 2.0), "word_error_rate": None}])


def test_the_table_has_a_column_for_preprocessing_only_where_there_was_some(capsys: pytest.CaptureFixture[str]) -> None:
    outcome = {"engines": [make_score("whisper", GOOD, 2.0)], "advice": "Take it.", "problems": []}
    outcome["engines"][0]["clips"] = []
    print_scores(outcome)
    plain = capsys.readouterr().out
    outcome["engines"][0]["preprocess"] = "loudness"
    print_scores(outcome)

    assert "preprocess" not in plain
    assert "15.0%" in plain
    assert "Take it." in plain
    assert "loudness" in capsys.readouterr().out


def test_progress_is_a_line_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    for quiet in (True, False):
        with Progress(3, quiet=quiet) as progress, progress.follow("whisper tiny none") as heard:
            heard("a.wav")

    captured = capsys.readouterr()
    assert captured.err.strip() == "… whisper tiny none listens to 3 clips"
    assert captured.out == ""
