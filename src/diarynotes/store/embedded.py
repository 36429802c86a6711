"""A Postgres of one's own in a folder: started when first needed, shared by processes, stopped by the last to leave.

Knows who uses a folder and when its server may stop; `cluster` knows how it is started. Knows no tables, no settings.

The folder holds `data/` (the cluster), `start.lock` (held while the server is started or stopped) and `users.lock`
(held shared, for as long as it lives, by every process that uses the server). Both are kernel locks: whoever is
killed leaves at once. The last one to leave stops the server, unless a foreign client is still connected. Where the
last one is killed the server stays; the next process attaches in milliseconds and stops it when it leaves.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import diarynotes.store.cluster as cluster
from diarynotes.errors import BadSettings, StorageFailed

_LOCK_LIMIT_S = 100.0
"""Longest wait for another process that starts or stops the server."""
_FAREWELL_S = 5.0
"""How long somebody else's connection may still be there until it counts as one that stays."""

_users: dict[Path, tuple[int, int]] = {}
"""Folder -> (descriptor of its `users.lock`, how many times this process has started it)."""
_guard = threading.RLock()


def start_embedded(folder: Path) -> str:
    """The URL (SQLAlchemy, driver psycopg) of the Postgres in `folder`, made and started where it is not yet.

    Each call is answered by one `stop_embedded`, at the latest when the process exits. Safe when several processes
    start at once. Raises StorageFailed where the folder cannot be written or the server does not come up.
    """
    folder = _checked(folder)
    with _guard, _failures(folder):
        cluster.make_private(folder)
        with _locked(folder / "start.lock"):
            _enter(folder)
            try:
                return cluster.start(folder / "data")
            except BaseException:
                _leave(folder)
                raise


def stop_embedded(folder: Path) -> None:
    """Give the server back; it stops when nobody uses it any more. Nothing happens where this process is no user."""
    folder = _checked(folder)
    with _guard, _failures(folder):
        if folder not in _users:
            return
        with _locked(folder / "start.lock"):
            if _leave(folder) and not _in_use(folder):
                cluster.stop(folder / "data")


def find_server(folder: Path) -> int | None:
    """The process of the server in `folder`; None where none runs. Asks the system alone, so it may be asked often."""
    return cluster.find_postmaster(folder.absolute() / "data")


# -- who uses it ------------------------------------------------------------------------------------------------------


def _enter(folder: Path) -> None:
    descriptor, count = _users.get(folder, (-1, 0))
    if count == 0:
        descriptor = os.open(folder / "users.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
    _users[folder] = (descriptor, count + 1)


def _leave(folder: Path) -> bool:
    """Take one use back; true when it was this process's last."""
    descriptor, count = _users.pop(folder)
    if count > 1:
        _users[folder] = (descriptor, count - 1)
        return False
    os.close(descriptor)
    return True


def _in_use(folder: Path) -> bool:
    descriptor = os.open(folder / "users.lock", os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    # a connection closed a moment ago may still be on its way out, so look more than once
    deadline = time.monotonic() + _FAREWELL_S
    while cluster.count_clients(folder / "data"):
        if time.monotonic() > deadline:
            return True
        time.sleep(0.05)
    return False


def _leave_all() -> None:
    for folder, (_, count) in list(_users.items()):
        for _ in range(count):
            with suppress(StorageFailed):
                stop_embedded(folder)


def _forget_in_child() -> None:
    """A forked child is no user: it must not keep the parent's lock after the parent has died."""
    global _guard
    _guard = threading.RLock()
    for descriptor, _ in _users.values():
        os.close(descriptor)
    _users.clear()


atexit.register(_leave_all)
os.register_at_fork(after_in_child=_forget_in_child)


# -- files and locks --------------------------------------------------------------------------------------------------


def _checked(folder: Path) -> Path:
    if not str(folder).isprintable():  # Postgres keeps its folder's name as a line of a file
        raise BadSettings("home", "the folder's name holds a line break or another sign that cannot be printed")
    return folder.absolute()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + _LOCK_LIMIT_S
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise StorageFailed(str(path), "another process holds this lock and does not go on") from None
                time.sleep(0.01)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _failures(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as failure:
        raise StorageFailed(str(failure.filename or folder), failure.strerror or type(failure).__name__) from failure
    except subprocess.CalledProcessError as failure:
        raise StorageFailed(str(folder), "no user for the database could be made; run as another user") from failure
