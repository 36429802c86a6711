from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diarynotes.errors import BadSettings, EngineFailed, EngineOutOfMemory, ModelUnavailable, StorageFailed
from diarynotes.models import SAMPLE_RATE, Span, Window
from diarynotes.transcribe import conversion, whisper
from diarynotes.transcribe.conversion import convert_weights
from diarynotes.transcribe.ctranslate2 import Backend, _choose_batch
from diarynotes.transcribe.mel import log_mel
from tests.waiting import PATIENCE_S


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
    reference = whisper.Backend(weights, device="cpu", language="en", precision="fp32")

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


def test_the_language_is_detected_as_openai_does(weights: Path, models: Path) -> None:
    import whisper as openai

    windows = make_windows("a", "b", "c")
    _, likely = openai.load_model(str(weights), device="cpu").detect_language(log_mel(windows, 80))
    texts = Backend(weights, models, device="cpu", quantization="float32").decode(windows)

    for text, row in zip(texts, likely, strict=True):
        ranked = sorted(row, key=row.__getitem__, reverse=True)[:5]
        assert text.language == ranked[0]
        assert [code for code, _ in text.languages] == ranked
        assert [share for _, share in text.languages] == pytest.approx([row[code] for code in ranked], rel=1e-3)


def test_the_language_depends_on_the_window_alone(weights: Path, models: Path) -> None:
    engine = Backend(weights, models, device="cpu")
    windows = make_windows("a", "a", "a", "b")
    windows[1] = replace(windows[1], language="de")
    together = engine.decode(windows)

    assert together == [engine.decode([window])[0] for window in windows]
    assert (together[1].language, together[1].languages) == ("de", ())
    assert all(len(text.languages) == 5 for text in together if text is not together[1])


def test_terms_are_a_prompt_as_in_openai_and_stay_with_their_window(engine: Backend, weights: Path) -> None:
    import whisper as openai

    windows = make_windows("a", "b", "c", "d")
    windows[1] = replace(windows[1], terms=("Zug",))
    windows[2] = replace(windows[2], terms=("Anna", "Zug", "Mr Wu"))
    texts = engine.decode(windows)

    reference = openai.load_model(str(weights), device="cpu")
    for window, text in zip(windows, texts, strict=True):
        prompt = f"Glossary: {', '.join(window.terms)}." if window.terms else None
        options = openai.DecodingOptions(language="en", fp16=False, prompt=prompt)
        (expected,) = openai.decode(reference, log_mel([window], 80), options)
        assert text.avg_logprob == pytest.approx(expected.avg_logprob, abs=1e-3)
        assert text.no_speech == pytest.approx(expected.no_speech_prob, rel=1e-2)


def test_a_draw_is_the_same_at_every_call_and_beside_any_neighbour(weights: Path, models: Path) -> None:
    engine = Backend(weights, models, device="cpu", quantization="float32", language="en")
    cold = make_windows("a", "b", "c")
    warm = [replace(window, temperature=0.8) for window in cold]
    drawn = engine.decode([cold[2], *warm])[1:]

    assert drawn == engine.decode(warm[::-1])[::-1]
    assert [text.temperature for text in drawn] == [0.8] * 3
    assert [text.text for text in drawn] != [text.text for text in engine.decode(cold)]
    assert engine.decode([replace(warm[0], samples=warm[1].samples)])[0].text == drawn[1].text


