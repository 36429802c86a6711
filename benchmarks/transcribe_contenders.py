"""The programs that the transcription benchmark compares, each behind one verb: paths of recordings in, work done.

Ours go through the same functions as `diarynotes run`. The peers are run as their makers show it, file by file,
greedy, without their second tries. Knows nothing of time or memory, but how long our engine itself was busy.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transcribe_material import CONTEXT

from diarynotes.audio import decode
from diarynotes.models import Window, WindowText
from diarynotes.transcribe import Care, Engine, Heard, transcribe_recordings
from diarynotes.transcribe.vad import find_speech

Work = Callable[[Sequence[Path]], dict[str, Any]]
"""Transcribes recordings; what it counted on the way."""
CREDULOUS = Care(doubt_below=0.0, temperatures=(), untrusted_below=0.0)
"""Random weights write nonsense, which would be heard again and again."""


@dataclass(frozen=True, slots=True)
class Order:
    """How a program is to work; `language` None: as it finds it. `device` is cpu or cuda."""

    weights: Path
    models: Path
    language: str | None
    threads: int
    device: str = "cpu"


def open_whisper(order: Order, precision: str | None = None) -> Work:
    import diarynotes.transcribe.whisper as whisper

    return _ours(
        whisper.Backend(
            order.weights,
            device=order.device,
            threads=order.threads,
            language=order.language,
            precision=precision,
        )
    )


def open_ctranslate2(order: Order, quantization: str | None = None) -> Work:
    import diarynotes.transcribe.ctranslate2 as ctranslate2

    return _ours(
        ctranslate2.Backend(
            order.weights,
            order.models,
            device=order.device,
            threads=order.threads,
            language=order.language,
            quantization=quantization,
        )
    )


def open_scripted(_: Order) -> Work:
    from diarynotes.testing import ScriptedEngine

    return _ours(ScriptedEngine())


def open_faster_whisper(order: Order) -> Work:
    """faster-whisper's batched pipeline, on the folder that diarynotes has converted, in the same quantization."""
    from faster_whisper import BatchedInferencePipeline, WhisperModel

    from diarynotes.transcribe.conversion import convert_weights

    quantization = "int8" if order.device == "cpu" else "float16"
    folder = convert_weights(order.weights, order.models, quantization)
    write_tokenizer(folder)
    model = WhisperModel(str(folder), device=order.device, compute_type=quantization, cpu_threads=order.threads)
    pipeline = BatchedInferencePipeline(model)

    def work(paths: Sequence[Path]) -> dict[str, Any]:
        tokens = 0
        for path in paths:
            segments, _ = pipeline.transcribe(
                str(path),
                language=order.language,
                beam_size=1,
                temperature=0.0,
                batch_size=8,
                max_new_tokens=CONTEXT - 4,  # what starts a window counts; half of the sum is decoded
            )
            tokens += sum(len(segment.tokens) for segment in segments)
        return {"tokens": tokens}

    return work


def open_openai_whisper(order: Order) -> Work:
    """openai-whisper's `transcribe`; the sound comes decoded by diarynotes, so that no ffmpeg need be installed."""
    import torch
    import whisper

    torch.set_num_threads(order.threads)
    model = whisper.load_model(str(order.weights), device=order.device)

    def work(paths: Sequence[Path]) -> dict[str, Any]:
        tokens = 0
        with tempfile.TemporaryDirectory() as spool:
            for path in paths:
                said = whisper.transcribe(
                    model,
                    decode(path, spool=Path(spool)).open().samples(),
                    language=order.language,
                    temperature=0.0,
                    condition_on_previous_text=False,
                    no_speech_threshold=None,
                    logprob_threshold=None,
                    compression_ratio_threshold=None,
                    fp16=order.device != "cpu",
                )
                tokens += sum(len(segment["tokens"]) for segment in said["segments"])
        return {"tokens": tokens}

    return work


