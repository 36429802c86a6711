from __future__ import annotations

import errno
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diarynotes.errors import BadSettings, EngineFailed, ModelUnavailable, StorageFailed
from diarynotes.models import SAMPLE_RATE, Span, Window
from diarynotes.transcribe import conversion, whisper
from diarynotes.transcribe.conversion import convert_weights
from diarynotes.transcribe.ctranslate2 import Backend
from diarynotes.transcribe.mel import log_mel


def write_checkpoint(path: Path, vocabulary: int = 51865) -> Path:
    """A random Whisper of two layers that says at most 34 tokens and heeds what it hears."""
    import torch
    from whisper.model import ModelDimensions, Whisper

    torch.manual_seed(4)
    dims = {
        "n_mels": 80, "n_audio_ctx": 1500, "n_audio_state": 64, "n_audio_head": 2, "n_audio_layer": 2,
        "n_vocab": vocabulary, "n_text_ctx": 68, "n_text_state": 64, "n_text_head": 2, "n_text_layer": 2,
    }  # fmt: skip
    model = Whisper(ModelDimensions(**dims))
    torch.nn.init.normal_(model.decoder.positional_embedding)
    with torch.no_grad():
        for block in model.decoder.blocks:
            block.cross_attn.query.weight *= 30
            block.cross_attn.value.weight *= 60
    torch.save({"dims": dims, "model_state_dict": model.state_dict()}, path)
    return path


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("weights") / "random.pt")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def engine(weights: Path, models: Path) -> Backend:
    return Backend(weights, models, device="cpu", quantization="float32", threads=2, language="en")


def make_windows(*recordings: str) -> list[Window]:
    """Tones and noise, each window with its own."""
    rng = np.random.default_rng(2)
    time_s = np.arange(3 * SAMPLE_RATE) / SAMPLE_RATE
    return [
        Window(
            name,
            number,
            0.0,
            (
                rng.uniform(0.01, 0.5) * np.sin(2 * np.pi * rng.uniform(100, 4000) * time_s)
                + rng.normal(0, rng.uniform(0.001, 0.1), len(time_s))
            ).astype(np.float32),
            (Span(0.0, 3.0),),
        )
        for number, name in enumerate(recordings)
    ]


