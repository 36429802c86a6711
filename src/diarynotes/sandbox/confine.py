"""Takes away from this process what decoding a file does not need, as far as the operating system lets it.

Everything here is best effort and says where it failed: macOS knows few of these limits, and containers forbid some.
Knows system calls; knows nothing of what the process does.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import resource
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000


@dataclass(frozen=True, slots=True)
class SandboxLimits:
    """What a process may use: memory beyond what it holds already, and bytes of any one file that it writes."""

    memory_bytes: int = 1_000_000_000
    file_bytes: int = 1 << 32


def confine(limits: SandboxLimits) -> tuple[str, ...]:
    """Confines the calling process for good and returns the names of the protections that could not be had.

    Must be called while the process has a single thread, else only root could leave the network.
    """
    steps: dict[str, Callable[[], None]] = {
        "interrupts": lambda: _ignore(signal.SIGINT),
        "parent_death": lambda: _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL),
        "network": _leave_network,
        "privileges": lambda: _prctl(_PR_SET_NO_NEW_PRIVS, 1),
        "core_dumps": lambda: _limit("RLIMIT_CORE", 0),
        "file_size": lambda: _limit("RLIMIT_FSIZE", limits.file_bytes),
        "memory": lambda: _limit("RLIMIT_DATA", _data_bytes() + limits.memory_bytes),
        "niceness": _be_nice,
    }
    missing = []
    for name, step in steps.items():
        try:
            step()
        except (OSError, ValueError, AttributeError):  # not allowed here, not sensible here, not known here
            missing.append(name)
    return tuple(missing)


def allow_cpu(seconds: float) -> None:
    """From now on the process may use this much more processor time; then it is killed."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(usage.ru_utime + usage.ru_stime + seconds) + 1
    with contextlib.suppress(OSError, ValueError):  # a lower hard limit is already set, which will do
        resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def _limit(name: str, value: int) -> None:
    hard = resource.getrlimit(getattr(resource, name))[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(getattr(resource, name), (value, value))


def _data_bytes() -> int:
    """What counts against RLIMIT_DATA so far."""
    found = re.search(r"VmData:\s+(\d+) kB", Path("/proc/self/status").read_text())
    if found is None:
        raise OSError("no VmData")
    return int(found[1]) * 1024


def _ignore(number: signal.Signals) -> None:
    signal.signal(number, signal.SIG_IGN)


def _be_nice() -> None:
    os.nice(5)
    Path("/proc/self/oom_score_adj").write_text("1000")  # when memory runs out, lose this process and not its parent


def _prctl(option: int, value: int) -> None:
    _check(_libc().prctl(option, ctypes.c_ulong(value), 0, 0, 0))


def _leave_network() -> None:
    """Moves into a network of its own, which has no connection to anything; a user of its own lets non-root do so."""
    libc = _libc()
    if libc.unshare(_CLONE_NEWNET) != 0:
        _check(libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET))


def _libc() -> ctypes.CDLL:
    if sys.platform != "linux":
        raise OSError("only on Linux")
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
