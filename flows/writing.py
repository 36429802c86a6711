"""Writing the notes of claimed recordings: by the chain of each one's owner, priority and length; several side by side.

Short memos of one owner may share a call. Knows the writers of this process; knows no states of jobs.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date

from diarynotes.diary import Exchange, Memo, SharingWriter, Writer, ask_together, finish_note, write_note
from diarynotes.errors import WriterFailed
from diarynotes.ingest import diary_day
from diarynotes.models import DiaryNote, Recording, RecordingId, Transcript
from flows.engines import Wishes
from flows.workshop import Workshop

SHORT_WORDS = 150
"""A memo of so many words is shorter than the rules that a model is sent with it, so sharing them halves the price."""
MOST_SHARED = 5
"""More memos in one call save little more, and more is lost when their notes do not come apart."""


@dataclass(frozen=True, slots=True)
class Work:
    """A recording whose note is to be written, what was said in it, its day, and who is asked."""

    recording: Recording
    transcript: Transcript
    day: date
    chain: tuple[Writer, ...]

    @property
    def words(self) -> int:
        return len(self.transcript.text.split())


def plan_work(shop: Workshop, recording: Recording, transcript: Transcript, wishes: Wishes) -> Work:
    """Who is asked for the note of a recording, and for which day."""
    settings = shop.settings
    places = _find_places(shop, recording.id) if settings.of(recording.owner).local_only else ()
    chain = shop.writers.chain(
        recording.owner,
        wished=wishes.writers,
        priority=recording.priority,
        words=len(transcript.text.split()),
        recording=recording,
        places=places,
    )
    day = diary_day(recording.recorded_at, zone=settings.zone, day_start=settings.day_start)
    return Work(recording, transcript, day, chain)


def _find_places(shop: Workshop, recording_id: RecordingId) -> list[str]:
    """Everywhere that the recording's bytes have been seen."""
    return [place.uri for place in shop.store.places([recording_id]).get(recording_id, ())]


def group_work(shop: Workshop, planned: Sequence[Work]) -> list[tuple[Work, ...]]:
    """The work in groups: each is one short memo or several that may share a call, or anything else by itself."""
    groups: dict[tuple[object, ...], list[Work]] = {}
    for work in planned:
        alone = () if _may_share(shop, work) else (work.recording.id,)
        key = (work.recording.owner, work.chain, work.transcript.language, *alone)
        groups.setdefault(key, []).append(work)
    return [
        tuple(group[start : start + MOST_SHARED])
        for group in groups.values()
        for start in range(0, len(group), MOST_SHARED)
    ]


@dataclass(frozen=True, slots=True)
class Written:
    """A note as it was just written, and the keys of the kept answers whose use is among its own."""

    note: DiaryNote
    answers: frozenset[str]


def write_alone(shop: Workshop, work: Work) -> Written:
    """The note of one recording by the first of its chain that answers."""
    owner = work.recording.owner
    exchange = open_exchange(shop, owner, work.recording.id)
    note = write_note(
        work.transcript,
        day=work.day,
        writers=work.chain,
        private=shop.writers.private(owner),
        exchange=exchange,
    )
    return Written(note, frozenset(exchange.billed))


def open_exchange(shop: Workshop, owner: str, recording_id: RecordingId | None) -> Exchange:
    """What carries the calls for one note; waits between tries end at once when the person wants out."""
    return shop.writers.exchange(
        shop.store.desk,
        owner,
        recording_id,
        sleep=shop.stopping.wait,
        hold=lambda writer: shop.slots.hold(f"writer.{writer}", f"owner.{owner}"),
    )


def _may_share(shop: Workshop, work: Work) -> bool:
    wanted = {"on": True, "low": work.recording.priority == "low"}.get(shop.settings.share_calls, False)
    return wanted and work.words <= SHORT_WORDS and isinstance(work.chain[0], SharingWriter)


def write_together(shop: Workshop, group: Sequence[Work]) -> dict[RecordingId, Written]:
    """The notes that come out of one call for the whole group; those that do not, and a single one's, are left out."""
    if len(group) == 1 or shop.stopping.is_set():
        return {}
    writer, owner = group[0].chain[0], group[0].recording.owner
    assert isinstance(writer, SharingWriter)
    exchange = open_exchange(shop, owner, None)
    answers = ask_together(
        writer,
        [Memo(work.transcript, work.day) for work in group],
        private=shop.writers.private(owner),
        exchange=exchange,
    )
    written = {}
    for work, answer in zip(group, answers, strict=True):
        if answer is not None:
            with suppress(WriterFailed):  # of which hardly anything was said: it goes alone
                note = finish_note(answer, work.transcript, day=work.day)
                written[work.recording.id] = Written(note, frozenset(exchange.billed))
    return written
