from __future__ import annotations

import itertools
import re
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from diarynotes.audio import decode
from diarynotes.models import SAMPLE_RATE, Audio, Media
from diarynotes.transcribe import vad

SHARED = Path(__file__).parents[3] / "shared" / "audio"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared audio is not beside the repository")


def make_audio(samples: NDArray[np.float64] | NDArray[np.int16]) -> Audio:
    pcm = np.clip(samples, -32768, 32767).astype(np.int16)
    return Audio(pcm, Media("wav", "pcm_s16le", len(pcm) / SAMPLE_RATE, SAMPLE_RATE, 1))


def load(path: Path) -> Audio:
    with tempfile.TemporaryDirectory() as spool:
        return decode(path, spool=Path(spool)).open()


def clips(folder: str) -> list[Path]:
    return sorted(path for path in (SHARED / folder).glob("*") if path.suffix in (".wav", ".flac"))


def script(monkeypatch: pytest.MonkeyPatch, *runs: tuple[float, int]) -> Audio:
    """Audio of which the model says what `runs` say: (probability, frames) one after another."""
    probabilities = np.concatenate([np.full(frames, probability, np.float32) for probability, frames in runs])
    monkeypatch.setattr(vad, "speech_probabilities", lambda audio: probabilities)
    return make_audio(np.zeros(len(probabilities) * vad.FRAME, np.int16))


