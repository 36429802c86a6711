"""An object as a local file: itself where it is one, else a copy that is deleted afterwards, or swept after a crash."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from socket import gethostname

import diarynotes.buckets.local as local
import diarynotes.buckets.remote as remote
from diarynotes.buckets.hashing import blocks
from diarynotes.buckets.places import is_remote, why
from diarynotes.errors import StorageFailed
from diarynotes.models import BucketObject

_PREFIX = "diarynotes-"
_MAX_AGE_S = 86_400.0


@contextmanager
def local_copy(obj: BucketObject, *, folder: Path | None = None) -> Iterator[Path]:
    """A local file with the object's bytes: the file itself for local ones, else a download that is deleted afterwards.

    The download lies in `folder` (default: the system's temporary folder) and keeps the object's suffix. It is whole,
    or there is none: what comes is counted and held against the checksum that the bucket gives.

    Raises: SourceUnavailable where the object is gone, has changed since it was listed, or cannot be fetched;
    StorageFailed where the disk does not take it; NotInstalled.
    """
    if not is_remote(obj.uri):
        yield local.check_file(obj)
        return
    with _scratch(folder) as scratch:
        target = scratch / f"object{PurePosixPath(obj.uri).suffix}"
        _download(obj, target)
        yield target


def sweep_copies(folder: Path) -> int:
    """Deletes the downloads that killed processes left in `folder` and says how many those were.

    One goes when the process of this machine that it was made for is dead, or when it is over a day old.
    """
    swept = 0
    for path in folder.glob(f"{_PREFIX}*"):
        with suppress(OSError):  # another process may sweep at the same time
            if _is_orphan(path.name) or time.time() - path.stat().st_mtime > _MAX_AGE_S:
                shutil.rmtree(path)
                swept += 1
    return swept


def _is_orphan(name: str) -> bool:
    """Whether nobody waits for it; of another machine, or a container, that shares the folder nobody can tell."""
    import psutil  # type: ignore[import-untyped]  # only where there is something to sweep

    process, _, machine = name.removeprefix(_PREFIX).rpartition("-")[0].partition("@")
    return machine == gethostname() and process.isdecimal() and not psutil.pid_exists(int(process))


def _download(obj: BucketObject, target: Path) -> None:
    with remote.opened(obj) as stretch:
        try:
            with target.open("wb") as file:
                for block in blocks(stretch, obj.size_bytes):
                    file.write(block)
        except OSError as error:
            raise StorageFailed(str(target.parent), why(error)) from error


@contextmanager
def _scratch(folder: Path | None) -> Iterator[Path]:
    try:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        scratch = tempfile.TemporaryDirectory(prefix=f"{_PREFIX}{os.getpid()}@{gethostname()}-", dir=folder)
    except OSError as error:
        raise StorageFailed(str(folder or tempfile.gettempdir()), why(error)) from error
    with scratch as name:
        yield Path(name)
