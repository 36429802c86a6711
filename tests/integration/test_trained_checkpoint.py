"""The small trained checkpoint through the real way: decoding, VAD, windows, both Whisper engines."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from diarynotes.audio import decode
from diarynotes.errors import NoSpeech
from diarynotes.models import SAMPLE_RATE, Audio, Media, Span, Transcript, Window
from diarynotes.transcribe import Engine, Heard, open_engine, transcribe_recordings
from diarynotes.transcribe.vad import find_speech
from diarynotes.word_errors import WordErrors, count_word_errors
from tests.checkpoint import expand

CHECKPOINT = Path(__file__).parents[1] / "checkpoint"
SHARED = Path(__file__).parents[3] / "shared" / "audio"
MOST_ERRORS = 0.2
"""The word error rate that the committed clips must stay under: 13 % were measured with `whisper`, 17 % with int8.

A guard against getting worse, not the aim, which was 10 % and was missed; see README.md there."""


@pytest.fixture(scope="module", params=["whisper", "ctranslate2"])
def engine(
    request: pytest.FixtureRequest, trained_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Engine]:
    models = tmp_path_factory.mktemp("models")
    engine = open_engine(request.param, model=str(trained_checkpoint), models=models, language=None, workers=2)
    yield engine
    engine.close()


def hear(path: Path) -> Heard:
    with tempfile.TemporaryDirectory() as spool:
        audio = decode(path, spool=Path(spool)).open()
    return Heard(path.name, audio, find_speech(audio))


def make_noises() -> dict[str, np.ndarray[tuple[int], np.dtype[np.float32]]]:
    """Silence, noise and the hum of the mains, float32 of 12 s each."""
    rng = np.random.default_rng(3)
    t = np.arange(12 * SAMPLE_RATE, dtype=np.float32) / SAMPLE_RATE
    return {
        "silence": np.zeros_like(t),
        "faint": rng.normal(0, 0.0005, len(t)).astype(np.float32),
        "loud": rng.normal(0, 0.1, len(t)).astype(np.float32),
        "hum": (0.1 * np.sin(2 * np.pi * 50 * t) + 0.05 * np.sin(2 * np.pi * 150 * t)).astype(np.float32),
    }


def test_held_out_sentences_and_notes_come_back_as_words(engine: Engine) -> None:
    with (CHECKPOINT / "clips" / "transcripts.csv").open(newline="") as file:
        said = {row["file"]: row["text"] for row in csv.DictReader(file)}

    found = dict(transcribe_recordings(engine, [hear(CHECKPOINT / "clips" / file) for file in said]))

    errors = WordErrors(0, 0)
    for file, text in said.items():
        transcript = found[file]
        assert isinstance(transcript, Transcript)
        errors += count_word_errors(text, transcript.text)
    assert errors.rate is not None
    assert errors.rate < MOST_ERRORS


def test_sentences_of_a_note_are_placed_where_they_are_said(engine: Engine) -> None:
    heard = hear(CHECKPOINT / "clips" / "note-slt.opus")
    ((_, transcript),) = transcribe_recordings(engine, [heard])

    assert isinstance(transcript, Transcript)
    middles = [(segment.start_s + segment.end_s) / 2 for segment in transcript.segments]
    assert len(middles) > 3
    assert all(any(span.start_s <= middle <= span.end_s for span in heard.spans) for middle in middles)


def test_the_engine_itself_hears_no_word_in_noise(engine: Engine) -> None:
    windows = [
        Window(name, 0, 0.0, samples, (Span(0.0, len(samples) / SAMPLE_RATE),))
        for name, samples in make_noises().items()
    ]

    for text in engine.decode(windows):
        assert text.text == ""
        assert text.no_speech is not None
        assert text.no_speech > 0.6


def test_noise_becomes_no_transcript(engine: Engine) -> None:
    media = Media("wav", "pcm_s16le", 12.0, SAMPLE_RATE, 1)
    sounds = {name: Audio((samples * 32767).astype(np.int16), media) for name, samples in make_noises().items()}
    heard = [Heard(name, audio, find_speech(audio)) for name, audio in sounds.items()]
    heard += [hear(path) for path in sorted((SHARED / "not-speech").glob("*.wav"))]

    for _, result in transcribe_recordings(engine, heard):
        assert isinstance(result, NoSpeech)


def test_openai_loads_the_checkpoint(trained_checkpoint: Path) -> None:
    import whisper

    model = whisper.load_model(str(trained_checkpoint), device="cpu")

    assert not model.is_multilingual
    assert (model.dims.n_vocab, model.dims.n_audio_ctx, model.dims.n_text_ctx) == (51864, 1500, 448)


def test_what_is_committed_is_small_and_expands_the_same_every_time(trained_checkpoint: Path, tmp_path: Path) -> None:
    import torch
    from whisper.model import sinusoids

    first = torch.load(trained_checkpoint, weights_only=True)["model_state_dict"]

    assert expand.trained_checkpoint(tmp_path).read_bytes() == trained_checkpoint.read_bytes()
    assert (CHECKPOINT / "weights.pt").stat().st_size < 10e6
    assert torch.equal(first["encoder.positional_embedding"], sinusoids(1500, 192).half())
