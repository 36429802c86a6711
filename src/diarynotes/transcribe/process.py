"""An engine in a process of its own: closing it gives its memory back, and a hang or a crash costs one batch.

The process is started afresh, never forked (torch, CUDA and threads do not survive that), with an environment that
holds no secret. It ends with this one however that ends. Knows processes, sockets and pickles; nothing of speech.
`sandbox/` confines what reads strangers' files; engines see samples only, need the GPU, and live longer.
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

from diarynotes.errors import DiarynotesError, EngineClosed, EngineFailed, EngineOutOfMemory, ModelUnavailable
from diarynotes.models import Window, WindowText
from diarynotes.telemetry import forbid_telemetry
from diarynotes.transcribe.engine import Engine

_PACE_MARGIN = 20.0
"""How many times what the slowest batch so far took for each window a later one may take."""
_SHORTEST_LIMIT_S = 60.0
"""What every batch may take, s, however fast those before it were."""
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
    "sys.path[:] = pipe.recv(); from diarynotes.transcribe.process import _serve; _serve(pipe)"
)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long an engine may take, s: to load its model, and for each window on a CPU (a GPU: for a whole batch)."""

    load_s: float = 900.0
    window_s: float = 300.0


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
        self._child: _Child | None = self._bear_child()

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
            except (_Died, _TooLate) as error:
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
                except (_Died, _TooLate) as error:
                    self._drop_child()
                    self._check_open()
                    remedy = f"While it was loaded, {error}. It may be too large for this machine: name a smaller one."
                    raise ModelUnavailable(self._model, remedy) from error
                except BaseException:
                    self._drop_child()
                    raise
            return self._facts

    def _bear_child(self) -> _Child:
        self._check_open()
        try:
            return _Child(self._order, self._environment)
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


class _Died(Exception):
    """The process is no more; says why."""


class _TooLate(Exception):
    """The process was ended because it took too long; says how long that was."""


class _Child:
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
        """Kills the process when the block takes longer than `left_s`. Raises: _TooLate, _Died."""
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
                raise _TooLate(f"it gave no answer within {limit_s:g} s") from error
            raise _Died(f"its process {self._fate()}") from error
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
