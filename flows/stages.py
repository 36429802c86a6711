"""One function a stage: claim jobs in one state, do the work over all of them, move them on.

Knows no order of stages; `diary.py` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from data_checks import CheckResult
from diarynotes import observe
from diarynotes.buckets import hash_object
from diarynotes.cost import price
from diarynotes.diary import Private, write_note
from diarynotes.errors import SourceUnavailable, UncheckedNote, Unexpected
from diarynotes.ingest import date_recording, diary_day, make_recording
from diarynotes.models import BucketObject, Job, Priority, Recording, RecordingId
from diarynotes.store import Landing, SourceFacts
from flows.claims import Claims
from flows.gate import check_landings, turned_away
from flows.hearing import examine
from flows.sandboxed import in_sandbox
from flows.workshop import Wishes, Workshop


@dataclass(frozen=True, slots=True)
class Registration:
    """The recordings behind some objects, and the objects that could not be read."""

    ids: tuple[RecordingId, ...]
    problems: tuple[SourceUnavailable, ...]


def register_objects(
    shop: Workshop, objects: Sequence[BucketObject], *, owner: str, priority: Priority
) -> Registration:
    """Makes each object known by its content; an object that has not changed since last time is not read again."""
    known = shop.store.known_sources([obj.uri for obj in objects], owner=owner)
    ids: list[RecordingId] = []
    fresh: list[tuple[Recording, SourceFacts]] = []
    problems: list[SourceUnavailable] = []
    for obj in objects:
        seen = known.get(obj.uri)
        if seen and (seen.size_bytes, seen.etag) == (obj.size_bytes, obj.version):
            ids.append(seen.recording_id)
            continue
        try:
            sha256 = hash_object(obj, limit_bytes=shop.settings.max_size_bytes)
        except SourceUnavailable as problem:
            problems.append(problem)
            continue
        recording = make_recording(obj, owner=owner, sha256=sha256, zone=shop.settings.zone, priority=priority)
        fresh.append((recording, SourceFacts(obj.uri, obj.size_bytes, obj.version)))
    for entry in shop.store.register(fresh) if fresh else ():
        ids.append(entry.recording.id)
        if entry.is_new:
            observe.recording_registered(entry.recording.id, entry.recording.uri, entry.recording.size_bytes)
    return Registration(tuple(ids), tuple(problems))


def validate_recordings(shop: Workshop, ids: Sequence[RecordingId]) -> int:
    """received -> validated: can it be decoded, how well can it be heard, when was it recorded?"""
    with Claims(shop, "received", ids) as claims:
        for job, recording, outcome in in_sandbox(shop, claims.remaining(), examine):
            with claims.settling(job):
                if isinstance(outcome, Exception):
                    raise outcome
                media, quality = outcome
                dated = date_recording(recording, media.created_at)
                shop.store.jobs.store_validated(job, replace(dated, media=media, quality=quality))
                observe.recording_validated(job.recording_id, media.duration_s, quality.score)
        return len(claims.jobs)


def write_notes(shop: Workshop, ids: Sequence[RecordingId], *, wishes: Wishes) -> int:
    """transcribed -> written: the first writer that answers makes the note."""
    with Claims(shop, "transcribed", ids) as claims:
        recordings = shop.store.recordings(claims.ids)
        transcripts = shop.store.transcripts(claims.ids)
        settings = shop.settings
        private = Private(settings.private_names, settings.phone_region or None)
        for job in claims.remaining():
            with claims.settling(job):
                recorded_at = recordings[job.recording_id].recorded_at
                day = diary_day(recorded_at, zone=settings.zone, day_start=settings.day_start)
                note = write_note(transcripts[job.recording_id], day=day, writers=shop.writers(wishes), private=private)
                shop.store.jobs.store_note(job, note, [price(usage) for usage in note.draft.usage])
                observe.recording_written(job.recording_id, note.writer, note.degraded)
        return len(claims.jobs)


@dataclass(frozen=True, slots=True)
class Landed:
    """How many jobs were taken on for landing, and what the data checks saw of them."""

    count: int
    checks: tuple[CheckResult, ...]


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
        shop.store.warehouse.land(passed)
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
