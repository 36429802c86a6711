"""One model in memory at a time: loaded when it is first needed, lent to one caller after the other, dropped when idle.

Knows no model and no library; whoever makes a slot says how a model is opened.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Generic, Protocol, TypeVar


class Closeable(Protocol):
    def close(self) -> None: ...


Model = TypeVar("Model", bound=Closeable)
Spec = TypeVar("Spec", bound=Hashable)


class ModelSlot(Generic[Spec, Model]):
    """Holds the model of one specification, the last that was asked for; safe to use from several threads."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._spec: Spec | None = None
        self._model: Model | None = None
        self._timer: threading.Timer | None = None
        self._users: Counter[Spec] = Counter()

    @property
    def is_loaded(self) -> bool:
        return self._model is not None

    def join(self, spec: Spec) -> None:
        """Tell that somebody will ask for this model; `leave` takes it back."""
        self._users[spec] += 1

    def leave(self, spec: Spec) -> None:
        """One user less; the model that nobody uses any more is dropped, after the work that is under way."""
        self._users[spec] -= 1
        with self._turn:
            if self._users[spec] <= 0:
                self._users.pop(spec, None)
                if self._spec == spec:
                    self._drop()

    @contextmanager
    def lend(self, spec: Spec, open_: Callable[[], Model], *, idle_s: float) -> Iterator[Model]:
        """The model, alone with it until the block ends; waits for its turn however long others take.

        Another model makes room first. When nobody has asked for `idle_s` afterwards, it is dropped. Raises: what
        `open_` raises.
        """
        with self._turn:
            self._stop_timer()
            if self._spec != spec:
                self._drop()
            if self._model is None:
                self._model, self._spec = open_(), spec
            try:
                yield self._model
            finally:
                self._start_timer(idle_s)

    def _start_timer(self, idle_s: float) -> None:
        timer = threading.Timer(idle_s, lambda: self._drop_idle(timer))
        timer.daemon = True  # the process may end with a model loaded
        self._timer = timer
        timer.start()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None

    def _drop_idle(self, timer: threading.Timer) -> None:
        with self._turn:
            if self._timer is timer:  # else somebody came first
                self._drop()

    def _drop(self) -> None:
        self._stop_timer()
        model, self._model, self._spec = self._model, None, None
        if model is not None:
            model.close()
