"""Files of claimed jobs through child processes, out of harm's way.

Knows where recordings lie and whether they are still what was registered; knows nothing of what is done with them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from typing import TypeVar

from diarynotes.buckets import find_object, hash_object, local_copy
from diarynotes.errors import DiarynotesError, SourceUnavailable
from diarynotes.models import BucketObject, Job, Recording
from diarynotes.store import SourceFacts
from diarynotes.validate import check_size
from flows.hearing import Errand
from flows.workshop import Workshop
from flows.writers import is_kept

T = TypeVar("T")

_LEAST_PACE = 50.0
"""Seconds of sound a second that a child gets through at least; 300 to 1,000 were measured on one core."""
_LEAST_BYTES_PER_S = 200_000
"""And bytes a second, where nobody knows yet how long a recording lasts; 800,000 were measured (16 kbit/s)."""


def in_sandbox(
    shop: Workshop, jobs: Iterable[Job], work: Callable[[Errand], T], *, drop: Callable[[T], object] | None = None
) -> Iterator[tuple[Job, Recording, T | Exception]]:
    """Each of `jobs` with what `work` made of its file in a child process, or with the error.

    Of files that have to be fetched, only those lie on the disk that the sandbox has taken ahead. What was made of
    others when somebody wants out goes to `drop`.
    """
    wanted = list(jobs)
    ids = [job.recording_id for job in wanted]
    recordings, places = shop.store.recordings(ids), shop.store.places(ids)
    files = {key: ExitStack() for key in ids}

    def run_errands() -> Iterator[Errand | DiarynotesError]:
        for key in ids:
            if shop.stopping.is_set():
                return
            try:
                check_size(recordings[key].size_bytes, shop.limits)
                obj = _locate(recordings[key], places.get(key, ()))
                path = files[key].enter_context(local_copy(obj, folder=shop.settings.spool))
            except DiarynotesError as error:
                yield error
                continue
            recordings[key] = _call_by(shop, recordings[key], obj.uri)
            allowed_s = shop.settings.decode_timeout_s + _longest_s(recordings[key])
            yield Errand(path, shop.settings.spool, shop.limits, shop.settings.zone, allowed_s)

    with ExitStack() as closing_all:
        for file in files.values():
            closing_all.enter_context(file)
        outcomes = shop.sandbox.map(work, run_errands(), wall_s=lambda errand: errand.allowed_s, drop=drop)
        closing_all.enter_context(closing(outcomes))
        for job, outcome in zip(wanted, outcomes, strict=False):  # fewer come where somebody wants out
            files[job.recording_id].close()
            yield job, recordings[job.recording_id], outcome
            if shop.stopping.is_set():
                return


def _longest_s(recording: Recording) -> float:
    """How much longer than an ordinary recording it may take, by its length, or by its size until that is known."""
    if recording.media is not None:
        return recording.media.duration_s / _LEAST_PACE
    return recording.size_bytes / _LEAST_BYTES_PER_S


def _locate(recording: Recording, places: Sequence[SourceFacts]) -> BucketObject:
    """The object that holds the recording's bytes now: the one that it is called by, else the one that was seen last.

    Raises: SourceUnavailable, of the one that it is called by, where none holds them.
    """
    seen = {place.uri: place for place in places}
    first = seen.pop(recording.uri, SourceFacts(recording.uri, recording.size_bytes, etag=""))
    problems: list[SourceUnavailable] = []
    for place in (first, *seen.values()):
        try:
            return _expect_same(recording, place)
        except SourceUnavailable as problem:
            problems.append(problem)
    raise problems[0]


def _expect_same(recording: Recording, place: SourceFacts) -> BucketObject:
    obj = find_object(place.uri)
    if obj is None:
        raise SourceUnavailable(place.uri, "is no longer there")
    as_seen = (obj.size_bytes, obj.version) == (place.size_bytes, place.etag)
    if not as_seen and hash_object(obj) != recording.sha256:
        raise SourceUnavailable(place.uri, "has changed since it was picked up")
    return obj


def _call_by(shop: Workshop, recording: Recording, uri: str) -> Recording:
    """The recording, called by where it lies now. What once lay in a private place stays private."""
    if uri == recording.uri:
        return recording
    if is_kept([recording.uri], shop.settings.of(recording.owner)):
        shop.store.forbid_cloud([recording.id])
    shop.store.call_by(recording.id, uri)
    return replace(recording, uri=uri)
