from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from diarynotes.errors import (
    BadSettings,
    DiarynotesError,
    EngineFailed,
    EngineOutOfMemory,
    NoSpeech,
    Untrusted,
)
from diarynotes.models import SAMPLE_RATE, Audio, Media, Span, Transcript, Window, WindowText
from diarynotes.testing import ScriptedEngine
from diarynotes.transcribe import Heard, open_engine, transcribe_recordings


def make_heard(recording_id: str, *lengths_s: float, gap_s: float = 11.0) -> Heard:
    """A recording with spans of these lengths, too far apart to share a window."""
    spans, at = [], 0.0
    for length_s in lengths_s:
        spans.append(Span(at, at + length_s))
        at += length_s + gap_s
    rng = np.random.default_rng(sum(recording_id.encode()))
    pcm = rng.integers(-3000, 3000, round(max(at, 1.0) * SAMPLE_RATE)).astype(np.int16)
    return Heard(recording_id, Audio(pcm, Media("wav", "pcm_s16le", at, SAMPLE_RATE, 1)), tuple(spans))


class Recorder(ScriptedEngine):
    """Notes the batches that it is given; fails on windows of the recordings in `bad`."""

    def __init__(self, *texts: str, batch_size: int = 4, bad: Sequence[str] = ()) -> None:
        super().__init__(*texts, batch_size=batch_size)
        self.bad = bad
        self.batches: list[list[str]] = []

    def decode(self, windows: Sequence[Window]) -> list[WindowText]:
        self.batches.append([window.recording_id for window in windows])
        if any(window.recording_id in self.bad for window in windows):
            raise EngineFailed("scripted", "told to")
        return super().decode(windows)


def results(engine: ScriptedEngine, *heard: Heard) -> dict[str, Transcript | DiarynotesError]:
    return dict(transcribe_recordings(engine, heard))


def test_every_recording_gets_its_transcript() -> None:
    heard = [make_heard("a", 3, 4), make_heard("b", 2), make_heard("c", 1, 1, 1, 1, 1)]

    found = results(ScriptedEngine(), *heard)

    for item in heard:
        transcript = found[item.recording_id]
        assert isinstance(transcript, Transcript)
        assert [(s.start_s, s.end_s) for s in transcript.segments] == [(s.start_s, s.end_s) for s in item.spans]
        assert (transcript.engine, transcript.model, transcript.language) == ("scripted", "lines", "en")
        assert transcript.id == Transcript.identify(item.recording_id, "scripted", "lines")
        assert transcript.trust > 0
        assert not transcript.degraded


@pytest.mark.parametrize("batch_size", [1, 2, 3, 100])
def test_batching_and_order_change_nothing(batch_size: int) -> None:
    heard = [make_heard("a", 3, 4), make_heard("b", 2), make_heard("c", 1, 1, 1), make_heard("d")]
    expected = results(ScriptedEngine(batch_size=7), *heard)

    found = results(ScriptedEngine(batch_size=batch_size), *reversed(heard))

    assert {key: value for key, value in found.items() if key != "d"} == {
        key: value for key, value in expected.items() if key != "d"
    }
    assert isinstance(found["d"], NoSpeech)


def test_windows_of_several_recordings_share_a_batch() -> None:
    engine = Recorder(batch_size=4)

    results(engine, make_heard("a", 1, 1, 1), make_heard("b", 1, 1), make_heard("c", 1))

    assert engine.batches == [["a", "a", "a", "b"], ["b", "c"]]


def test_results_come_as_soon_as_they_are_known_and_recordings_are_taken_as_needed() -> None:
    taken = []

    def heard() -> Iterator[Heard]:
        for name in ("a", "silent", "b", "c", "d", "e"):
            taken.append(name)
            yield make_heard(name, 1) if name != "silent" else make_heard(name)

    stream = transcribe_recordings(Recorder(batch_size=2), heard())

    assert (next(stream)[0], taken) == ("silent", ["a", "silent"])
    assert (next(stream)[0], taken) == ("a", ["a", "silent", "b", "c", "d"])  # one batch is ahead of the engine
    assert [name for name, _ in stream] == ["b", "c", "d", "e"]


