"""Files that may still be written to, until they are not: by their size and time, and by who has them open.

Knows single files; knows no folders and no inbox.
"""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

_log = logging.getLogger("diarynotes.watch")

SETTLE_S = 0.5
_STUCK_S = 600.0
"""A file that nothing was written to for so long counts, though some program still holds it open for writing."""

_Verdict: TypeAlias = Literal["ready", "wait", "leave"]


@dataclass(slots=True)
class _Candidate:
    """A file as it was when last looked at, and since when (s) it has been like that."""

    size_bytes: int
    modified_ns: int
    since: float


class Settling:
    """Files of which something was heard. `clock` is in s and only goes forward. Links stand for what they lead to."""

    def __init__(self, settle_s: float = SETTLE_S, clock: Callable[[], float] = time.monotonic) -> None:
        self._settle_s = settle_s
        self._clock = clock
        self._candidates: dict[str, _Candidate | None] = {}
        self._told: set[str] = set()

    def add(self, path: str) -> None:
        """Something was heard of a file."""
        self._candidates.setdefault(path, None)

    def __len__(self) -> int:
        return len(self._candidates)

    def take_ready(self) -> list[str]:
        """The files that are complete, each once; those that are not are looked at again next time."""
        ready = []
        for path in list(self._candidates):
            verdict = self._judge(path)
            if verdict != "wait":
                del self._candidates[path]
            if verdict == "ready":
                self._told.discard(path)
                ready.append(path)
        return ready

    def tell(self, path: str, why: str) -> None:
        """Says once what is wrong with a file."""
        if path not in self._told:
            self._told.add(path)
            _log.warning("%s is left out: %s", path, why)

    def _judge(self, path: str) -> _Verdict:
        try:
            status = os.stat(path)
            if not stat.S_ISREG(status.st_mode) or not status.st_size:
                return "leave"  # an empty file is no recording yet; something is heard of it when it becomes one
            if not self._is_settled(path, status):
                return "wait"
            stuck = time.time() - status.st_mtime > _STUCK_S
            return "ready" if not is_being_written(path) or stuck else "wait"
        except FileNotFoundError:
            if os.path.islink(path):
                self.tell(path, "it is a link that leads nowhere")
        except OSError as error:
            self.tell(path, error.strerror or "it cannot be read")
        return "leave"

    def _is_settled(self, path: str, status: os.stat_result) -> bool:
        """Whether it has been the same for long enough, or was complete when it got its name."""
        now, age_s = self._clock(), max(0.0, time.time() - status.st_mtime)
        candidate = self._candidates[path]
        if candidate is None or (candidate.size_bytes, candidate.modified_ns) != (status.st_size, status.st_mtime_ns):
            self._candidates[path] = _Candidate(status.st_size, status.st_mtime_ns, now - min(age_s, self._settle_s))
            # renamed after it was last written to, or old: its bytes were there before its name was
            return candidate is None and (status.st_ctime_ns > status.st_mtime_ns or age_s >= self._settle_s)
        return now - candidate.since >= self._settle_s


def is_being_written(path: str) -> bool:
    """Whether some program has the file open for writing; False where the file system cannot tell.

    Asks Linux for a lease on reading, which is only given where nobody writes, and gives it back at once. Raises:
    OSError where the file cannot be opened.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        # who wants to write in that moment breaks the lease, of which the kernel tells by a signal: one that is ignored
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except BlockingIOError:
        return True
    except (OSError, AttributeError):  # another's file, a network's file system, no Linux
        return False
    finally:
        os.close(descriptor)
    return False


def is_unfinished(path: str) -> bool:
    """Whether somebody is writing the file just now; not for one that is held open without being written to."""
    try:
        return time.time() - os.stat(path).st_mtime < _STUCK_S and is_being_written(path)
    except OSError:
        return False
