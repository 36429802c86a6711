"""Files of claimed jobs through child processes, out of harm's way.

Knows where recordings lie and whether they are still what was registered; knows nothing of what is done with them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import Any, TypeVar

from diarynotes.buckets import find_object, hash_object, local_copy
from diarynotes.errors import DiarynotesError, SourceUnavailable
from diarynotes.models import BucketObject, Job, Recording
from diarynotes.store import KnownSource
from diarynotes.validate import check_size
from flows.hearing import Errand
from flows.workshop import Workshop

T = TypeVar("T")

_LEAST_PACE = 50.0
"""Seconds of sound a second that a child gets through at least; 300 to 1,000 were measured on one core."""
_LEAST_BYTES_PER_S = 200_000
"""And bytes a second, where nobody knows yet how long a recording lasts; 800,000 were measured (16 kbit/s)."""


def in_sandbox(
    shop: Workshop, jobs: Iterable[Job], work: Callable[[Errand], T]
) -> Iterator[tuple[Job, Recording, T | Exception]]:
    """Each of `jobs` with what `work` made of its file in a child process, or with the error."""
    wanted = list(jobs)
    recordings = shop.store.recordings([job.recording_id for job in wanted])
    known = _known_sources(shop, recordings.values())
    with ExitStack() as copies:
        errands: list[Errand] = []
        ready: list[Job] = []
        for job in wanted:
            recording = recordings[job.recording_id]
            try:
                check_size(recording.size_bytes, shop.limits)
                obj = _find_unchanged(recording, known.get((recording.owner, recording.uri)))
                path = copies.enter_context(local_copy(obj, folder=shop.settings.spool))
                allowed_s = shop.settings.decode_timeout_s + _longest_s(recording)
                errands.append(Errand(path, shop.settings.spool, shop.limits, shop.settings.zone, allowed_s))
                ready.append(job)
            except DiarynotesError as error:
                yield job, recording, error
        outcomes: Iterator[Any] = shop.sandbox.map(work, errands, wall_s=lambda errand: errand.allowed_s)
        for job, outcome in zip(ready, outcomes, strict=True):
            yield job, recordings[job.recording_id], outcome
            if shop.stopping.is_set():
                return


def _longest_s(recording: Recording) -> float:
    """How much longer than an ordinary recording it may take, by its length, or by its size until that is known."""
    if recording.media is not None:
        return recording.media.duration_s / _LEAST_PACE
    return recording.size_bytes / _LEAST_BYTES_PER_S


def _known_sources(shop: Workshop, recordings: Iterable[Recording]) -> dict[tuple[str, str], KnownSource]:
    """What was last seen of the objects that hold these recordings, by owner and uri."""
    uris: dict[str, list[str]] = {}
    for recording in recordings:
        uris.setdefault(recording.owner, []).append(recording.uri)
    return {
        (owner, uri): known
        for owner, mine in uris.items()
        for uri, known in shop.store.known_sources(mine, owner=owner).items()
    }


def _find_unchanged(recording: Recording, known: KnownSource | None) -> BucketObject:
    """Raises: SourceUnavailable where the object is gone or holds other bytes by now."""
    obj = find_object(recording.uri)
    if obj is None:
        raise SourceUnavailable(recording.uri, "is no longer there")
    as_seen = known and (known.size_bytes, known.etag) == (obj.size_bytes, obj.version)
    if not as_seen and hash_object(obj) != recording.sha256:
        raise SourceUnavailable(recording.uri, "has changed since it was picked up")
    return obj