def test_nobody_speaks_where_there_is_no_span() -> None:
    engine = Recorder()

    assert isinstance(results(engine, make_heard("a"))["a"], NoSpeech)
    assert engine.batches == []


def test_nobody_speaks_where_the_engine_hears_no_word() -> None:
    assert isinstance(results(ScriptedEngine("", "  "), make_heard("a", 2, 2))["a"], NoSpeech)


def test_the_failure_of_one_recording_leaves_its_neighbours_alone() -> None:
    engine = Recorder(bad=["b"], batch_size=4)

    found = results(engine, make_heard("a", 1, 1), make_heard("b", 1, 1, 1), make_heard("c", 1, 1))

    assert isinstance(found["b"], EngineFailed)
    assert found["a"] == results(ScriptedEngine(), make_heard("a", 1, 1))["a"]
    assert found["c"] == results(ScriptedEngine(), make_heard("c", 1, 1))["c"]


def test_windows_of_a_failed_recording_are_not_decoded_in_later_batches() -> None:
    engine = Recorder(bad=["b"], batch_size=2)

    results(engine, make_heard("b", *[1.0] * 6), make_heard("c", 1))

    assert engine.batches == [["b", "b"], ["b"], ["b"], ["b", "b"], ["b"], ["b"], ["c"]]  # one was ahead


def test_an_error_of_ours_is_not_hidden() -> None:
    class Broken(ScriptedEngine):
        def decode(self, windows: Sequence[Window]) -> list[WindowText]:
            raise KeyError("bug")

    with pytest.raises(KeyError):
        results(Broken(), make_heard("a", 1))


def test_the_same_recording_twice_gives_the_same_twice() -> None:
    (_, first), (_, second) = transcribe_recordings(ScriptedEngine(), [make_heard("a", 1, 2), make_heard("a", 1, 2)])

    assert first == second


def test_a_degraded_engine_marks_its_transcripts() -> None:
    engine = ScriptedEngine()
    engine.degraded = True
    transcript = results(engine, make_heard("a", 4))["a"]

    assert isinstance(transcript, Transcript)
    assert transcript.degraded
    assert transcript.trust < 1


def test_settings_of_the_engine_are_part_of_the_identity() -> None:
    engine = ScriptedEngine()
    engine.settings = "language=de"
    transcript = results(engine, make_heard("a", 4))["a"]

    assert isinstance(transcript, Transcript)
    assert transcript.id == Transcript.identify("a", "scripted", "lines", "language=de")


def test_the_language_is_what_most_of_the_text_is_in() -> None:
    class Polyglot(ScriptedEngine):
        def decode(self, windows: Sequence[Window]) -> list[WindowText]:
            texts = {0: WindowText("Ja.", language="de"), 1: WindowText("A good deal more was said.", language="en")}
            return [texts[window.number] for window in windows]

    transcript = results(Polyglot(), make_heard("a", 1, 3))["a"]

    assert isinstance(transcript, Transcript)
    assert transcript.language == "en"


class Draws(ScriptedEngine):
    """Says what it is told for each temperature and language; notes what it was asked."""

    draws = True

    def __init__(self, answer: Callable[[Window], WindowText], batch_size: int = 4) -> None:
        super().__init__(batch_size=batch_size)
        self.answer = answer
        self.asked: list[tuple[int, str | None, float]] = []

    def decode(self, windows: Sequence[Window]) -> list[WindowText]:
        self.asked += [(window.number, window.language, window.temperature) for window in windows]
        return [self.answer(window) for window in windows]


GOOD = "I walked to the river this morning."
REPEATED = "and then and then " * 12


def test_doubtful_windows_are_drawn_again_and_the_best_text_is_believed() -> None:
    def answer(window: Window) -> WindowText:
        bad = window.number == 1 and window.temperature < 0.8
        text, logprob = (REPEATED, -0.1) if bad else (GOOD, -0.1 - window.temperature / 8)
        return WindowText(text, language="en", avg_logprob=logprob, temperature=window.temperature)

    engine = Draws(answer)
    transcript = results(engine, make_heard("a", 9, 20, 9))["a"]

    assert isinstance(transcript, Transcript)
    assert [segment.text for segment in transcript.segments] == [GOOD] * 3
    assert transcript.trust_reasons == ()
    assert engine.asked == [(0, None, 0.0), (1, None, 0.0), (2, None, 0.0), (1, "en", 0.4), (1, "en", 0.8)]


