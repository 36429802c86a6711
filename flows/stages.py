"""One function a stage: claim jobs in one state, do the work over all of them, move them on.

Knows no order of stages; `diary.py` does.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import data_checks
from data_checks import CheckResult
from diarynotes import observe
from diarynotes.buckets import hash_object
from diarynotes.cost import price
from diarynotes.errors import SourceUnavailable, StorageFailed, UncheckedNote, Unexpected
from diarynotes.ingest import date_recording, make_recording
from diarynotes.models import BucketObject, Job, Priority, Recording, RecordingId
from diarynotes.store import KnownSource, Landing, SourceFacts
from flows.claims import Claims, in_turns
from flows.discretion import describe_error
from flows.gate import check_landings, turned_away
from flows.hearing import examine
from flows.sandboxed import in_sandbox
from flows.workshop import Wishes, Workshop
from flows.writing import Work, Written, group_work, plan_work, write_alone, write_together

_log = logging.getLogger("diarynotes.flows")


@dataclass(frozen=True, slots=True)
class Registration:
    """The recordings behind some objects, and why others could not be read, by their uris."""

    ids: tuple[RecordingId, ...]
    unread: Mapping[str, SourceUnavailable]

    @property
    def problems(self) -> tuple[SourceUnavailable, ...]:
        return tuple(self.unread.values())


def unregistered(shop: Workshop, objects: Sequence[BucketObject], *, owner: str) -> list[BucketObject]:
    """Those of one owner's objects that are new, or have changed since they were registered."""
    known = shop.store.known_sources([obj.uri for obj in objects], owner=owner)
    return [obj for obj in objects if not _is_known(known.get(obj.uri), obj)]


def _is_known(seen: KnownSource | None, obj: BucketObject) -> bool:
    return seen is not None and (seen.size_bytes, seen.etag) == (obj.size_bytes, obj.version)


def register_objects(
    shop: Workshop, objects: Sequence[BucketObject], *, owner: str, priority: Priority, cloud: bool = True
) -> Registration:
    """Makes each object known by its content; an object that has not changed since last time is not read again.

    Without `cloud` nothing of them may be sent to another's machine, now or later.
    """
    known = shop.store.known_sources([obj.uri for obj in objects], owner=owner)
    ids: list[RecordingId] = []
    fresh: list[tuple[Recording, SourceFacts]] = []
    unread: dict[str, SourceUnavailable] = {}
    for obj in objects:
        seen = known.get(obj.uri)
        if seen and _is_known(seen, obj):
            ids.append(seen.recording_id)
            continue
        try:
            sha256 = hash_object(obj, limit_bytes=shop.settings.max_size_bytes)
        except SourceUnavailable as problem:
            unread[obj.uri] = problem
            continue
        recording = make_recording(obj, owner=owner, sha256=sha256, zone=shop.settings.zone, priority=priority)
        fresh.append((replace(recording, cloud=cloud), SourceFacts(obj.uri, obj.size_bytes, obj.version)))
    for entry in shop.store.register(fresh) if fresh else ():
        ids.append(entry.recording.id)
        if entry.is_new:
            observe.recording_registered(entry.recording.id, entry.recording.uri, entry.recording.size_bytes)
    if not cloud and ids:
        shop.store.forbid_cloud(ids)  # those too that were known before
    return Registration(tuple(ids), unread)


@in_turns("received")
def validate_recordings(shop: Workshop, ids: Sequence[RecordingId]) -> int:
    """received -> validated: can it be decoded, how well can it be heard, when was it recorded?"""
    with Claims(shop, "received", ids) as claims:
        for job, recording, outcome in in_sandbox(shop, claims.remaining(), examine):
            if isinstance(outcome, Exception):
                claims.fail(job, outcome)
                continue
            with claims.settling(job):
                media, quality = outcome
                dated = date_recording(recording, media.created_at)
                shop.store.jobs.store_validated(job, replace(dated, media=media, quality=quality))
                observe.recording_validated(job.recording_id, media.duration_s, quality.score)
        return len(claims.jobs)


