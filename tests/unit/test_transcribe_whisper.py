from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import diarynotes.transcribe.torch_model as torch_model
from diarynotes.errors import BadSettings, EngineFailed, EngineOutOfMemory, ModelUnavailable
from diarynotes.models import SAMPLE_RATE, Span, Window
from diarynotes.transcribe.mel import cut_clips
from diarynotes.transcribe.torch_decoding import Said
from diarynotes.transcribe.whisper import Backend


def write_checkpoint(path: Path, *, vocabulary: int = 51865, mels: int = 80, layers: int = 2) -> Path:
    """A random Whisper that says at most 16 tokens, chosen so that what it says and how long hangs on the sound.

    Its attention is sharpened, and few tokens are loud, the end mark above all; else every window would give the same.
    """
    import torch
    from whisper.model import ModelDimensions, Whisper

    torch.manual_seed(1)
    dims = {
        "n_mels": mels, "n_audio_ctx": 1500, "n_audio_state": 64, "n_audio_head": 2, "n_audio_layer": 2,
        "n_vocab": vocabulary, "n_text_ctx": 32, "n_text_state": 64, "n_text_head": 2, "n_text_layer": layers,
    }  # fmt: skip
    model = Whisper(ModelDimensions(**dims))
    torch.nn.init.normal_(model.decoder.positional_embedding, std=3.0)
    with torch.no_grad():
        model.encoder.conv1.weight.mul_(3.0)
        model.encoder.conv2.weight.mul_(10.0)
        for block in model.decoder.blocks:
            attention = block.cross_attn
            for part, by in (
                (attention.query, 8.0),
                (attention.key, 8.0),
                (attention.value, 8.0),
                (attention.out, 20.0),
            ):
                part.weight.mul_(by)
        embedding, end = model.decoder.token_embedding.weight, 50257 if model.is_multilingual else 50256
        loud = torch.randperm(end)[:40]
        kept = embedding[loud].clone()
        embedding[:end] *= 0.05
        embedding[loud] = kept
        embedding[end] *= 2.0
        embedding[-1501:] *= 0.1  # the time marks
    torch.save({"dims": dims, "model_state_dict": model.state_dict()}, path)
    return path


def make_windows(count: int, **wishes: Any) -> list[Window]:
    """Coloured noise of 30 s, of a colour and loudness that change; each window of a recording of its own."""
    rng = np.random.default_rng(5)
    return [Window(f"r{number}", 0, 0.0, make_noise(rng), (Span(0.0, 30.0),), **wishes) for number in range(count)]


