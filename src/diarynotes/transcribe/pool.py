"""Keeps few engines loaded: the least recently used makes room, one that idles is unloaded, one in use never goes.

Knows what is open and who uses it; how an engine is opened is handed in. A failed opening is remembered by nobody.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from diarynotes.errors import EngineClosed, EngineFailed, ModelUnavailable
from diarynotes.transcribe.devices import Devices, MovingEngine
from diarynotes.transcribe.engine import Engine
from diarynotes.transcribe.opening import WHISPERS, Opening
from diarynotes.transcribe.process import Patience, ProcessEngine

_LIBRARY_BYTES = 500_000_000
"""About what torch and what comes with it take before there is any model."""
_BYTES_PER_WEIGHT_BYTE = 3.0
"""Weights lie on disk in two bytes each and are computed with in up to four; loading them holds both for a moment."""
_OTHER_BYTES = 200_000_000
"""About what an engine without weights takes."""


@dataclass(eq=False, slots=True)
class _Loaded:
    """An engine and the threads that use it, each as often as it borrowed it."""

    opening: Opening
    engine: Engine
    users: list[int] = field(default_factory=list)
    used_at: float = 0.0


class EnginePool:
    """At most `max_loaded` engines, which together stay within `memory_bytes`, unless one alone is larger.

    `open_` opens one, ready or still loading. One that nobody has borrowed for `idle_s` seconds is closed. Safe to use
    from several threads; two that borrow the same opening share one engine.
    """

    def __init__(
        self, open_: Callable[[Opening], Engine], *, memory_bytes: int, max_loaded: int = 3, idle_s: float = 300.0
    ) -> None:
        self._open = open_
        self._memory_bytes, self._max_loaded, self._idle_s = memory_bytes, max_loaded, idle_s
        self._changed = threading.Condition(threading.RLock())
        self._loaded: dict[Opening, _Loaded] = {}
        self._timer: threading.Timer | None = None
        self._closed = False

    @contextmanager
    def borrow(self, opening: Opening) -> Iterator[Engine]:
        """The engine for this opening, kept open while the block runs; it may still be loading.

        Waits while the others leave no room for it and are in use, unless this thread uses one of them itself. Raises
        what opening it raises; an engine that failed to load in the block is closed.
        """
        user = threading.get_ident()
        loaded = self._take(opening, user)
        keep = True
        try:
            yield loaded.engine
        except (ModelUnavailable, EngineFailed):
            keep = False
            raise
        finally:
            self._give_back(loaded, user, keep=keep)

    def close(self) -> None:
        """Close all engines at once, used or not; nothing can be borrowed afterwards. May be called twice."""
        with self._changed:
            self._closed = True
            if self._timer is not None:
                self._timer.cancel()
            for loaded in tuple(self._loaded.values()):
                self._unload(loaded)

    def interrupt(self) -> None:
        """End the processes of engines at once; whoever waits for one gets EngineClosed, and may borrow it again."""
        with self._changed:
            for loaded in tuple(self._loaded.values()):
                if isinstance(loaded.engine, MovingEngine):
                    self._unload(loaded)

    def openings(self) -> tuple[Opening, ...]:
        """What is open now, the least recently borrowed first."""
        with self._changed:
            return tuple(loaded.opening for loaded in sorted(self._loaded.values(), key=lambda one: one.used_at))

    def _take(self, opening: Opening, user: int) -> _Loaded:
        with self._changed:
            while not self._closed and opening not in self._loaded and not self._make_room(opening, user):
                self._changed.wait()
            if self._closed:
                raise EngineClosed(opening.name)
            if opening not in self._loaded:
                self._loaded[opening] = _Loaded(opening, self._open(opening))
            loaded = self._loaded[opening]
            loaded.users.append(user)
            loaded.used_at = time.monotonic()
            return loaded

    def _give_back(self, loaded: _Loaded, user: int, *, keep: bool) -> None:
        with self._changed:
            loaded.users.remove(user)
            loaded.used_at = time.monotonic()
            if not loaded.users:
                if not keep:
                    self._unload(loaded)
                while len(self._loaded) > 1 and self._is_full() and (idle := self._least_used()):
                    self._unload(idle)
                self._watch_idle()
            self._changed.notify_all()

    def _make_room(self, opening: Opening, user: int) -> bool:
        """Whether another one may be opened now: there is room, or waiting for it would be waiting for oneself."""
        while self._loaded and self._is_full(for_one_more=opening):
            idle = self._least_used()
            if idle is None:
                return any(user in loaded.users for loaded in self._loaded.values())
            self._unload(idle)
        return True

    def _is_full(self, for_one_more: Opening | None = None) -> bool:
        count, needed_bytes = (1, estimate_bytes(for_one_more)) if for_one_more else (0, 0)
        if len(self._loaded) + count > self._max_loaded:
            return True
        return sum(map(_weigh, self._loaded.values())) + needed_bytes > self._memory_bytes

    def _least_used(self) -> _Loaded | None:
        """The engine that nobody has borrowed for longest; None where all are in use."""
        idle = (loaded for loaded in self._loaded.values() if not loaded.users)
        return min(idle, key=lambda loaded: loaded.used_at, default=None)

    def _unload(self, loaded: _Loaded) -> None:
        if self._loaded.get(loaded.opening) is loaded:
            del self._loaded[loaded.opening]
        loaded.engine.close()
        self._changed.notify_all()

    def _watch_idle(self) -> None:
        """Look again when the engine that has idled longest is due."""
        idle = self._least_used()
        if idle is None or self._timer is not None or self._closed:
            return
        self._timer = threading.Timer(max(0.0, idle.used_at + self._idle_s - time.monotonic()), self._unload_idle)
        self._timer.daemon = True
        self._timer.start()

    def _unload_idle(self) -> None:
        with self._changed:
            self._timer = None
            while (idle := self._least_used()) and idle.used_at + self._idle_s <= time.monotonic():
                self._unload(idle)
            self._watch_idle()


def open_apart(opening: Opening, *, devices: Devices, patience: Patience, environment: Mapping[str, str]) -> Engine:
    """The engine for this opening: Whisper in a process of its own on the best device, the others in this one.

    Returns at once; the model loads meanwhile. `environment` is what the process gets of ours.
    """
    if opening.name not in WHISPERS:
        return opening.open()

    def open_on(device: str) -> Engine:
        model = Path(opening.model).stem if opening.model else "for Whisper"
        there = replace(opening, device=device)
        return ProcessEngine(there.open, name=opening.name, model=model, patience=patience, environment=environment)

    return MovingEngine(opening.name, open_on, devices)


def estimate_bytes(opening: Opening) -> int:
    """About how much memory the engine will take, by the size of its weights."""
    if opening.name not in WHISPERS or opening.model is None:
        return _OTHER_BYTES
    weights = Path(opening.model)
    size_bytes = weights.stat().st_size if weights.is_file() else 0
    return _LIBRARY_BYTES + round(_BYTES_PER_WEIGHT_BYTE * size_bytes)


def _weigh(loaded: _Loaded) -> int:
    """What it takes now where that can be told, else what it is expected to take."""
    measured: int | None = getattr(loaded.engine, "memory_bytes", None)
    return estimate_bytes(loaded.opening) if measured is None else measured
