"""An engine in a process of its own: closing it gives its memory back, and a hang or a crash costs one batch.

Knows when to start a process, how long to wait for it, and when to end it; `child.py` knows what it is. `sandbox/`
confines what reads strangers' files; engines see samples only, need the GPU, and live longer.
"""

from __future__ import annotations

import pickle
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from diarynotes.errors import EngineClosed, EngineFailed, EngineOutOfMemory, ModelUnavailable
from diarynotes.models import Window, WindowText
from diarynotes.transcribe.child import Child, Died, Facts, TooLate, measure_memory
from diarynotes.transcribe.engine import Engine

_PACE_MARGIN = 20.0
"""How many times what the slowest batch so far took for each window a later one may take."""
_SHORTEST_LIMIT_S = 60.0
"""What every batch may take, s, however fast those before it were."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long an engine may take, s: to load its model, and for each window on a CPU (a GPU: for a whole batch)."""

    load_s: float = 900.0
    window_s: float = 300.0


class ProcessEngine:
    """The engine that `open_` opens, in a process that begins to load it at once; safe to use from several threads.

    `open_` must pickle; functions are found by module and name. `name` and `model` are for messages until the engine
    tells its own. Whoever asks it anything waits for the load. A process that dies or is ended for taking too long is
    replaced when the next batch comes.

    Everything but `close` raises what `open_` raises, and ModelUnavailable when loading killed the process or took
    too long; the next call tries again. Once it is closed, EngineClosed.
    """

    def __init__(
        self,
        open_: Callable[[], Engine],
        *,
        name: str,
        model: str,
        patience: Patience | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._name, self._model = name, model
        self._order = pickle.dumps((name, open_))
        self._patience = patience or Patience()
        self._environment = dict(environment or {})
        self._lock = threading.RLock()
        self._closed = False
        self._facts: Facts | None = None
        self._slowest_s: float | None = None
        self._child: Child | None = self._bear_child()

    @property
    def name(self) -> str:
        return self._load().name

    @property
    def model(self) -> str:
        return self._load().model

    @property
    def settings(self) -> str:
        return self._load().settings

    @property
    def degraded(self) -> bool:
        return self._load().degraded

    @property
    def batch_size(self) -> int:
        return self._load().batch_size

    @property
    def draws(self) -> bool:
        return self._load().draws

    @property
    def device(self) -> str:
        return self._load().device

    @property
    def memory_bytes(self) -> int | None:
        """What its process holds now; None while it is loading, or there is none."""
        child = self._child
        return measure_memory(child.pid) if child and self._facts else None

    def decode(self, windows: Sequence[Window]) -> list[WindowText]:
        """What the engine makes of the windows, or what it raises; EngineFailed too when its process hangs or dies."""
        if not windows:
            return []
        with self._lock:
            if self._child is not None and not self._child.is_alive():
                self._drop_child()  # it died of something else: that costs no batch
            facts = self._load()
            assert self._child is not None
            limit_s = self._limit_s(len(windows), facts.device)
            begun = time.monotonic()
            try:
                texts: list[WindowText] = self._child.ask(windows, limit_s)
            except (Died, TooLate) as error:
                self._drop_child()
                self._check_open()
                raise EngineFailed(self._name, str(error)) from error
            except EngineFailed as error:
                if facts.device != "cpu" and not isinstance(error, EngineOutOfMemory):
                    self._drop_child()  # a device that has failed once answers nothing more in the same process
                raise
            self._note_pace((time.monotonic() - begun) / len(windows))
            return texts

    def close(self) -> None:
        """End the process at once, busy or not."""
        self._closed = True
        if child := self._child:
            child.kill()  # without waiting for the lock: whoever holds it waits for this process
        with self._lock:
            self._drop_child()

    def _load(self) -> Facts:
        """What the engine says of itself, once it is loaded."""
        with self._lock:
            if self._child is None:
                self._child = self._bear_child()
            if self._facts is None:
                try:
                    self._check_open()  # whoever closed us just before may not have seen this child
                    self._facts = self._child.await_facts(self._patience.load_s)
                except (Died, TooLate) as error:
                    self._drop_child()
                    self._check_open()
                    remedy = f"While it was loaded, {error}. It may be too large for this machine: name a smaller one."
                    raise ModelUnavailable(self._model, remedy) from error
                except BaseException:
                    self._drop_child()
                    raise
            return self._facts

    def _bear_child(self) -> Child:
        self._check_open()
        try:
            return Child(self._order, self._environment)
        except OSError as error:
            raise EngineFailed(self._name, f"no process can be started: {error.strerror}") from error

    def _check_open(self) -> None:
        if self._closed:
            raise EngineClosed(self._name)

    def _drop_child(self) -> None:
        """Whatever state it is in; the next one knows nothing of its pace, so that it is not hurried."""
        if self._child is not None:
            self._child.close()
        self._child = self._facts = self._slowest_s = None

    def _limit_s(self, windows: int, device: str) -> float:
        patience_s = self._patience.window_s * (windows if device == "cpu" else 1)
        if self._slowest_s is None:
            return patience_s
        return min(patience_s, max(_SHORTEST_LIMIT_S, _PACE_MARGIN * self._slowest_s * windows))

    def _note_pace(self, window_s: float) -> None:
        self._slowest_s = max(self._slowest_s or 0.0, window_s)
