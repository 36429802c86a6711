"""Where a process is killed or frozen: just before and just after each commit and each call to the outside.

Knows what of the libraries beneath is such a point; the product has no hooks. Every point is written to a file as it is
reached, so that one run tells what the points are and the next one dies at one of them.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, Literal

import psutil

Side = Literal["before", "after"]
Deed = Literal["kill", "freeze", "stop Postgres"]
SIDES: tuple[Side, ...] = ("before", "after")

_OURS = ("diarynotes.", "flows.")
_BENEATH = ("diarynotes.store.database", "diarynotes.diary.wire")
_HEARTBEAT = "diarynotes-heartbeat"
_WRAPPER = "_begin"
"""Modules, and a function, through which all calls go; who called them tells more."""


class Points:
    """The points of this process, counted from 1; at `at` it does something."""

    def __init__(self, log: Path, at: tuple[int, Side] | None = None, act: Callable[[], object] = lambda: None) -> None:
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        self._at, self._act = at, act
        self._count, self._lock = 0, threading.Lock()

    @contextmanager
    def pass_by(self, kind: str) -> Iterator[None]:
        """The block is one commit, or one call. What the heartbeat does is none: it comes when it comes."""
        if threading.current_thread().name == _HEARTBEAT:
            yield
            return
        with self._lock:
            self._count += 1
            number = self._count
        name = f"{kind} in {_name_caller()}"
        self._reach(number, "before", name)
        yield
        self._reach(number, "after", name)

    def _reach(self, number: int, side: Side, name: str) -> None:
        os.write(self._log, f"{number} {side} {name}\n".encode())
        if self._at == (number, side):
            self._act()

    def instrument(self) -> None:
        """Makes every commit to Postgres and Delta, every rename, call, read of a bucket and event of ours a point."""
        import deltalake
        import httpx2
        from sqlalchemy.engine.default import DefaultDialect

        from diarynotes import observe
        from flows import sandboxed, stages

        self._wrap(DefaultDialect, "do_commit", "commit", only=_has_written)
        self._wrap(httpx2.HTTPTransport, "handle_request", "call")
        self._wrap(deltalake, "write_deltalake", "Delta write")
        self._wrap(deltalake.DeltaTable, "create", "Delta table")
        self._wrap(deltalake.table.TableOptimizer, "compact", "Delta compaction")
        for name in ("rename", "replace"):
            self._wrap(os, name, "rename")
        for module, name in ((stages, "hash_object"), (sandboxed, "find_object"), (sandboxed, "local_copy")):
            self._wrap(module, name, "read of the bucket")
        self._wrap(observe, "_tell", "event")

    def _wrap(self, holder: Any, name: str, kind: str, only: Callable[..., bool] = lambda *_: True) -> None:
        act = getattr(holder, name)

        @wraps(act)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            if not only(*args):
                return act(*args, **kwargs)
            with self.pass_by(kind):
                return act(*args, **kwargs)

        setattr(holder, name, wrapped)


def choose_act(deed: Deed, server: Path) -> Callable[[], object]:
    """What is done at a point: the process ends or freezes, or the Postgres in the folder `server` crashes."""
    match deed:
        case "kill":
            return lambda: os.kill(os.getpid(), signal.SIGKILL)
        case "freeze":
            return lambda: os.kill(os.getpid(), signal.SIGSTOP)
        case "stop Postgres":
            return lambda: crash_server(server)


def crash_server(data: Path) -> None:
    """Ends a Postgres as `pg_ctl stop -m immediate` does: at once, without a word to anybody."""
    server = psutil.Process(int((data / "postmaster.pid").read_text().splitlines()[0]))
    server.send_signal(signal.SIGQUIT)
    psutil.wait_procs([server], timeout=60)


def read_points(log: Path) -> dict[int, str]:
    """The points that a run passed by, by number."""
    points = {}
    for line in log.read_text().splitlines():
        number, side, name = line.split(" ", 2)
        if side == "before":
            points[int(number)] = name
    return points


def _has_written(_dialect: Any, connection: Any) -> bool:
    """Whether the transaction is more than a look: only then has Postgres given it a number."""
    with connection.cursor() as cursor:
        cursor.execute("select pg_current_xact_id_if_assigned() is not null")
        return bool(cursor.fetchone()[0])


def _name_caller() -> str:
    frame = sys._getframe(1)
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module.startswith(_OURS) and module not in _BENEATH and frame.f_code.co_name != _WRAPPER:
            return f"{module.removeprefix('diarynotes.')}.{frame.f_code.co_name}"
        frame = frame.f_back  # type: ignore[assignment]
    return "no code of ours"
