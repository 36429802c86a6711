"""The exchange: how long it waits and how often it tries, what it books of each try, which answers it keeps."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from diarynotes import observe
from diarynotes.calls import Budgets, KeptAnswer, LedgerLine
from diarynotes.diary.caller import Line, Question
from diarynotes.diary.exchange import JITTER_S, SHORTEST_WAIT_S, TRIES, Exchange
from diarynotes.diary.language_model import Limits, Reply, write_draft
from diarynotes.diary.note_shape import MoodShape, NoteShape, SentenceShape
from diarynotes.diary.prompt import Message
from diarynotes.diary.remedies import LONGEST_WAIT_S, REMEDIES, AnswerCut, failure
from diarynotes.errors import WriterFailed, WriterFailure
from diarynotes.models import Cost, Draft, Segment, Transcript, Usage
from diarynotes.testing import MemoryDesk

WORDS = "I planted twelve tomatoes."
QUESTION = Question("cloud", "large", (Message("system", "Write."), Message("user", WORDS)), 400)
USED = Usage("cloud", "large", 100, 50)
REPLY = Reply("{}", USED)
NOTE = NoteShape(
    body=[SentenceShape(text=WORDS, segments=[0])], title="T", summary="S", mood=MoodShape(label="neutral", score=0)
).model_dump_json()


def price(usage: Usage) -> Cost:
    """A cent for a hundred tokens; nothing for our own machines; unknown where nothing is told."""
    if usage.provider == "local":
        return Cost(usage, Decimal(0), "local")
    tokens = usage.input_tokens + usage.output_tokens
    return Cost(usage, Decimal(tokens) / 10_000, "list") if tokens else Cost(usage, None, "unknown")


class Office:
    """A desk with a clock, an exchange at it, and the waits that it asked for, which pass at once."""

    def __init__(self, **options: Any) -> None:
        self.now, self.waits = datetime(2026, 11, 21, 12, tzinfo=UTC), list[float]()
        self.desk = MemoryDesk(clock=lambda: self.now)
        self.exchange = Exchange(self.desk, price, "me", "r", sleep=self.wait, **options)
        self.billed = set[str]()

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += timedelta(seconds=seconds)

    def call(self, *outcomes: Reply | BaseException, question: Question = QUESTION, local: bool = False) -> Reply:
        return self.exchange.connect("writer", local=local).call(question, play(*outcomes))

    def fail(self, *outcomes: Reply | BaseException, **options: Any) -> WriterFailed:
        with pytest.raises(WriterFailed) as caught:
            self.call(*outcomes, **options)
        return caught.value

    @property
    def lines(self) -> list[LedgerLine]:
        """The ledger, oldest first."""
        return self.desk.ledger()[::-1]

    @property
    def outcomes(self) -> list[tuple[int, str | None, Decimal | None]]:
        return [(line.call.attempt, line.outcome, line.usd) for line in self.lines]


def play(*outcomes: Reply | BaseException) -> Callable[[], Reply]:
    """A model that answers so, in turn, the last one for ever."""
    left = list(outcomes)

    def ask() -> Reply:
        outcome = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    return ask


def failed(kind: WriterFailure, retry_after_s: float | None = None) -> WriterFailed:
    return WriterFailed("writer", "why", kind, retry_after_s)


# -- waits and tries --------------------------------------------------------------------------------------------------


def test_an_answer_is_not_waited_for() -> None:
    office = Office()
    assert office.call(REPLY) == REPLY
    assert (office.waits, office.outcomes) == ([], [(1, "answered", Decimal("0.015"))])


def test_waits_double_from_two_seconds_with_up_to_one_on_top() -> None:
    seen = set()
    for seed in range(50):
        random.seed(seed)
        office = Office()
        office.fail(failed("overload"))
        first, second = office.waits
        assert 2 <= first <= 3
        assert 4 <= second <= 5
        seen.add((first, second))
    assert len(seen) == 50, "workers that failed together do not come back together"


def test_waits_are_capped_at_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("diarynotes.diary.exchange.TRIES", 7)
    office = Office()
    monkeypatch.setattr(office.desk, "settle", lambda *_: ())  # or the third failure would open the breaker
    office.fail(failed("overload"))
    bounds = [min(SHORTEST_WAIT_S * 2**n, LONGEST_WAIT_S) for n in range(6)]
    assert bounds == [2, 4, 8, 10, 10, 10]
    for waited, bound in zip(office.waits, bounds, strict=True):
        assert bound <= waited <= min(bound + JITTER_S, LONGEST_WAIT_S)


@pytest.mark.parametrize("asked_s", [0.0, 0.5, 3.5, 9.9, 10.0])
def test_nobody_comes_back_before_the_service_says(asked_s: float) -> None:
    office = Office()
    office.call(failed("rate_limit", asked_s), REPLY)
    (waited,) = office.waits
    assert max(asked_s, SHORTEST_WAIT_S) <= waited <= max(asked_s, SHORTEST_WAIT_S + JITTER_S)


@pytest.mark.parametrize("asked_s", [10.1, 20.0, 90.0, 86_400.0])
def test_who_asks_for_a_long_wait_is_left_alone_by_all_for_that_long(asked_s: float) -> None:
    office = Office()
    error = office.fail(failed("rate_limit", asked_s))
    assert (error.kind, office.waits) == ("rate_limit", [])
    assert office.fail(REPLY).kind == "cooling_down"
    assert office.waits == []
    office.wait(asked_s)
    assert office.call(REPLY) == REPLY


def test_a_short_pause_that_a_service_asked_for_is_kept_by_all() -> None:
    office = Office()
    patient = office.exchange
    office.exchange = replace(patient, sleep=lambda _: True)
    office.fail(failed("rate_limit", 4.0))
    office.exchange = patient
    office.call(REPLY)
    (waited,) = office.waits
    assert 4 <= waited <= 5


def test_after_a_pause_nobody_has_to_wait_for_a_probe() -> None:
    office = Office()

    def ask() -> Reply:
        return office.call(REPLY)

    office.fail(failed("rate_limit", 12.0))
    office.wait(12.0)
    office.exchange.connect("writer", local=False).call(QUESTION, ask)
    assert office.waits == [12.0]


def test_who_comes_while_a_probe_is_under_way_waits_a_moment_for_it() -> None:
    office = Office()

    def probe() -> Reply:
        assert office.fail(REPLY).kind == "cooling_down"
        return REPLY

    for _ in range(3):
        office.fail(failed("bad_request"))
    office.wait(300)
    office.waits.clear()
    office.exchange.connect("writer", local=False).call(QUESTION, probe)
    assert len(office.waits) >= 5
    assert sum(office.waits) <= LONGEST_WAIT_S + JITTER_S


def test_who_wants_out_is_not_kept_waiting_and_asks_no_more() -> None:
    office = Office()
    office.exchange = replace(office.exchange, sleep=lambda seconds: True)
    assert "called off" in office.fail(failed("overload")).why
    assert len(office.lines) == 1


@pytest.mark.parametrize("kind", [kind for kind, remedy in REMEDIES.items() if remedy.retryable])
def test_what_a_retry_may_mend_is_tried_three_times(kind: WriterFailure) -> None:
    office = Office()
    assert office.fail(failed(kind)).kind == kind
    assert [line.call.attempt for line in office.lines] == [1, 2, 3] == list(range(1, TRIES + 1))
    (breaker,) = office.desk.breakers()
    assert breaker.key == ("writer" if REMEDIES[kind].scope == "writer" else "writer:large")
    assert breaker.open_until == office.now + timedelta(seconds=30)


@pytest.mark.parametrize("kind", [kind for kind, remedy in REMEDIES.items() if not remedy.retryable])
def test_what_no_retry_mends_is_tried_once(kind: WriterFailure) -> None:
    office = Office()
    office.fail(failed(kind))
    assert (office.waits, len(office.lines)) == ([], 1)
    remedy = REMEDIES[kind]
    opened = [(each.key, each.open_until) for each in office.desk.breakers()]
    key = "writer" if remedy.scope == "writer" else "writer:large"
    open_until = office.now + timedelta(seconds=remedy.cool_down_s) if remedy.at_once else None
    assert opened == ([(key, open_until)] if remedy.scope else [])


def test_three_requests_in_a_row_that_are_refused_open_the_breaker() -> None:
    office = Office()
    kinds = [office.fail(failed("bad_request")).kind for _ in range(4)]
    assert kinds == ["bad_request"] * 3 + ["cooling_down"]


def test_a_long_answer_that_takes_too_long_is_not_asked_for_again_as_it_was() -> None:
    office = Office()
    assert office.fail(failed("timeout"), question=replace(QUESTION, output_tokens=4_001)).kind == "timeout"
    assert (office.waits, len(office.lines)) == ([], 1)


def test_the_tries_end_with_the_first_answer() -> None:
    office = Office()
    office.call(failed("overload"), failed("timeout"), REPLY)
    assert [outcome for _, outcome, _ in office.outcomes] == ["overload", "timeout", "answered"]
    assert office.desk.breakers() == []


def test_a_breaker_that_opens_between_two_tries_ends_them() -> None:
    office = Office()
    for _ in range(2):
        office.fail(failed("auth"), question=replace(QUESTION, model="other"))
        office.wait(1000)
    assert office.fail(failed("unavailable")).kind == "cooling_down"  # a probe that fails opens it again
    assert len(office.waits) == 3


# -- refusals ---------------------------------------------------------------------------------------------------------


def test_what_does_not_fit_the_budget_is_not_asked() -> None:
    office = Office(budgets=Budgets(day_usd=Decimal("0.01")))
    error = office.fail(AssertionError("asked"))
    assert (error.kind, error.usage, office.lines) == ("over_budget", (), [])


def test_a_budget_of_nothing_lets_free_writers_alone_write() -> None:
    office = Office(budgets=Budgets(owner_day_usd=Decimal(0)))
    assert office.fail(AssertionError("asked")).kind == "over_budget"
    office.call(Reply("{}", Usage("local", "large", 1, 1)), question=replace(QUESTION, provider="local"), local=True)


def test_a_free_writer_needs_no_budget() -> None:
    office = Office(budgets=Budgets(day_usd=Decimal("0.01")))
    office.call(Reply("{}", Usage("local", "large", 1, 1)), question=replace(QUESTION, provider="local"), local=True)
    assert office.outcomes == [(1, "answered", Decimal(0))]


def test_no_budget_can_be_kept_where_the_price_is_unknown() -> None:
    office = Office(budgets=Budgets(owner_month_usd=Decimal(100)))
    office.exchange = replace(office.exchange, price=lambda usage: Cost(usage, None, "unknown"))
    assert office.fail(AssertionError("asked")).kind == "over_budget"
    office.exchange = replace(office.exchange, budgets=Budgets())
    assert office.call(REPLY) == REPLY


def test_each_try_is_held_to_the_budget() -> None:
    """What a call that may have been billed could have cost stays counted, so another may not fit."""
    office = Office(budgets=Budgets(day_usd=Decimal("0.15")))
    error = office.fail(failed("timeout"))
    assert error.kind == "over_budget"
    assert office.outcomes == [(1, "timeout", None)]


def test_what_is_set_aside_covers_the_words_the_shape_and_the_answer() -> None:
    office = Office()
    office.call(REPLY)
    most = office.lines[0].call.most
    assert most.output_tokens == QUESTION.output_tokens
    assert most.input_tokens >= 500 + len(WORDS.encode()) / 4
    assert office.lines[0].reserved_usd == price(most).usd


# -- what is booked ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), SystemExit(), ValueError("unforeseen")])
def test_a_call_that_was_broken_off_here_is_settled(stop: BaseException) -> None:
    office = Office()
    with pytest.raises(type(stop)):
        office.call(stop)
    assert office.outcomes == [(1, "interrupted", None)]
    assert office.desk.breakers() == []
    assert office.desk.spent("me", "day") == office.lines[0].reserved_usd


@pytest.mark.parametrize("kind", ["timeout", "broken_off", "bad_output"])
def test_what_may_have_been_billed_is_unknown(kind: WriterFailure) -> None:
    office = Office()
    office.fail(failed(kind))
    assert {line.usd for line in office.lines} == {None}
    assert office.desk.spent("me", "day") == sum(line.reserved_usd or 0 for line in office.lines)


@pytest.mark.parametrize(
    "kind", ["rate_limit", "overload", "unavailable", "quota", "auth", "misconfigured", "bad_request", "refusal"]
)
def test_who_was_turned_away_pays_nothing(kind: WriterFailure) -> None:
    office = Office()
    office.fail(failed(kind))
    assert {line.usd for line in office.lines} == {Decimal(0)}
    assert office.desk.spent("me", "day") == 0


def test_a_failure_that_tells_what_it_used_costs_that() -> None:
    office = Office()
    office.fail(failure("writer", "refusal", usage=(USED,)))
    assert (office.lines[0].usd, office.lines[0].usage) == (Decimal("0.015"), USED)


def test_a_failure_of_our_own_machine_costs_nothing() -> None:
    office = Office()
    office.fail(failed("timeout"), question=replace(QUESTION, provider="local"), local=True)
    assert {line.usd for line in office.lines} == {Decimal(0)}


def test_the_entry_tells_of_words_without_holding_them() -> None:
    office = Office()
    office.exchange.connect("writer", local=False, masked={"PERSON": 2}).call(QUESTION, play(REPLY))
    call = office.lines[0].call
    assert (call.owner, call.recording_id, call.writer, call.masked) == ("me", "r", "writer", {"PERSON": 2})
    assert call.sent_bytes == len(QUESTION.words.encode())
    assert "tomato" not in repr(office.lines)


def test_each_try_is_told_and_a_budget_that_is_nearly_used_up() -> None:
    office, events = Office(budgets=Budgets(day_usd=Decimal("0.2"))), list[observe.Event]()
    with observe.listening(events.append):
        office.call(failed("overload"), Reply("{}", replace(USED, input_tokens=1_600)))
    assert [event.name for event in events] == ["model_called", "model_called", "budget_nearly_used"]
    assert [event.facts["outcome"] for event in events[:2]] == ["overload", "answered"]
    assert "tomato" not in repr(events)


# -- answers that are kept --------------------------------------------------------------------------------------------


def write(office: Office, answers: Sequence[str], *, fresh: bool = False) -> int:
    """Writes a note by a model that says these, and tells how often it was asked."""
    before = len(office.lines)
    draft_note(office, *(Reply(answer, USED) for answer in answers), fresh=fresh)
    return len(office.lines) - before


def draft_note(office: Office, *outcomes: Reply | BaseException, sentences: int = 1, **changed: Any) -> Draft:
    """Writes a note by a model that answers so, with an exchange of its own as each try at a note has one."""
    replies = play(*outcomes)
    exchange = replace(office.exchange, billed=set(), **changed)
    caller = exchange.connect("writer", local=False)
    line = Line(caller, lambda *_: replies(), provider="cloud", model="large")
    segments = tuple(Segment(float(number), number + 1.0, WORDS) for number in range(sentences))
    spoken = Transcript("t", "r", "file", "", "en", segments, 1.0)
    day = office.now.date()
    draft = write_draft(line.ask, spoken, writer="writer", day=day, limits=Limits.of(4_096), paid=line)
    office.billed = exchange.billed
    return draft


def test_a_usable_answer_is_not_paid_for_twice() -> None:
    office = Office()
    assert write(office, [NOTE]) == 1
    assert write(office, [NOTE]) == 0


def test_a_mended_answer_is_kept_for_the_first_question() -> None:
    office = Office()
    assert write(office, ["no note", NOTE]) == 2
    assert write(office, [NOTE]) == 0


def test_an_answer_that_is_no_note_is_not_kept() -> None:
    office = Office()
    with pytest.raises(WriterFailed, match="no note"):
        write(office, ["no note"])
    assert write(office, [NOTE]) == 1


def test_who_wants_a_fresh_answer_asks_again_and_it_takes_the_others_place() -> None:
    office = Office()
    write(office, [NOTE])
    assert write(office, [NOTE], fresh=True) == 1
    assert write(office, [NOTE]) == 0


def test_an_answer_costs_what_all_that_led_to_it_did(monkeypatch: pytest.MonkeyPatch) -> None:
    office, kept = Office(), list[Decimal | None]()
    monkeypatch.setattr(office.desk, "keep_answer", lambda *_, usd, **__: kept.append(usd))
    write(office, ["no note", NOTE])
    assert kept == [Decimal("0.03")]


def test_a_note_carries_what_its_words_cost_until_one_is_stored_whoever_asked_for_them() -> None:
    office = Office()
    first = draft_note(office, Reply("no note", USED), Reply(NOTE, USED))
    for _ in range(2):  # who asked was killed before the note was stored, and so was the next one
        assert draft_note(office, Reply(NOTE, USED)) == first
    assert first.usage == (USED, USED)
    assert len(office.lines) == 2
    office.desk.bill_answers(office.billed, "r")
    assert draft_note(office, Reply(NOTE, USED)).usage == ()


def test_an_answer_for_another_recording_or_owner_costs_nothing() -> None:
    office = Office()
    draft_note(office, Reply(NOTE, USED))
    for changed in ({"recording_id": "other"}, {"owner": "you"}):
        assert draft_note(office, Reply(NOTE, USED), **changed).usage == ()
        assert office.billed == set()
    assert draft_note(office, Reply(NOTE, USED)).usage == (USED,)


def test_an_answer_that_was_cut_is_on_the_bill_of_who_goes_on_with_the_halves() -> None:
    office, cut = Office(), AnswerCut("writer", "why", "bad_output", usage=(USED,))
    with pytest.raises(WriterFailed):
        draft_note(office, cut, failed("refusal"), sentences=2)
    half = replace(USED, output_tokens=25)
    draft = draft_note(office, Reply(NOTE, half), sentences=2)
    assert draft.usage[:2] == (USED, half)


def test_in_one_try_at_a_note_an_answer_is_billed_once() -> None:
    office = Office()
    line = office.exchange.connect("writer", local=False)
    line.keep(QUESTION, NOTE, [USED])
    assert line.find(QUESTION) == KeptAnswer(NOTE)
    later = replace(office.exchange, billed=set()).connect("writer", local=False)
    assert [later.find(QUESTION), later.find(QUESTION)] == [KeptAnswer(NOTE, (USED,)), KeptAnswer(NOTE)]


def test_an_answer_is_looked_for_once_so_that_what_it_spared_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    office, keys = Office(), list[str]()
    find = office.desk.find_answer

    def count(key: str, **whose: Any) -> KeptAnswer | None:
        keys.append(key)
        return find(key, **whose)

    monkeypatch.setattr(office.desk, "find_answer", count)
    for _ in range(2):
        draft_note(office, Reply(NOTE, USED), sentences=2)
    assert len(keys) == 2
