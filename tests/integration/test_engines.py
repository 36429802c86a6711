"""The contract of an engine, over every backend and the fake."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from diarynotes.audio import decode
from diarynotes.errors import NoSpeech
from diarynotes.models import SAMPLE_RATE, Audio, Media, Span, Transcript, Window
from diarynotes.transcribe import (
    ENGINES,
    Care,
    Devices,
    Engine,
    Heard,
    Opening,
    Patience,
    open_apart,
    open_engine,
    transcribe_recordings,
)
from diarynotes.transcribe.vad import find_speech

SHARED = Path(__file__).parents[3] / "shared" / "audio"
EXAMPLES = Path(__file__).parents[2] / "examples" / "voice-notes"
CREDULOUS = Care(doubt_below=0.0, untrusted_below=0.0)
"""Of random weights, nothing is to be believed."""
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared audio is not beside the repository")


def write_weights(folder: Path) -> None:
    """A random Whisper of two layers that says at most 16 tokens, where the weights of `tiny` belong."""
    import torch
    from whisper.model import ModelDimensions, Whisper

    torch.manual_seed(4)
    dims = {
        "n_mels": 80, "n_audio_ctx": 1500, "n_audio_state": 64, "n_audio_head": 2, "n_audio_layer": 2,
        "n_vocab": 51865, "n_text_ctx": 32, "n_text_state": 64, "n_text_head": 2, "n_text_layer": 2,
    }  # fmt: skip
    model = Whisper(ModelDimensions(**dims))
    torch.nn.init.normal_(model.decoder.positional_embedding)
    (folder / "whisper").mkdir()
    torch.save({"dims": dims, "model_state_dict": model.state_dict()}, folder / "whisper" / "tiny.pt")


@pytest.fixture(scope="module", params=[*ENGINES, "scripted", "whisper apart"])
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    name, _, apart = request.param.partition(" ")
    models = tmp_path_factory.mktemp("models")
    if name in ("whisper", "ctranslate2"):
        write_weights(models)
    opening = Opening(name, None, models, "en", 2)
    cpu = Devices(("cpu",), lambda *_: None)
    engine = open_apart(opening, devices=cpu, patience=Patience(), environment={}) if apart else opening.open()
    yield engine
    engine.close()


def make_window(seed: int, *spans: tuple[float, float]) -> Window:
    """A chirping noise, loud only in its spans."""
    rng = np.random.default_rng(seed)
    samples = rng.normal(0, 0.001, round(spans[-1][1] * SAMPLE_RATE))
    for start_s, end_s in spans:
        stretch = slice(round(start_s * SAMPLE_RATE), round(end_s * SAMPLE_RATE))
        samples[stretch] += rng.normal(0, 0.1, len(samples[stretch]))
    return Window(f"r{seed}", 0, 0.0, samples.astype(np.float32), tuple(Span(*span) for span in spans))


WINDOWS = [make_window(1, (0.0, 1.5)), make_window(2, (0.0, 1.0), (1.8, 2.5)), make_window(3, (0.0, 0.3))]


def test_every_window_gets_one_text_in_order(engine: Engine) -> None:
    together = engine.decode(WINDOWS)
    alone = [engine.decode([window])[0] for window in WINDOWS]

    assert [text.text for text in together] == [text.text for text in alone]


def test_no_windows_give_no_texts(engine: Engine) -> None:
    assert engine.decode([]) == []


def test_the_same_window_gives_the_same_text(engine: Engine) -> None:
    assert engine.decode(WINDOWS[:1]) == engine.decode(WINDOWS[:1])


def test_pieces_lie_inside_their_window_in_order(engine: Engine) -> None:
    for text in engine.decode(WINDOWS):
        assert all(0 <= piece.start_s <= piece.end_s <= 30 for piece in text.pieces)
        assert all(a.end_s <= b.start_s for a, b in itertools.pairwise(text.pieces))


def test_numbers_are_honest_or_missing(engine: Engine) -> None:
    for text in engine.decode(WINDOWS):
        assert text.language == "en"
        assert text.avg_logprob is None or text.avg_logprob <= 0
        assert text.no_speech is None or 0 <= text.no_speech <= 1


def test_an_engine_says_what_it_is(engine: Engine) -> None:
    assert engine.name in (*ENGINES, "scripted")
    assert engine.model
    assert engine.batch_size >= 1
    assert engine.degraded == (engine.name == "pocketsphinx")


def load(path: Path) -> Audio:
    with tempfile.TemporaryDirectory() as spool:
        return decode(path, spool=Path(spool)).open()


def hear(path: Path) -> Heard:
    audio = load(path)
    return Heard(path.name, audio, find_speech(audio))


@needs_shared
def test_recordings_become_transcripts_and_noise_does_not(engine: Engine) -> None:
    speech = [hear(path) for path in sorted((SHARED / "human").glob("spk1*.wav"))]
    noise = [hear(path) for path in sorted((SHARED / "not-speech").glob("*.wav"))]

    found = dict(transcribe_recordings(engine, [*speech, *noise], care=CREDULOUS))

    assert all(isinstance(found[item.recording_id], NoSpeech) for item in noise)
    for item in speech:
        transcript = found[item.recording_id]
        assert isinstance(transcript, Transcript)
        assert transcript.degraded == engine.degraded
        assert all(0 <= s.start_s < s.end_s <= item.audio.duration_s for s in transcript.segments)


@pytest.fixture(scope="module")
def quiet_hour() -> Heard:
    """Two seconds of speech in an hour of faint noise."""
    speech = load(EXAMPLES / "2026-05-23T09-15-00.wav")
    begin_s = find_speech(speech)[0].start_s
    pcm = np.random.default_rng(5).integers(-4, 5, 3600 * SAMPLE_RATE).astype(np.int16)
    pcm[1800 * SAMPLE_RATE : 1802 * SAMPLE_RATE] += (speech.samples(begin_s, begin_s + 2.0) * 32767).astype(np.int16)
    audio = Audio(pcm, speech.media)
    return Heard("quiet hour", audio, find_speech(audio))


@pytest.mark.slow
def test_nothing_is_invented_around_two_seconds_of_speech_in_an_hour(engine: Engine, quiet_hour: Heard) -> None:
    ((_, transcript),) = transcribe_recordings(engine, [quiet_hour], care=CREDULOUS)

    assert isinstance(transcript, Transcript)
    assert all(1799 < s.start_s < s.end_s < 1803 for s in transcript.segments)
    assert any(reason.startswith("little speech") for reason in transcript.trust_reasons)


def test_noise_of_any_colour_and_level_is_no_speech(engine: Engine) -> None:
    rng = np.random.default_rng(6)
    white = rng.normal(0, 1.0, 20 * SAMPLE_RATE)
    spectrum = np.fft.rfft(white) / np.maximum(np.arange(len(white) // 2 + 1), 1) ** 0.5
    colours = {"white": white, "pink": np.fft.irfft(spectrum), "red": np.cumsum(white - white.mean())}
    noises = [
        Heard(f"{name} {level}", Audio(pcm, Media("wav", "pcm_s16le", 20.0, SAMPLE_RATE, 1)), ())
        for name, noise in colours.items()
        for level in (30, 3000, 30_000)
        if len(pcm := (noise / np.abs(noise).max() * level).astype(np.int16))
    ]
    heard = [replace(noise, spans=find_speech(noise.audio)) for noise in noises]

    assert all(isinstance(result, NoSpeech) for _, result in transcribe_recordings(engine, heard, care=CREDULOUS))


@needs_shared
def test_pocketsphinx_hears_plain_words(tmp_path: Path) -> None:
    with closing(open_engine("pocketsphinx", model=None, models=tmp_path, language=None, workers=1)) as engine:
        ((_, transcript),) = transcribe_recordings(engine, [hear(SHARED / "human" / "spk1_snt5.wav")])

    assert isinstance(transcript, Transcript)
    assert len({"sunday", "best", "part", "week"} & set(transcript.text.split())) >= 3
