"""PocketSphinx with the US-English model of its wheel: works everywhere and at once, with many wrong words.

Knows nothing of recordings. Decoding runs in processes of its own, so that a hung or dead one costs one window.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diarynotes.errors import BadSettings, EngineFailed, NotInstalled
from diarynotes.models import SAMPLE_RATE, Piece, Span, Window, WindowText
from diarynotes.sandbox import Sandbox

PACE_LIMIT = 10.0
"""How many times its own length a span may take to decode before its worker counts as hung."""
SHORTEST_LIMIT_S = 10.0
"""What every span may take besides, s."""


class Backend:
    """PocketSphinx in `workers` processes, which begin to load at once. Raises NotInstalled, BadSettings."""

    name = "pocketsphinx"
    model = "en-us"
    settings = ""
    degraded = True

    def __init__(self, workers: int, *, language: str | None = None) -> None:
        if language is not None and language.lower().split("-")[0] not in ("en", "english"):
            raise BadSettings("language", f"pocketsphinx hears only English, not '{language}'; use Whisper.")
        if importlib.util.find_spec("pocketsphinx") is None:
            raise NotInstalled("pocketsphinx", "pip install pocketsphinx")
        self.batch_size = workers  # small, so that whoever waits sees each recording end
        self._sandbox = Sandbox(workers, warm_up=load_decoder)
        self._sandbox.start()

    def decode(self, windows: Sequence[Window]) -> list[WindowText]:
        """The text of each window, a piece for each span of speech. Raises EngineFailed when a worker hung or died."""
        spans = [_cut(window, span) for window in windows for span in window.spans]
        limit_s = max((_limit_s(samples) for samples in spans), default=0.0)
        heard = self._sandbox.map(hear_words, (samples.tobytes() for samples in spans), wall_s=limit_s)
        words = iter([self._check(answer) for answer in heard])
        return [_text(window, [next(words) for _ in window.spans]) for window in windows]

    def close(self) -> None:
        """Stop the workers at once."""
        self._sandbox.close()

    def _check(self, answer: str | Exception) -> str:
        if isinstance(answer, Exception):
            raise EngineFailed(self.name, "a worker hung or died") from answer
        return answer


def _limit_s(samples: NDArray[Any]) -> float:
    return SHORTEST_LIMIT_S + PACE_LIMIT * len(samples) / SAMPLE_RATE


def _cut(window: Window, span: Span) -> NDArray[np.int16]:
    """The samples of one span as the decoder reads them, shape (samples,)."""
    start, stop = (round((time_s - window.start_s) * SAMPLE_RATE) for time_s in (span.start_s, span.end_s))
    return np.clip(np.round(window.samples[start:stop] * 32768.0), -32768, 32767).astype(np.int16)


def _text(window: Window, heard: Sequence[str]) -> WindowText:
    pieces = tuple(
        Piece(span.start_s - window.start_s, span.end_s - window.start_s, text)
        for span, text in zip(window.spans, heard, strict=True)
        if text
    )
    return WindowText(" ".join(piece.text for piece in pieces), pieces, "en")


_decoder: Any = None


def load_decoder() -> None:
    """In the process that workers are forked from: load the model, which they then share."""
    global _decoder
    from pocketsphinx import Decoder

    _decoder = Decoder(samprate=SAMPLE_RATE, loglevel="FATAL")


def hear_words(samples: bytes) -> str:
    """In a worker: the words in int16 samples, without fillers; empty where there are none."""
    _decoder.reinit_feat()  # else what it learnt of the noise before changes what it hears now
    _decoder.start_utt()
    _decoder.process_raw(samples, full_utt=True)
    _decoder.end_utt()
    words = (re.sub(r"\(\d+\)$", "", segment.word) for segment in _decoder.seg() or ())
    return " ".join(word for word in words if not re.fullmatch(r"<.*>|\[.*\]|\+\+.*\+\+", word))