def test_the_end_mark_counts_as_in_openai(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    import whisper as openai

    path = write_checkpoint(tmp_path / "terse.pt")
    checkpoint = torch.load(path, weights_only=True)
    checkpoint["model_state_dict"]["decoder.token_embedding.weight"][50257] *= 3
    torch.save(checkpoint, path)
    engine = Backend(path, tmp_path, device="cpu", quantization="float32", language="en")
    windows = make_windows(*"abcd")
    expected = openai.decode(
        openai.load_model(str(path), device="cpu"),
        log_mel(windows, 80),
        openai.DecodingOptions(fp16=False, language="en"),
    )

    assert all(len(result.tokens) < 34 for result in expected)
    assert greedy(engine, windows, monkeypatch) == [result.tokens for result in expected]
    for text, result in zip(engine.decode(windows), expected, strict=True):
        assert text.avg_logprob == pytest.approx(result.avg_logprob, abs=1e-3)


def test_a_draw_is_scored_as_openai_scores_it(engine: Backend, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    import whisper as openai

    window = replace(make_windows("a")[0], temperature=0.8)
    (tokens,) = greedy(engine, [window], monkeypatch)
    reference = openai.load_model(str(weights), device="cpu")
    task = openai.decoding.DecodingTask(reference, openai.DecodingOptions(language="en", fp16=False))
    said, total = list(task.initial_tokens), 0.0
    with torch.no_grad():
        heard = reference.embed_audio(log_mel([window], 80))
        for token in tokens:
            logits = reference.logits(torch.tensor([said]), heard)[:, -1]
            for rule in task.logit_filters:
                rule.apply(logits, torch.tensor([said]))
            total += logits.log_softmax(-1)[0, token].item()
            said.append(token)

    (text,) = engine.decode([window])
    assert text.avg_logprob == pytest.approx(total / (len(tokens) + 1), abs=1e-3)


def test_log_mel_is_openais() -> None:
    import whisper as openai

    rng = np.random.default_rng(3)
    long = [rng.normal(0, 0.1, length).astype(np.float32) for length in (480_000, 479_900, 16_000, 1)]
    windows = [replace(make_windows("a")[0], samples=samples) for samples in (*long, np.zeros(100, np.float32))]
    for n_mels in (80, 128):
        for window, row in zip(windows, log_mel(windows, n_mels), strict=True):
            expected = openai.log_mel_spectrogram(openai.pad_or_trim(window.samples), n_mels)
            np.testing.assert_allclose(row, expected, atol=2e-5)  # two in a million differ by more than 1e-5


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


def test_weights_are_converted_and_read_through_once(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own.pt"
    own.write_bytes(weights.read_bytes())
    os.utime(own, (1_000_000_000, 1_000_000_000))  # it has rested, so its time can be relied on
    folder = convert_weights(own, tmp_path, "int8")
    monkeypatch.setattr(conversion, "load_checkpoint", None)
    assert convert_weights(own, tmp_path, "int8") == folder
    monkeypatch.setattr(conversion.hashlib, "file_digest", None)

    assert convert_weights(own, tmp_path, "int8") == folder
    assert [path.name for path in folder.parent.iterdir() if path.name[0] != "."] == [folder.name]


def test_other_weights_under_the_same_name_are_converted_anew(tmp_path: Path) -> None:
    weights = write_checkpoint(tmp_path / "own.pt")
    os.utime(weights, (1_000_000_000, 1_000_000_000))
    folders = {convert_weights(weights, tmp_path, "int8") for _ in range(2)}
    write_checkpoint(weights, vocabulary=51864)

    assert convert_weights(weights, tmp_path, "int8") not in folders


@pytest.mark.parametrize("content", [b"", b"[]", b'["x", 1', b"{}"])
def test_a_torn_note_is_no_note(weights: Path, tmp_path: Path, content: bytes) -> None:
    own = tmp_path / "own.pt"
    own.write_bytes(weights.read_bytes())
    os.utime(own, (1_000_000_000, 1_000_000_000))
    folder = convert_weights(own, tmp_path, "int8")
    convert_weights(own, tmp_path, "int8")
    (note,) = folder.parent.glob(".*.json")
    note.write_bytes(content)

    assert convert_weights(own, tmp_path, "int8") == folder


def test_processes_may_convert_at_once_and_a_killed_one_leaves_nothing(weights: Path, tmp_path: Path) -> None:
    left = tmp_path / "ctranslate2" / ".part.killed"
    left.mkdir(parents=True)
    (left / "model.bin").write_bytes(b"half")
    code = "import sys; from pathlib import Path; from diarynotes.transcribe.conversion import convert_weights; "
    code += "print(convert_weights(Path(sys.argv[1]), Path(sys.argv[2]), 'int8'))"
    command = [sys.executable, "-c", code, str(weights), str(tmp_path)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    folders = {process.communicate(timeout=PATIENCE_S)[0].strip() for process in processes}

    (folder,) = (path for path in left.parent.iterdir() if path.is_dir())
    assert folders == {str(folder)}
    assert (folder / "model.bin").stat().st_size > 0


def test_a_full_disk_leaves_nothing(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ctranslate2.specs import WhisperSpec

    def fill(self: object, folder: str) -> None:
        (Path(folder) / "model.bin").write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(WhisperSpec, "save", fill)
    with pytest.raises(StorageFailed, match="No space left") as caught:
        convert_weights(weights, tmp_path, "int8")

    assert str(tmp_path) in caught.value.where
    assert [path.name for path in (tmp_path / "ctranslate2").iterdir()] == [".lock"]


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


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (RuntimeError("CUDA failed with error out of memory"), EngineOutOfMemory),
        (MemoryError("std::bad_alloc"), EngineOutOfMemory),
        (RuntimeError("CUDA failed with error unspecified launch failure"), EngineFailed),
        (ValueError("Invalid input features shape"), EngineFailed),
    ],
)
def test_what_ctranslate2_raises_is_ours_outside(
    weights: Path, models: Path, raised: Exception, kind: type[EngineFailed]
) -> None:
    engine = Backend(weights, models, device="cpu", language="en")

    class Model:
        def __getattr__(self, name: str) -> Any:
            return getattr(model, name)

        def encode(self, features: object) -> None:
            raise raised

    model, engine._model = engine._model, Model()
    with pytest.raises(EngineFailed) as caught:
        engine.decode(make_windows("a"))

    assert type(caught.value) is kind
    assert caught.value.retryable


def test_a_closed_engine_says_so(weights: Path, models: Path) -> None:
    engine = Backend(weights, models, device="cpu", language="en")
    engine.close()
    engine.close()

    with pytest.raises(EngineFailed, match="closed"):
        engine.decode(make_windows("a"))


def test_a_device_that_fails_is_said(weights: Path, models: Path) -> None:
    import ctranslate2

    if ctranslate2.get_cuda_device_count():
        pytest.skip("there is a GPU, and it works")
    with pytest.raises(ModelUnavailable, match="cannot use cuda"):
        Backend(weights, models, device="cuda")


def test_a_quantization_that_the_device_lacks_is_said(weights: Path, models: Path) -> None:
    """What it names goes by the processor: not each computes in int16."""
    with pytest.raises(BadSettings, match=r"choose float32, (int16, )?int8, int8_float32"):
        Backend(weights, models, device="cpu", quantization="float16")


def test_large_models_take_fewer_windows_at_once() -> None:
    sizes = {"tiny": (4, 384), "turbo": (4, 1280), "medium": (24, 1024), "large": (32, 1280)}
    batches = [_choose_batch("cpu", {"n_text_layer": n, "n_text_state": width}) for n, width in sizes.values()]

    assert batches == [8, 8, 5, 3]
