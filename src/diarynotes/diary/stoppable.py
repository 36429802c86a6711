"""Work of a C library that can be stopped: when its time is up, and at Ctrl-C.

Knows no library; the work looks at the flag that it is given.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

_Result = TypeVar("_Result")


class Stopped(Exception):
    """The work was told to stop before it had done."""


class Stop:
    """A flag that C code sees as well, without asking Python: a text that is empty until `set`.

    llama.cpp asks between any two steps of its arithmetic, a thousand times for each token; a callback into Python
    would wait for the interpreter's lock each time. C's `strlen` says 0 of an empty text, which means: go on.
    """

    def __init__(self) -> None:
        self._text = ctypes.create_string_buffer(2)

    @property
    def address(self) -> int:
        """Where the text lies, for as long as this flag lives."""
        return ctypes.addressof(self._text)

    @property
    def is_set(self) -> bool:
        return self._text.value != b""

    def set(self) -> None:
        self._text.value = b"1"


def run_stoppable(work: Callable[[Stop], _Result], limit_s: float) -> _Result:
    """What the work gives or raises; its flag is set after `limit_s`, and when the waiting thread is interrupted.

    It runs in a thread of its own, because Python hears of Ctrl-C only between two calls into C. Returns when the work
    has ended, so nothing that it uses is taken away from under it.
    """
    stop, ended = Stop(), threading.Event()  # an event: a thread whose `join` was interrupted passes for dead
    given: list[_Result] = []
    raised: list[BaseException] = []

    def attempt() -> None:
        try:
            given.append(work(stop))
        except BaseException as error:  # it belongs to whoever waits
            raised.append(error)
        finally:
            ended.set()

    thread = threading.Thread(target=attempt, name="stoppable", daemon=True)
    try:
        thread.start()
        ended.wait(limit_s)
    finally:
        stop.set()
        while thread.ident is not None and not ended.is_set():
            with suppress(KeyboardInterrupt):  # the first one is on its way already
                ended.wait()
    if raised:
        raise raised[0]
    return given[0]
