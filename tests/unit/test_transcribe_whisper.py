from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from diarynotes.errors import BadSettings, EngineFailed, ModelUnavailable
from diarynotes.models import SAMPLE_RATE, Span, Window
from diarynotes.transcribe.mel import cut_clips
from diarynotes.transcribe.whisper import Backend


def write_checkpoint(path: Path, vocabulary: int = 51865) -> Path:
    """A random Whisper of two layers that says at most 16 tokens; one word less makes it an English one."""
    import torch
    from whisper.model import ModelDimensions, Whisper

    torch.manual_seed(4)
    dims = {
        "n_mels": 80, "n_audio_ctx": 1500, "n_audio_state": 64, "n_audio_head": 2, "n_audio_layer": 2,
        "n_vocab": vocabulary, "n_text_ctx": 32, "n_text_state": 64, "n_text_head": 2, "n_text_layer": 2,
    }  # fmt: skip
    model = Whisper(ModelDimensions(**dims))
    torch.nn.init.normal_(model.decoder.positional_embedding)
    torch.save({"dims": dims, "model_state_dict": model.state_dict()}, path)
    return path


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("models") / "random.pt")


@pytest.fixture(scope="module")
def engine(weights: Path) -> Backend:
    return Backend(weights, device="cpu", language="en")


def make_windows(*recordings: str) -> list[Window]:
    rng = np.random.default_rng(2)
    return [
        Window(name, number, 0.0, rng.normal(0, 0.1, 3 * SAMPLE_RATE).astype(np.float32), (Span(0.0, 3.0),))
        for number, name in enumerate(recordings)
    ]


def test_a_checkpoint_is_named_after_its_file(engine: Backend) -> None:
    assert (engine.name, engine.model, engine.settings, engine.degraded) == (
        "whisper", "random", "language=en", False
    )  # fmt: skip


def test_every_window_gets_text_and_numbers(engine: Backend) -> None:
    texts = engine.decode(make_windows("a", "b", "c"))

    assert len(texts) == 3
    for text in texts:
        assert text.language == "en"
        assert text.avg_logprob is not None
        assert text.avg_logprob < 0
        assert text.no_speech is not None
        assert 0 <= text.no_speech <= 1
        assert text.text == " ".join(piece.text for piece in text.pieces)
        assert all(0 <= piece.start_s <= piece.end_s <= 30 for piece in text.pieces)


def test_batching_changes_no_text(engine: Backend) -> None:
    windows = make_windows("a", "b")

    assert [text.text for text in engine.decode(windows)] == [
        text.text for window in windows for text in engine.decode([window])
    ]


def test_windows_of_one_recording_are_heard_in_one_language(weights: Path) -> None:
    engine = Backend(weights, device="cpu")
    likely = [{"en": 0.6, "de": 0.4}, {"en": 0.1, "de": 0.9}, {"en": 0.9, "de": 0.1}]
    engine._model.detect_language = lambda features: (None, likely)
    asked: list[tuple[str | None, int]] = []

    import whisper

    def decode(model: object, features: object, options: whisper.DecodingOptions) -> list[whisper.DecodingResult]:
        asked.append((options.language, len(features)))  # type: ignore[arg-type]
        assert options.task == "transcribe"
        return [
            whisper.DecodingResult(features, options.language, avg_logprob=-0.1, no_speech_prob=0.1)
            for _ in range(len(features))  # type: ignore[arg-type]
        ]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(whisper, "decode", decode)
        texts = engine.decode(make_windows("a", "a", "b"))

    assert asked == [("de", 2), ("en", 1)]
    assert [text.language for text in texts] == ["de", "de", "en"]


def test_the_language_is_detected(weights: Path) -> None:
    from whisper.tokenizer import LANGUAGES

    engine = Backend(weights, device="cpu")
    (text,) = engine.decode(make_windows("a"))

    assert engine.settings == ""
    assert text.language in LANGUAGES


def test_an_english_model_hears_english(tmp_path: Path) -> None:
    weights = write_checkpoint(tmp_path / "random.en.pt", vocabulary=51864)

    (text,) = Backend(weights, device="cpu").decode(make_windows("a"))

    assert text.language == "en"
    with pytest.raises(BadSettings, match="only English"):
        Backend(weights, device="cpu", language="de")


def test_languages_go_by_code_or_name(weights: Path) -> None:
    assert Backend(weights, device="cpu", language="German").settings == "language=de"
    with pytest.raises(BadSettings, match="klingon"):
        Backend(weights, device="cpu", language="klingon")


@pytest.mark.parametrize("content", [b"", b"not weights at all", b"PK\x03\x04 cut off"])
def test_a_file_that_is_no_checkpoint_is_said(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.pt"
    path.write_bytes(content)

    with pytest.raises(ModelUnavailable, match="damaged"):
        Backend(path, device="cpu")


def test_a_checkpoint_cannot_run_code(tmp_path: Path) -> None:
    import torch

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (tmp_path / "ran",))  # type: ignore[return-value]

    torch.save({"dims": {}, "model_state_dict": Evil()}, tmp_path / "evil.pt")

    with pytest.raises(ModelUnavailable):
        Backend(tmp_path / "evil.pt", device="cpu")
    assert not (tmp_path / "ran").exists()


def test_what_torch_raises_is_ours_outside(engine: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object) -> None:
        raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(engine._model.encoder, "forward", fail)
    with pytest.raises(EngineFailed) as caught:
        engine.decode(make_windows("a"))

    assert caught.value.retryable


def test_time_marks_cut_the_tokens() -> None:
    mark = 1000

    assert list(cut_clips([mark, 1, 2, mark + 100, mark + 150, 3, mark + 200], mark)) == [
        ((0.0, 2.0), [1, 2]),
        ((3.0, 4.0), [3]),
    ]
    assert list(cut_clips([1, 2], mark)) == [((0.0, 30.0), [1, 2])]
    assert list(cut_clips([], mark)) == []
