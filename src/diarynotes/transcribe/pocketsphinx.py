"""PocketSphinx with the US-English model of its wheel: works everywhere and at once, with many wrong words.

Knows nothing of recordings. Decoding runs in processes of its own, so that a hung or dead one costs one window.
"""

from __future__ import annotations

import importlib.util
import math
import re
import statistics
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from diarynotes.errors import BadSettings, EngineFailed, NotInstalled
from diarynotes.models import SAMPLE_RATE, Piece, Span, Window, WindowText
from diarynotes.sandbox import Sandbox
from diarynotes.transcribe.windows import lay_spans

PACE_LIMIT = 10.0
"""How many times its own length a span may take to decode before its worker counts as hung."""
SHORTEST_LIMIT_S = 10.0
"""What every span may take besides, s."""

Words: TypeAlias = tuple[tuple[str, float], ...]
"""Words and the probability of each among all that the decoder held possible there, 0 to 1 (its lattice's posterior).

Of human clips, clean and spoiled, as many words are right as the mean says (docs/preprocessing.md).
"""
_LEAST = 1e-10
"""Stands for a probability that is too small to be told from 0, so that it has a logarithm."""


class Backend:
    """PocketSphinx in `workers` processes, which begin to load at once. Raises NotInstalled, BadSettings."""

    name = "pocketsphinx"
    model = "en-us"
    settings = ""
    degraded = True
    draws = False

    def __init__(self, workers: int, *, language: str | None = None) -> None:
        if language is not None and language.lower().split("-")[0] not in ("en", "english"):
            raise BadSettings("language", f"pocketsphinx hears only English, not '{language}'; use Whisper.")
        if importlib.util.find_spec("pocketsphinx") is None:
            raise NotInstalled("pocketsphinx", "pip install pocketsphinx")
        self.batch_size = workers  # small, so that whoever waits sees each recording end
        self._sandbox = Sandbox(workers, warm_up=load_decoder)
        self._sandbox.start()

    def decode(self, windows: Sequence[Window]) -> list[WindowText]:
        """The text of each window, a piece for each span of speech. Raises EngineFailed when a worker hung or died.

        `avg_logprob` is the logarithm of the words' mean probability: the share of them that is likely right. What a
        window wishes is not heeded: the only language is English, the model knows no new words, and draws nothing.
        """
        spans = [_cut(window, span) for window in windows for span in lay_spans(window.spans)]
        limit_s = max((_limit_s(samples) for samples in spans), default=0.0)
        heard = self._sandbox.map(hear_words, (samples.tobytes() for samples in spans), wall_s=limit_s)
        words = iter([self._check(answer) for answer in heard])
        return [_text(window, [next(words) for _ in window.spans]) for window in windows]

    def close(self) -> None:
        """Stop the workers at once."""
        self._sandbox.close()

    def _check(self, answer: Words | Exception) -> Words:
        if isinstance(answer, Exception):
            raise EngineFailed(self.name, "a worker hung or died") from answer
        return answer


def _limit_s(samples: NDArray[Any]) -> float:
    return SHORTEST_LIMIT_S + PACE_LIMIT * len(samples) / SAMPLE_RATE


def _cut(window: Window, place: Span) -> NDArray[np.int16]:
    """The samples at a place in a window, s from its beginning, as the decoder reads them, shape (samples,)."""
    start, stop = (round(time_s * SAMPLE_RATE) for time_s in (place.start_s, place.end_s))
    return np.clip(np.round(window.samples[start:stop] * 32768.0), -32768, 32767).astype(np.int16)


def _text(window: Window, heard: Sequence[Words]) -> WindowText:
    pieces = tuple(
        Piece(place.start_s, place.end_s, _join(words), _confidence(words))
        for place, words in zip(lay_spans(window.spans), heard, strict=True)
        if words
    )
    every = [word for words in heard for word in words]
    return WindowText(" ".join(piece.text for piece in pieces), pieces, "en", _confidence(every))


def _join(words: Sequence[tuple[str, float]]) -> str:
    return " ".join(word for word, _ in words)


def _confidence(words: Sequence[tuple[str, float]]) -> float | None:
    """The logarithm of their mean probability; not the mean of the logarithms, which one odd word would decide."""
    return math.log(max(statistics.fmean(likely for _, likely in words), _LEAST)) if words else None


_decoder: Any = None


def load_decoder() -> None:
    """In the process that workers are forked from: load the model, which they then share."""
    global _decoder
    from pocketsphinx import Decoder

    _decoder = Decoder(samprate=SAMPLE_RATE, loglevel="FATAL")


def hear_words(samples: bytes) -> Words:
    """In a worker: the words in int16 samples, without fillers; none where there are none."""
    _decoder.reinit_feat()  # else what it learnt of the noise before changes what it hears now
    _decoder.start_utt()
    _decoder.process_raw(samples, full_utt=True)
    _decoder.end_utt()
    heard = ((re.sub(r"\(\d+\)$", "", segment.word), segment.prob) for segment in _decoder.seg() or ())
    return tuple((word, min(prob, 1.0)) for word, prob in heard if not re.fullmatch(r"<.*>|\[.*\]|\+\+.*\+\+", word))
