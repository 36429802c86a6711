"""Runs functions in child processes that can neither harm nor outlive this one: a hang or a crash costs one item.

Knows how many children there are and who is busy; `nursery.py` makes them, `confine.py` takes away what they do not
need. Knows nothing of audio.
"""

from __future__ import annotations

import contextlib
import pickle
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from queue import SimpleQueue
from typing import TypeVar

from diarynotes.sandbox.confine import SandboxLimits as SandboxLimits  # callers need to know this module only
from diarynotes.sandbox.nursery import Child, Nursery

Item = TypeVar("Item")
Result = TypeVar("Result")


class Sandbox:
    """`workers` confined child processes; use it as a context manager, from any number of threads.

    `warm_up` is called once, before there are children, to import and warm what they need. It must leave no threads
    behind. Functions and items must pickle; functions are found by module and name.
    """

    def __init__(
        self, workers: int, limits: SandboxLimits | None = None, warm_up: Callable[[], object] | None = None
    ) -> None:
        self._workers = workers
        self._nursery = Nursery(limits or SandboxLimits(), warm_up)
        self._idle: SimpleQueue[Child | None] = SimpleQueue()  # None: a place whose child is still to be born
        for _ in range(workers):
            self._idle.put(None)
        self._born: set[Child] = set()
        self._closed = False
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="sandbox")

    def __enter__(self) -> Sandbox:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Begins to warm up and returns at once. Whoever does not use `with` calls this, and `close` at the end."""
        self._nursery.start()

    def close(self) -> None:
        """Ends every child at once, busy or not; may be called twice."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            for child in self._born:
                child.kill()
        self._threads.shutdown(wait=True, cancel_futures=True)
        while not self._idle.empty():
            if idle := self._idle.get():
                idle.close()
        self._nursery.close()

    def map(
        self,
        function: Callable[[Item], Result],
        items: Iterable[Item | Exception],
        *,
        wall_s: float | Callable[[Item], float],
        drop: Callable[[Result], object] | None = None,
    ) -> Generator[Result | Exception, None, None]:
        """`function(item)` of each item, in order, each in a child and within `wall_s` seconds.

        In place of a result comes what was raised: a DiarynotesError as itself; DecoderTimeout; DecoderCrashed for a
        child that died or ran out of memory; RuntimeError with the child's traceback for anything else. An item that is
        an exception comes back as it is. Items are taken lazily: at most twice as many as there are workers are ahead
        of what was consumed. Where the consumer leaves early, `drop` is given what comes of those that are under way.
        """
        ahead: deque[Future[Result | Exception]] = deque()
        try:
            for item in items:
                ahead.append(self._begin(function, item, wall_s))
                if len(ahead) >= 2 * self._workers:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                if not future.cancel() and drop:
                    future.add_done_callback(partial(_drop, drop))

    def missing_protections(self) -> tuple[str, ...]:
        """The names of the protections that this machine does not give to children; empty is good."""
        with self._borrow_child() as child:
            return child.missing

    def _begin(
        self, function: Callable[[Item], Result], item: Item | Exception, wall_s: float | Callable[[Item], float]
    ) -> Future[Result | Exception]:
        if not isinstance(item, Exception):
            return self._threads.submit(self._call, function, item, wall_s(item) if callable(wall_s) else wall_s)
        known: Future[Result | Exception] = Future()
        known.set_result(item)
        return known

    def _call(self, function: Callable[[Item], Result], item: Item, wall_s: float) -> Result | Exception:
        request = pickle.dumps((wall_s, function, item))
        with self._borrow_child() as child:
            answer: Result | Exception = child.ask(request, wall_s)
            return answer

    @contextlib.contextmanager
    def _borrow_child(self) -> Iterator[Child]:
        child = self._idle.get()
        try:
            child = child or self._nursery.bear_child()
            with self._lock:
                self._born.add(child)
                if self._closed:
                    child.kill()
            yield child
        finally:
            if child and not child.reusable:
                with self._lock:
                    self._born.discard(child)
                child.close()
                child = None
            self._idle.put(child)


def _drop(drop: Callable[[Result], object], future: Future[Result | Exception]) -> None:
    if future.exception() is None and not isinstance(result := future.result(), Exception):
        drop(result)