def greedy(engine: Backend, windows: Sequence[Window], monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """The tokens that the engine turns into text."""
    tokens: list[list[int]] = []
    text = engine._text

    def record(result: Any, *arguments: Any) -> Any:
        tokens.append(result.sequences_ids[0])
        return text(result, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(engine, "_text", record)
        engine.decode(windows)
    return tokens


def test_float32_says_what_openai_says(engine: Backend, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import whisper as openai

    windows = make_windows(*"abcdefghijklmnop")
    reference = openai.load_model(str(weights), device="cpu")
    options = openai.DecodingOptions(language="en", fp16=False)
    expected = openai.decode(reference, log_mel(windows, 80), options)

    assert greedy(engine, windows, monkeypatch) == [result.tokens for result in expected]
    assert len({tuple(result.tokens) for result in expected}) > 8  # or the windows would prove nothing
    assert max(len(result.tokens) for result in expected) == 34
    for text, result in zip(engine.decode(windows), expected, strict=True):
        assert text.avg_logprob == pytest.approx(result.avg_logprob, abs=1e-3)
        assert text.no_speech == pytest.approx(result.no_speech_prob, rel=1e-2)


def test_both_engines_give_the_same_texts(engine: Backend, weights: Path) -> None:
    windows = make_windows(*"abcd")
    reference = whisper.Backend(weights, device="cpu", language="en")

    assert [text.text for text in engine.decode(windows)] == [text.text for text in reference.decode(windows)]


@pytest.mark.parametrize("quantization", ["float32", "int8"])
def test_neither_batch_nor_order_changes_tokens(
    weights: Path, models: Path, quantization: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Backend(weights, models, device="cpu", quantization=quantization, language="en")
    windows = make_windows(*"abcdefghijklmnop")
    together = greedy(engine, windows, monkeypatch)

    assert [greedy(engine, [window], monkeypatch)[0] for window in windows] == together
    pairs = [greedy(engine, windows[i : i + 2], monkeypatch) for i in range(0, 16, 2)]
    assert [tokens for pair in pairs for tokens in pair] == together
    assert greedy(engine, windows[::-1], monkeypatch) == together[::-1]


def test_windows_of_one_recording_are_heard_in_one_language(weights: Path, models: Path) -> None:
    engine = Backend(weights, models, device="cpu")
    asked: list[list[int]] = []

    class Model:
        def __getattr__(self, name: str) -> Any:
            return getattr(model, name)

        def detect_language(self, features: object) -> list[list[tuple[str, float]]]:
            return [
                [("<|en|>", 0.6), ("<|de|>", 0.4)],
                [("<|de|>", 0.9), ("<|en|>", 0.1)],
                [("<|en|>", 0.9), ("<|de|>", 0.1)],
            ]

        def generate(self, features: object, prompts: list[list[int]], **options: Any) -> Any:
            asked.extend(prompts)
            return model.generate(features, prompts, **options)

    model, engine._model = engine._model, Model()
    texts = engine.decode(make_windows("a", "a", "b"))

    assert [text.language for text in texts] == ["de", "de", "en"]
    transcribe = engine._tokenizer("en").transcribe
    assert [prompt[1:] for prompt in asked] == [[50261, transcribe], [50261, transcribe], [50259, transcribe]]


def test_the_language_is_detected_as_openai_does(weights: Path, models: Path) -> None:
    import whisper as openai

    windows = make_windows("a", "b", "c")
    _, likely = openai.load_model(str(weights), device="cpu").detect_language(log_mel(windows, 80))
    texts = Backend(weights, models, device="cpu", quantization="float32").decode(windows)

    assert [text.language for text in texts] == [max(row, key=row.__getitem__) for row in likely]


def test_an_english_model_hears_english(tmp_path: Path) -> None:
    weights = write_checkpoint(tmp_path / "random.en.pt", vocabulary=51864)

    (text,) = Backend(weights, tmp_path, device="cpu").decode(make_windows("a"))

    assert text.language == "en"
    with pytest.raises(BadSettings, match="only English"):
        Backend(weights, tmp_path, device="cpu", language="de")


def test_settings_say_what_changes_the_text(engine: Backend, weights: Path, models: Path) -> None:
    assert (engine.name, engine.model, engine.degraded) == ("ctranslate2", "random", False)
    assert engine.settings == "language=en quantization=float32"
    assert Backend(weights, models, device="cpu").settings == "quantization=int8"


def test_weights_are_converted_once(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = convert_weights(weights, tmp_path, "int8")
    monkeypatch.setattr(conversion, "_read_spec", None)

    assert convert_weights(weights, tmp_path, "int8") == folder
    assert [path.name for path in (tmp_path / "ctranslate2").iterdir()] == [folder.name]


def test_two_may_convert_at_once(weights: Path, tmp_path: Path) -> None:
    spec = conversion._read_spec(weights, "int8")
    target = tmp_path / "ctranslate2" / "random"
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: conversion._save(spec, target), range(4)))

    assert list(target.parent.iterdir()) == [target]
    assert (target / "model.bin").stat().st_size > 0


def test_a_full_disk_leaves_nothing(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ctranslate2.specs import WhisperSpec

    def fill(self: object, folder: str) -> None:
        (Path(folder) / "model.bin").write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(WhisperSpec, "save", fill)
    with pytest.raises(StorageFailed, match="No space left") as caught:
        convert_weights(weights, tmp_path, "int8")

    assert str(tmp_path) in caught.value.where
    assert list((tmp_path / "ctranslate2").iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"not weights at all", b"PK\x03\x04 cut off"])
def test_a_file_that_is_no_checkpoint_is_said(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.pt"
    path.write_bytes(content)

    with pytest.raises(ModelUnavailable, match="damaged"):
        Backend(path, tmp_path, device="cpu")
    assert not (tmp_path / "ctranslate2").exists()


def test_a_damaged_conversion_is_said(weights: Path, tmp_path: Path) -> None:
    folder = convert_weights(weights, tmp_path, "int8")
    (folder / "model.bin").write_bytes(b"torn")

    with pytest.raises(ModelUnavailable, match="Delete the folder"):
        Backend(weights, tmp_path, device="cpu")


def test_a_checkpoint_cannot_run_code(tmp_path: Path) -> None:
    import torch

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (tmp_path / "ran",))  # type: ignore[return-value]

    torch.save({"dims": {}, "model_state_dict": Evil()}, tmp_path / "evil.pt")

    with pytest.raises(ModelUnavailable):
        Backend(tmp_path / "evil.pt", tmp_path, device="cpu")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("error", [RuntimeError("CUDA out of memory"), MemoryError("std::bad_alloc")])
def test_what_ctranslate2_raises_is_ours_outside(weights: Path, models: Path, error: Exception) -> None:
    engine = Backend(weights, models, device="cpu", language="en")

    class Model:
        n_mels = 80

        def encode(self, features: object) -> None:
            raise error

    engine._model = Model()
    with pytest.raises(EngineFailed) as caught:
        engine.decode(make_windows("a"))

    assert caught.value.retryable
