"""SHA-256 over an object's bytes, given a way to read any stretch of them, and the checksums that buckets give."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeAlias

BLOCK_BYTES = 4 << 20
"""How much of an object is in memory at a time."""

_END_BYTES = 1 << 20

ReadStretch: TypeAlias = Callable[[int, int], bytes]
"""The bytes from the first number up to the second; fewer only where a local file ends early."""


def blocks(read: ReadStretch, size_bytes: int) -> Iterator[bytes]:
    """All bytes of an object of this size, from its beginning."""
    for start in range(0, size_bytes, BLOCK_BYTES):
        yield read(start, min(start + BLOCK_BYTES, size_bytes))


def hash_blocks(read: ReadStretch, size_bytes: int) -> str:
    """The SHA-256 of them, in hex."""
    digest = hashlib.sha256()
    for block in blocks(read, size_bytes):
        digest.update(block)
    return digest.hexdigest()


def sketch(read: ReadStretch, size_bytes: int) -> str:
    """The SHA-256 of the size and the first and the last MiB, in hex."""
    digest = hashlib.sha256(f"sketch of {size_bytes} bytes\n".encode())
    digest.update(read(0, min(_END_BYTES, size_bytes)))
    digest.update(read(max(0, size_bytes - _END_BYTES), size_bytes))
    return digest.hexdigest()


class Digest(Protocol):
    """What hashlib's objects do."""

    def update(self, data: bytes, /) -> Any: ...
    def digest(self) -> bytes: ...


def begin_digest(kind: str) -> Digest:
    """Counts bytes as a checksum of this kind does."""
    if kind == "crc32":
        return _Crc32()
    if kind == "crc32c":
        import google_crc32c  # comes with the file system for Google's buckets, the only ones that use it

        made: Digest = google_crc32c.Checksum()  # type: ignore[no-untyped-call]
        return made
    return hashlib.new(kind, usedforsecurity=False)


class _Crc32:
    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes, /) -> None:
        self._value = zlib.crc32(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(4)
