"""Passes recordings on to runs of other deployments: to be heard in shards, to be written, to have their day's entry.

Which deployments is a setting. What such a run was asked for is not asked for again while that run may still come.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import get_args

from diarynotes import observe
from diarynotes.models import Job, JobState, Priority, Recording, RecordingId
from flows.artifacts import plural
from flows.dispatch import ask_for_run, describe_ids
from flows.shards import plan_shards, shard_audio_s
from flows.tasks import label_chunks
from flows.workshop import Wishes, Workshop

MOST_AT_ONCE = 5_000
"""How many recordings one run takes on at most; the rest is for the next one, which the sweep starts."""


def ask_to_transcribe(shop: Workshop, ids: Sequence[RecordingId], wishes: Wishes) -> Iterator[str]:
    """Those of `ids` that were checked, in shards; the runs that were asked for."""
    settings = shop.settings
    jobs = _jobs(shop, ids, "validated")
    recordings = shop.store.recordings(list(jobs))
    enough_s = shard_audio_s(settings.shard_startup_s, settings.shard_pace)

    def name_model(recording: Recording) -> str:
        duration_s = recording.media.duration_s if recording.media else 0.0
        return wishes.model or shop.model_for(wishes, recording.priority, duration_s)

    for shard in plan_shards(list(recordings.values()), shard_audio_s=enough_s, name_model=name_model):
        observe.shard_planned(shard.model, shard.priority, len(shard.ids), shard.audio_s)
        yield from _asked(
            ask_for_run(
                shop.store.asks,
                settings.transcribe_on,
                [jobs[key] for key in shard.ids],
                name=f"{describe_ids(shard.ids)}, {shard.audio_s / 60:.0f} min, {shard.model or 'any model'}",
                priority=shard.priority,
                parameters={
                    "engine": wishes.engine,
                    "model": wishes.model,
                    "language": wishes.language,
                    "writer": ",".join(wishes.writers) or None,
                },
            )
        )


def ask_to_write(shop: Workshop, ids: Sequence[RecordingId], wishes: Wishes) -> Iterator[str]:
    """Those of `ids` that were heard, by priority; the runs that were asked for, none where no pool writes."""
    if not shop.settings.write_on or not ids:
        return
    jobs = [*_jobs(shop, ids, "transcribed").values(), *_jobs(shop, ids, "written").values()]
    for priority, theirs in _by_priority(shop, jobs):
        for chunk, _ in label_chunks(theirs, MOST_AT_ONCE):
            yield from _asked(
                ask_for_run(
                    shop.store.asks,
                    shop.settings.write_on,
                    chunk,
                    name=f"write {describe_ids([job.recording_id for job in chunk])}",
                    priority=priority,
                    parameters={"writer": ",".join(wishes.writers) or None},
                )
            )


def ask_for_entries(shop: Workshop, days: Sequence[tuple[str, date]], wishes: Wishes) -> Iterator[str]:
    """By a run that finds the recordings of these days landed, and so amends the days alone."""
    stored = [each for owner, day in days for each in shop.store.notes(owner=owner, since=day, until=day)]
    jobs = _jobs(shop, [each.recording.id for each in stored], "landed") if stored else {}
    for chunk, _ in label_chunks(list(jobs.values()), MOST_AT_ONCE):
        yield from _asked(
            ask_for_run(
                shop.store.asks,
                shop.settings.write_on or shop.settings.transcribe_on,
                chunk,
                name=f"entries of {plural(len(days), 'day')}",
                priority="normal",
                parameters={"writer": ",".join(wishes.writers) or None},
            )
        )


def _asked(run: str | None) -> Iterable[str]:
    return (run,) if run else ()


def _by_priority(shop: Workshop, jobs: Sequence[Job]) -> Iterator[tuple[Priority, list[Job]]]:
    """The most urgent first."""
    recordings = shop.store.recordings([job.recording_id for job in jobs])
    for priority in get_args(Priority):
        if theirs := [job for job in jobs if recordings[job.recording_id].priority == priority]:
            yield priority, theirs


def _jobs(shop: Workshop, ids: Sequence[RecordingId], state: JobState) -> dict[RecordingId, Job]:
    return {line.job.recording_id: line.job for line in shop.store.jobs.list(ids, states=[state])}
