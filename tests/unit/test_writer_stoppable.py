"""Work that is told to stop: by the clock, and by Ctrl-C."""

from __future__ import annotations

import ctypes
import signal
import threading

import pytest

from diarynotes.diary.stoppable import Stop, Stopped, run_stoppable

LONG_S = 30.0


def work_until(stop: Stop) -> None:
    pause = threading.Event()
    while not stop.is_set:
        pause.wait(0.001)
    raise Stopped


def test_c_code_sees_the_flag() -> None:
    strlen = ctypes.CDLL(None).strlen
    strlen.argtypes = [ctypes.c_void_p]
    stop = Stop()
    assert not stop.is_set
    assert strlen(stop.address) == 0
    stop.set()
    assert stop.is_set
    assert strlen(stop.address) == 1


def test_it_gives_what_the_work_gives() -> None:
    assert run_stoppable(lambda _stop: 7, LONG_S) == 7


def test_it_raises_what_the_work_raises() -> None:
    with pytest.raises(ZeroDivisionError):
        run_stoppable(lambda _stop: 1 // 0, LONG_S)


def test_work_is_stopped_when_its_time_is_up() -> None:
    with pytest.raises(Stopped):
        run_stoppable(work_until, 0.01)


@pytest.mark.parametrize("more", [0, 2])
def test_ctrl_c_is_heard_when_the_work_has_ended(more: int) -> None:
    here = threading.get_ident()
    at_work, told, interrupted, ended = (threading.Event() for _ in range(4))

    def work(stop: Stop) -> None:
        at_work.set()
        try:
            work_until(stop)
        finally:
            told.set()
            interrupted.wait(LONG_S)  # C does not look at the flag all the time
            ended.set()

    def interrupt() -> None:
        at_work.wait(LONG_S)
        while not told.is_set():
            signal.pthread_kill(here, signal.SIGINT)
            told.wait(0.1)
        for _ in range(more):
            signal.pthread_kill(here, signal.SIGINT)
            ended.wait(0.02)
        interrupted.set()

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        run_stoppable(work, LONG_S)
    assert ended.is_set()
