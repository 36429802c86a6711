"""One process with an engine in it: how it is started and asked, and what it does.

Started afresh, never forked (torch, CUDA and threads do not survive that), with an environment that holds no secret. It
ends with its parent however that ends. Knows processes, sockets and pickles; `process.py` knows when to start another.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

from diarynotes.errors import DiarynotesError, EngineFailed, EngineOutOfMemory
from diarynotes.models import Window, WindowText
from diarynotes.telemetry import forbid_telemetry
from diarynotes.transcribe.engine import Engine

_LAST_BREATH_S = 5.0
"""How long a process whose pipe has closed may take to end by itself, so that its own reason is told."""
_ORPHAN_CHECK_MS = 5_000
_HARMLESS = frozenset(
    "PATH HOME TMPDIR TZ LANG LD_LIBRARY_PATH LD_PRELOAD XDG_CACHE_HOME "
    "NVIDIA_VISIBLE_DEVICES NVIDIA_DRIVER_CAPABILITIES NVIDIA_TF32_OVERRIDE".split()
)
"""Names in an environment that libraries and drivers read and that hold no secret."""
_HARMLESS_PREFIXES = tuple(
    "LC_ CUDA_ TORCH_ PYTORCH_ CT2_ OMP_ MKL_ KMP_ GOMP_ OPENBLAS_ DNNL_ ONEDNN_ MALLOC_".split()
)
_SECRET = re.compile("KEY|TOKEN|SECRET|PASS|CREDENTIAL")
_BOOT = (
    "import sys; from multiprocessing.connection import Connection; pipe = Connection(int(sys.argv[1])); "
    "sys.path[:] = pipe.recv(); from diarynotes.transcribe.child import _serve; _serve(pipe)"
)


@dataclass(frozen=True, slots=True)
class Facts:
    """What an engine says of itself once it is loaded; see `Engine`."""

    name: str
    model: str
    settings: str
    degraded: bool
    batch_size: int
    draws: bool
    device: str


def pick_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What an engine's process needs of an environment: no key, no password, no setting of ours."""
    return {
        name: value
        for name, value in environment.items()
        if (name in _HARMLESS or name.startswith(_HARMLESS_PREFIXES)) and not _SECRET.search(name)
    }


def measure_memory(pid: int) -> int:
    """Bytes of memory that a process and its children hold, 0 where it is gone.

    Pages that processes share count once where the system tells (Linux); memory of a GPU does not count.
    """
    import psutil  # type: ignore[import-untyped]

    total_bytes = 0
    with contextlib.suppress(psutil.NoSuchProcess):
        root = psutil.Process(pid)
        for process in (root, *root.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                total_bytes += _measure_one(process)
    return total_bytes


def _measure_one(process: Any) -> int:
    import psutil

    with contextlib.suppress(psutil.AccessDenied, AttributeError):
        return int(process.memory_full_info().pss)
    return int(process.memory_info().rss)


class Died(Exception):
    """The process is no more; says why."""


class TooLate(Exception):
    """The process was ended because it took too long; says how long that was."""


class Child:
    """One process with an engine in it, seen from the parent; one thread at a time."""

    def __init__(self, order: bytes, environment: Mapping[str, str]) -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", _BOOT, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,  # C libraries write there as they please
                env=environment,
                start_new_session=True,  # Ctrl-C is for the parent, which then closes us
            )
            self._pipe = Connection(ours.detach())
        self._begun = time.monotonic()
        self.pid = self._process.pid
        with contextlib.suppress(OSError):  # who died already is found out when it is asked
            self._pipe.send(sys.path)
            self._pipe.send_bytes(order)

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def await_facts(self, limit_s: float) -> Facts:
        """What it says when it has loaded, at most `limit_s` after it was started; or what it raised."""
        left_s = self._begun + limit_s - time.monotonic()
        with self._ended_after(limit_s, max(left_s, 1.0)):  # it may have been ready long before it is asked
            facts: Facts = self._receive()
        return facts

    def ask(self, windows: Sequence[Window], limit_s: float) -> list[WindowText]:
        """What it makes of the windows, or what it raised."""
        with self._ended_after(limit_s, limit_s):
            self._pipe.send_bytes(pickle.dumps(windows, protocol=pickle.HIGHEST_PROTOCOL))
            texts: list[WindowText] = self._receive()
        return texts

    def kill(self) -> None:
        """With all that it started; may be called from any thread."""
        if self.is_alive():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    def close(self) -> None:
        self.kill()
        self._process.wait()
        self._pipe.close()

    def _receive(self) -> Any:
        succeeded, answer = self._pipe.recv()
        if succeeded:
            return answer
        error, trace = answer
        raise error from (RuntimeError(trace) if trace else None)

    @contextlib.contextmanager
    def _ended_after(self, limit_s: float, left_s: float) -> Iterator[None]:
        """Kills the process when the block takes longer than `left_s`. Raises: TooLate, Died."""
        late = threading.Event()

        def end() -> None:
            late.set()
            self.kill()

        timer = threading.Timer(left_s, end)
        timer.daemon = True
        timer.start()
        try:
            yield
        except (EOFError, OSError) as error:
            if late.is_set():
                raise TooLate(f"it gave no answer within {limit_s:g} s") from error
            raise Died(f"its process {self._fate()}") from error
        finally:
            timer.cancel()

    def _fate(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            status = self._process.wait(_LAST_BREATH_S)
            return f"died (signal {-status})" if status < 0 else f"ended (status {status})"
        return "closed its pipe"


# -- below this line runs in the engine's process ---------------------------------------------------------------------


def _serve(pipe: Connection) -> None:
    """Load the engine, say what it is, then decode until the parent closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_parent, args=(pipe.fileno(), os.getppid()), daemon=True).start()
    forbid_telemetry()
    name, open_ = pickle.loads(pipe.recv_bytes())  # noqa: S301 - from our own parent
    loaded, answer = _attempt(name, open_)
    pipe.send((loaded, _facts(answer) if loaded else answer))
    while loaded:
        windows = pickle.loads(pipe.recv_bytes())  # noqa: S301 - from our own parent
        pipe.send_bytes(pickle.dumps(_attempt(name, partial(answer.decode, windows))))


def _facts(engine: Engine) -> Facts:
    device = str(getattr(engine, "device", "cpu"))
    return Facts(engine.name, engine.model, engine.settings, engine.degraded, engine.batch_size, engine.draws, device)


def _attempt(name: str, work: Callable[[], Any]) -> tuple[bool, Any]:
    """What came of it; else the error and, for one that is not ours, where it arose: its own words may say anything."""
    try:
        return True, work()
    except DiarynotesError as error:
        return False, (error, "")
    except MemoryError:
        return False, (EngineOutOfMemory(name), "")
    except Exception as error:
        where = "".join(traceback.format_tb(error.__traceback__))
        return False, (EngineFailed(name, f"it raised {type(error).__name__}"), where)


def _leave_with_parent(pipe_fd: int, parent: int) -> None:
    """Ends this process when the parent is gone, in whatever way, also in the midst of a batch.

    The kernel hangs up the pipe; should a stranger hold the other end too, a new parent tells.
    """
    poller = select.poll()
    poller.register(pipe_fd, 0)
    while not poller.poll(_ORPHAN_CHECK_MS):
        if os.getppid() != parent:
            break
    os._exit(0)
