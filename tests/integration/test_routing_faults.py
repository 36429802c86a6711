"""Fault by vendor: what it is asked, what is tried again, who writes the note, what is booked, who is left alone.

The faults and what must come of each are in `vendor_faults`; docs/routing.md shows the same table.
"""

from __future__ import annotations

import copy
import json
import logging
import pickle
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from anthropic.types import Message
from openai.types.chat import ChatCompletion

from diarynotes.calls import ANSWERED, Breaker, Budgets, LedgerLine
from diarynotes.cost import price
from diarynotes.diary import Exchange, Writer, open_writer, write_note
from diarynotes.errors import WriterFailed
from diarynotes.models import DiaryNote, Segment, Transcript
from diarynotes.settings import load_settings
from diarynotes.testing import MemoryDesk
from tests.integration.vendor_faults import FAULTS, TIMEOUT_S, Fault, render_table
from tests.integration.vendor_server import Seen, Vendor, rerouted, serve
from tests.integration.vendor_wire import KEY, WIRES, Wire, conversation

DAY = date(2026, 11, 21)
KEYS = {f"{name.upper()}_API_KEY": KEY for name in WIRES}
SAID = "I planted twelve tomatoes and the soil was still warm."
SPOKEN = Transcript("t", "r", "file", "", "en", (Segment(0.0, 1.0, SAID),), 1.0)
DOCS = Path(__file__).parents[2] / "docs" / "routing.md"


@dataclass
class Street:
    """Three vendors where they really are, as far as a writer can tell."""

    vendors: dict[str, Vendor]
    ways: dict[str, Vendor | None]
    options: dict[str, dict[str, Any]]

    def answer(self, name: str, fault: Fault) -> None:
        """Makes one vendor faulty; the others are well."""
        for wire in WIRES.values():
            self.vendors[wire.name].seen.clear()
            self.vendors[wire.name].answers = [wire.strictly(wire.behave)]
            self.ways[wire.host] = self.vendors[wire.name]
        if fault.answers is None:
            self.ways[WIRES[name].host] = None
        else:
            self.vendors[name].answers = [WIRES[name].strictly(each) for each in fault.answers(WIRES[name])]


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Street]:
    options = load_settings(KEYS, home=tmp_path_factory.mktemp("home")).writer_options
    with ExitStack() as running:
        vendors = {name: running.enter_context(serve()) for name in WIRES}
        ways: dict[str, Vendor | None] = {}
        running.enter_context(rerouted(ways))
        yield Street(vendors, ways, options)


@pytest.fixture(scope="module")
def writer_of(street: Street) -> Iterator[Callable[..., Writer]]:
    """Opens each writer once, or a `fresh` one that has no connection yet."""
    opened: dict[tuple[str, float, bool], Writer] = {}

    def open_one(name: str, timeout_s: float = 30.0, *, fresh: bool = False) -> Writer:
        options = street.options[name] | {"timeout_s": timeout_s} if name in WIRES else {}
        key = (name, timeout_s, fresh)
        if key not in opened:
            opened[key] = open_writer(name, **options)
        return opened[key]

    yield open_one
    for writer in opened.values():
        writer.close()


@dataclass
class Case:
    """What came of one fault of one vendor."""

    wire: Wire
    note: DiaryNote
    requests: list[Seen]
    waits: list[float]
    lines: list[LedgerLine]
    breakers: list[Breaker]
    now: datetime


@pytest.fixture
def run(street: Street, writer_of: Callable[..., Writer]) -> Callable[[Fault, str], Case]:
    def run_one(fault: Fault, name: str) -> Case:
        street.answer(name, fault)
        clock, waits = [datetime(2026, 11, 21, 12, tzinfo=UTC)], list[float]()

        def sleep(seconds: float) -> None:
            waits.append(seconds)
            clock[0] += timedelta(seconds=seconds)

        desk = MemoryDesk(clock=lambda: clock[0])
        second = "mistral" if name != "mistral" else "openai"
        first = writer_of(name, TIMEOUT_S if fault.kind == "timeout" else 30.0, fresh=fault.answers is None)
        writers = (first, writer_of(second), writer_of("extractive"))
        note = write_note(SPOKEN, day=DAY, writers=writers, exchange=Exchange(desk, price, "me", "r", sleep=sleep))
        lines = [line for line in reversed(desk.ledger()) if line.call.writer == name]
        return Case(WIRES[name], note, street.vendors[name].seen, waits, lines, desk.breakers(), clock[0])

    return run_one


