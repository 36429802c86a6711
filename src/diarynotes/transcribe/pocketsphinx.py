"""PocketSphinx with the US-English model of its wheel: works everywhere and at once, with many wrong words.

Knows nothing of recordings. Decoding runs in processes of its own, so that a hung or dead one costs one window.
"""

from __future__ import annotations

import concurrent.futures
import ctypes
import importlib.util
import itertools
import multiprocessing
import re
import signal
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from diarynotes.errors import BadSettings, EngineFailed, NotInstalled
from diarynotes.models import SAMPLE_RATE, Piece, Span, Window, WindowText

START_LIMIT_S = 60.0
"""How long a worker may take to start and load its model, s, on a machine that is busy with other things."""
PACE_LIMIT = 10.0
"""How many times its own length a span may take to decode before its worker counts as hung."""
SHORTEST_LIMIT_S = 10.0
"""What every span may take besides, s."""
PR_SET_PDEATHSIG = 1
"""From Linux's prctl.h."""

_Job: TypeAlias = concurrent.futures.Future[str]


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
        jobs: list[list[_Job]] = []
        limit_s = START_LIMIT_S + sum(_limit_s(window.samples) for window in windows)
        try:
            self._revive()
            jobs += [[self._schedule(_cut(window, span)) for span in window.spans] for window in windows]
            heard = [[job.result(limit_s) for job in row] for row in jobs]
        except (
            Exception
        ) as error:  # a timeout, a dead worker, a broken pool: pebble and the queue have a class for each
            for job in itertools.chain(*jobs):
                job.cancel()
            raise EngineFailed(self.name, "a worker hung or died") from error
        return [_text(window, row) for window, row in zip(windows, heard, strict=True)]

    def close(self) -> None:
        """Stop the workers at once."""
        self._pool.stop()
        self._pool.join()

    def _revive(self) -> None:
        """A worker that dies idle breaks pebble's pool; a new one is opened."""
        if not self._pool.active:
            self.close()
            self._pool = self._open_pool()

    def _open_pool(self) -> Any:
        from pebble import ProcessPool

        # Not spawn: there the thread that opened the pool is the workers' parent, and they die when it ends.
        context = multiprocessing.get_context("forkserver")
        pool = ProcessPool(max_workers=self._workers, initializer=_start_worker, context=context)
        pool.schedule(_hear, args=(b"",))  # the pool starts its workers with its first job
        return pool

    def _schedule(self, samples: NDArray[np.int16]) -> _Job:
        job: _Job = self._pool.schedule(_hear, args=(samples.tobytes(),), timeout=_limit_s(samples))
        return job


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
    _decoder.reinit_feat()  # else what it learnt of the noise before changes what it hears now
    _decoder.start_utt()
    _decoder.process_raw(samples, full_utt=True)
    _decoder.end_utt()
    words = (re.sub(r"\(\d+\)$", "", segment.word) for segment in _decoder.seg() or ())
    return " ".join(word for word in words if not re.fullmatch(r"<.*>|\[.*\]|\+\+.*\+\+", word))
