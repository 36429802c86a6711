"""Looks into folders and buckets, and registers what lies there.

What somebody names is listed whole. A bucket that is swept again and again is listed on from where the last sweep
stopped, and of that only what is not known yet is registered. A source that cannot be listed costs no other.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from diarynotes.buckets import list_new, list_objects, owner_of
from diarynotes.errors import BadSettings, SourceUnavailable
from diarynotes.models import BucketObject, Priority, RecordingId
from diarynotes.receive.names import is_dropped
from diarynotes.store import Drop
from diarynotes.watch import is_unfinished
from flows.stages import Registration, unregistered
from flows.tasks import REGISTER_CHUNK, label_chunks, register, submit
from flows.workshop import Workshop

_log = logging.getLogger("diarynotes.flows")


@dataclass(frozen=True, slots=True)
class Look:
    """What a run looks for, and what it could not read.

    `owner` is whose all of it is; None takes the first folder of each object's name, else the setting.
    """

    shop: Workshop
    owner: str | None
    priority: Priority
    cloud: bool
    problems: list[SourceUnavailable] = field(default_factory=list)

    def into(self, source: str) -> list[RecordingId]:
        """Registers all that lies in a source that somebody named; the recordings behind it, known before or not."""
        found: list[RecordingId] = []
        try:
            listed = list_objects(source, on_problem=self.problems.append)
            for whose, objects in by_owner(listed, source, self.owner, self.shop.settings.owner).items():
                found += self._register(whose, objects).ids
        except BadSettings as error:
            self._pass_over(source, error)
        return found

    def sweep(self, bucket: str) -> list[RecordingId]:
        """Registers what is new in a bucket since it was swept last; the recordings behind that.

        What is there and cannot be read becomes a drop, which is tried again: the sweep goes on behind it.
        """
        found: list[RecordingId] = []
        watermarks = self.shop.store.watermarks
        mark = watermarks.read(bucket)
        budget = self.shop.settings.sweep_pages
        try:
            for batch in list_new(bucket, mark, budget=budget, on_problem=self.problems.append):
                found += self._register_new(bucket, batch.objects)
                if batch.watermark != mark and not watermarks.move(bucket, mark, batch.watermark):
                    break  # another run sweeps this bucket, and is further
                mark = batch.watermark
                if self.shop.stopping.is_set():
                    break
        except BadSettings as error:
            self._pass_over(bucket, error)
        return found

    def _register_new(self, bucket: str, objects: Iterable[BucketObject]) -> Iterator[RecordingId]:
        for whose, theirs in by_owner(objects, bucket, self.owner, self.shop.settings.owner).items():
            # what is known already is registered again only to forbid it the cloud
            fresh = unregistered(self.shop, theirs, owner=whose) if self.cloud else theirs
            registration = self._register(whose, fresh)
            if registration.unread and self.cloud:  # a drop knows of no ban: what may not leave waits for the next look
                unread = (obj for obj in fresh if obj.uri in registration.unread)
                left = [Drop(whose, obj.uri, obj.version, self.priority) for obj in unread]
                self.shop.store.drops.put_unknown(left)
            yield from registration.ids

    def _register(self, owner: str, objects: Sequence[BucketObject]) -> Registration:
        futures = [
            submit(register, label, (), chunk, owner, self.priority, self.cloud)
            for chunk, label in label_chunks(objects, REGISTER_CHUNK)
        ]
        parts: list[Registration] = [future.result() for future in futures]
        unread = {uri: problem for part in parts for uri, problem in part.unread.items()}
        self.problems.extend(unread.values())
        return Registration(tuple(found for part in parts for found in part.ids), unread)

    def _pass_over(self, source: str, error: BadSettings) -> None:
        _log.warning("%s cannot be looked into: %s", source, error.why)
        self.problems.append(SourceUnavailable(source, error.why))


def swept_buckets(shop: Workshop) -> list[str]:
    """What a sweep looks into. The bucket of the home is there once somebody uses it; one that was named has to be."""
    return [bucket for bucket in shop.buckets if shop.settings.buckets or Path(bucket).exists()]


def by_owner(
    objects: Iterable[BucketObject], source: str, owner: str | None, else_owner: str
) -> dict[str, list[BucketObject]]:
    """Those of a source's objects that are meant to be taken, by whose they are."""
    theirs: dict[str, list[BucketObject]] = {}
    for obj in objects:
        if obj.uri == source or _is_meant(obj):
            theirs.setdefault(owner or owner_of(obj.uri, source, else_owner), []).append(obj)
    return theirs


def _is_meant(obj: BucketObject) -> bool:
    """Whether somebody means us to have it as it is; what is not finished yet is found by a later sweep."""
    named = is_dropped(obj.uri.rpartition("/")[2])
    return named and obj.size_bytes > 0 and ("://" in obj.uri or not is_unfinished(obj.uri))
