"""The contract of a desk, kept by the one in Postgres and by the one in memory: books, budgets, breakers, answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from diarynotes.calls import INTERRUPTED, Admission, BudgetPeriod, Budgets, Fault, LedgerLine
from diarynotes.models import Usage
from diarynotes.store.breakers import PROBE_S
from tests.integration.desk_samples import (
    CALL,
    FREE,
    USAGE,
    Office,
    answer,
    failure,
    limit,
    open_memory_office,
    open_postgres_office,
)

pytest_plugins = ["tests.integration.store_fixtures", "tests.integration.desk_fixtures"]

PERIODS: tuple[BudgetPeriod, ...] = ("day", "month")
LIMITS = ("day", "month", "owner_day", "owner_month")
LOCAL = replace(CALL, local=True, writer="llama_cpp", model="tiny", most=Usage("local", "tiny", 900, 400))
OTHER_OWNER = replace(CALL, owner="you")
OTHER_MODEL = replace(CALL, model="small")
MODEL_FAULT = Fault("model", 20.0)
WRITER_FAULT = Fault("writer", 20.0)


@pytest.fixture(params=["memory", "postgres"])
def office(request: pytest.FixtureRequest) -> Office:
    if request.param == "memory":
        return open_memory_office()
    return open_postgres_office(request.getfixturevalue("desk_store"))


# -- the ledger -------------------------------------------------------------------------------------------------------


def test_a_call_is_in_the_ledger_before_it_is_made(office: Office) -> None:
    number = office.admit(usd="0.25")
    (line,) = office.books.ledger()
    nothing = Usage("openai", "large")
    assert line == LedgerLine(number, CALL, office.now, None, None, nothing, Decimal("0.25"), None, "")


def test_what_came_of_a_call_is_in_the_ledger(office: Office) -> None:
    number = office.admit(usd="0.25")
    office.desk.settle(number, answer("0.125"), FREE)
    (line,) = office.books.ledger()
    assert (line.outcome, line.latency_s, line.usage, line.usd) == ("answered", 1.25, USAGE, Decimal("0.125"))
    assert (line.reserved_usd, line.price_source) == (Decimal("0.25"), "list")


def test_every_attempt_has_a_line_of_its_own_the_newest_first(office: Office) -> None:
    office.fail(MODEL_FAULT)
    office.desk.settle(office.admit(replace(CALL, attempt=2)), answer(None), FREE)
    assert [(line.call.attempt, line.outcome, line.usd) for line in office.books.ledger()] == [
        (2, "answered", None),
        (1, "overload", Decimal(0)),
    ]


def test_a_call_is_settled_once(office: Office) -> None:
    number = office.admit(usd="2")
    office.desk.settle(number, answer("0.5"), FREE)
    lines = office.books.ledger()
    assert office.desk.settle(number, answer("2"), limit("0.5", *LIMITS)) == ()
    assert office.desk.settle(number, failure(Fault("writer", 99, at_once=True)), FREE) == ()
    assert office.books.ledger() == lines
    assert office.books.spent("me", "day") == Decimal("0.5")
    assert office.books.breakers() == []


def test_a_number_that_nobody_was_given_settles_nothing(office: Office) -> None:
    assert office.desk.settle(77, answer("2"), FREE) == ()
    assert office.books.ledger() == []
    assert office.books.spent("", "day") == 0


def test_a_refused_call_is_not_in_the_ledger(office: Office) -> None:
    assert office.desk.admit(CALL, Decimal(1), limit("0.5", "day")) == Admission(None, "over_budget")
    assert office.books.ledger() == []


# -- budgets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LIMITS)
def test_what_is_set_aside_counts_until_what_was_spent_is_known(office: Office, name: str) -> None:
    budgets = limit("2", name)
    first = office.admit(usd="1.5", budgets=budgets)
    assert office.refusal(usd="0.51", budgets=budgets) == ("over_budget", 0)
    office.admit(usd="0.5", budgets=budgets)
    assert office.refusal(usd="0.01", budgets=budgets) == ("over_budget", 0)
    office.desk.settle(first, answer("0.1"), budgets)
    office.admit(usd="1.4", budgets=budgets)
    assert office.refusal(usd="0.01", budgets=budgets) == ("over_budget", 0)


@pytest.mark.parametrize("name", LIMITS)
def test_the_limit_of_one_owner_leaves_the_others_alone(office: Office, name: str) -> None:
    budgets = limit("1", name)
    office.admit(usd="1", budgets=budgets)
    if name.startswith("owner"):
        office.admit(OTHER_OWNER, "1", budgets)
    else:
        assert office.refusal(OTHER_OWNER, "0.01", budgets) == ("over_budget", 0)


def test_spend_is_told_by_owner_and_for_all(office: Office) -> None:
    office.spend("0.25")
    office.spend("0.5", OTHER_OWNER)
    told = {
        (owner, period): office.books.spent(owner, period) for owner in ("", "me", "you", "it") for period in PERIODS
    }
    wanted = {"": "0.75", "me": "0.25", "you": "0.5", "it": "0"}
    assert told == {(owner, period): Decimal(wanted[owner]) for owner, period in told}


def test_a_cost_that_stays_unknown_counts_as_what_was_set_aside(office: Office) -> None:
    office.spend(None, most="0.7")
    assert office.books.spent("me", "day") == Decimal("0.7")
    assert office.refusal(usd="0.31", budgets=limit("1", "owner_month")) == ("over_budget", 0)


def test_a_call_that_cost_more_than_was_thought_counts_in_full(office: Office) -> None:
    budgets = limit("1", "day")
    office.spend("1.5", budgets=budgets)
    assert office.books.spent("", "day") == Decimal("1.5")
    assert office.refusal(usd="0.01", budgets=budgets) == ("over_budget", 0)


@pytest.mark.parametrize("name", LIMITS)
def test_a_price_that_is_unknown_fits_no_budget(office: Office, name: str) -> None:
    assert office.refusal(usd=None, budgets=limit("1000", name)) == ("over_budget", 0)
    number = office.admit(usd=None)
    (line,) = office.books.ledger()
    assert line.reserved_usd is None
    office.desk.settle(number, answer("0.3"), FREE)
    assert office.books.spent("me", "month") == Decimal("0.3")
    office.spend(None, most=None)
    assert office.books.spent("me", "month") == Decimal("0.3")


def test_a_local_call_needs_no_budget(office: Office) -> None:
    number = office.admit(LOCAL, None, limit("0", *LIMITS))
    (line,) = office.books.ledger()
    assert (line.reserved_usd, line.call) == (Decimal(0), LOCAL)
    assert office.warned(number, "0", limit("0", *LIMITS)) == []
    assert office.books.spent("", "month") == 0


def test_over_budget_what_is_free_may_still_be_asked(office: Office) -> None:
    budgets = limit("1", "day")
    office.spend("1.5", budgets=budgets)
    office.admit(usd="0", budgets=budgets)


def test_a_limit_that_is_set_later_knows_what_was_spent_before(office: Office) -> None:
    office.spend("0.75", most="1")
    office.admit(usd="0.125")
    assert office.refusal(usd="0.2", budgets=limit("1", "owner_day")) == ("over_budget", 0)
    office.admit(usd="0.125", budgets=limit("1", "owner_day"))


def test_an_owner_without_a_name_is_bound_by_the_limits_of_all(office: Office) -> None:
    nobody = replace(CALL, owner="")
    office.spend("0.5", nobody)
    assert office.books.spent("", "day") == Decimal("0.5")
    assert office.refusal(nobody, "0.6", limit("1", "day")) == ("over_budget", 0)


# -- warnings ---------------------------------------------------------------------------------------------------------


def test_four_fifths_of_a_budget_are_told_once(office: Office) -> None:
    budgets = Budgets(Decimal(2), None, Decimal(1), Decimal(4))
    assert office.spend("0.79", budgets=budgets) == []
    assert office.spend("0.01", budgets=budgets, most="0.1") == [("me", "day")]
    assert office.spend("0.01", budgets=budgets, most="0.1") == []
    assert office.spend("0.8", OTHER_OWNER, budgets) == [("", "day"), ("you", "day")]


def test_a_limit_that_was_raised_is_warned_of_anew(office: Office) -> None:
    assert office.spend("0.85", budgets=limit("1", "day")) == [("", "day")]
    assert office.spend("0.05", budgets=limit("10", "day")) == []
    assert office.spend("0.05", budgets=FREE) == []
    assert office.spend("7.2", most="7.2", budgets=limit("10", "day")) == [("", "day")]
    assert office.spend("0.1", budgets=limit("10", "day")) == []


def test_a_warning_says_what_is_spent_of_what(office: Office) -> None:
    (warning,) = office.desk.settle(office.admit(), answer("0.9"), limit("1", "month"))
    assert (warning.owner, warning.period, warning.spent_usd, warning.limit_usd) == ("", "month", Decimal("0.9"), 1)


def test_what_is_only_set_aside_warns_nobody(office: Office) -> None:
    budgets = limit("1", "day")
    office.admit(usd="0.9", budgets=budgets)
    assert office.spend("0.05", budgets=budgets, most="0.1") == []


def test_each_day_warns_anew(office: Office) -> None:
    budgets = limit("1", "owner_day", "owner_month")
    office.set_clock(datetime(2027, 3, 10, 12, tzinfo=UTC))
    assert office.spend("0.9", budgets=budgets) == [("me", "day"), ("me", "month")]
    office.pass_time(86400)
    later = limit("1", "owner_day")
    assert office.spend("0.9", budgets=later) == [("me", "day")]


# -- days and months --------------------------------------------------------------------------------------------------

JUST_BEFORE_NEW_YEAR = datetime(2026, 12, 31, 10, 59, tzinfo=UTC)
"""23:59 in Auckland, which is 13 hours ahead in summer."""


@pytest.mark.parametrize("name", LIMITS)
def test_a_new_day_and_a_new_month_begin_at_midnight_of_the_zone(office: Office, name: str) -> None:
    budgets = limit("1", name)
    office.set_clock(JUST_BEFORE_NEW_YEAR)
    office.admit(usd="1", budgets=budgets)
    assert office.refusal(usd="0.01", budgets=budgets) == ("over_budget", 0)
    office.pass_time(120)
    office.admit(usd="1", budgets=budgets)
    assert office.refusal(usd="0.01", budgets=budgets) == ("over_budget", 0)


def test_the_next_day_is_in_the_same_month(office: Office) -> None:
    office.set_clock(JUST_BEFORE_NEW_YEAR - timedelta(days=1))
    office.spend("0.6")
    office.pass_time(120)
    office.spend("0.3")
    assert [office.books.spent("me", period) for period in PERIODS] == [Decimal("0.3"), Decimal("0.9")]


def test_a_call_counts_in_the_day_in_which_it_began(office: Office) -> None:
    budgets = limit("1", "day")
    office.set_clock(JUST_BEFORE_NEW_YEAR)
    number = office.admit(usd="0.9", budgets=budgets)
    office.pass_time(120)
    assert office.warned(number, "0.85", budgets) == [("", "day")]
    assert office.books.spent("me", "month") == 0
    office.admit(usd="1", budgets=budgets)
    office.pass_time(-120)
    assert office.books.spent("me", "month") == Decimal("0.85")
    office.admit(usd="0.15", budgets=budgets)


# -- breakers ---------------------------------------------------------------------------------------------------------


def open_breaker(office: Office, fault: Fault = MODEL_FAULT) -> None:
    for _ in range(3):
        office.fail(fault)


def half_open_breaker(office: Office, fault: Fault = MODEL_FAULT) -> None:
    open_breaker(office, fault)
    office.pass_time(31)


def test_the_third_failure_in_a_row_opens_the_breaker_for_half_a_minute(office: Office) -> None:
    office.fail(MODEL_FAULT)
    office.fail(MODEL_FAULT)
    office.fail(MODEL_FAULT, name="timeout")
    assert office.refusal() == ("cooling_down", 30)
    (breaker,) = office.books.breakers()
    assert (breaker.key, breaker.failures, breaker.reason) == ("openai:large", 3, "timeout")
    assert breaker.open_until == office.now + timedelta(seconds=30)
    office.pass_time(25)
    assert office.refusal() == ("cooling_down", 5)
    office.pass_time(5)
    office.admit()


def test_an_answer_in_between_starts_the_count_anew(office: Office) -> None:
    for _ in range(3):
        office.fail(MODEL_FAULT)
        office.fail(WRITER_FAULT)
        office.fail(MODEL_FAULT)
        office.spend("0.1")
        assert office.books.breakers() == []


def test_what_is_nobodys_fault_neither_counts_nor_closes(office: Office) -> None:
    office.fail(MODEL_FAULT)
    office.fail(MODEL_FAULT)
    for name in ("refusal", INTERRUPTED, "bad_output"):
        office.fail(None, name=name)
    assert [breaker.failures for breaker in office.books.breakers()] == [2]
    office.fail(MODEL_FAULT)
    assert office.refusal() == ("cooling_down", 30)


def test_a_models_fault_leaves_the_writers_other_models_alone(office: Office) -> None:
    open_breaker(office)
    office.admit(OTHER_MODEL)
    office.admit(replace(CALL, writer="mistral"))


def test_a_writers_fault_keeps_all_its_models_waiting(office: Office) -> None:
    open_breaker(office, WRITER_FAULT)
    assert office.refusal(OTHER_MODEL) == ("cooling_down", 30)
    office.admit(replace(CALL, writer="mistral"))


def test_local_writers_have_breakers_too(office: Office) -> None:
    for _ in range(3):
        office.fail(MODEL_FAULT, LOCAL)
    assert office.refusal(LOCAL) == ("cooling_down", 30)


@pytest.mark.parametrize(("cool_down_s", "wait_s"), [(5, 5), (3600, 3600)])
def test_some_faults_open_it_at_once_for_as_long_as_they_say(office: Office, cool_down_s: int, wait_s: int) -> None:
    office.fail(Fault("writer", cool_down_s, at_once=True))
    assert office.refusal() == ("cooling_down", wait_s)


def test_after_a_pause_that_a_service_asked_for_all_may_come_back(office: Office) -> None:
    office.fail(Fault("model", 20, at_once=True), name="rate_limit")
    assert office.refusal() == ("cooling_down", 20)
    office.pass_time(21)
    for _ in range(3):
        office.admit()


def test_after_what_a_person_must_mend_one_tries_first(office: Office) -> None:
    office.fail(Fault("writer", 900, at_once=True), name="auth")
    office.pass_time(901)
    office.admit()
    assert office.refusal() == ("cooling_down", 1)


def test_the_third_in_a_row_cools_down_for_longer_where_that_is_wanted(office: Office) -> None:
    open_breaker(office, Fault("model", 45.0))
    assert office.refusal() == ("cooling_down", 45)


def test_the_longer_wait_of_both_breakers_is_told(office: Office) -> None:
    first, second = office.admit(), office.admit()
    office.desk.settle(first, failure(Fault("model", 300, at_once=True)), FREE)
    office.desk.settle(second, failure(Fault("writer", 60, at_once=True)), FREE)
    assert office.refusal() == ("cooling_down", 300)
    assert office.refusal(OTHER_MODEL) == ("cooling_down", 60)


def test_an_open_time_is_never_shortened(office: Office) -> None:
    numbers = [office.admit() for _ in range(3)]
    office.desk.settle(numbers[0], failure(Fault("model", 900, at_once=True)), FREE)
    for number in numbers[1:]:
        office.desk.settle(number, failure(Fault("model", 5, at_once=True)), FREE)
    assert office.refusal() == ("cooling_down", 900)


def test_an_answer_to_a_call_from_before_closes_no_open_breaker(office: Office) -> None:
    early = office.admit()
    office.fail(Fault("model", 60, at_once=True))
    office.desk.settle(early, answer(), FREE)
    assert office.refusal() == ("cooling_down", 60)


# -- probes -----------------------------------------------------------------------------------------------------------


def test_one_call_goes_ahead_as_the_probe(office: Office) -> None:
    half_open_breaker(office)
    office.admit()
    for _ in range(3):
        assert office.refusal() == ("cooling_down", 1)
    office.admit(OTHER_MODEL)


def test_a_probe_that_is_answered_closes_the_breaker(office: Office) -> None:
    half_open_breaker(office)
    office.spend("0.1")
    assert office.books.breakers() == []
    office.admit()
    office.admit()


@pytest.mark.parametrize(
    ("fault", "wait_s"), [(MODEL_FAULT, 30), (Fault("model", 70), 70), (Fault("model", 600, at_once=True), 600)]
)
def test_a_probe_that_fails_opens_it_again(office: Office, fault: Fault, wait_s: int) -> None:
    half_open_breaker(office)
    office.fail(fault)
    assert office.refusal() == ("cooling_down", wait_s)
    office.pass_time(wait_s + 1)
    office.admit()


def test_a_failed_probe_opens_it_again_however_few_failures_there_were(office: Office) -> None:
    office.fail(Fault("model", 10, at_once=True), name="auth")
    office.pass_time(11)
    office.fail(MODEL_FAULT)
    assert office.refusal() == ("cooling_down", 30)


@pytest.mark.parametrize("name", [INTERRUPTED, "refusal"])
def test_a_probe_that_tells_nothing_is_given_back(office: Office, name: str) -> None:
    half_open_breaker(office)
    office.fail(None, name=name)
    assert [breaker.failures for breaker in office.books.breakers()] == [3]
    office.admit()
    assert office.refusal() == ("cooling_down", 1)


def test_a_probe_that_does_not_come_back_is_given_up(office: Office) -> None:
    half_open_breaker(office)
    lost = office.admit()
    office.pass_time(PROBE_S - 2)
    assert office.refusal() == ("cooling_down", 1)
    office.pass_time(3)
    office.admit()
    assert office.refusal() == ("cooling_down", 1)
    office.desk.settle(lost, failure(None, INTERRUPTED), FREE)
    assert office.refusal() == ("cooling_down", 1), "the second probe is still under way"


def test_who_cannot_pay_for_the_probe_does_not_get_it(office: Office) -> None:
    half_open_breaker(office)
    assert office.refusal(budgets=limit("0.5", "day")) == ("over_budget", 0)
    office.admit()


def test_a_late_failure_of_another_does_not_end_the_probe(office: Office) -> None:
    late = [office.admit(), office.admit()]
    half_open_breaker(office)
    probe = office.admit()
    office.desk.settle(late[0], failure(None, INTERRUPTED), FREE)
    assert office.refusal() == ("cooling_down", 1)
    office.desk.settle(late[1], failure(MODEL_FAULT), FREE)
    assert office.refusal() == ("cooling_down", 30)
    office.desk.settle(probe, answer(), FREE)
    assert office.books.breakers() == []


def test_one_call_probes_the_writer_and_its_model(office: Office) -> None:
    numbers = [office.admit() for _ in range(6)]
    for number, fault in zip(numbers, [MODEL_FAULT, WRITER_FAULT] * 3, strict=True):
        office.desk.settle(number, failure(fault), FREE)
    office.pass_time(31)
    probe = office.admit()
    assert office.refusal(OTHER_MODEL) == ("cooling_down", 1)
    office.desk.settle(probe, failure(MODEL_FAULT), FREE)
    assert office.refusal() == ("cooling_down", 30)
    office.spend("0.1", OTHER_MODEL)
    assert [breaker.key for breaker in office.books.breakers()] == ["openai:large"]


# -- answers ----------------------------------------------------------------------------------------------------------


def keep(office: Office, key: str, text: str, *usages: Usage, owner: str = "me") -> None:
    office.desk.keep_answer(key, text, owner=owner, recording_id=None, usd=Decimal("0.01"), usages=usages)


def find(office: Office, key: str, *, owner: str = "me") -> str | None:
    found = office.desk.find_answer(key, owner=owner, recording_id=None)
    return found.text if found else None


def find_unbilled(office: Office, key: str, *, owner: str = "me", recording_id: str | None = None) -> Sequence[Usage]:
    found = office.desk.find_answer(key, owner=owner, recording_id=recording_id)
    assert found is not None
    return found.unbilled


def test_an_answer_is_found_by_its_question_alone(office: Office) -> None:
    assert find(office, "a") is None
    keep(office, "a", "{}")
    assert [find(office, key) for key in ("a", "a", "b")] == ["{}", "{}", None]
    assert find(office, "a", owner="you") == "{}"


def test_the_last_answer_counts(office: Office) -> None:
    keep(office, "a", "one")
    keep(office, "a", "two")
    assert find(office, "a") == "two"


def test_an_answer_is_kept_for_thirty_days(office: Office) -> None:
    keep(office, "a", "one")
    office.pass_time(30 * 86400 - 60)
    assert find(office, "a") == "one"
    office.pass_time(120)
    assert find(office, "a") is None
    keep(office, "a", "two")
    assert find(office, "a") == "two"


def test_what_an_answer_used_is_told_until_it_is_billed_and_to_no_one_else(office: Office) -> None:
    keep(office, "a", "one", USAGE, USAGE)
    keep(office, "b", "one", USAGE)
    assert find_unbilled(office, "a") == find_unbilled(office, "a") == (USAGE, USAGE)
    assert find_unbilled(office, "a", owner="you") == find_unbilled(office, "a", recording_id="r") == ()
    office.bill("a")
    assert (find_unbilled(office, "a"), find_unbilled(office, "b")) == ((), (USAGE,))


def test_what_nobody_was_billed_for_adds_up_where_an_answer_takes_the_place_of_another(office: Office) -> None:
    second = replace(USAGE, input_tokens=7)
    keep(office, "a", "one", USAGE)
    keep(office, "a", "two", second)
    assert find_unbilled(office, "a") == (USAGE, second)
    keep(office, "a", "three", second, owner="you")
    assert (find_unbilled(office, "a"), find_unbilled(office, "a", owner="you")) == ((), (second,))
