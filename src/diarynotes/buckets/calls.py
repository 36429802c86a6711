"""Asks a bucket: again where that helps, never longer than we are patient, and with its errors turned into ours."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from diarynotes.buckets.backend import Backend, Patience, Trouble
from diarynotes.errors import SourceUnavailable

T = TypeVar("T")

_PAUSES_S = (0.5, 2.0)
"""How long to wait before another try at what may pass."""

NO_BUCKET = "there is no such bucket"

_WHY: dict[Trouble, str] = {
    "gone": "is no longer there",
    "no_bucket": NO_BUCKET,
    "forbidden": "is not permitted; check the credentials and what they may read",
    "no_credentials": "no credentials were found for it",
    "changed": "has changed since it was listed",
    "passing": "the bucket cannot be reached or is busy",
}


def ask(backend: Backend, patience: Patience, uri: str, question: Callable[[], Awaitable[T]]) -> T:
    """What the bucket answers. Raises: SourceUnavailable, naming `uri`."""
    from fsspec.asyn import sync  # type: ignore[import-untyped]  # only where a bucket is remote

    answer: T = sync(backend.loop, _persist, backend, patience, uri, question)
    return answer


async def _persist(backend: Backend, patience: Patience, uri: str, question: Callable[[], Awaitable[T]]) -> T:
    deadline = asyncio.timeout(patience.answer_s)
    try:
        async with deadline:
            for pause_s in _PAUSES_S:
                try:
                    return await question()
                except Exception as error:  # each cloud's SDK raises a family of its own
                    if _trouble(backend, error) != "passing":
                        raise
                await asyncio.sleep(pause_s)
            return await question()
    except Exception as error:
        trouble = _trouble(backend, error)
        why = _WHY.get(trouble, f"cannot be read ({type(error).__name__})")
        if deadline.expired():
            why = f"the bucket did not answer within {patience.answer_s:g} s"
        raise SourceUnavailable(uri, why) from error


def _trouble(backend: Backend, error: Exception) -> Trouble:
    return "passing" if isinstance(error, (ConnectionError, TimeoutError)) else backend.name_trouble(error)