def frames_of(audio: Audio, **knobs: float) -> list[tuple[int, int]]:
    spans = vad.find_speech(audio, pad_s=0.0, **knobs)
    return [(round(s.start_s * SAMPLE_RATE) // vad.FRAME, round(s.end_s * SAMPLE_RATE) // vad.FRAME) for s in spans]


def pink(rng: np.random.Generator, length: int) -> NDArray[np.float64]:
    spectrum = np.fft.rfft(rng.normal(0, 1, length))
    noise = np.fft.irfft(spectrum / np.sqrt(np.arange(1, len(spectrum) + 1)), length)
    return np.asarray(noise / noise.std() * 3000)


@pytest.mark.parametrize("kind", ["silence", "hiss", "white", "pink", "brown", "hum", "clicks"])
def test_nobody_speaks_in_noise(kind: str) -> None:
    rng = np.random.default_rng(7)
    length = 10 * SAMPLE_RATE
    noise = {
        "silence": np.zeros(length),
        "hiss": rng.normal(0, 3, length),
        "white": rng.normal(0, 3000, length),
        "pink": pink(rng, length),
        "brown": np.cumsum(rng.normal(0, 30, length)),
        "hum": 8000 * np.sin(2 * np.pi * 50 * np.arange(length) / SAMPLE_RATE),
        "clicks": 20000 * (rng.random(length) > 0.9995),
    }[kind]

    assert vad.find_speech(make_audio(noise)) == ()


@needs_shared
def test_nobody_speaks_in_the_clips_that_are_not_speech() -> None:
    assert clips("not-speech")
    assert {path.name: vad.find_speech(load(path)) for path in clips("not-speech")} == {
        path.name: () for path in clips("not-speech")
    }


@needs_shared
def test_somebody_speaks_in_every_human_clip() -> None:
    for path in clips("human"):
        audio = load(path)
        spans = vad.find_speech(audio)
        assert sum(span.end_s - span.start_s for span in spans) > 0.5 * audio.duration_s, path.name
        assert all(a.end_s <= b.start_s for a, b in itertools.pairwise(spans))
        assert spans[0].start_s >= 0
        assert spans[-1].end_s <= audio.duration_s


@needs_shared
@pytest.mark.parametrize("gain_db", [-30, -15])
def test_quiet_speech_is_speech(gain_db: int) -> None:
    audio = load(SHARED / "human" / "spk1_snt5.wav")
    quiet = make_audio(np.round(audio.pcm * 10 ** (gain_db / 20)))

    assert sum(span.end_s - span.start_s for span in vad.find_speech(quiet)) > 1.0


@needs_shared
def test_speech_between_noises_is_found_at_its_place() -> None:
    speech = load(SHARED / "human" / "spk1_snt1.wav").pcm
    noise = np.random.default_rng(3).normal(0, 20, 5 * SAMPLE_RATE).astype(np.int16)

    spans = vad.find_speech(make_audio(np.concatenate([noise, speech, noise])))

    assert spans[0].start_s == pytest.approx(5.0, abs=0.4)
    assert spans[-1].end_s == pytest.approx(5.0 + len(speech) / SAMPLE_RATE, abs=0.6)


@pytest.mark.parametrize("block", [1, 7, 100, 10_000])
def test_the_block_size_changes_nothing(block: int) -> None:
    rng = np.random.default_rng(1)
    audio = make_audio(rng.normal(0, 1, 3 * SAMPLE_RATE + 77) * rng.choice([20, 4000], 3 * SAMPLE_RATE + 77))

    assert np.allclose(vad.speech_probabilities(audio, block=block), vad.speech_probabilities(audio), atol=1e-5)


@needs_shared
def test_a_memory_mapped_recording_gives_the_same_spans(tmp_path: Path) -> None:
    audio = load(SHARED / "human" / "jfk.flac")
    audio.pcm.tofile(tmp_path / "long.pcm")
    mapped = replace(audio, pcm=np.memmap(tmp_path / "long.pcm", np.int16, "r"))

    assert vad.find_speech(mapped) == vad.find_speech(audio)


@pytest.mark.parametrize("length", [0, 1, 511, 512, 513, 576])
def test_every_length_has_a_probability_per_begun_frame(length: int) -> None:
    assert vad.speech_probabilities(make_audio(np.zeros(length, np.int16))).shape == (-(-length // vad.FRAME),)
    assert vad.find_speech(make_audio(np.zeros(length, np.int16))) == ()


def test_a_silence_splits_and_a_breath_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    breath, silence = 8, 20
    audio = script(monkeypatch, (0.9, 30), (0.0, breath), (0.9, 30), (0.0, silence), (0.9, 30))

    assert frames_of(audio) == [(0, 68), (88, 118)]


def test_a_cough_is_not_speech(monkeypatch: pytest.MonkeyPatch) -> None:
    audio = script(monkeypatch, (0.0, 30), (0.9, 3), (0.0, 30), (0.9, 9), (0.0, 30))

    assert frames_of(audio) == [(63, 72)]


def test_speech_goes_on_while_it_is_nearly_likely_but_does_not_begin_so(monkeypatch: pytest.MonkeyPatch) -> None:
    audio = script(monkeypatch, (0.4, 30), (0.9, 10), (0.4, 30), (0.1, 30), (0.4, 30))

    assert frames_of(audio) == [(30, 70)]


def test_the_threshold_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    audio = script(monkeypatch, (0.6, 30))

    assert frames_of(audio) == [(0, 30)]
    assert frames_of(audio, threshold=0.7) == []


def test_pads_stay_inside_the_recording_and_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    audio = script(monkeypatch, (0.9, 30), (0.0, 13), (0.9, 30))

    first, second = vad.find_speech(audio, min_silence_s=0.4, pad_s=0.2)

    assert first.start_s == 0.0
    assert first.end_s == pytest.approx(30 * 0.032 + 0.2)
    assert first.end_s <= second.start_s
    assert second.end_s == audio.duration_s


def test_what_is_too_long_is_cut_where_it_is_quietest(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    pcm = rng.normal(0, 3000, 70 * SAMPLE_RATE).astype(np.int16)
    for dip_s in (22.0, 45.0):
        pcm[round((dip_s - 0.15) * SAMPLE_RATE) : round((dip_s + 0.15) * SAMPLE_RATE)] //= 100
    monkeypatch.setattr(vad, "speech_probabilities", lambda audio: np.ones(-(-len(pcm) // vad.FRAME), np.float32))

    spans = vad.find_speech(make_audio(pcm))

    assert [s.end_s for s in spans] == [pytest.approx(22, abs=0.1), pytest.approx(45, abs=0.1), 70.0]
    assert all(a.end_s == b.start_s for a, b in itertools.pairwise(spans))


@pytest.mark.parametrize("length_s", [30.0, 30.001, 31.0, 59.9, 60.1, 95.0])
def test_no_span_is_too_long(monkeypatch: pytest.MonkeyPatch, length_s: float) -> None:
    pcm = np.zeros(round(length_s * SAMPLE_RATE), np.int16)
    monkeypatch.setattr(vad, "speech_probabilities", lambda audio: np.ones(-(-len(pcm) // vad.FRAME), np.float32))

    spans = vad.find_speech(make_audio(pcm))

    assert max(span.end_s - span.start_s for span in spans) <= 30.0
    assert spans[0].start_s == 0
    assert spans[-1].end_s == pytest.approx(length_s)


def test_the_model_is_found_without_importing_its_package() -> None:
    import subprocess
    import sys

    code = "import sys; from diarynotes.transcribe import vad; vad._session(); print([*sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert "'onnxruntime'" in loaded
    assert not re.search("'(faster_whisper|ctranslate2|torch)'", loaded)


def test_the_model_is_kept() -> None:
    assert vad._session() is vad._session()