CASES = [
    pytest.param(fault, name, id=f"{fault.name} - {name}")
    for fault in FAULTS
    for name in WIRES
    if name in fault.vendors
]


@pytest.mark.parametrize(("fault", "name"), CASES)
def test_each_fault_of_each_vendor(run: Callable[[Fault, str], Case], fault: Fault, name: str) -> None:
    case = run(fault, name)

    assert len(case.requests) == fault.requests
    assert [line.outcome for line in case.lines] == list(fault.outcomes)
    assert len(case.waits) == len(fault.waits)
    assert all(low <= waited <= high for waited, (low, high) in zip(case.waits, fault.waits, strict=True))
    _check_note(case, fault)
    _check_costs(case, fault)
    _check_breakers(case, fault)


def _check_note(case: Case, fault: Fault) -> None:
    fallen = fault.kind is not None
    second = "openai" if case.wire.name == "mistral" else "mistral"
    assert case.note.writer == (second if fallen else case.wire.name)
    assert case.note.degraded == fallen
    assert ("writer_failed" in [finding.code for finding in case.note.findings]) == fallen
    assert [sentence.text for sentence in case.note.draft.body] == [SAID]


def _check_costs(case: Case, fault: Fault) -> None:
    failed = [line for line in case.lines if line.outcome != ANSWERED or fault.costs == "what it tells"]
    for line in failed:
        match fault.costs:
            case "nothing":
                assert line.usd == 0
            case "unknown":
                assert line.usd is None
                assert line.reserved_usd is not None
            case "what it tells":
                assert line.usd == price(line.usage).usd
                assert line.usage.input_tokens > 0
    for line in case.lines:
        assert line.reserved_usd is not None
        assert (line.usd or Decimal(0)) <= line.reserved_usd


def _check_breakers(case: Case, fault: Fault) -> None:
    if fault.cools is None:
        assert not any(breaker.open_until for breaker in case.breakers)
        return
    scope, seconds = fault.cools
    (line, *_), (breaker,) = case.lines, case.breakers
    assert breaker.key == (case.wire.name if scope == "writer" else f"{case.wire.name}:{line.call.model}")
    assert breaker.open_until == case.now + timedelta(seconds=seconds)
    assert breaker.reason == fault.kind


def test_a_small_budget_lets_small_memos_be_written(street: Street, writer_of: Callable[..., Writer]) -> None:
    """What a memo may cost at most is set aside, not what the longest note would cost."""
    well = Fault("well", lambda wire: [wire.behave], None, (ANSWERED,), "what it tells")
    street.answer("openai", well)
    exchange = Exchange(MemoryDesk(), price, "me", "r", Budgets(day_usd=Decimal("0.10")))
    fresh = writer_of("openai", 29.0)
    assert write_note(SPOKEN, day=DAY, writers=[fresh], exchange=exchange).writer == "openai"


PRIVATE = ("tomato", "soil", KEY)