@in_turns("transcribed")
def write_notes(shop: Workshop, ids: Sequence[RecordingId], *, wishes: Wishes) -> int:
    """transcribed -> written: the first writer that answers makes the note.

    Several are written side by side, because nearly all of the time goes by on others' machines.
    """
    with Claims(shop, "transcribed", ids) as claims:
        recordings = shop.store.recordings(claims.ids)
        transcripts = shop.store.transcripts(claims.ids)
        jobs = {job.recording_id: job for job in claims.jobs}
        planned = []
        for job in claims.jobs:
            transcript = transcripts.get(job.recording_id)
            try:
                if transcript is None:
                    raise Unexpected("its transcript is missing")
                planned.append(plan_work(shop, recordings[job.recording_id], transcript, wishes))
            except Exception as error:  # any: it must not take the neighbours down
                claims.fail(job, error)

        def write(group: Sequence[Work]) -> None:
            shared = _try_together(shop, group)
            for work in group:
                if shop.stopping.is_set():
                    return
                job = jobs[work.recording.id]
                with claims.settling(job):
                    written = shared.get(job.recording_id) or write_alone(shop, work)
                    note = written.note
                    costs = [price(usage) for usage in note.draft.usage]
                    shop.store.jobs.store_note(job, note, costs, answers=written.answers)
                    observe.recording_written(job.recording_id, note.writer, note.degraded)

        with ThreadPoolExecutor(shop.settings.writer_concurrency, "writing") as pool:
            for done in [pool.submit(write, group) for group in group_work(shop, planned)]:
                done.result()
        return len(claims.jobs)


def _try_together(shop: Workshop, group: Sequence[Work]) -> dict[RecordingId, Written]:
    """What one call for the whole group brings; nothing where that fails, and then each is written alone."""
    try:
        return write_together(shop, group)
    except StorageFailed:
        raise
    except Exception as error:
        _log.warning("%d memos are written one by one: %s", len(group), describe_error(error))
        return {}


@dataclass(frozen=True, slots=True)
class Landed:
    """How many jobs were taken on for landing, and what the data checks saw of them."""

    count: int
    checks: tuple[CheckResult, ...]

    def __add__(self, other: Landed) -> Landed:
        return Landed(self.count + other.count, (*self.checks, *other.checks))


@in_turns("written", warm_up=data_checks.warm_up)
def land_notes(shop: Workshop, ids: Sequence[RecordingId]) -> Landed:
    """written -> landed: what passes the data checks goes into the warehouse, what fails is set aside."""
    with shop.landing, Claims(shop, "written", ids) as claims:
        if not claims.jobs:
            return Landed(0, ())
        landings = shop.store.landings(claims.jobs)
        checks = check_landings(landings, max_duration_s=shop.settings.max_duration_s)
        _store_checks(shop, checks)
        failed = turned_away(checks)
        jobs = {job.recording_id: job for job in claims.jobs}
        for recording_id in jobs.keys() - {landing.recording.id for landing in landings}:
            claims.fail(jobs[recording_id], Unexpected("its note is missing"))
        for recording_id, codes in failed.items():
            claims.fail(jobs[recording_id], UncheckedNote(codes))
        passed = [landing for landing in landings if landing.recording.id not in failed]
        shop.store.put_landings(passed)
        _settle_landed(shop, claims, [jobs[landing.recording.id] for landing in passed], passed)
        return Landed(len(claims.jobs), checks)


def _store_checks(shop: Workshop, checks: Sequence[CheckResult]) -> None:
    for check in checks:
        shop.store.store_check(check.table, f"{check.rows} rows", success=check.passed, details=check.summary())


def _settle_landed(shop: Workshop, claims: Claims, jobs: Sequence[Job], landings: Sequence[Landing]) -> None:
    moved = {job.recording_id for job in shop.store.jobs.store_all_landed(jobs)}
    for job, landing in zip(jobs, landings, strict=True):
        with claims.settling(job):
            if job.recording_id in moved:
                observe.recording_landed(job.recording_id, landing.note.day.isoformat())
