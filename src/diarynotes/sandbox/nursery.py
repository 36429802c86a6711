"""Makes the child processes of a sandbox by forking them from a nursery that has imported what they need.

The nursery is started afresh, so that children hold none of our sockets (the database takes a closed one for our
death), and with a bare environment, so that they hold no secrets. Parent and child talk through a socket of their own.
Knows processes, sockets and pickles; `confine.py` knows what children must not do.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import io
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NoReturn

from diarynotes.errors import DecoderCrashed, DecoderTimeout, DiarynotesError
from diarynotes.sandbox.confine import SandboxLimits, allow_cpu, confine

_CALLS_PER_CHILD = 200
"""After which a child is replaced, so that what a library leaks does not add up."""

_START_S = 120.0
_MAX_ANSWER_BYTES = 1 << 30
_NURSERY = (
    "import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer); "
    "from diarynotes.sandbox.nursery import _run_nursery; _run_nursery(int(sys.argv[1]))"
)
_HARMLESS = {
    "builtins": {"set", "frozenset", "bytearray", "complex", "range", "slice", "RuntimeError"},
    "collections": {"OrderedDict", "deque"},
    "datetime": {"date", "datetime", "time", "timedelta", "timezone"},
    "decimal": {"Decimal"},
    "pathlib": {"Path", "PosixPath", "PurePosixPath", "WindowsPath", "PureWindowsPath"},
    "numpy": {"ndarray", "dtype"},
    "numpy._core.multiarray": {"_reconstruct", "scalar"},
    "numpy._core.numeric": {"_frombuffer"},
}
"""What an answer may be made of besides our own nouns and errors."""


class Nursery:
    """The process that children are forked from; it is started anew should it die."""

    def __init__(self, limits: SandboxLimits, warm_up: Callable[[], object] | None) -> None:
        self._orders = pickle.dumps(sys.path) + pickle.dumps((limits, warm_up))
        self._lock = threading.Lock()

    def start(self) -> None:
        """Starts the process and returns at once; it warms up meanwhile."""
        with self._lock:
            self._start()

    def bear_child(self) -> Child:
        """Raises: RuntimeError, with a traceback when `warm_up` failed."""
        for _ in range(3):
            try:
                return Child(self._order_child())
            except (EOFError, OSError):  # the nursery or the child just died, as when the machine is out of memory
                self._restart_if_dead()
        raise RuntimeError("The sandbox cannot start children: they die at birth.")

    def close(self) -> None:
        with self._lock:
            self._stop()

    def _order_child(self) -> Connection:
        ours, theirs = socket.socketpair()
        with ours, theirs, self._lock:
            self._await_start()
            socket.send_fds(self._control, [b"+"], [theirs.fileno()])
            return Connection(ours.detach())

    def _restart_if_dead(self) -> None:
        with self._lock, contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=1)  # dying takes a moment, too
            self._stop()
            self._start()

    def _start(self) -> None:
        self._control, theirs = socket.socketpair()
        self._control.settimeout(_START_S)
        self._started = False
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _NURSERY, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,  # C libraries write there as they die
                env=_bare_environment(),
                start_new_session=True,  # Ctrl-C is for the parent, which then closes us
            )
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError), self._process.stdin as orders:
            orders.write(self._orders)

    def _await_start(self) -> None:
        if not self._started:
            report = self._control.recv(1 << 16)
            if report != b"+":
                raise RuntimeError(f"The sandbox could not start.\n{report.decode(errors='replace')}")
            self._started = True

    def _stop(self) -> None:
        self._control.close()
        self._process.kill()
        self._process.wait()


class Child:
    """One confined process, seen from the parent."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self.calls = 0
        self.reusable = True
        try:
            if not pipe.poll(_START_S):
                raise EOFError
            self._pid, missing = _load_answer(pipe.recv_bytes(1 << 16))
            self.missing: tuple[str, ...] = missing
            self._pidfd = _open_process(self._pid)
        except (EOFError, OSError):
            pipe.close()
            raise

    def ask(self, request: bytes, wall_s: float) -> Any:
        """The answer, or the exception in its place, to a pickled request."""
        self.calls += 1
        self.reusable = False
        try:
            self._pipe.send_bytes(request)
            if not self._pipe.poll(wall_s):
                return DecoderTimeout(wall_s)
            succeeded, answer = _load_answer(self._pipe.recv_bytes(_MAX_ANSWER_BYTES))
        except (EOFError, OSError):
            return DecoderCrashed()
        except Exception as error:
            return RuntimeError(f"The answer of a child cannot be read: {error!r}")
        self.reusable = succeeded and self.calls < _CALLS_PER_CHILD
        return answer

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            if self._pidfd is None:
                os.kill(self._pid, signal.SIGKILL)
            else:
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def close(self) -> None:
        self.kill()
        self._pipe.close()
        if self._pidfd is not None:
            os.close(self._pidfd)


def _open_process(pid: int) -> int | None:
    """A handle that goes on naming this child: the nursery reaps the dead, so the number may be given to others."""
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        raise
    except (AttributeError, OSError):  # macOS has no such handle, and some containers forbid it
        return None


class _AnswerUnpickler(pickle.Unpickler):
    """Reads plain values, our nouns and our errors only: a child that was taken over must not run code here."""

    def find_class(self, module: str, name: str) -> Any:
        found = super().find_class(module, name) if module.split(".")[0] in {"diarynotes", "flows"} else None
        if isinstance(found, type) and (dataclasses.is_dataclass(found) or issubclass(found, DiarynotesError)):
            return found
        if name in _HARMLESS.get(module.replace("pathlib._local", "pathlib"), ()):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"{module}.{name} may not come out of a sandbox")


def _load_answer(answer: bytes) -> Any:
    return _AnswerUnpickler(io.BytesIO(answer)).load()


def _bare_environment() -> dict[str, str]:
    """No secrets; one thread for linear algebra, because children are as many as there are cores, and fork."""
    single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return {"PATH": os.defpath, "LANG": "C.UTF-8", "HOME": str(Path.home()), **single}


# -- below this line runs in the nursery and its children -------------------------------------------------------------


def _run_nursery(control_fd: int) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the dead are reaped without being asked about
    control = socket.socket(fileno=control_fd)
    try:
        limits, warm_up = pickle.load(sys.stdin.buffer)  # noqa: S301 - from our own parent
        if warm_up:
            warm_up()
    except BaseException:
        control.sendall(traceback.format_exc().encode()[-60_000:])
        raise
    gc.freeze()  # what is shared with children stays shared
    control.send(b"+")
    while True:
        order, (*pipes,), _, _ = socket.recv_fds(control, 1, 1)
        if not order:
            return
        if os.fork() == 0:
            control.close()
            _run_child(Connection(pipes[0]), limits)
        os.close(pipes[0])


def _run_child(pipe: Connection, limits: SandboxLimits) -> NoReturn:
    try:
        missing = confine(limits)
        pipe.send((os.getpid(), missing))
        while True:
            pipe.send_bytes(_answer(pipe.recv_bytes()))
    finally:  # not back into the nursery's loop, whatever happens
        os._exit(0)


def _answer(request: bytes) -> bytes:
    try:
        wall_s, function, item = pickle.loads(request)  # noqa: S301 - from our own parent
        allow_cpu(wall_s)
        return pickle.dumps((True, function(item)))
    except DiarynotesError as error:
        return pickle.dumps((False, error))
    except MemoryError:
        return pickle.dumps((False, DecoderCrashed()))
    except Exception:
        return pickle.dumps((False, RuntimeError(traceback.format_exc())))