def make_noise(rng: np.random.Generator) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    spectrum = np.fft.rfft(rng.normal(0, 1, 30 * SAMPLE_RATE))
    band = np.exp(-(((np.arange(len(spectrum)) / len(spectrum) - rng.uniform(0, 1)) / 0.1) ** 2))
    samples = np.fft.irfft(spectrum * band)
    return (samples * 0.3 / np.abs(samples).max() * np.repeat(rng.uniform(0, 1, 60), SAMPLE_RATE // 2)).astype(
        np.float32
    )


WINDOWS = make_windows(16)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """The models are so small that a second core only waits for the first."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("models") / "random.pt")


@pytest.fixture(scope="module")
def engine(weights: Path) -> Backend:
    return Backend(weights, device="cpu", language="en", precision="fp32")


Hear = Callable[[Backend, Sequence[Window]], list[Said]]


@pytest.fixture
def hear(monkeypatch: pytest.MonkeyPatch) -> Hear:
    """What the engine's rows say, in tokens: an engine tells only text. Windows have no terms, so order is kept."""
    said: list[Said] = []
    say = torch_model.say
    monkeypatch.setattr(torch_model, "say", lambda *args, **knobs: said.extend(r := say(*args, **knobs)) or r)

    def hear(engine: Backend, windows: Sequence[Window]) -> list[Said]:
        said.clear()
        engine.decode(windows)
        return list(said)

    return hear


@pytest.fixture(scope="module")
def openai(weights: Path) -> list[Any]:
    """What OpenAI's own decoding makes of the windows, one at a time."""
    return ask_openai(weights, WINDOWS)


def ask_openai(weights: Path, windows: Sequence[Window], **options: Any) -> list[Any]:
    import torch
    import whisper

    model = whisper.load_model(str(weights), device="cpu")
    wanted = whisper.DecodingOptions(**{"language": "en", "fp16": False, **options})
    mels = [whisper.log_mel_spectrogram(whisper.pad_or_trim(w.samples), model.dims.n_mels) for w in windows]
    return [whisper.decode(model, torch.as_tensor(mel), wanted) for mel in mels]


def assert_same(ours: Sequence[Said], theirs: Sequence[Any]) -> None:
    assert [said.tokens for said in ours] == [result.tokens for result in theirs]
    assert [said.avg_logprob for said in ours] == pytest.approx([r.avg_logprob for r in theirs], abs=1e-3)
    assert [said.no_speech for said in ours] == pytest.approx([r.no_speech_prob for r in theirs], rel=1e-3, abs=1e-9)


def test_the_tokens_are_those_of_openai(engine: Backend, hear: Hear, openai: list[Any]) -> None:
    assert len({tuple(result.tokens) for result in openai}) > 8  # else the model does not listen
    assert len({len(result.tokens) for result in openai}) > 3  # and the rows would leave together

    assert_same(hear(engine, WINDOWS), openai)


def test_the_batch_changes_no_token(engine: Backend, hear: Hear, openai: list[Any]) -> None:
    alone = [said for window in WINDOWS for said in hear(engine, [window])]
    in_twos = [said for at in range(0, 16, 2) for said in hear(engine, WINDOWS[at : at + 2])]

    assert_same(alone, openai)
    assert_same(in_twos, openai)
    assert_same(hear(engine, WINDOWS[::-1])[::-1], openai)


@pytest.mark.parametrize(("vocabulary", "mels", "layers"), [(51864, 80, 2), (51866, 128, 1)])
def test_other_vocabularies_and_inputs_too(tmp_path: Path, hear: Hear, vocabulary: int, mels: int, layers: int) -> None:
    weights = write_checkpoint(tmp_path / "other.pt", vocabulary=vocabulary, mels=mels, layers=layers)
    engine = Backend(weights, device="cpu", language="en", precision="fp32")

    assert_same(hear(engine, WINDOWS[:3]), ask_openai(weights, WINDOWS[:3]))


def test_a_glossary_is_openais_prompt(weights: Path, engine: Backend, hear: Hear) -> None:
    windows = [replace(window, terms=("Anna", "Zug")) for window in WINDOWS[:3]]

    assert_same(hear(engine, windows), ask_openai(weights, windows, prompt="Glossary: Anna, Zug."))


def test_rows_with_other_prompts_and_temperatures_are_no_neighbours(engine: Backend) -> None:
    wishes: list[dict[str, Any]] = [
        {}, {"terms": ("Anna",)}, {"temperature": 0.8}, {"terms": ("Zug", "Anna Karenina")}, {"language": "de"}, {},
    ]  # fmt: skip
    windows = [replace(window, **wish) for window, wish in zip(WINDOWS, wishes, strict=False)]

    together = engine.decode(windows)

    for window, text in zip(windows, together, strict=True):
        (alone,) = engine.decode([window])
        assert (text.text, text.language, text.temperature) == (alone.text, window.language or "en", window.temperature)
        assert text.avg_logprob == pytest.approx(alone.avg_logprob, abs=1e-3)


def test_chance_is_the_windows_own(engine: Backend) -> None:
    cold, warm = WINDOWS[:6], [replace(window, temperature=1.0) for window in WINDOWS[:6]]

    texts = [text.text for text in engine.decode(warm)]

    assert texts == [text.text for text in engine.decode(warm[::-1])][::-1]
    assert texts != [text.text for text in engine.decode(cold)]


def test_a_language_is_found_in_each_window_alone(weights: Path) -> None:
    import torch
    import whisper

    engine = Backend(weights, device="cpu", precision="fp32")
    windows = [replace(WINDOWS[0], language="fr"), *(replace(window, recording_id="same") for window in WINDOWS[1:4])]

    texts = engine.decode(windows)

    assert engine.settings == ""
    assert (texts[0].language, texts[0].languages) == ("fr", ())
    model = whisper.load_model(str(weights), device="cpu")
    for window, text in zip(windows[1:], texts[1:], strict=True):
        _, likely = model.detect_language(torch.as_tensor(whisper.log_mel_spectrogram(window.samples)))
        best = sorted(likely, key=likely.__getitem__, reverse=True)[:5]
        assert [code for code, _ in text.languages] == best
        assert [share for _, share in text.languages] == pytest.approx([likely[code] for code in best], rel=1e-3)
        assert text.language == best[0]


def test_every_window_gets_text_and_numbers(engine: Backend) -> None:
    for text in engine.decode(WINDOWS[:3]):
        assert text.avg_logprob is not None
        assert text.avg_logprob < 0
        assert text.no_speech is not None
        assert 0 <= text.no_speech <= 1
        assert text.text == " ".join(piece.text for piece in text.pieces)
        assert all(0 <= piece.start_s <= piece.end_s <= 30 for piece in text.pieces)


def test_bf16_says_what_fp32_says_of_the_first_token(weights: Path, engine: Backend, hear: Hear) -> None:
    rough = Backend(weights, device="cpu", language="en", precision="bf16")

    assert rough.settings == "language=en precision=bf16"
    exact = [said.tokens[:1] for said in hear(engine, WINDOWS)]
    agreeing = sum(said.tokens[:1] == first for said, first in zip(hear(rough, WINDOWS), exact, strict=True))
    assert agreeing >= 12  # random weights lie closer together than trained ones


def test_an_engine_says_what_it_is(weights: Path, engine: Backend) -> None:
    assert (engine.name, engine.model, engine.settings, engine.degraded, engine.draws) == (
        "whisper", "random", "language=en", False, True
    )  # fmt: skip
    assert Backend(weights, device="cpu", language="German", precision="fp32").settings == "language=de"


def test_wrong_wishes_are_said(tmp_path: Path, weights: Path) -> None:
    with pytest.raises(BadSettings, match="klingon"):
        Backend(weights, device="cpu", language="klingon")
    with pytest.raises(BadSettings, match="fp64"):
        Backend(weights, device="cpu", precision="fp64")
    with pytest.raises(BadSettings, match="GPUs"):
        Backend(weights, device="cpu", precision="fp16")
    with pytest.raises(BadSettings, match="only English"):
        Backend(write_checkpoint(tmp_path / "random.en.pt", vocabulary=51864), device="cpu", language="de")


@pytest.mark.parametrize(
    "message",
    [
        "CUDA out of memory. Tried to allocate 2.00 GiB",
        "[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes",
    ],
)
def test_too_little_memory_is_said(engine: Backend, monkeypatch: pytest.MonkeyPatch, message: str) -> None:
    monkeypatch.setattr(torch_model, "log_mel", fail_with(RuntimeError(message)))

    with pytest.raises(EngineOutOfMemory):
        engine.decode(WINDOWS[:2])


def test_what_else_torch_raises_is_ours_outside(engine: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_model, "log_mel", fail_with(RuntimeError("CUDA error: an illegal memory access")))

    with pytest.raises(EngineFailed) as caught:
        engine.decode(WINDOWS[:1])

    assert caught.value.retryable
    assert not isinstance(caught.value, EngineOutOfMemory)


def test_numbers_that_are_none_are_no_text(tmp_path: Path) -> None:
    import torch

    path = write_checkpoint(tmp_path / "sick.pt")
    content = torch.load(path, weights_only=True)
    content["model_state_dict"]["decoder.ln.weight"].fill_(torch.nan)
    torch.save(content, path)

    with pytest.raises(EngineFailed):
        Backend(path, device="cpu", language="en").decode(WINDOWS[:1])


def test_a_device_that_fails_is_said(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch, "ones", fail_with(RuntimeError("CUDA error: no kernel image is available")))

    with pytest.raises(ModelUnavailable, match="cannot be used on cpu"):
        Backend(weights, device="cpu")


def test_a_closed_engine_hears_nothing(weights: Path) -> None:
    engine = Backend(weights, device="cpu", language="en")
    engine.close()
    engine.close()

    with pytest.raises(EngineFailed, match="closed"):
        engine.decode(WINDOWS[:1])


def fail_with(error: Exception) -> Callable[..., Any]:
    def fail(*args: object, **knobs: object) -> None:
        raise error

    return fail


def test_time_marks_cut_the_tokens() -> None:
    mark = 1000

    assert list(cut_clips([mark, 1, 2, mark + 100, mark + 150, 3, mark + 200], mark)) == [
        ((0.0, 2.0), [1, 2]),
        ((3.0, 4.0), [3]),
    ]
    assert list(cut_clips([1, 2], mark)) == [((0.0, 30.0), [1, 2])]
    assert list(cut_clips([], mark)) == []


def test_a_batch_fits_into_the_memory_set_aside(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Backend(weights, device="cpu", precision="fp32").batch_size == 16

    window_bytes = 2 * 2 * 1500 * 64 * 4  # layers, keys and values, frames, width, float32
    monkeypatch.setattr(torch_model, "_find_room", lambda device: 5 * window_bytes)
    assert Backend(weights, device="cpu", precision="fp32").batch_size == 5


def test_the_cores_to_use_can_be_set(weights: Path) -> None:
    import torch

    Backend(weights, device="cpu", threads=2)
    assert torch.get_num_threads() == 2
    Backend(weights, device="cpu", threads=1)
    assert torch.get_num_threads() == 1
