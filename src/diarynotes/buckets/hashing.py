"""SHA-256 over an object's bytes, given a way to read any stretch of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import TypeAlias

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
