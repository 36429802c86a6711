"""Objects behind paths, file://, gs://, s3:// and az://: list them, hash them, have one as a local file.

Local files are read directly; everything else goes through fsspec. Knows nothing of audio: any file is an object.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO
from urllib.parse import unquote_to_bytes

from diarynotes.errors import BadSettings, NotInstalled, SourceUnavailable
from diarynotes.models import BucketObject

_EXTRAS = {"gs": "gcs", "s3": "s3", "az": "azure"}
"""The schemes of remote buckets and the extra that installs each one's file system."""

_BLOCK_BYTES = 1 << 20
_LAST_TIME_S = 253_402_214_400.0
"""The last day that a datetime can hold, s since 1970; file systems hold later ones."""
_REMOTE_VERSIONS = ("etag", "ETag", "generation", "md5Hash", "version_id")
_REMOTE_TIMES = ("updated", "LastModified", "last_modified", "mtime", "created")

OnProblem = Callable[[SourceUnavailable], None]


def list_objects(source: str, *, on_problem: OnProblem | None = None) -> Iterator[BucketObject]:
    """Every object of a file, a folder (with all below it) or a bucket's URI, folder by folder in the order of names.

    Hidden files and folders below the source are skipped; links are followed, and each real file comes once.
    A folder that cannot be read, or a link that leads nowhere, goes to `on_problem` and the listing goes on; without
    `on_problem` it is raised as SourceUnavailable.

    Raises: BadSettings for a source that does not exist; NotInstalled where the bucket's file system is missing.
    """
    report = on_problem or _raise
    if _is_remote(source):
        yield from _list_remote(source, report)
        return
    path = _local_path(source)
    try:
        status = path.stat()
    except (OSError, ValueError) as error:  # a name with a NUL byte is a ValueError
        raise BadSettings(source, f"there is no such file or folder that can be read ({_why(error)})") from error
    if stat.S_ISDIR(status.st_mode):
        yield from _walk(str(path), report)
    elif stat.S_ISREG(status.st_mode):
        yield _local_object(str(path), status)
    else:
        raise BadSettings(source, "is neither a file nor a folder")


def hash_object(obj: BucketObject, *, limit_bytes: int | None = None) -> str:
    """The SHA-256 of an object's bytes in hex, read in blocks of 1 MiB.

    An object over `limit_bytes` is not read in full: it gets the SHA-256 of its size and its first and last MiB. That
    tells oversized objects apart for the price of two reads, and once the limit is raised the object gets its true
    hash, hence another identity, and is taken up anew.

    Raises: SourceUnavailable for an object that is gone, not permitted, or changed since it was listed.
    """
    opened = _open_remote(obj) if _is_remote(obj.uri) else _open_local(obj)
    try:
        with opened as stream:
            if limit_bytes is not None and obj.size_bytes > limit_bytes:
                return _sketch(stream, obj.size_bytes)
            return _hash_stream(stream)
    except OSError as error:
        raise SourceUnavailable(obj.uri, f"cannot be read ({_why(error)})") from error


@contextmanager
def local_copy(uri: str, *, folder: Path | None = None) -> Iterator[Path]:
    """A local file with the object's bytes: the file itself for local ones, else a download that is deleted afterwards.

    The download lies in `folder` (default: the system's temporary folder) and keeps the object's suffix.

    Raises: SourceUnavailable where the object is gone or cannot be fetched; NotInstalled.
    """
    if not _is_remote(uri):
        path = _local_path(uri)
        if not path.is_file():
            raise SourceUnavailable(uri, "is no longer there")
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="diarynotes-", dir=folder) as scratch:
        target = Path(scratch) / f"object{PurePosixPath(uri).suffix}"
        filesystem, path_there = _connect(uri)
        try:
            filesystem.get_file(path_there, str(target))
        except Exception as error:  # each cloud's SDK raises a family of its own
            raise SourceUnavailable(uri, f"cannot be fetched ({_why(error)})") from error
        yield target


def _is_remote(uri: str) -> bool:
    scheme, separator, _ = uri.partition("://")
    if not separator or scheme == "file" or "/" in scheme:
        return False
    if scheme not in _EXTRAS:
        known = ", ".join(f"{name}://" for name in ("file", *_EXTRAS))
        raise BadSettings(uri, f"{scheme}:// is not read here; known are paths and {known}")
    return True


def _why(error: BaseException) -> str:
    """The reason without the path or anything that an SDK may have put into its message."""
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__


def _raise(problem: SourceUnavailable) -> None:
    raise problem


# -- local files ------------------------------------------------------------------------------------------------------


def _local_path(source: str) -> Path:
    path = os.path.expanduser(source)
    if source.startswith("file://"):
        path = os.fsdecode(unquote_to_bytes(source.removeprefix("file://").removeprefix("localhost")))
    return Path(os.path.abspath(path))


def _local_uri(path: str) -> str:
    try:
        path.encode()
    except UnicodeEncodeError:  # a name that is no UTF-8 cannot be stored as text, so its bytes are percent-encoded
        return Path(path).as_uri()
    return path