@pytest.mark.parametrize("name", WIRES)
def test_no_failure_tells_what_was_said(
    street: Street, writer_of: Callable[..., Writer], name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither in words, nor in a pickle, nor in what led to it, nor in the log; though vendors quote what they read."""
    caplog.set_level(logging.DEBUG)
    told = []
    for fault in FAULTS:
        if fault.kind in (None, "timeout") or fault.answers is None or name not in fault.vendors:
            continue
        street.answer(name, fault)
        exchange = Exchange(MemoryDesk(), price, "me", "r", sleep=lambda _: None)
        with pytest.raises(WriterFailed) as caught:
            write_note(SPOKEN, day=DAY, writers=[writer_of(name)], exchange=exchange)
        error = caught.value
        causes = [each for each in (error.__cause__, error.__context__) if each is not None]
        told += [str(error), repr(error), repr(error.args), str(pickle.dumps(error)), str(causes)]
        assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert len(told) > 60
    assert [record for record in caplog.records if record.getMessage().startswith("model_called")]
    logged = caplog.text + str([record.__dict__ for record in caplog.records])
    assert not [word for word in PRIVATE if word in "".join(told) + logged]


def test_the_docs_show_this_table() -> None:
    assert render_table() in DOCS.read_text()


# -- the servers themselves -------------------------------------------------------------------------------------------


def ask(run: Callable[[Fault, str], Case], name: str) -> Seen:
    """The request that a writer makes where all is well."""
    well = Fault("well", lambda wire: [wire.behave], None, (ANSWERED,), "what it tells")
    return copy.deepcopy(run(well, name).requests[0])


SPOILED: dict[str, tuple[str, Callable[[dict[str, Any]], Any], int]] = {
    "a field that OpenAI does not know": ("openai", lambda body: body.update(max_output=1), 400),
    "OpenAI's old limit": ("openai", lambda body: body.update(max_tokens=1), 400),
    "a temperature": ("openai", lambda body: body.update(temperature=0.2), 400),
    "a strict schema that leaves a property out": (
        "openai", lambda body: body["response_format"]["json_schema"]["schema"]["required"].pop(), 400
    ),
    "a strict schema that allows more": (
        "openai", lambda body: body["response_format"]["json_schema"]["schema"].pop("additionalProperties"), 400
    ),
    "a limit in Anthropic's schema": (
        "anthropic",
        lambda body: body["output_config"]["format"]["schema"]["properties"]["title"].update(maxLength=5),
        400,
    ),
    "no limit of tokens": ("anthropic", lambda body: body.pop("max_tokens"), 400),
    "a system turn among Anthropic's": (
        "anthropic", lambda body: body["messages"].insert(0, {"role": "system", "content": "x"}), 400
    ),
    "an answer put into Claude's mouth": (
        "anthropic", lambda body: body["messages"].append({"role": "assistant", "content": "{"}), 400
    ),
    "a temperature for Claude": ("anthropic", lambda body: body.update(temperature=0.2), 400),
    "store for Mistral": ("mistral", lambda body: body.update(store=False), 422),
    "OpenAI's new limit for Mistral": ("mistral", lambda body: body.update(max_completion_tokens=5), 422),
    "a field in Mistral's turn": ("mistral", lambda body: body["messages"][0].update(name="x"), 422),
    "an empty turn": ("mistral", lambda body: body["messages"][1].update(content=" "), 422),
}  # fmt: skip


@pytest.mark.parametrize(("name", "spoil", "status"), SPOILED.values(), ids=SPOILED)
def test_the_servers_are_strict(
    run: Callable[[Fault, str], Case], name: str, spoil: Callable[[dict[str, Any]], Any], status: int
) -> None:
    seen = ask(run, name)
    assert WIRES[name].find_fault(seen) is None
    spoil(seen.body)
    fault = WIRES[name].find_fault(seen)
    assert fault is not None
    assert fault[0] == status
    assert WIRES[name].strictly(WIRES[name].behave)(seen).status == status


@pytest.mark.parametrize("name", WIRES)
def test_the_servers_want_the_key(run: Callable[[Fault, str], Case], name: str) -> None:
    seen = ask(run, name)
    keyless = replace(seen, headers={**seen.headers, "authorization": "Bearer other"})
    assert WIRES[name].strictly(WIRES[name].behave)(keyless).status == 401


def test_the_servers_answer_in_the_shapes_of_the_sdks(run: Callable[[Fault, str], Case]) -> None:
    completion = json.loads(WIRES["openai"].behave(ask(run, "openai")).body)
    message = json.loads(WIRES["anthropic"].behave(ask(run, "anthropic")).body)
    assert ChatCompletion.model_validate(completion, strict=True).model_dump(exclude_unset=True) == completion
    assert Message.model_validate(message, strict=True).model_dump(exclude_unset=True) == message
    assert ChatCompletion.model_fields.keys() >= completion.keys()
    assert Message.model_fields.keys() >= message.keys()


def test_openai_is_told_to_keep_nothing_and_the_others_are_not(run: Callable[[Fault, str], Case]) -> None:
    asked = {name: ask(run, name) for name in WIRES}
    assert asked["openai"].body["store"] is False
    assert "store" not in asked["mistral"].body
    assert "store" not in asked["anthropic"].body
    assert all(SAID in conversation(seen)[0] for seen in asked.values())
