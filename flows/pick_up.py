"""Picks up what was dropped: registers it, checks it, and has it heard and written, here or on other pools.

Drained by as few runs as possible: one run takes all that lies in the inbox, and looks again before it ends. Each takes
on what workers left behind that died, entries of days included, and what is due for another try. A sweep looks into the
buckets for what is new there, and takes on whatever else is left to be done.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed

from diarynotes.errors import SourceUnavailable
from diarynotes.models import Priority, RecordingId
from flows.artifacts import finish, plural
from flows.dispatch import forget_ended_asks
from flows.draining import register_drops
from flows.looking import Look, swept_buckets
from flows.passing_on import MOST_AT_ONCE, ask_for_entries, ask_to_transcribe, ask_to_write
from flows.running import working
from flows.tasks import RUNNER, label_chunks, refresh_snapshot, submit, validate, work_off, write_entries
from flows.workshop import Wishes, Workshop, current_workshop

_DROPS_AT_ONCE = 1_000
_CHECKED_AT_ONCE = 100
_STRANDED_AT_ONCE = 200
"""How many of those whose worker has died; few, so that it soon looks again."""


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
    """Register, check and pass on all recordings that were dropped, and with a sweep those that are new in the buckets.

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
    look = Look(shop, owner, priority, cloud)
    seen: dict[RecordingId, None] = {}
    runs: list[str] = []
    with working(shop):
        found = forget_ended_asks(shop.store.asks) if shop.settings.transcribe_on else []
        found += [each for source in sources or () for each in look.into(source)]
        if sweep:
            found += [each for bucket in swept_buckets(shop) for each in look.sweep(bucket)]
        while taken := _take_on(shop, found, seen, sweep):
            runs += _pass_on(shop, taken, wishes)
            found = []
        left = shop.store.left_days(idle_s=shop.settings.left_behind_s) if shop.settings.daily_entries else []
        if shop.settings.transcribe_on:
            runs += ask_for_entries(shop, left, wishes)
        elif seen or left or sweep:
            if (seen or left) and shop.settings.daily_entries:
                write_entries.submit(list(seen), wishes, left).result()
            refresh_snapshot(shop)  # by a sweep, too: the run that landed last may have found the file too young
        done = PickedUp(len(seen), tuple(runs), tuple(look.problems))
        if not seen and left:
            told = f"{plural(len(left), 'day')} had been left without an entry"
            return Completed(message=told, data=done)
        return finish(shop, list(seen), done, unreadable=len(done.problems))


def _take_on(
    shop: Workshop, found: Sequence[RecordingId], seen: dict[RecordingId, None], sweep: bool
) -> list[RecordingId]:
    """What is to be worked on next: what was found, what was dropped since, and what was left lying.

    Nothing of which another run was asked for, and nothing that has an end.
    """
    dropped: list[RecordingId] = []
    while len(dropped) < MOST_AT_ONCE and (batch := register_drops(shop, _DROPS_AT_ONCE)):
        dropped += batch
    queue = shop.store.jobs
    new = queue.claimable([*found, *dropped], unasked=True) if found or dropped else ()
    if sweep:
        left = queue.claimable(unasked=True, limit=MOST_AT_ONCE)
    else:
        left = queue.stranded(idle_s=shop.settings.left_behind_s, unasked=True, limit=_STRANDED_AT_ONCE)
    fresh = [key for key in dict.fromkeys((*new, *left)) if key not in seen]
    seen.update(dict.fromkeys(fresh))
    return fresh


def _pass_on(shop: Workshop, ids: Sequence[RecordingId], wishes: Wishes) -> list[str]:
    """Has these recordings heard and written: here, or by runs of which the ids are returned."""
    if not shop.settings.transcribe_on:
        work_off(shop, ids, wishes)
        return []
    checked = [submit(validate, label, (), chunk) for chunk, label in label_chunks(ids, _CHECKED_AT_ONCE)]
    for future in checked:
        future.result()
    return [*ask_to_transcribe(shop, ids, wishes), *ask_to_write(shop, ids, wishes)]