def _local_object(path: str, status: os.stat_result) -> BucketObject:
    modified_at = datetime.fromtimestamp(min(max(status.st_mtime, 0.0), _LAST_TIME_S), UTC)
    return BucketObject(_local_uri(path), status.st_size, _local_version(status), modified_at)


def _local_version(status: os.stat_result) -> str:
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
                yield _local_object(entry.path, status)
        folders.extend(reversed(below))


def _read_folder(folder: str, report: OnProblem) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name)
    except OSError as error:
        report(SourceUnavailable(_local_uri(folder), f"the folder cannot be read ({_why(error)})"))
        return []


def _read_status(entry: os.DirEntry[str], report: OnProblem) -> os.stat_result | None:
    try:
        return entry.stat()
    except OSError as error:
        # a link onto itself holds nothing, and a file may vanish while its folder is read: neither is a problem
        if error.errno != errno.ELOOP and (entry.is_symlink() or not isinstance(error, FileNotFoundError)):
            report(SourceUnavailable(_local_uri(entry.path), f"cannot be read ({_why(error)})"))
        return None


@contextmanager
def _open_local(obj: BucketObject) -> Iterator[BinaryIO]:
    path = _local_path(obj.uri)
    with path.open("rb") as stream:
        _expect_same(obj, os.fstat(stream.fileno()), "has changed since it was listed")
        yield stream
        _expect_same(obj, path.stat(), "changed while it was read")


def _expect_same(obj: BucketObject, status: os.stat_result, otherwise: str) -> None:
    if (_local_version(status), status.st_size) != (obj.version, obj.size_bytes):
        raise SourceUnavailable(obj.uri, otherwise)


# -- remote buckets ---------------------------------------------------------------------------------------------------


def _connect(uri: str) -> tuple[Any, str]:
    """The file system of a URI and the path inside it."""
    import fsspec  # type: ignore[import-untyped]  # only where a bucket is remote

    scheme = uri.partition("://")[0]
    try:
        filesystem, path = fsspec.core.url_to_fs(uri)
    except ImportError as error:
        install = f"pip install 'diarynotes[{_EXTRAS[scheme]}]'"
        raise NotInstalled(f"What reads {scheme}:// buckets", install) from error
    except Exception as error:  # credentials that cannot be read, a URI without a bucket
        raise SourceUnavailable(uri, f"cannot be reached ({_why(error)})") from error
    return filesystem, path


def _list_remote(source: str, report: OnProblem) -> Iterator[BucketObject]:
    filesystem, top = _connect(source)
    try:
        filesystem.invalidate_cache()  # else a second listing would repeat the first
        found: dict[str, dict[str, Any]] = filesystem.find(top, detail=True)
        if not found and not filesystem.exists(top):
            raise BadSettings(source, "there is no such bucket, folder or object")
    except BadSettings:
        raise
    except Exception as error:
        report(SourceUnavailable(source, f"cannot be listed ({_why(error)})"))
        return
    scheme = source.partition("://")[0]
    for name, info in sorted(found.items()):
        inside = PurePosixPath(name[len(top) :]).parts
        if not name.endswith("/") and not any(part.startswith(".") for part in inside):
            yield _remote_object(f"{scheme}://{name}", info)


def _remote_object(uri: str, info: dict[str, Any]) -> BucketObject:
    version = next((str(info[key]) for key in _REMOTE_VERSIONS if info.get(key)), "")
    moment = next((info[key] for key in _REMOTE_TIMES if info.get(key)), None)
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment)
    if not isinstance(moment, datetime):
        moment = datetime.fromtimestamp(moment or 0, UTC)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return BucketObject(uri, int(info.get("size") or 0), version or moment.isoformat(), moment)


@contextmanager
def _open_remote(obj: BucketObject) -> Iterator[BinaryIO]:
    filesystem, path = _connect(obj.uri)
    try:
        _expect_version(obj, filesystem, path, "has changed since it was listed")
        with filesystem.open(path, "rb", block_size=_BLOCK_BYTES) as stream:
            yield stream
        _expect_version(obj, filesystem, path, "changed while it was read")
    except SourceUnavailable:
        raise
    except Exception as error:  # each cloud's SDK raises a family of its own
        raise SourceUnavailable(obj.uri, f"cannot be read ({_why(error)})") from error


def _expect_version(obj: BucketObject, filesystem: Any, path: str, otherwise: str) -> None:
    filesystem.invalidate_cache()
    now = _remote_object(obj.uri, filesystem.info(path))
    if (now.version, now.size_bytes) != (obj.version, obj.size_bytes):
        raise SourceUnavailable(obj.uri, otherwise)


# -- hashes -----------------------------------------------------------------------------------------------------------


def _hash_stream(stream: BinaryIO) -> str:
    digest = hashlib.sha256()
    while block := stream.read(_BLOCK_BYTES):
        digest.update(block)
    return digest.hexdigest()


def _sketch(stream: BinaryIO, size_bytes: int) -> str:
    digest = hashlib.sha256(f"sketch of {size_bytes} bytes\n".encode())
    digest.update(stream.read(_BLOCK_BYTES))
    stream.seek(max(0, size_bytes - _BLOCK_BYTES))
    digest.update(stream.read(_BLOCK_BYTES))
    return digest.hexdigest()