def test_what_no_draw_makes_better_stays_as_first_heard_and_is_set_aside() -> None:
    engine = Draws(lambda window: WindowText(REPEATED, language="en", avg_logprob=-2.0, temperature=window.temperature))
    error = results(engine, make_heard("a", 20))["a"]

    assert isinstance(error, Untrusted)
    assert "repetition" in str(error)
    assert "and then" not in str(error)
    assert len(engine.asked) == 3


def test_an_engine_that_does_not_draw_is_not_asked_again() -> None:
    engine = Recorder(REPEATED)

    results(engine, make_heard("a", 20, 20))

    assert engine.batches == [["a", "a"]]


def test_another_engine_hears_at_the_end_what_is_in_doubt() -> None:
    first = Draws(lambda window: WindowText(REPEATED if window.number else GOOD, language="en", avg_logprob=-0.2))
    other = Draws(lambda window: WindowText("The water was very high.", language="en", avg_logprob=-0.2))
    heard = [make_heard("a", 9, 20), make_heard("b", 9)]

    found = list(transcribe_recordings(first, heard, second=lambda: nullcontext(other)))

    assert [name for name, _ in found] == ["b", "a"]
    transcript = found[1][1]
    assert isinstance(transcript, Transcript)
    assert [segment.text for segment in transcript.segments] == [GOOD, "The water was very high."]
    assert other.asked == [(1, "en", 0.0)]


def test_no_other_engine_is_opened_where_nothing_is_in_doubt() -> None:
    def forbidden() -> nullcontext[ScriptedEngine]:
        raise AssertionError("opened")

    assert len(list(transcribe_recordings(ScriptedEngine(), [make_heard("a", 3)], second=forbidden))) == 1


def test_a_window_of_no_sure_language_is_heard_in_that_of_the_recording() -> None:
    likely = {0: (("de", 0.9), ("en", 0.1)), 1: (("cy", 0.5), ("de", 0.4)), 2: (("en", 0.95), ("de", 0.05))}

    def answer(window: Window) -> WindowText:
        language = window.language or likely[window.number][0][0]
        return WindowText(f"{GOOD} {language}", language=language, languages=likely[window.number], avg_logprob=-0.2)

    engine = Draws(answer)
    transcript = results(engine, make_heard("a", 20, 4, 6))["a"]

    assert isinstance(transcript, Transcript)
    assert [(s.text, s.language) for s in transcript.segments] == [
        (f"{GOOD} {code}", code) for code in ("de", "de", "en")
    ]
    assert transcript.language == "de"
    assert engine.asked[3:] == [(1, "de", 0.0)]


def test_what_an_engine_takes_for_silence_is_not_text() -> None:
    phantom = WindowText("Thank you for watching!", language="en", avg_logprob=-0.3, no_speech=0.9)
    doubted = WindowText("Well.", language="en", avg_logprob=-1.4, no_speech=0.7)
    said = WindowText(GOOD, language="en", avg_logprob=-0.3, no_speech=0.9)
    answers = {0: phantom, 1: said, 2: doubted}

    transcript = results(Draws(lambda window: answers[window.number]), make_heard("a", 1, 9, 1))["a"]
    nothing = results(Draws(lambda window: phantom), make_heard("b", 1, 1))["b"]

    assert isinstance(transcript, Transcript)
    assert [segment.text for segment in transcript.segments] == [GOOD]
    assert isinstance(nothing, NoSpeech)


