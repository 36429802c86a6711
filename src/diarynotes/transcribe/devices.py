"""The GPU where there is one that works, else the CPU: an engine that moves over when its device fails.

Knows no library: whether there is a GPU is read off the system's device files; whether it works is seen in use.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from diarynotes.errors import (
    BadSettings,
    DiarynotesError,
    EngineClosed,
    EngineFailed,
    EngineOutOfMemory,
    ModelUnavailable,
)
from diarynotes.models import SAMPLE_RATE, Span, Window, WindowText
from diarynotes.transcribe.engine import Engine

T = TypeVar("T")

_SUSPECT_AFTER = 2
"""After how many failed batches in a row a device is tried with silence: a bad recording is no reason to leave it."""
_SILENCE = Window("silence", 0, 0.0, np.zeros(SAMPLE_RATE, np.float32), (Span(0.0, 1.0),))


def find_gpu(dev: Path = Path("/dev")) -> bool:
    """Whether the system shows a GPU that CUDA may run on: NVIDIA's device files, or WSL's."""
    return any(dev.glob("nvidia[0-9]*")) or (dev / "dxg").exists()


def list_devices(wanted: str, *, gpu: bool) -> tuple[str, ...]:
    """The devices to try, the best first, where a person wants auto, cpu or cuda. Raises: BadSettings."""
    if wanted == "auto":
        return ("cuda", "cpu") if gpu else ("cpu",)
    if wanted in ("cpu", "cuda"):
        return (wanted,)
    raise BadSettings("device", f"'{wanted}' is not known; choose auto, cpu or cuda.")


class Devices:
    """The devices that engines may run on, the best first; one that was given up is not tried again."""

    def __init__(self, names: Sequence[str], tell: Callable[[str, str], None]) -> None:
        self._names = tuple(names)
        self._tell = tell
        self._lock = threading.Lock()

    @property
    def best(self) -> str:
        return self._names[0]

    def after(self, name: str) -> str | None:
        """The one to try when this one fails; None where there is none left."""
        rest = self._names[self._names.index(name) + 1 :] if name in self._names else self._names
        return rest[0] if rest else None

    def give_up(self, name: str, why: str) -> None:
        """Never again while this lives; `tell(device, why)` is called once."""
        with self._lock:
            if name not in self._names:
                return
            self._names = tuple(other for other in self._names if other != name)
        self._tell(name, why)


class MovingEngine:
    """An engine on the best device; where that fails, the same on the next one, for good.

    `open_on(device)` may load later: what it raises is met when the engine is first asked. A device is given up when
    the model cannot be loaded there but can on the next one, and when after two failed batches in a row not even
    silence can be decoded there; the batch is then decoded on the next one.
    """

    def __init__(self, name: str, open_on: Callable[[str], Engine], devices: Devices) -> None:
        self._name, self._open_on, self._devices = name, open_on, devices
        self._lock = threading.RLock()
        self._failed = 0
        self._device = devices.best
        self._engine = open_on(self._device)
        self._opened = [self._engine]
        self._closed = False

    @property
    def name(self) -> str:
        return self._ask(lambda engine: engine.name)

    @property
    def model(self) -> str:
        return self._ask(lambda engine: engine.model)

    @property
    def settings(self) -> str:
        return self._ask(lambda engine: engine.settings)

    @property
    def degraded(self) -> bool:
        return self._ask(lambda engine: engine.degraded)

    @property
    def batch_size(self) -> int:
        return self._ask(lambda engine: engine.batch_size)

    @property
    def draws(self) -> bool:
        return self._ask(lambda engine: engine.draws)

    @property
    def memory_bytes(self) -> int | None:
        """What its process holds now; None while it is loading, or where it has none."""
        return getattr(self._engine, "memory_bytes", None)

    def decode(self, windows: Sequence[Window]) -> list[WindowText]:
        """What the engine makes of the windows, or what it raises where no other device would do better."""
        with self._lock:
            try:
                texts = self._ask(lambda engine: engine.decode(windows))
            except EngineFailed as error:
                if not self._should_move(error, len(windows)):
                    raise
                self._move(error)
                texts = self._engine.decode(windows)
            self._failed = 0
            return texts

    def close(self) -> None:
        """Close the engine at once, busy or not; also one that it is just moving to."""
        self._closed = True
        for engine in tuple(self._opened):
            engine.close()

    def _ask(self, question: Callable[[Engine], T]) -> T:
        """The engine's answer; one that cannot be loaded here is loaded on the next device."""
        engine = self._engine
        try:
            return question(engine)
        except (ModelUnavailable, EngineClosed) as error:
            with self._lock:
                if self._engine is engine:  # else another thread has moved on meanwhile, and closed that one
                    if self._closed:
                        raise
                    self._move(error)
                return question(self._engine)

    def _should_move(self, error: EngineFailed, windows: int) -> bool:
        if isinstance(error, EngineOutOfMemory) and windows > 1:
            return False  # fewer at once may still go through
        self._failed += 1
        if self._failed < _SUSPECT_AFTER or self._devices.after(self._device) is None:
            return False
        self._failed = 0
        try:
            self._engine.decode([_SILENCE])
        except (EngineFailed, ModelUnavailable):
            return True
        return False

    def _move(self, error: DiarynotesError) -> None:
        """On to the next device, which must be able to load the model; else raises what it says, or `error`."""
        device = self._devices.after(self._device)
        if device is None:
            raise error
        engine = self._open_on(device)
        self._opened.append(engine)
        try:
            if self._closed:  # just before, so that who did it has not seen this one
                raise EngineClosed(self._name)
            _ = engine.name  # waits until it is loaded
        except BaseException:
            self._opened.remove(engine)
            engine.close()
            raise
        self._opened.remove(self._engine)
        self._engine.close()
        failed, self._device, self._engine = self._device, device, engine
        self._devices.give_up(failed, str(error))
