"""Entries of days on a real Postgres: written, amended, kept as history, by one process or by several."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

import flows.passing_on as passing_on
from diarynotes import observe
from diarynotes.diary import Writer
from diarynotes.diary.caller import Caller, DirectCaller, Line
from diarynotes.diary.language_model import Limits, Reply, write_draft
from diarynotes.diary.prompt import Message
from diarynotes.errors import StorageFailed, WriterFailed
from diarynotes.models import PERSON, DayEntry, Draft, Job, Mood, Sentence, Transcript, Usage
from diarynotes.settings import load_settings
from diarynotes.store import SourceFacts
from diarynotes.store.store import Store
from diarynotes.testing import ScriptedWriter
from flows import entries
from flows.entries import reopen_degraded, write_entries, write_left_entries
from flows.workshop import Workshop, open_workshop
from tests.integration.diary_samples import WISHES, hear, write
from tests.waiting import PATIENCE_S

pytest_plugins = ["tests.integration.store_fixtures"]

MORNING = datetime(2026, 5, 21, 7, 30, tzinfo=UTC)
EVENING = MORNING + timedelta(hours=11)
DAY, NEXT_DAY = date(2026, 5, 21), date(2026, 5, 22)
GARDEN = ("I spent most of the day in the garden with Anna.", "I need to buy a new hose, the old one leaks.")
REVIEW = ("The review with Marcus went badly.", "I am angry, mostly at myself.")
OWLS = ("The owls are out again.", "I counted three of them.")


@pytest.fixture
def shop(database_url: str, tmp_path: Path) -> Iterator[Workshop]:
    settings = load_settings({}, home=tmp_path / "home", timezone="UTC", database_url=database_url)
    with open_workshop(settings) as workshop:
        yield workshop


@pytest.fixture
def store(shop: Workshop) -> Store:
    return shop.store


def note(shop: Workshop, moment: datetime, said: Sequence[str], owner: str = "me") -> str:
    recording_id = hear(shop.store, moment, said, owner=owner)
    write(shop, recording_id)
    return recording_id


def amend(shop: Workshop, *ids: str) -> int:
    return write_entries(shop, ids, wishes=WISHES)


def current(store: Store, **wanted: Any) -> DayEntry:
    (stored,) = store.entries(**wanted)
    return stored.entry


def texts(entry: DayEntry) -> list[str]:
    return [sentence.text for sentence in entry.draft.body]


def write_beside(shop: Workshop, recording_id: str) -> None:
    """Another process writes a note: its writers are its own."""
    with open_workshop(shop.settings) as other:
        write(other, recording_id)


def let_write(shop: Workshop, monkeypatch: pytest.MonkeyPatch, *writers: Writer) -> None:
    """Entries are written by these, and by the one that needs no model where they fail."""
    whole = shop.writers.chain("me", wished=("extractive",))
    monkeypatch.setattr(shop.writers, "chain", lambda *_, **__: (*writers, *whole))


def move(store: Store, recording_id: str, day: date) -> None:
    with store.engine.begin() as connection:
        connection.execute(
            text("update notes set day = :day where recording_id = :id"), {"day": day, "id": recording_id}
        )


# -- one entry a day --------------------------------------------------------------------------------------------------


def test_notes_of_a_day_become_one_entry_in_the_order_in_which_they_were_recorded(shop: Workshop, store: Store) -> None:
    late, early = note(shop, EVENING, REVIEW), note(shop, MORNING, GARDEN)
    assert amend(shop, late, early) == 1
    entry = current(store)
    assert (entry.owner, entry.day, entry.writer, entry.degraded) == ("me", DAY, "extractive", True)
    assert texts(entry) == [*GARDEN, *REVIEW]
    assert entry.grounded_share == 1.0
    assert amend(shop, late, early) == 0
    assert len(store.entries(history=True)) == 1


def test_every_owner_has_an_entry_of_their_own(shop: Workshop, store: Store) -> None:
    mine, yours = note(shop, MORNING, GARDEN), note(shop, MORNING, REVIEW, owner="you")
    assert amend(shop, mine, yours) == 2
    assert texts(current(store, owner="me")) == list(GARDEN)
    assert texts(current(store, owner="you")) == list(REVIEW)


def test_only_the_days_of_the_run_and_those_that_are_stale_are_written(shop: Workshop, store: Store) -> None:
    old, new = note(shop, MORNING, GARDEN), note(shop, MORNING + timedelta(days=1), REVIEW)
    assert amend(shop, new) == 1
    assert current(store).day == NEXT_DAY
    assert write_entries(shop, None, wishes=WISHES) == 1
    note(shop, EVENING, OWLS)
    assert amend(shop) == 1  # it has an entry, which is stale: nobody needs to name its recordings
    assert texts(current(store, until=DAY)) == [*GARDEN, *OWLS]
    assert old


# -- amended, with history --------------------------------------------------------------------------------------------


def test_a_late_note_amends_the_entry_and_the_old_one_stays_as_history(shop: Workshop, store: Store) -> None:
    note(shop, EVENING, REVIEW)
    amend(shop, note(shop, MORNING + timedelta(hours=2), GARDEN))
    late = note(shop, MORNING, OWLS)
    assert [stale.day for stale in store.stale_days(())] == [DAY]
    assert amend(shop, late) == 1
    found = store.entries(history=True)
    assert [stored.is_current for stored in found] == [True, False]
    assert [texts(stored.entry) for stored in found] == [[*OWLS, *GARDEN, *REVIEW], [*GARDEN, *REVIEW]]
    assert found[0].written_at > found[1].written_at
    assert store.stale_days(()) == []


def test_a_note_that_is_written_anew_with_other_words_amends_the_entry(shop: Workshop, store: Store) -> None:
    recording_id = note(shop, MORNING, GARDEN)
    amend(shop, recording_id)
    with store.engine.begin() as connection:
        rewritten = "update notes set written_at = clock_timestamp(), draft = jsonb_set(draft, :place, :value)"
        same = {"place": "{usage}", "value": '[{"provider": "p", "model": "m", "seconds": 2}]'}
        connection.execute(text(rewritten), same)
    assert amend(shop, recording_id) == 0
    with store.engine.begin() as connection:
        connection.execute(text(rewritten), {"place": "{title}", "value": '"Another title"'})
    assert amend(shop, recording_id) == 1
    assert current(store).draft.title == "Another title"


def test_days_that_cannot_have_changed_are_not_read_again(shop: Workshop, store: Store) -> None:
    recording_id = note(shop, MORNING, GARDEN)
    amend(shop, recording_id)
    with store.engine.begin() as connection:
        connection.execute(text("update notes set draft = jsonb_set(draft, '{title}', '\"Other\"')"))
        connection.execute(text("update entries set written_at = written_at + interval '2 hours'"))
    assert store.stale_days(()) == []
    assert [stale.day for stale in store.stale_days([recording_id])] == [DAY]
    assert [stale.day for stale in store.stale_days()] == [DAY]


def test_a_note_that_moves_makes_both_days_anew(shop: Workshop, store: Store) -> None:
    ids = [note(shop, MORNING, GARDEN), note(shop, EVENING, REVIEW), note(shop, MORNING + timedelta(days=1), OWLS)]
    assert amend(shop, *ids) == 2
    move(store, ids[1], NEXT_DAY)
    assert amend(shop, ids[1]) == 2
    assert texts(current(store, until=DAY)) == list(GARDEN)
    assert texts(current(store, since=NEXT_DAY)) == [*REVIEW, *OWLS]
    move(store, ids[1], DAY)
    assert amend(shop, ids[1]) == 2  # and back: the entry of old is current again, not there twice
    assert texts(current(store, until=DAY)) == [*GARDEN, *REVIEW]
    assert len(store.entries(until=DAY, history=True)) == 2


def test_a_day_that_lost_its_notes_loses_its_entry(shop: Workshop, store: Store) -> None:
    recording_id = note(shop, MORNING, GARDEN)
    amend(shop, recording_id)
    move(store, recording_id, NEXT_DAY)
    assert amend(shop, recording_id) == 2
    assert [stored.entry.day for stored in store.entries()] == [NEXT_DAY]
    assert [stored.is_current for stored in store.entries(until=DAY, history=True)] == [False]
    assert amend(shop, recording_id) == 0


def test_a_note_that_was_set_aside_is_in_no_entry(shop: Workshop, store: Store) -> None:
    kept, aside = note(shop, MORNING, GARDEN), note(shop, EVENING, REVIEW)
    amend(shop, kept, aside)
    with store.engine.begin() as connection:
        connection.execute(text("update jobs set state = 'quarantined' where recording_id = :id"), {"id": aside})
    assert amend(shop, kept, aside) == 1
    assert texts(current(store)) == list(GARDEN)


def test_what_a_person_has_written_is_never_written_over(shop: Workshop, store: Store) -> None:
    recording_id = note(shop, MORNING, GARDEN)
    amend(shop, recording_id)
    mine = replace(
        current(store), id="mine", writer=PERSON, model="", draft=Draft("Mine", "", Mood("neutral", 0.0), ())
    )
    assert store.put_entry(mine)
    late = note(shop, EVENING, REVIEW)
    assert store.stale_days() == []
    assert amend(shop, recording_id, late) == 0
    assert not store.put_entry(replace(mine, id="other", writer="extractive"))
    assert not store.drop_entry("me", DAY)
    assert current(store) == mine
    assert len(store.entries(history=True)) == 2


def test_the_snapshot_shows_new_entries(shop: Workshop, store: Store) -> None:
    ids = note(shop, MORNING, GARDEN), note(shop, EVENING, REVIEW)
    store.snapshot()
    assert store.query("select count(*) from entries")[1] == [(0,)]
    amend(shop, *ids)
    store.snapshot()
    columns = "day, owner, mood, writer, degraded, len(note_ids), people, todos[1].text, starts_with(body, title)"
    (row,) = store.query(f"select {columns} from entries")[1]
    assert row[:6] == (DAY, "me", "negative", "extractive", True, 2)
    assert row[6:8] == (["Anna", "Marcus"], "Buy a new hose")
    before = store.snapshot().stat().st_mtime_ns
    assert store.snapshot().stat().st_mtime_ns == before


# -- writers ----------------------------------------------------------------------------------------------------------


class Teller(ScriptedWriter):
    """Says the first sentence of every day; it can be held up, and keeps what it was shown."""

    def __init__(self, **options: Any) -> None:
        super().__init__(Draft("A day", "", Mood("neutral", 0.0), ()), **options)
        self.seen: list[str] = []
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.is_asked = threading.Event()

    def write(self, transcript: Transcript, *, day: date, caller: object = None) -> Draft:
        self.asked += 1
        self.seen.append(transcript.text)
        self.is_asked.set()
        assert self.may_answer.wait(PATIENCE_S)
        body = (Sentence(transcript.segments[1].text, (1,)),)
        return replace(self.answer, body=body)  # type: ignore[arg-type, type-var]


def test_a_day_with_a_recording_that_must_stay_here_is_shown_to_nobody_elsewhere(
    shop: Workshop, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    teller = Teller(local=False)
    ids = note(shop, MORNING, GARDEN), note(shop, EVENING, REVIEW)
    late = hear(store, EVENING + timedelta(hours=1), OWLS)
    let_write(shop, monkeypatch, teller)
    assert amend(shop, *ids) == 1
    assert teller.asked == 1
    assert "Anna" not in teller.seen[0]
    store.forbid_cloud(ids[:1])
    write_beside(shop, late)
    amend(shop, late)
    assert teller.asked == 1
    assert texts(current(store)) == [*GARDEN, *REVIEW, *OWLS]


def test_a_day_with_a_recording_that_was_seen_in_a_private_place_too_is_shown_to_nobody_elsewhere(
    shop: Workshop, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    teller = Teller(local=False)
    shop.settings = replace(shop.settings, local_only=("private",))
    ids = note(shop, MORNING, GARDEN), note(shop, EVENING, REVIEW)
    copied = store.recordings(ids)[ids[0]]
    store.register([(copied, SourceFacts("/notes/private/copy.m4a", copied.size_bytes, "v1"))])
    let_write(shop, monkeypatch, teller)
    assert (amend(shop, *ids), teller.asked) == (1, 0)


class Model(ScriptedWriter):
    """A language model elsewhere that answers with the line it was shown first."""

    def write(self, transcript: Transcript, *, day: date, caller: Caller | None = None) -> Draft:
        def ask(messages: Sequence[Message], _shape: object, _tokens: int) -> Reply:
            self.asked += 1
            number, said = messages[1].text.partition("<transcript>\n")[2].splitlines()[0].split(" | ")
            body = [{"text": said, "segments": [int(number)]}]
            told = {"body": body, "title": "A day", "summary": "", "mood": {"label": "neutral", "score": 0}}
            return Reply(json.dumps(told), Usage("openai", "gpt-5.4-mini", 400, 60))

        line = Line(caller or DirectCaller(), ask, provider="openai", model="gpt-5.4-mini")
        limits = Limits.of(32_000)
        return write_draft(line.ask, transcript, writer=self.name, day=day, limits=limits, paid=line)


def test_the_calls_for_an_entry_are_in_the_books_and_the_same_question_is_asked_once(
    shop: Workshop, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Model(Draft("", "", Mood("neutral", 0.0), ()), local=False)
    ids = note(shop, MORNING, GARDEN), note(shop, EVENING, REVIEW)
    let_write(shop, monkeypatch, model)
    assert amend(shop, *ids) == 1
    assert texts(current(store)) == [GARDEN[0]]
    (call,) = store.ledger()
    assert (call.call.owner, call.call.recording_id, call.outcome) == ("me", None, "answered")
    assert call.call.masked["PERSON"] >= 2
    assert call.usd is not None
    with store.engine.begin() as connection:
        connection.execute(text("delete from entries"))
    assert amend(shop, *ids) == 1
    assert model.asked == 1
    assert texts(current(store)) == [GARDEN[0]]


def test_an_entry_that_cannot_be_written_costs_no_note_and_is_written_by_the_next_run(
    shop: Workshop, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = note(shop, MORNING, GARDEN), note(shop, MORNING + timedelta(days=1), REVIEW)
    told: list[tuple[str, dict[str, Any]]] = []

    def fail(notes: Any, **options: Any) -> DayEntry:
        if options["day"] == DAY:
            raise ValueError(notes[0].draft.title)
        return write_entry(notes, **options)

    write_entry = entries.write_entry
    with monkeypatch.context() as today, observe.listening(lambda event: told.append((event.name, event.facts))):
        today.setattr(entries, "write_entry", fail)
        assert amend(shop, one, other) == 1
    assert ("entry_failed", {"day": "2026-05-21", "code": "unexpected"}) in told
    assert current(store).day == NEXT_DAY
    assert {line.job.state for line in store.jobs.list([one, other])} == {"written"}
    assert amend(shop, one) == 1


def test_a_database_that_does_not_answer_ends_no_run(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    recording_id = note(shop, MORNING, GARDEN)

    def refuse(*_: object) -> None:
        raise StorageFailed("postgres", "is gone")

    with monkeypatch.context() as today:
        today.setattr(shop.store, "stale_days", refuse)
        assert amend(shop, recording_id) == 0
    assert amend(shop, recording_id) == 1


def test_a_writer_that_fails_leaves_a_joined_entry(
    shop: Workshop, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = note(shop, MORNING, GARDEN), note(shop, EVENING, REVIEW)
    let_write(shop, monkeypatch, ScriptedWriter(WriterFailed("scripted", "it is down")))
    assert amend(shop, *ids) == 1
    entry = current(store)
    assert texts(entry) == [*GARDEN, *REVIEW]
    assert [finding.code for finding in entry.findings] == ["writer_failed"]


def test_an_entry_that_was_joined_while_a_model_was_down_is_joined_anew_once_it_answers(
    shop: Workshop, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = note(shop, MORNING, GARDEN), note(shop, EVENING, REVIEW)
    assert amend(shop, *ids) == 1
    assert reopen_degraded(shop, WISHES) == 0, "nobody is better than who wrote it"
    teller = Teller()
    let_write(shop, monkeypatch, teller)
    assert reopen_degraded(shop, WISHES) == 0, "its notes are to be written again first"
    with store.engine.begin() as connection:
        connection.execute(text("update notes set degraded = false"))
    assert (reopen_degraded(shop, WISHES), amend(shop), amend(shop)) == (1, 1, 0)
    assert (current(store).writer, current(store).degraded) == (teller.name, False)
    assert reopen_degraded(shop, WISHES) == 0
    mine = replace(current(store), id="mine", writer=PERSON, degraded=True)
    assert store.put_entry(mine)
    store.reopen_entry("me", DAY)
    assert (reopen_degraded(shop, WISHES), amend(shop)) == (0, 0), "a person's stays"


# -- left by a worker that died ---------------------------------------------------------------------------------------


def left(store: Store, *, idle_s: float = 0.0) -> list[tuple[str, date]]:
    return store.left_days(idle_s=idle_s)


def land(shop: Workshop, *ids: str) -> None:
    for job in shop.store.jobs.claim("written", ids=ids):
        shop.store.jobs.store_landed(job)


def test_a_day_that_was_landed_and_left_has_its_entry_written_once(shop: Workshop, store: Store) -> None:
    land(shop, note(shop, MORNING, GARDEN))
    assert (left(store, idle_s=60.0), left(store)) == ([], [("me", DAY)])
    with ThreadPoolExecutor(2) as pool, open_workshop(shop.settings) as other:
        both = [pool.submit(write_left_entries, each, left(store), wishes=WISHES) for each in (shop, other)]
        assert sum(future.result(60) for future in both) == 1
    assert texts(current(store)) == list(GARDEN)
    assert (left(store), len(store.entries(history=True))) == ([], 1)
    with store.engine.begin() as connection:
        connection.execute(text("update jobs set updated_at = clock_timestamp()"))  # landed again, in the same words
    assert left(store) == []


def test_a_note_that_is_late_and_left_amends_its_day_and_no_other(shop: Workshop, store: Store) -> None:
    later = MORNING + timedelta(days=3)
    ids = note(shop, MORNING, GARDEN), note(shop, later, REVIEW)
    land(shop, *ids)
    assert amend(shop, *ids) == 2
    land(shop, note(shop, EVENING, OWLS))
    note(shop, later + timedelta(hours=2), OWLS)
    assert left(store) == [("me", DAY)]
    assert write_left_entries(shop, left(store), wishes=WISHES) == 1
    assert texts(current(store, since=DAY, until=DAY)) == [*GARDEN, *OWLS]
    assert [day.day for day in store.stale_days()] == [later.date()]


def test_days_on_which_somebody_is_at_work_are_not_left(shop: Workshop, store: Store) -> None:
    done = note(shop, MORNING, GARDEN)
    land(shop, done)
    under_way = hear(store, EVENING, REVIEW)
    assert left(store) == []
    land(shop, note(shop, MORNING, OWLS, owner="you"))
    assert left(store) == [("you", DAY)], "whose work it is counts"
    write(shop, under_way)
    assert left(store) == [("you", DAY)]
    land(shop, under_way)
    assert left(store) == [("me", DAY), ("you", DAY)]
    (job,) = store.jobs.claim("landed", ids=[done])  # for a better note
    assert left(store) == [("you", DAY)]
    store.jobs.release(job)
    with store.entry_turn("me", DAY):
        assert write_left_entries(shop, left(store), wishes=WISHES) == 1
    assert left(store) == [("me", DAY)]


def test_what_is_older_than_a_day_or_a_persons_is_not_left(shop: Workshop, store: Store) -> None:
    land(shop, note(shop, MORNING, GARDEN))
    with store.engine.begin() as connection:
        connection.execute(text("update jobs set updated_at = updated_at - interval '25 hours'"))
    assert left(store) == []
    late = note(shop, EVENING, OWLS)
    amend(shop, late)
    assert store.put_entry(replace(current(store), id="mine", writer=PERSON))
    land(shop, late)
    assert left(store) == []


def test_where_other_machines_write_a_run_is_asked_for_over_the_days_that_were_left(
    shop: Workshop, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [note(shop, MORNING, GARDEN), note(shop, EVENING, REVIEW)]
    land(shop, *ids)
    asked: list[tuple[str, set[str]]] = []

    def ask(_asks: object, deployment: str, jobs: Sequence[Job], **_: Any) -> str:
        asked.append((deployment, {job.recording_id for job in jobs}))
        return "run"

    monkeypatch.setattr(passing_on, "ask_for_run", ask)
    shop.settings = replace(shop.settings, transcribe_on="transcribe/gpu", write_on="write/cpu")
    assert list(passing_on.ask_for_entries(shop, left(store), WISHES)) == ["run"]
    assert asked == [("write/cpu", set(ids))]
    assert list(passing_on.ask_for_entries(shop, [], WISHES)) == []


# -- several at once --------------------------------------------------------------------------------------------------


def test_of_two_that_write_a_day_at_once_one_asks_and_both_end(
    shop: Workshop, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    teller = Teller()
    ids = note(shop, MORNING, GARDEN), note(shop, EVENING, REVIEW)
    let_write(shop, monkeypatch, teller)
    teller.may_answer.clear()
    with ThreadPoolExecutor() as pool:
        first = pool.submit(amend, shop, *ids)
        assert teller.is_asked.wait(PATIENCE_S)
        with store.entry_turn("me", DAY) as turn:
            assert turn is None
        second = pool.submit(amend, shop, *ids)
        teller.may_answer.set()
        assert first.result(30) + second.result(30) == 1
    assert teller.asked == 1
    assert len(store.entries(history=True)) == 1


def test_a_note_that_comes_while_its_day_is_written_is_not_missed(
    shop: Workshop, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    teller = Teller()
    ids = note(shop, MORNING, GARDEN), note(shop, EVENING, REVIEW)
    let_write(shop, monkeypatch, teller)
    teller.may_answer.clear()
    with ThreadPoolExecutor() as pool:
        writing = pool.submit(amend, shop, *ids)
        assert teller.is_asked.wait(PATIENCE_S)
        write_beside(shop, hear(store, EVENING + timedelta(hours=1), OWLS))
        teller.may_answer.set()
        assert writing.result(30) == 1
    assert teller.asked == 2
    assert {note_id for note_id, _ in current(store).sources} == {stored.note.id for stored in store.notes()}


def test_two_entries_of_one_day_never_stand_side_by_side(shop: Workshop, store: Store) -> None:
    ids = note(shop, MORNING, GARDEN), note(shop, EVENING, REVIEW)
    amend(shop, *ids)
    made = current(store)
    with store.engine.begin() as connection:
        connection.execute(text("delete from entries"))
    others = [replace(made, id=f"other {number}") for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(store.put_entry, others))
    assert len(store.entries()) == 1
    assert len(store.entries(history=True)) == 8


def test_a_turn_is_one_at_a_time_and_free_at_once_when_it_ends(shop: Workshop, store: Store) -> None:
    note(shop, MORNING, GARDEN)
    with store.entry_turn("me", DAY) as turn:
        assert turn is not None
        assert (turn.owner, turn.day) == ("me", DAY)
        with store.entry_turn("me", DAY) as again, store.entry_turn("you", DAY) as yours:
            assert (again, yours) == (None, None)
    with store.entry_turn("me", DAY) as turn:
        assert turn is not None
