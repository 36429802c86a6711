"""One file from an address onto the disk: resumed where it broke off, checked, and there whole or not at all.

Knows nothing of models. What has come so far lies beside the target as `.<name>.part`; that file is also the lock which
keeps several processes from fetching the same thing twice.
"""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import os
import shutil
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TypeAlias

from diarynotes.errors import StorageFailed

Progress: TypeAlias = Callable[[int, int | None], None]
"""Told the bytes that are here and the bytes there will be, None where the server does not say."""

CONNECT_S = 4.0
"""How long the first answer of the server may take, s: offline must not cost more."""
STALL_S = 30.0
"""How long a running download may stand still, s."""
TRIES = 5
"""How often a download that breaks off is taken up again at once."""
_CHUNK_BYTES = 1 << 20


class Unreachable(Exception):
    """The server does not give the file just now; `kept_bytes` of it are on disk for the next try."""

    def __init__(self, kept_bytes: int = 0) -> None:
        super().__init__(kept_bytes)
        self.kept_bytes = kept_bytes


class Unfit(Exception):
    """What came is not what was promised, so it was thrown away."""


def download(
    url: str, target: Path, *, sha256: str, connect_s: float = CONNECT_S, progress: Progress | None = None
) -> None:
    """Fetch `url` to `target`, unless another process does so first; then its file is the answer.

    Raises: Unreachable, Unfit; StorageFailed or OSError when it cannot be written.
    """
    part = target.with_name(f".{target.name}.part")
    _probe(url, connect_s, kept_bytes=part.stat().st_size if part.exists() else 0)
    target.parent.mkdir(parents=True, exist_ok=True)
    with _locked(part) as file:
        if target.exists():  # whoever held the lock before has fetched it
            part.unlink()
            return
        kept = _size(file) > 0
        _fill(file, url, sha256, progress)
        if kept and hash_file(part) != sha256:  # the piece kept from before may be to blame
            file.truncate(0)
            _fill(file, url, sha256, progress)
        if hash_file(part) != sha256:
            part.unlink()
            raise Unfit
        part.replace(target)


def hash_file(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _probe(url: str, patience_s: float, *, kept_bytes: int) -> None:
    """Raise at once when the server does not answer; in a thread, since a name look-up heeds no time limit."""
    answer: list[Exception | None] = []

    def ask() -> None:
        try:
            request = urllib.request.Request(url, method="HEAD")  # noqa: S310 - the caller's own address
            urllib.request.urlopen(request, timeout=patience_s).close()  # noqa: S310
            answer.append(None)
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, urllib.error.HTTPError):
                error.close()  # it holds the connection
            answer.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(patience_s)
    if not answer or answer[0] is not None:
        raise Unreachable(kept_bytes) from (answer[0] if answer else None)


@contextmanager
def _locked(part: Path) -> Iterator[BinaryIO]:
    """The part file, open for appending and held by this process alone; waits for whoever holds it.

    The lock belongs to the bytes, not to the name: when its holder renames or deletes them, those who waited hold
    something else, and begin again. An empty file is not left behind.
    """
    while True:
        with part.open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if not _is_still(file, part):
                continue
            try:
                yield file
            finally:
                if not _size(file) and _is_still(file, part):
                    part.unlink()
            return


def _size(file: BinaryIO) -> int:
    """The file's size in bytes, with what is still on its way to the disk."""
    file.flush()
    return os.fstat(file.fileno()).st_size


def _is_still(file: BinaryIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _fill(file: BinaryIO, url: str, sha256: str, progress: Progress | None) -> None:
    """Append until the file is whole, taking a broken download up again while each try brings something."""
    for _ in range(TRIES):
        begin = _size(file)
        if begin and hash_file(Path(file.name)) == sha256:  # it was whole already, and only lacked its name
            return
        if _append(file, url, progress):
            return
        if _size(file) <= begin:
            break
    raise Unreachable(_size(file))


def _append(file: BinaryIO, url: str, progress: Progress | None) -> bool:
    """Write what is still missing after what is there; whether the end was reached."""
    kept = _size(file)
    try:
        source, begin = _open(url, kept)
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        raise Unreachable(kept) from error
    with source:
        if not begin:
            file.truncate(0)
        total = begin + source.length if source.length is not None else None
        _check_space(Path(file.name).parent, (total or begin) - begin)
        done = begin
        while chunk := _read(source):
            file.write(chunk)
            done += len(chunk)
            if progress:
                progress(done, total)
    file.flush()
    return total is None or done >= total


def _open(url: str, begin: int) -> tuple[http.client.HTTPResponse, int]:
    """The server's answer and where in the file it begins: at `begin`, or at 0 where it does not know of ranges."""
    request = urllib.request.Request(url, headers={"Range": f"bytes={begin}-"} if begin else {})  # noqa: S310
    try:
        source: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=STALL_S)  # noqa: S310
    except urllib.error.HTTPError as error:
        if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE or not begin:
            raise
        error.close()
        return _open(url, 0)
    if source.status != http.HTTPStatus.PARTIAL_CONTENT:
        return source, 0
    if source.headers.get("Content-Range", "").startswith(f"bytes {begin}-"):
        return source, begin
    source.close()
    return _open(url, 0) if begin else (source, 0)


def _read(source: http.client.HTTPResponse) -> bytes:
    """The next bytes; none at the end, and none either where the connection breaks."""
    try:
        return source.read(_CHUNK_BYTES)
    except http.client.IncompleteRead as error:
        return error.partial
    except (OSError, http.client.HTTPException):
        return b""


def _check_space(folder: Path, needed_bytes: int) -> None:
    free_bytes = shutil.disk_usage(folder).free
    if needed_bytes > free_bytes:
        raise StorageFailed(
            str(folder), f"{needed_bytes / 1e6:.0f} MB are needed and {free_bytes / 1e6:.0f} MB are free"
        )
