"""From the inbox of drops to registered recordings.

A drop is claimed as a job is, and goes when its object is registered. A run that dies leaves its drops to the
next one at once; what it had registered is known there and not read again.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import groupby

from diarynotes.buckets import find_object
from diarynotes.errors import DiarynotesError, StorageFailed
from diarynotes.models import BucketObject, RecordingId
from diarynotes.store import Drop
from flows.stages import register_objects
from flows.workshop import Workshop

_log = logging.getLogger("diarynotes.flows")

_CHUNK = 100
"""How many drops are registered at once; so many are repeated when a run is killed."""
_LOOKS_AT_ONCE = 8


def register_drops(shop: Workshop, limit: int = 1_000) -> tuple[RecordingId, ...]:
    """Registers up to `limit` of the most urgent drops and takes them out of the inbox; the recordings behind them.

    Empty when nothing is left that can be registered now. A drop that cannot be read is tried again later; one of which
    nothing is there any more is told of, and goes.

    Raises: StorageFailed; what was not registered by then stays in the inbox.
    """
    ids: dict[RecordingId, None] = {}
    while not ids and not shop.stopping.is_set() and (claimed := shop.store.drops.claim(limit)):
        ids = dict.fromkeys(_settle(shop, claimed))
    return tuple(ids)


def _settle(shop: Workshop, claimed: Sequence[Drop]) -> Iterator[RecordingId]:
    left = deque(_alike(claimed))
    try:
        while left and not shop.stopping.is_set():
            yield from _register(shop, left[0])
            left.popleft()
    finally:
        if left:
            with suppress(StorageFailed):  # a claim that cannot be given back runs out by itself
                shop.store.drops.release([drop for chunk in left for drop in chunk])


def _alike(drops: Sequence[Drop]) -> Iterator[list[Drop]]:
    """Chunks of one priority and one owner, the most urgent first."""
    for _, urgent in groupby(drops, key=lambda drop: drop.priority):
        by_owner = sorted(urgent, key=lambda drop: drop.owner)
        for _, group in groupby(by_owner, key=lambda drop: drop.owner):
            alike = list(group)
            yield from (alike[start : start + _CHUNK] for start in range(0, len(alike), _CHUNK))


def _register(shop: Workshop, drops: Sequence[Drop]) -> tuple[RecordingId, ...]:
    looks = list(_look(drops))
    # two drops may name one object, each in its own way
    objects = {found.uri: found for _, found in looks if isinstance(found, BucketObject)}
    first = drops[0]
    registration = register_objects(shop, list(objects.values()), owner=first.owner, priority=first.priority)
    done: list[Drop] = []
    for drop, found in looks:
        problem = registration.unread.get(found.uri) if isinstance(found, BucketObject) else found
        if problem is not None:
            _postpone(shop, drop, problem)
            continue
        if found is None:
            _log.warning("drop %s of %s is no longer there and was taken out: %s", drop.id, drop.owner, drop.uri)
        done.append(drop)
    shop.store.drops.done(done)
    return registration.ids


def _look(drops: Sequence[Drop]) -> Iterator[tuple[Drop, BucketObject | DiarynotesError | None]]:
    """What lies behind each drop now; None for nothing. A bucket takes its time to answer, so several are asked."""

    def look(drop: Drop) -> BucketObject | DiarynotesError | None:
        try:
            return find_object(drop.uri)
        except DiarynotesError as error:
            return error

    with ThreadPoolExecutor(_LOOKS_AT_ONCE, "looking") as pool:
        yield from zip(drops, pool.map(look, drops), strict=True)


def _postpone(shop: Workshop, drop: Drop, error: DiarynotesError) -> None:
    dead = shop.store.drops.fail(drop, error, shop.settings.retry_delays_s)
    outcome = "was given up" if dead else "will be tried again"
    _log.warning("drop %s of %s %s: %s", drop.id, drop.owner, outcome, error)
