"""PocketSphinx with the US-English model of its wheel: works everywhere and at once, with many wrong words.

Knows nothing of recordings. Decoding runs in processes of its own, so that a hung or dead one costs one window.
"""

from __future__ import annotations

import concurrent.futures
import ctypes
import importlib.util
import multiprocessing
import re
import signal
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diarynotes.errors import BadSettings, EngineFailed, NotInstalled
from diarynotes.models import SAMPLE_RATE, Piece, Span, Window, WindowText

START_LIMIT_S = 60.0
"""How long a worker may take to start and load its model, s, on a machine that is busy with other things."""
PACE_LIMIT = 10.0
"""How many times its own length a span may take to decode before its worker counts as hung."""
PR_SET_PDEATHSIG = 1
"""From Linux's prctl.h."""


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
        self.batch_size = 2 * workers
        self._workers = workers
        self._pool = self._open_pool()

    def decode(self, windows: Sequence[Window]) -> list[WindowText]:
        """The text of each window, a piece for each span of speech. Raises EngineFailed when a worker hung or died."""
        if not self._pool.active:
            self._pool = self._open_pool()
        heard = [[self._schedule(_cut(window, span)) for span in window.spans] for window in windows]
        try:
            return [_text(window, [job.result() for job in jobs]) for window, jobs in zip(windows, heard, strict=True)]
        except Exception as error:
            raise EngineFailed(self.name, "a worker hung or died") from error

    def close(self) -> None:
        """Stop the workers at once."""
        self._pool.stop()
        self._pool.join()

    def _open_pool(self) -> Any:
        from pebble import ProcessPool

        # Forkserver: the parent of a worker must be a thread that lives, else PDEATHSIG kills the worker too early.
        context = multiprocessing.get_context("forkserver")
        pool = ProcessPool(max_workers=self._workers, initializer=_start_worker, context=context)
        for _ in range(self._workers):
            pool.schedule(_hear, args=(b"",), timeout=START_LIMIT_S)
        return pool

    def _schedule(self, samples: NDArray[np.int16]) -> concurrent.futures.Future[str]:
        limit_s = START_LIMIT_S + PACE_LIMIT * len(samples) / SAMPLE_RATE
        job: concurrent.futures.Future[str] = self._pool.schedule(_hear, args=(samples.tobytes(),), timeout=limit_s)
        return job


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


def _start_worker() -> None:
    """In a worker: load the model; die with the process that keeps the pool."""
    global _decoder
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(ctypes.CDLL(None), "prctl"):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    from pocketsphinx import Decoder

    _decoder = Decoder(samprate=SAMPLE_RATE, loglevel="FATAL")


def _hear(samples: bytes) -> str:
    """In a worker: the words in int16 samples, without fillers; empty where there are none."""
    if not samples:
        return ""
    _decoder.start_utt()
    _decoder.process_raw(samples, full_utt=True)
    _decoder.end_utt()
    words = (re.sub(r"\(\d+\)$", "", segment.word) for segment in _decoder.seg() or ())
    return " ".join(word for word in words if not re.fullmatch(r"<.*>|\[.*\]|\+\+.*\+\+", word))
