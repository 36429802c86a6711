"""Engines for tests of what keeps them in processes of their own; a child imports them from here by name.

What a window asks for is its first sample: see `HANG` and the others.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from diarynotes.errors import EngineFailed, EngineOutOfMemory, ModelUnavailable
from diarynotes.models import SAMPLE_RATE, Span, Window, WindowText
from diarynotes.testing import ScriptedEngine

SPEAK, HANG, DIE, LEAVE, FAIL, RUN_OUT, BUG, TELL_ENVIRONMENT, PRINT = (float(number) for number in range(9))


def make_window(wish: float = SPEAK, length_s: float = 1.0) -> Window:
    samples = np.zeros(round(length_s * SAMPLE_RATE), np.float32)
    samples[0] = wish
    return Window("r", 0, 0.0, samples, (Span(0.0, length_s),))


class Fake(ScriptedEngine):
    """Says the number of the process that it runs in, and does as its windows tell it."""

    def __init__(self, device: str = "cpu", model: str = "lines") -> None:
        super().__init__(model=model, batch_size=3)
        self.device = device
        self.settings = f"device={device}"

    def decode(self, windows: Sequence[Window]) -> list[WindowText]:
        return [WindowText(self._obey(float(window.samples[0]))) for window in windows]

    def _obey(self, wish: float) -> str:
        if wish == HANG:
            threading.Event().wait()
        if wish == DIE:
            os.kill(os.getpid(), signal.SIGKILL)
        if wish == LEAVE:
            os._exit(7)
        if wish == FAIL:
            raise EngineFailed(self.name, "told to")
        if wish == RUN_OUT:
            raise EngineOutOfMemory(self.name)
        if wish == BUG:
            words = "secret words of a diary"
            raise KeyError(words)
        if wish == TELL_ENVIRONMENT:
            return ",".join(sorted(os.environ))
        if wish == PRINT:
            for stream in (sys.stdout, sys.stderr):
                stream.write("loud")
                stream.flush()
            os.write(1, b"loud")
            os.write(2, b"loud")
        return str(os.getpid())


class DeadlyOnGpu(Fake):
    """Dies of whatever it is given, on a GPU."""

    def decode(self, windows: Sequence[Window]) -> list[WindowText]:
        if self.device == "cuda":
            os._exit(1)
        return super().decode(windows)


def refuse() -> Fake:
    raise ModelUnavailable("lines", "It is not there.")


def die() -> Fake:
    os.kill(os.getpid(), signal.SIGKILL)
    return Fake()


def hang() -> Fake:
    threading.Event().wait()
    return Fake()


def open_on_cpu_only(device: str) -> Fake:
    if device == "cuda":
        raise ModelUnavailable("lines", "The GPU does not work.")
    return Fake(device)


def open_if_there(weights: Path) -> Fake:
    return Fake() if weights.exists() else refuse()
