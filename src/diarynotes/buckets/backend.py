"""What every cloud's bucket can do for us, and how long we are patient with one.

A backend asks once and raises whatever its SDK raises; `calls` knows about second tries and deadlines.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol, TypeAlias

from diarynotes.models import Checksum

PAGE_OBJECTS = 1_000
"""How many objects a page of a listing holds at most: what Amazon, Google and S3-compatible servers give at once."""

Trouble: TypeAlias = Literal["gone", "no_bucket", "forbidden", "no_credentials", "changed", "passing", "unknown"]
"""Why a bucket did not do what it was asked for; only `passing` troubles are worth asking again at once."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for a bucket, s: to be connected, for the next bytes, and for one answer with all its tries."""

    connect_s: float = 10.0
    read_s: float = 60.0
    answer_s: float = 120.0


@dataclass(frozen=True, slots=True)
class Facts:
    """An object as its bucket tells of it. `key` is its whole name; `version` changes with its bytes."""

    key: str
    size_bytes: int
    version: str
    modified_at: datetime
    checksum: Checksum | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a listing; `token` asks for the next one, empty at the end. `folders` end with a slash."""

    objects: tuple[Facts, ...]
    folders: tuple[str, ...]
    token: str


def read_status(status: int) -> Trouble:
    """What an HTTP status means where the server gives no better name to its trouble."""
    if status in _STATUSES:
        return _STATUSES[status]
    return "passing" if status >= 500 else "unknown"


_STATUSES: dict[int, Trouble] = {
    401: "forbidden",
    403: "forbidden",
    404: "gone",
    408: "passing",
    412: "changed",
    416: "changed",
    429: "passing",
}


class Backend(Protocol):
    """The buckets of one cloud, as whoever `options` say (fsspec's storage options) may see them."""

    def __init__(self, options: Mapping[str, Any], patience: Patience) -> None: ...

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """Where its coroutines run."""
        ...

    async def list_page(self, bucket: str, prefix: str, *, after: str, token: str, level: bool) -> Page:
        """Objects whose names begin with `prefix`, in the order of names.

        From `after` on, where the server knows how to; a `token` goes on with the same listing. With `level` nothing
        below a further slash, but the `folders` there.
        """
        ...

    async def head(self, bucket: str, key: str) -> Facts | None:
        """What the bucket says of this object; None where there is none."""
        ...

    async def read(self, bucket: str, facts: Facts, start: int, stop: int) -> bytes:
        """Bytes of the object as long as it is the one that `facts` tell of, where the server can tell."""
        ...

    def name_trouble(self, error: Exception) -> Trouble:
        """What an exception of its SDK means."""
        ...