def open_transformers(order: Order) -> Work:
    """Transformers' pipeline of the same shape; its weights are random too, drawn by itself."""
    import torch
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    from diarynotes.models import SAMPLE_RATE
    from diarynotes.transcribe.mel import log_mel
    from diarynotes.transcribe.torch_weights import load_checkpoint

    dims = load_checkpoint(order.weights).dims
    config = WhisperConfig(
        vocab_size=dims.n_vocab, num_mel_bins=dims.n_mels, d_model=dims.n_audio_state,
        encoder_layers=dims.n_audio_layer, encoder_attention_heads=dims.n_audio_head,
        decoder_layers=dims.n_text_layer, decoder_attention_heads=dims.n_text_head,
        encoder_ffn_dim=4 * dims.n_audio_state, decoder_ffn_dim=4 * dims.n_text_state,
    )  # fmt: skip
    kind = torch.float32 if order.device == "cpu" else torch.float16
    model = WhisperForConditionalGeneration(config).to(order.device, kind).eval()

    def work(paths: Sequence[Path]) -> dict[str, Any]:
        count = CONTEXT // 2
        tokens = 0
        with tempfile.TemporaryDirectory() as spool, torch.inference_mode():
            for path in paths:
                audio = decode(path, spool=Path(spool)).open()
                starts = range(0, len(audio.pcm), 30 * SAMPLE_RATE)
                windows = [
                    Window("", n, 0.0, audio.samples(start / SAMPLE_RATE, start / SAMPLE_RATE + 30), ())
                    for n, start in enumerate(starts)
                ]
                for first in range(0, len(windows), 16):
                    mel = log_mel(windows[first : first + 16], dims.n_mels).to(order.device, kind)
                    model.generate(mel, max_new_tokens=count, min_new_tokens=count, do_sample=False)
                    tokens += len(mel) * count
        return {"tokens": tokens}

    return work


CONTENDERS: dict[str, Callable[[Order], Work]] = {
    "whisper": open_whisper,
    "whisper fp32": lambda order: open_whisper(order, "fp32"),
    "ctranslate2": open_ctranslate2,
    "ctranslate2 float32": lambda order: open_ctranslate2(order, "float32"),
    "scripted": open_scripted,
    "faster-whisper": open_faster_whisper,
    "openai-whisper": open_openai_whisper,
    "transformers": open_transformers,
}


@dataclass(slots=True)
class _Timed:
    """An engine, and how long it was busy with how many windows."""

    engine: Engine
    busy_s: float = 0.0
    windows: int = 0
    name: str = field(init=False)
    model: str = field(init=False)
    settings: str = field(init=False)
    degraded: bool = field(init=False)
    batch_size: int = field(init=False)
    draws: bool = field(init=False)

    def __post_init__(self) -> None:
        for fact in ("name", "model", "settings", "degraded", "batch_size", "draws"):
            setattr(self, fact, getattr(self.engine, fact))

    def decode(self, windows: Sequence[Window]) -> list[WindowText]:
        begun = time.perf_counter()
        texts = self.engine.decode(windows)
        self.busy_s += time.perf_counter() - begun
        self.windows += len(windows)
        return texts

    def close(self) -> None:
        self.engine.close()


def _ours(engine: Engine) -> Work:
    def work(paths: Sequence[Path]) -> dict[str, Any]:
        with tempfile.TemporaryDirectory() as spool, closing(_Timed(engine)) as timed:
            for _ in transcribe_recordings(timed, _hear(paths, Path(spool)), care=CREDULOUS):
                pass
            return {"windows": timed.windows, "busy_s": timed.busy_s}

    return work


def _hear(paths: Sequence[Path], spool: Path) -> Iterator[Heard]:
    for path in paths:
        audio = decode(path, spool=spool).open()
        yield Heard(path.name, audio, find_speech(audio))


def write_tokenizer(folder: Path) -> None:
    """The tokenizer.json that faster-whisper looks for: OpenAI's vocabulary; without merges, as it only decodes."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from whisper.tokenizer import get_tokenizer

    encoding = get_tokenizer(True).encoding
    letters = _name_bytes()
    names = [
        "".join(letters[byte] for byte in encoding.decode_single_token_bytes(i)) for i in range(encoding.eot_token)
    ]
    tokenizer = Tokenizer(models.BPE({name: i for i, name in enumerate(names)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([encoding.decode([i]) for i in range(encoding.eot_token, encoding.n_vocab)])
    tokenizer.save(str(folder / "tokenizer.json"))


def _name_bytes() -> dict[int, str]:
    """A letter for every byte, as GPT-2 names them: its own where it can be seen, else the next one from 256 on."""
    seen = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in seen]
    return {byte: chr(byte) for byte in seen} | {byte: chr(256 + n) for n, byte in enumerate(hidden)}
