"""Degraded notes are written again where a better writer answers now; where none does, the old note stands.

A recording stays landed while it is worked on. Only a note that passes the data checks is stored, and only then does
the recording leave its state, to be landed again.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed

from diarynotes import observe
from diarynotes.cost import price
from diarynotes.errors import DiarynotesError, LeaseLost, StorageFailed, UncheckedNote, Unexpected
from diarynotes.models import Job, RecordingId
from diarynotes.store import Landing
from flows.artifacts import plural, publish_report
from flows.claims import Claims, in_turns
from flows.discretion import discreet
from flows.gate import check_landings, turned_away
from flows.running import working
from flows.tasks import RUNNER, label_chunks, land, may_retry, submit, write_entries
from flows.upgrade_plan import Upgrade, find_upgrades
from flows.workshop import Wishes, Workshop, current_workshop
from flows.writing import write_alone

_CHUNK = 25
"""Notes that are claimed together; whoever is killed leaves no more than these to be taken over."""
_log = logging.getLogger("diarynotes.flows")


@dataclass(frozen=True, slots=True)
class Unchanged:
    """A note that stays as it is, and why: a code, and a sentence for a person."""

    recording_id: RecordingId
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Upgraded:
    """The recordings whose note is a better one now, and those whose is not."""

    ids: tuple[RecordingId, ...]
    unchanged: tuple[Unchanged, ...]

    def __add__(self, other: Upgraded) -> Upgraded:
        return Upgraded((*self.ids, *other.ids), (*self.unchanged, *other.unchanged))

    def describe(self) -> str:
        """`4 notes better than before, 1 as it was`."""
        kept = len(self.unchanged)
        told = f"{plural(len(self.ids), 'note')} better than before"
        return told + (f", {kept:,} as {'it was' if kept == 1 else 'they were'}" if kept else "")


@in_turns("landed")
def upgrade_notes(shop: Workshop, ids: Sequence[RecordingId], *, wishes: Wishes) -> Upgraded:
    """landed -> written for those whose note a better writer has written; the others are given back untouched."""
    with Claims(shop, "landed", ids) as claims:
        jobs = {job.recording_id: job for job in claims.jobs}
        # looked at again: since the ids were chosen, a person may have edited one
        upgrades = find_upgrades(shop, wishes, ids=claims.ids)
        written: list[RecordingId] = []
        unchanged: list[Unchanged] = []

        def rewrite(upgrade: Upgrade) -> None:
            recording_id = upgrade.work.recording.id
            if shop.stopping.is_set():
                return
            try:
                _rewrite(shop, jobs[recording_id], upgrade)
                written.append(recording_id)
            except StorageFailed:
                raise
            except LeaseLost:
                _log.warning("recording %s was taken over while its note was written", recording_id)
            except Exception as error:  # any: the old note stands; the error's own words may quote a diary
                known = error if isinstance(error, DiarynotesError) else Unexpected(type(error).__name__)
                unchanged.append(Unchanged(recording_id, known.code, str(known)))
                observe.upgrade_failed(recording_id, known.code)

        with ThreadPoolExecutor(shop.settings.writer_concurrency, "upgrading") as pool:
            for done in [pool.submit(rewrite, upgrade) for upgrade in upgrades]:
                done.result()
        return Upgraded(tuple(written), tuple(unchanged))


def _rewrite(shop: Workshop, job: Job, upgrade: Upgrade) -> None:
    """Raises: WriterFailed where no better writer answers; UncheckedNote where what it wrote must not land."""
    work, first = upgrade.work, upgrade.wanted
    written = write_alone(shop, work)
    note = written.note
    note = replace(note, degraded=note.degraded or (note.writer, note.model) != (first.name, first.model))
    costs = [price(usage) for usage in note.draft.usage]
    landing = Landing(work.recording, work.transcript, note, costs, job.attempt)
    # now, because the gate before landing sets a recording aside, and this one has a note that has landed
    if failed := turned_away(check_landings([landing], max_duration_s=shop.settings.max_duration_s)):
        raise UncheckedNote(failed[job.recording_id])
    shop.store.jobs.store_note(job, note, costs, answers=written.answers)
    observe.recording_written(job.recording_id, note.writer, note.degraded)


@task(
    name="upgrade",
    retries=2,
    retry_delay_seconds=[1, 5],
    retry_condition_fn=may_retry,
    cache_policy=NO_CACHE,
    persist_result=False,
)
@discreet()
def rewrite_notes(ids: Sequence[RecordingId], wishes: Wishes) -> State[Upgraded]:
    done = upgrade_notes(current_workshop(), ids, wishes=wishes)
    return Completed(message=done.describe(), data=done)


def _name_run() -> str:
    return f"degraded notes of {flow_run.parameters.get('owner') or 'everybody'}"


@flow(name="upgrade", flow_run_name=_name_run, task_runner=RUNNER, persist_result=False)
def upgrade(
    owner: str | None = None,
    since: date | None = None,
    until: date | None = None,
    limit: int | None = None,
    writer: str | None = None,
) -> State[Upgraded]:
    """Write degraded notes again where a better writer answers.

    Args:
        owner: Whose notes; empty is everybody's.
        since: The first day whose notes are looked at.
        until: The last one.
        limit: At most so many notes, those of the newest days first.
        writer: The writer of the notes, or a chain of them (openai:gpt-5.4,anthropic); empty takes the setting.
    """
    shop = current_workshop()
    wishes = shop.wish(engine=None, model=None, language=None, writers=writer)
    with working(shop):
        _land_leftovers(shop, owner)
        found = find_upgrades(shop, wishes, owner=owner, since=since, until=until, limit=limit)
        done = _work_off(shop, [upgrade.work.recording.id for upgrade in found], wishes)
        shop.store.snapshot()
        if ids := [*done.ids, *(each.recording_id for each in done.unchanged)]:
            publish_report(shop, ids, ())
    return Completed(message=done.describe(), data=done)


def _land_leftovers(shop: Workshop, owner: str | None) -> None:
    """A note that was stored by somebody who was killed before it landed."""
    lines = shop.store.jobs.list(states=["written"], owner=owner)
    if lines:
        land.submit([line.job.recording_id for line in lines]).result()


def _work_off(shop: Workshop, ids: Sequence[RecordingId], wishes: Wishes) -> Upgraded:
    observe.run_planned(ids)
    written: list[RecordingId] = []
    unchanged: list[Unchanged] = []
    for chunk, label in label_chunks(ids, _CHUNK):
        done: Upgraded = submit(rewrite_notes, label, (), chunk, wishes).result()
        if done.ids:
            submit(land, label, (), done.ids).result()
        written += done.ids
        unchanged += done.unchanged
    if written and shop.settings.daily_entries:
        write_entries.submit(written, wishes).result()
    return Upgraded(tuple(written), tuple(unchanged))
