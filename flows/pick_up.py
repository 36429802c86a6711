"""Picks up what was dropped: registers it, checks it, and has it heard and written, here or on other pools.

Drained by as few runs as possible: one run takes all that lies in the inbox, and looks again before it ends. Each takes
on what workers left behind that died, entries of days included, and what is due for another try. A sweep lists the
buckets, and takes on whatever else is left to be done.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed

from diarynotes import observe
from diarynotes.buckets import list_objects, owner_of
from diarynotes.errors import SourceUnavailable
from diarynotes.models import BucketObject, Job, JobState, Priority, Recording, RecordingId
from diarynotes.receive.names import is_dropped
from diarynotes.watch import is_unfinished
from flows.artifacts import finish, plural
from flows.dispatch import ask_for_run, describe_ids
from flows.draining import register_drops
from flows.running import working
from flows.shards import plan_shards, shard_audio_s
from flows.stages import Registration
from flows.tasks import (
    REGISTER_CHUNK,
    RUNNER,
    label_chunks,
    refresh_snapshot,
    register,
    submit,
    validate,
    work_off,
    write_entries,
)
from flows.workshop import Wishes, Workshop, current_workshop

_DROPS_AT_ONCE = 1_000
_CHECKED_AT_ONCE = 100
_MOST_AT_ONCE = 5_000
"""How many recordings one run takes on at most; the rest is for the next one, which the sweep starts."""
_STRANDED_AT_ONCE = 200
"""How many of those whose worker has died; few, so that it soon looks again."""
_IDLE_S = 60.0
"""After how long a recording that nobody has touched is taken for left behind; where other pools listen it may wait in
their queues for longer."""
_IDLE_APART_S = 900.0


@dataclass(frozen=True, slots=True)
class PickedUp:
    """What a run did: recordings that it took on, runs that it asked for, objects that it could not read."""

    recordings: int
    runs: tuple[str, ...]
    problems: tuple[SourceUnavailable, ...]


def _name_run() -> str:
    parameters = flow_run.parameters
    sources = parameters.get("sources") or []
    names = [source.rstrip("/").rpartition("/")[2] for source in sources]
    usual = "the buckets" if parameters.get("sweep") else "the inbox"
    what = f"{names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''}" if names else usual
    return f"sweep of {what}" if parameters.get("sweep") else f"pick up {what}"


@flow(name="pick-up", flow_run_name=_name_run, task_runner=RUNNER, persist_result=False)
def pick_up(
    sources: list[str] | None = None,
    owner: str | None = None,
    sweep: bool = False,
    priority: Priority = "normal",
    cloud: bool = True,
    engine: str | None = None,
    model: str | None = None,
    language: str | None = None,
    writer: str | None = None,
) -> State[PickedUp]:
    """Register, check and pass on all recordings that were dropped, and with a sweep all that lie in the buckets.

    Args:
        sources: Files, folders or bucket URIs to look into beside the inbox; a sweep looks into the settings' buckets.
        owner: Whose recordings the sources hold; empty takes the first folder of each object's name, else the setting.
        sweep: Look into the buckets too, and take on what earlier runs left unfinished.
        priority: urgent, normal or low, for recordings found in sources.
        cloud: Whether what is said may be sent, masked, to another's machine; once forbidden it stays so.
        engine: The speech engine: auto, whisper, ctranslate2 or pocketsphinx; empty takes the setting.
        model: A model's name or the path of its weights; empty goes by priority and length.
        language: Force a language (ISO 639-1); empty detects it.
        writer: The writer of the notes, or a chain of them; empty takes the setting.
    """
    shop = current_workshop()
    wishes = shop.wish(engine=engine, model=model, language=language, writers=writer)
    seen: dict[RecordingId, None] = {}
    runs: list[str] = []
    problems: list[SourceUnavailable] = []
    with working(shop):
        found = _look_into(shop, sources or (), owner, priority, cloud, sweep, problems)
        while taken := _take_on(shop, found, seen, sweep):
            runs += _pass_on(shop, taken, wishes)
            found = ()
        left = shop.store.left_days(idle_s=_idle_s(shop)) if shop.settings.daily_entries else []
        if not seen and not left:
            return Completed(message="Nothing to do", data=PickedUp(0, (), tuple(problems)))
        if shop.settings.transcribe_on:
            runs += _ask_for_entries(shop, left, wishes)
        else:
            if shop.settings.daily_entries:
                write_entries.submit(list(seen), wishes, left).result()
            refresh_snapshot(shop)
        if not seen:
            told = f"{plural(len(left), 'day')} had been left without an entry"
            return Completed(message=told, data=PickedUp(0, tuple(runs), tuple(problems)))
        done = PickedUp(len(seen), tuple(runs), tuple(problems))
        return finish(shop, list(seen), done, unreadable=len(problems))


def _look_into(
    shop: Workshop,
    sources: Sequence[str],
    owner: str | None,
    priority: Priority,
    cloud: bool,
    sweep: bool,
    problems: list[SourceUnavailable],
) -> tuple[RecordingId, ...]:
    """Registers what lies in the sources, and with a sweep in the buckets of the settings."""
    # the bucket of the home is there once somebody uses it; one that was named has to be
    buckets = [each for each in shop.buckets if shop.settings.buckets or Path(each).exists()] if sweep else ()
    futures = []
    for whose, objects in _by_owner((*sources, *buckets), owner, shop.settings.owner, problems):
        for chunk, label in label_chunks(objects, REGISTER_CHUNK):
            futures.append(submit(register, label, (), chunk, whose, priority, cloud))
    registrations: list[Registration] = [future.result() for future in futures]
    problems += [problem for registration in registrations for problem in registration.problems]
    return tuple(dict.fromkeys(found for registration in registrations for found in registration.ids))


def _by_owner(
    sources: Sequence[str], owner: str | None, else_owner: str, problems: list[SourceUnavailable]
) -> Iterator[tuple[str, list[BucketObject]]]:
    """The objects of the sources, by whose they are: `owner`, else the first folder below each source."""
    for source in sources:
        theirs: dict[str, list[BucketObject]] = {}
        for obj in list_objects(source, on_problem=problems.append):
            if obj.uri == source or _is_meant(obj):
                theirs.setdefault(owner or owner_of(obj.uri, source, else_owner), []).append(obj)
        yield from theirs.items()


def _is_meant(obj: BucketObject) -> bool:
    """Whether somebody means us to have it as it is; what is not finished yet is found by a later sweep."""
    named = is_dropped(obj.uri.rpartition("/")[2])
    return named and obj.size_bytes > 0 and ("://" in obj.uri or not is_unfinished(obj.uri))


def _take_on(
    shop: Workshop, found: Sequence[RecordingId], seen: dict[RecordingId, None], sweep: bool
) -> list[RecordingId]:
    """What is to be worked on next: what was found, what was dropped since, and what was left lying."""
    dropped: list[RecordingId] = []
    while len(dropped) < _MOST_AT_ONCE and (batch := register_drops(shop, _DROPS_AT_ONCE)):
        dropped += batch
    queue = shop.store.jobs
    if sweep:
        left = queue.claimable(limit=_MOST_AT_ONCE)
    else:
        left = queue.stranded(idle_s=_idle_s(shop), limit=_STRANDED_AT_ONCE)
    fresh = [key for key in dict.fromkeys((*found, *dropped, *left)) if key not in seen]
    seen.update(dict.fromkeys(fresh))
    return fresh


def _idle_s(shop: Workshop) -> float:
    return _IDLE_APART_S if shop.settings.transcribe_on else _IDLE_S


def _pass_on(shop: Workshop, ids: Sequence[RecordingId], wishes: Wishes) -> list[str]:
    """Has these recordings heard and written: here, or by runs of which the ids are returned."""
    if not shop.settings.transcribe_on:
        work_off(shop, ids, wishes)
        return []
    checked = [submit(validate, label, (), chunk) for chunk, label in label_chunks(ids, _CHECKED_AT_ONCE)]
    for future in checked:
        future.result()
    return [*_ask_to_transcribe(shop, ids, wishes), *_ask_to_write(shop, ids, wishes)]


def _ask_to_transcribe(shop: Workshop, ids: Sequence[RecordingId], wishes: Wishes) -> Iterator[str]:
    settings = shop.settings
    jobs = _jobs(shop, ids, "validated")
    recordings = shop.store.recordings(list(jobs))
    enough_s = shard_audio_s(settings.shard_startup_s, settings.shard_pace)

    def name_model(recording: Recording) -> str:
        duration_s = recording.media.duration_s if recording.media else 0.0
        return wishes.model or shop.model_for(wishes, recording.priority, duration_s)

    for shard in plan_shards(list(recordings.values()), shard_audio_s=enough_s, name_model=name_model):
        observe.shard_planned(shard.model, shard.priority, len(shard.ids), shard.audio_s)
        yield ask_for_run(
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


def _ask_to_write(shop: Workshop, ids: Sequence[RecordingId], wishes: Wishes) -> Iterator[str]:
    """What was heard before, by a run that died before it could pass it on."""
    if not shop.settings.write_on:
        return
    jobs = [*_jobs(shop, ids, "transcribed").values(), *_jobs(shop, ids, "written").values()]
    for chunk, _ in label_chunks(jobs, _MOST_AT_ONCE):
        yield ask_for_run(
            shop.settings.write_on,
            chunk,
            name=describe_ids([job.recording_id for job in chunk]),
            priority="normal",
            parameters={"writer": ",".join(wishes.writers) or None},
        )


def _ask_for_entries(shop: Workshop, days: Sequence[tuple[str, date]], wishes: Wishes) -> Iterator[str]:
    """By a run that finds the recordings of these days landed, and so amends the days alone."""
    stored = [each for owner, day in days for each in shop.store.notes(owner=owner, since=day, until=day)]
    jobs = _jobs(shop, [each.recording.id for each in stored], "landed") if stored else {}
    for chunk, _ in label_chunks(list(jobs.values()), _MOST_AT_ONCE):
        yield ask_for_run(
            shop.settings.write_on or shop.settings.transcribe_on,
            chunk,
            name=f"entries of {plural(len(days), 'day')}",
            priority="normal",
            parameters={"writer": ",".join(wishes.writers) or None},
        )


def _jobs(shop: Workshop, ids: Sequence[RecordingId], state: JobState) -> dict[RecordingId, Job]:
    return {line.job.recording_id: line.job for line in shop.store.jobs.list(ids, states=[state])}
