"""Where somebody speaks in a recording: sentence-like spans, found by Silero's voice activity model.

Knows nothing of words, windows or engines. The model is the ONNX file inside the faster-whisper package, run by
onnxruntime on one thread and kept for the life of the process.
"""

from __future__ import annotations

import functools
import importlib.util
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diarynotes.errors import NotInstalled
from diarynotes.models import SAMPLE_RATE, Audio, Span
from diarynotes.telemetry import forbid_telemetry

FRAME = 512
"""Samples that the model judges at a time (32 ms)."""
CONTEXT = 64
"""Samples before each frame that the model sees with it."""
BLOCK = 312
"""Frames per call of the model, about 10 s: the quickest size measured, and it bounds memory for long recordings."""
HYSTERESIS = 0.15
"""Speech goes on until the probability falls this far below the threshold (Silero's get_speech_timestamps)."""

Frames = tuple[int, int]
"""First frame, and the one after the last."""


def find_speech(
    audio: Audio,
    *,
    threshold: float = 0.5,
    min_speech_s: float = 0.25,
    min_silence_s: float = 0.4,
    pad_s: float = 0.1,
    longest_s: float = 30.0,
) -> tuple[Span, ...]:
    """The stretches of `audio` in which somebody speaks, in order, apart from each other, each at most `longest_s`.

    A silence of `min_silence_s` ends a stretch; one with less than `min_speech_s` of speech is not one. `pad_s`
    (at most half of `min_silence_s`) is added on both sides so that soft consonants survive. A stretch that is too
    long is cut where it is quietest. Empty when nobody speaks. Raises NotInstalled without the model.
    """
    pad, length = round(pad_s * SAMPLE_RATE), len(audio.pcm)
    spans: list[Span] = []
    for first, last in _runs(speech_probabilities(audio), threshold, _frames(min_speech_s), _frames(min_silence_s)):
        start, stop = max(0, first * FRAME - pad), min(length, last * FRAME + pad)
        edges = [start, *_cuts(audio, start, stop, round(longest_s * SAMPLE_RATE)), stop]
        spans += [Span(a / SAMPLE_RATE, b / SAMPLE_RATE) for a, b in itertools.pairwise(edges)]
    return tuple(spans)


def speech_probabilities(audio: Audio, *, block: int = BLOCK) -> NDArray[np.float32]:
    """How likely each frame of 32 ms holds speech, 0 to 1, shape (ceil(samples / 512),).

    The model's state is carried from block to block, so the result does not depend on `block`.
    """
    session = _session()
    h = c = np.zeros((1, 1, 128), np.float32)
    # laid out beforehand: small arrays kept from every block would pin hundreds of megabytes of freed memory
    found = np.empty(-(-len(audio.pcm) // FRAME), np.float32)
    done = 0
    for frames in _blocks(audio, block):
        probabilities, h, c = session.run(None, {"input": frames, "h": h, "c": c})
        found[done : done + len(frames)] = probabilities.reshape(-1)
        done += len(frames)
    return found


def _blocks(audio: Audio, block: int) -> Iterator[NDArray[np.float32]]:
    """The audio as the model wants it, shape (frames, 64 + 512): each frame behind the end of the one before."""
    length = len(audio.pcm)
    for start in range(0, length, block * FRAME):
        stop = min(start + block * FRAME, length)
        samples = audio.pcm[max(0, start - CONTEXT) : stop].astype(np.float32) / 32768.0
        audio.forget()
        before = CONTEXT if start == 0 else 0
        padded = np.pad(samples, (before, -(stop - start) % FRAME))
        yield np.ascontiguousarray(np.lib.stride_tricks.sliding_window_view(padded, CONTEXT + FRAME)[::FRAME])


def _runs(probabilities: NDArray[np.float32], threshold: float, min_speech: int, min_silence: int) -> Iterator[Frames]:
    """Runs of speech with hysteresis, after Silero's get_speech_timestamps; all lengths in frames."""
    first = last = None
    for i, probability in enumerate(_numbers(probabilities)):
        if probability >= threshold or (first is not None and last == i and probability >= threshold - HYSTERESIS):
            first, last = (i if first is None else first), i + 1
        elif first is not None and last is not None and i + 1 - last >= min_silence:
            if last - first >= min_speech:
                yield first, last
            first = last = None
    if first is not None and last is not None and last - first >= min_speech:
        yield first, last


def _numbers(values: NDArray[np.float32]) -> Iterator[float]:
    """Plain numbers a few at a time: ten hours of them at once would take 40 MB."""
    for start in range(0, len(values), 4096):
        yield from values[start : start + 4096].tolist()


def _cuts(audio: Audio, start: int, stop: int, longest: int) -> Iterator[int]:
    """Samples at which to cut, so that no part has more than `longest`: the quietest place of each second half."""
    while stop - start > longest:
        start = _quietest(audio, start + longest // 2, min(start + longest, stop))
        yield start


def _quietest(audio: Audio, start: int, stop: int) -> int:
    """The middle of the 0.16 s with the least energy between two samples."""
    samples = audio.samples(start / SAMPLE_RATE, stop / SAMPLE_RATE)
    audio.forget()
    energy = np.square(samples[: len(samples) // FRAME * FRAME]).reshape(-1, FRAME).sum(axis=1)
    width = min(5, len(energy))
    calm = np.convolve(energy, np.ones(width), mode="valid")
    return start + round((int(calm.argmin()) + width / 2) * FRAME)


def _frames(seconds: float) -> int:
    return max(1, round(seconds * SAMPLE_RATE / FRAME))


@functools.cache
def _session() -> Any:
    forbid_telemetry()
    try:
        import onnxruntime
    except ImportError as error:
        raise NotInstalled("onnxruntime", "pip install onnxruntime") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(str(_model_file()), sess_options=options, providers=["CPUExecutionProvider"])


def _model_file() -> Path:
    # Importing faster_whisper would load ctranslate2 and a hub client, seconds for one file.
    spec = importlib.util.find_spec("faster_whisper")
    if spec is not None and spec.origin is not None:
        file = Path(spec.origin).parent / "assets" / "silero_vad_v6.onnx"
        if file.is_file():
            return file
    raise NotInstalled("Silero's voice activity model", "pip install 'faster-whisper>=1.2.1'")