class Memory:
    """A notebook in memory."""

    def __init__(self) -> None:
        self.pages: dict[tuple[str, str], dict[int, list[WindowText]]] = {}
        self.shares: list[float] = []

    def recall(self, recording_id: str, key: str) -> dict[int, list[WindowText]]:
        return self.pages.get((recording_id, key), {})

    def keep(self, recording_id: str, key: str, texts: Mapping[int, Sequence[WindowText]], share_done: float) -> None:
        page = self.pages.setdefault((recording_id, key), {})
        for number, found in texts.items():
            page.setdefault(number, []).extend(found)
        self.shares.append(share_done)


class Killed(BaseException):
    pass


def test_what_was_heard_before_a_kill_is_not_paid_for_again() -> None:
    memory, heard = Memory(), make_heard("long", *[3.0] * 20)
    expected = results(ScriptedEngine(), heard)["long"]

    class Dying(Recorder):
        def decode(self, windows: Sequence[Window]) -> list[WindowText]:
            if len(self.batches) == 3:
                raise Killed
            return super().decode(windows)

    with pytest.raises(Killed):
        list(transcribe_recordings(Dying(batch_size=4), [heard], notebook=memory))
    again = Recorder(batch_size=4)
    ((_, transcript),) = transcribe_recordings(again, [heard], notebook=memory)

    assert transcript == expected
    assert memory.shares[:2] == [0.2, 0.4]
    assert len(again.batches) <= 3  # of five batches, two were kept, and one was with the engine


def test_a_notebook_serves_only_the_same_windows_and_engine() -> None:
    memory, heard = Memory(), make_heard("a", *[3.0] * 6)
    list(transcribe_recordings(Recorder(batch_size=2), [heard], notebook=memory))
    other = Recorder(batch_size=2)
    other.model = "other"

    list(transcribe_recordings(other, [heard], notebook=memory))

    assert len(other.batches) == 3


def test_too_large_a_batch_is_halved_for_good() -> None:
    class Small(Recorder):
        def decode(self, windows: Sequence[Window]) -> list[WindowText]:
            if len(windows) > 4:
                self.batches.append(["too many"])
                raise EngineOutOfMemory("scripted")
            return super().decode(windows)

    engine = Small(batch_size=16)
    found = results(engine, *(make_heard(str(number), 3) for number in range(64)))

    assert all(isinstance(transcript, Transcript) for transcript in found.values())
    assert engine.batches.count(["too many"]) <= 6  # those of the batch that was ahead
    assert [len(batch) for batch in engine.batches[-3:]] == [4, 4, 4]


def test_a_culprit_is_found_in_few_calls_and_its_neighbours_land() -> None:
    engine = Recorder(bad=["11"], batch_size=16)

    found = results(engine, *(make_heard(str(number), 3) for number in range(16)))

    assert [name for name, result in found.items() if isinstance(result, EngineFailed)] == ["11"]
    assert len(engine.batches) == 9  # two halves at each of four levels


def test_nothing_is_decoded_once_it_is_to_stop() -> None:
    engine = Recorder(batch_size=1)

    found = list(
        transcribe_recordings(
            engine, (make_heard(name, 3) for name in "abcdef"), stopping=lambda: len(engine.batches) >= 2
        )
    )

    assert len(engine.batches) <= 3
    assert len(found) <= 2


def test_terms_reach_the_engine_and_are_part_of_the_identity() -> None:
    seen: list[tuple[str, ...]] = []
    heard = replace(make_heard("a", 3), terms=("Zug", "Anna"))

    class Listening(Recorder):
        def decode(self, windows: Sequence[Window]) -> list[WindowText]:
            seen.extend(window.terms for window in windows)
            return super().decode(windows)

    with_terms, without = results(Listening(), heard)["a"], results(Listening(), make_heard("a", 3))["a"]

    assert seen == [("Zug", "Anna"), ()]
    assert isinstance(with_terms, Transcript)
    assert isinstance(without, Transcript)
    assert with_terms.id != without.id


def test_engines_are_opened_by_name(tmp_path: Path) -> None:
    engine = open_engine("scripted", model=None, models=tmp_path, language=None, workers=1)

    assert isinstance(engine, ScriptedEngine)
    with pytest.raises(BadSettings, match="auto, whisper, ctranslate2, pocketsphinx"):
        open_engine("kaldi", model=None, models=tmp_path, language=None, workers=1)
