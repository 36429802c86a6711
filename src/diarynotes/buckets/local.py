"""Files on this machine's disks, and folders with all that is below them."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from diarynotes.buckets.hashing import ReadStretch
from diarynotes.buckets.places import OnProblem, local_path, local_uri, why
from diarynotes.errors import BadSettings, SourceUnavailable
from diarynotes.models import BucketObject

_LAST_TIME_S = 253_402_214_400.0
"""The last day that a datetime can hold, s since 1970; file systems hold later ones."""


def list_all(source: str, report: OnProblem) -> Iterator[BucketObject]:
    """See `buckets.list_objects`."""
    path = local_path(source)
    try:
        status = path.stat()
    except (OSError, ValueError) as error:  # a name with a NUL byte is a ValueError
        raise BadSettings(source, f"there is no such file or folder that can be read ({why(error)})") from error
    if stat.S_ISDIR(status.st_mode):
        yield from _walk(str(path), report)
    elif stat.S_ISREG(status.st_mode):
        yield _as_object(str(path), status)
    else:
        raise BadSettings(source, "is neither a file nor a folder")


def find(uri: str) -> BucketObject | None:
    """See `buckets.find_object`.

    A file is gone where its folder is there without it. A folder that is missing, or a link that leads nowhere, may
    be a disk or a share that is not mounted just now.
    """
    path = local_path(uri)
    try:
        status = path.stat()
    except ValueError:  # a name with a NUL byte is nobody's
        return None
    except (FileNotFoundError, NotADirectoryError) as error:
        if path.parent.is_dir() and not path.is_symlink():
            return None
        raise SourceUnavailable(uri, "its folder is not there; a disk or a share may not be mounted") from error
    except OSError as error:
        raise SourceUnavailable(uri, f"cannot be read ({why(error)})") from error
    return _as_object(str(path), status) if stat.S_ISREG(status.st_mode) else None


def check_file(obj: BucketObject) -> Path:
    """The path of a file that is still the one that was listed. Raises: SourceUnavailable where it is not."""
    path = local_path(obj.uri)
    try:
        status = path.stat()
    except OSError as error:
        raise SourceUnavailable(obj.uri, f"cannot be read ({why(error)})") from error
    _expect_same(obj, status, "has changed since it was listed")
    return path


@contextmanager
def opened(obj: BucketObject) -> Iterator[ReadStretch]:
    """Reads stretches of the file while the block runs. Raises: SourceUnavailable where it changed meanwhile."""
    path = local_path(obj.uri)
    with path.open("rb") as stream:
        _expect_same(obj, os.fstat(stream.fileno()), "has changed since it was listed")

        def read(start: int, stop: int) -> bytes:
            stream.seek(start)
            return stream.read(stop - start)

        yield read
        _expect_same(obj, path.stat(), "changed while it was read")


def _expect_same(obj: BucketObject, status: os.stat_result, otherwise: str) -> None:
    if (_version(status), status.st_size) != (obj.version, obj.size_bytes):
        raise SourceUnavailable(obj.uri, otherwise)


def _as_object(path: str, status: os.stat_result) -> BucketObject:
    modified_at = datetime.fromtimestamp(min(max(status.st_mtime, 0.0), _LAST_TIME_S), UTC)
    return BucketObject(local_uri(path), status.st_size, _version(status), modified_at)


def _version(status: os.stat_result) -> str:
    return f"{status.st_mtime_ns}-{status.st_ino}"


def _walk(top: str, report: OnProblem) -> Iterator[BucketObject]:
    seen: set[tuple[int, int]] = set()  # device and inode: ends loops of links, and keeps each real file single
    folders = [top]
    while folders:
        folder = folders.pop()
        below: list[str] = []
        for entry in _read_folder(folder, report):
            status = _read_status(entry, report)
            if status is None or (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            if stat.S_ISDIR(status.st_mode):
                below.append(entry.path)
            elif stat.S_ISREG(status.st_mode):  # a pipe or a device would keep its reader waiting
                yield _as_object(entry.path, status)
        folders.extend(reversed(below))


def _read_folder(folder: str, report: OnProblem) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name)
    except OSError as error:
        report(SourceUnavailable(local_uri(folder), f"the folder cannot be read ({why(error)})"))
        return []


def _read_status(entry: os.DirEntry[str], report: OnProblem) -> os.stat_result | None:
    try:
        return entry.stat()
    except OSError as error:
        # a link onto itself holds nothing, and a file may vanish while its folder is read: neither is a problem
        if error.errno != errno.ELOOP and (entry.is_symlink() or not isinstance(error, FileNotFoundError)):
            report(SourceUnavailable(local_uri(entry.path), f"cannot be read ({why(error)})"))
        return None
