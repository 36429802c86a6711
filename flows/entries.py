"""The entries of days: written anew where their notes have changed, at the end of a run.

An entry that cannot be written costs nobody's note: its day stays stale, and the next run takes it on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date

from diarynotes import observe
from diarynotes.diary import Exchange
from diarynotes.diary.day import write_entry
from diarynotes.errors import DiarynotesError
from diarynotes.models import DayEntry, RecordingId
from diarynotes.store import SET_ASIDE, StaleDay, StoredNote, in_order
from flows.upgrade_plan import better_writers
from flows.workshop import Wishes, Workshop
from flows.writers import is_kept, may_leave
from flows.writing import open_exchange

_PATIENCE_S = 0.5
"""How long to wait before looking again at a day that another worker writes."""
_MOST_LOOKS = 240


def write_entries(shop: Workshop, ids: Sequence[RecordingId] | None, *, wishes: Wishes) -> int:
    """Entries for the days of these recordings (None: for all days), and for every entry that is stale; how many.

    Ends when no such day is left but those that failed, or that another worker has been at for two minutes.
    """
    written = 0
    failed: set[tuple[str, date]] = set()
    for _ in range(_MOST_LOOKS):
        stale = [day for day in _find_stale(shop, ids) if (day.owner, day.day) not in failed]
        if not stale or shop.stopping.is_set():
            break
        with ThreadPoolExecutor(shop.settings.writer_concurrency, "entries") as pool:
            outcomes = list(pool.map(lambda day: _try_to_amend(shop, day, wishes), stale))
        failed |= {(day.owner, day.day) for day, done in zip(stale, outcomes, strict=True) if done is None}
        written += sum(map(bool, outcomes))
        if False in outcomes:
            shop.stopping.wait(_PATIENCE_S)
    return written


def reopen_degraded(shop: Workshop, wishes: Wishes) -> int:
    """Entries that a lesser writer joined while a better one did not answer are to be joined anew; how many.

    Once a call: where the better one fails again, what stands stays.
    """
    reopened = 0
    for owner, day, writer, model in shop.store.degraded_entries():
        if better_writers((writer, model), shop.writers.chain(owner, wished=wishes.writers)):
            shop.store.reopen_entry(owner, day)
            reopened += 1
    return reopened


def write_left_entries(shop: Workshop, days: Sequence[tuple[str, date]], *, wishes: Wishes) -> int:
    """Entries for those of these owners' days that are stale and that nobody else is at; how many."""
    with ThreadPoolExecutor(shop.settings.writer_concurrency, "entries") as pool:
        left = [StaleDay(owner, day, None) for owner, day in days]
        return sum(map(bool, pool.map(lambda day: _try_to_amend(shop, day, wishes), left)))


def _find_stale(shop: Workshop, ids: Sequence[RecordingId] | None) -> list[StaleDay]:
    try:
        return shop.store.stale_days(ids)
    except DiarynotesError as error:
        observe.entry_failed("", error.code)
        return []


def _try_to_amend(shop: Workshop, stale: StaleDay, wishes: Wishes) -> bool | None:
    """Whether this process brought the day up to date; None where that failed."""
    try:
        return not shop.stopping.is_set() and _amend(shop, stale, wishes)
    except Exception as error:  # any: the run goes on; the error's own words may quote a diary
        observe.entry_failed(stale.day.isoformat(), getattr(error, "code", "unexpected"))
        return None


def _amend(shop: Workshop, stale: StaleDay, wishes: Wishes) -> bool:
    with shop.store.entry_turn(stale.owner, stale.day) as turn:
        if turn is None:
            return False
        if turn.notes_version is None:
            return shop.store.drop_entry(turn.owner, turn.day)
        exchange = open_exchange(shop, turn.owner, None)
        entry = _write(shop, turn.owner, turn.day, turn.notes_version, wishes, exchange)
        if not shop.store.put_entry(entry, exchange.billed):
            return False
    observe.entry_written(entry.day.isoformat(), entry.writer, entry.degraded)
    return True


def _write(shop: Workshop, owner: str, day: date, notes_version: str, wishes: Wishes, exchange: Exchange) -> DayEntry:
    """The entry from the day's notes by the owner's chain; one note that must stay here keeps the whole day here."""
    notes = _read_notes(shop, owner, day)
    own = shop.settings.of(owner)
    words = sum(len(sentence.text.split()) for stored in notes for sentence in stored.note.draft.body)
    chain = shop.writers.chain(owner, wished=wishes.writers, words=words)
    places = [
        place.uri for found in shop.store.places([each.recording.id for each in notes]).values() for place in found
    ]
    may_go = all(may_leave(stored.recording, own) for stored in notes) and not is_kept(places, own)
    return write_entry(
        [stored.note for stored in notes],
        owner=owner,
        day=day,
        notes_version=notes_version,
        language=_find_language(notes),
        writers=[writer for writer in chain if may_go or writer.local],
        private=shop.writers.private(owner),
        exchange=exchange,
    )


def _read_notes(shop: Workshop, owner: str, day: date) -> list[StoredNote]:
    """The day's notes as they were recorded, without those of recordings that have been set aside."""
    notes = shop.store.notes(owner=owner, since=day, until=day)
    lines = shop.store.jobs.list([stored.recording.id for stored in notes], states=SET_ASIDE)
    set_aside = {line.job.recording_id for line in lines}
    return sorted((stored for stored in notes if stored.recording.id not in set_aside), key=in_order)


def _find_language(notes: Sequence[StoredNote]) -> str:
    """The one in which most of the day's sentences are."""
    counts: Counter[str] = Counter()
    for stored in notes:
        counts[stored.transcript.language] += len(stored.note.draft.body)
    return counts.most_common(1)[0][0]
