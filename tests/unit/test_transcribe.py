from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from diarynotes import transcribe
from diarynotes.errors import BadSettings, DiarynotesError, EngineFailed, ModelUnavailable, NoSpeech
from diarynotes.models import SAMPLE_RATE, Audio, Media, Span, Transcript, Window, WindowText
from diarynotes.testing import ScriptedEngine
from diarynotes.transcribe import Heard, choose_engine, open_engine, transcribe_recordings


def make_heard(recording_id: str, *lengths_s: float, gap_s: float = 5.0) -> Heard:
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
        for name in ("a", "silent", "b", "c"):
            taken.append(name)
            yield make_heard(name, 1) if name != "silent" else make_heard(name)

    stream = transcribe_recordings(Recorder(batch_size=2), heard())

    assert (next(stream)[0], taken) == ("silent", ["a", "silent"])
    assert (next(stream)[0], taken) == ("a", ["a", "silent", "b"])
    assert [name for name, _ in stream] == ["b", "c"]


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

    assert engine.batches == [["b", "b"], ["b"], ["b"], ["c"]]


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
    assert transcript.trust <= 0.5


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


def test_engines_are_opened_by_name(tmp_path: Path) -> None:
    engine = open_engine("scripted", model=None, models=tmp_path, language=None, workers=1)

    assert isinstance(engine, ScriptedEngine)
    with pytest.raises(BadSettings, match="auto, whisper, ctranslate2, pocketsphinx"):
        open_engine("kaldi", model=None, models=tmp_path, language=None, workers=1)


def unreachable(model: str, models: Path) -> Path:
    raise ModelUnavailable(model, "It cannot be fetched now.")


def test_whisper_is_chosen_where_its_weights_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transcribe, "fetch_weights", unreachable)
    weights = tmp_path / "whisper" / "tiny.pt"
    weights.parent.mkdir()
    weights.touch()

    choice = choose_engine(tmp_path)

    assert (choice.name, choice.model) == ("whisper", str(weights))
    assert choose_engine(tmp_path, "tiny") == choose_engine(tmp_path, str(weights)) == choice
    assert choose_engine(tmp_path, "base").name == "pocketsphinx"


def test_whisper_is_chosen_where_its_weights_can_be_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transcribe, "fetch_weights", lambda model, models: models / "whisper" / f"{model}.pt")

    choice = choose_engine(tmp_path)

    assert (choice.name, choice.model) == ("whisper", str(tmp_path / "whisper" / "base.pt"))
    assert "fetched" in choice.reason


def test_offline_pocketsphinx_is_chosen_and_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transcribe, "fetch_weights", unreachable)

    choice = choose_engine(tmp_path)

    assert (choice.name, choice.model) == ("pocketsphinx", None)
    assert "base" in choice.reason
    assert "cannot be fetched" in choice.reason
    with pytest.raises(ModelUnavailable):
        open_engine("whisper", model=None, models=tmp_path, language=None, workers=1)


def test_a_model_that_does_not_exist_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="enormous"):
        choose_engine(tmp_path, "enormous")
