"""200 notes through three clouds of which half of the calls fail, by many threads and two processes at one desk."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from threading import Event

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from diarynotes.calls import ANSWERED, LedgerLine
from diarynotes.cost import price
from diarynotes.diary.remedies import failure
from diarynotes.errors import WriterFailure
from diarynotes.store import SourceFacts, open_store
from diarynotes.store.store import Store
from tests.integration.storm_work import (
    BUDGETS,
    HASTE,
    OWNERS,
    PLACES,
    THINGS,
    TROUBLES,
    Weather,
    Written,
    hear,
    open_chain,
    owner_of,
    recording_of,
    write_many,
    write_one,
)
from tests.integration.vendor_server import Vendor, rerouted, serve
from tests.integration.vendor_wire import KEY, WIRES

pytest_plugins = ["tests.integration.store_fixtures"]
pytestmark = pytest.mark.slow

NOTES = 200
HERE = 150
"""So many are written by this process with 16 threads, the others by one beside with 4."""

# The desk reads this clock instead of Postgres' own, because the first schema goes first: it begins at midnight
# and is in a hurry, so that half a minute is over at once; from eleven at night it goes as others do, so that no other
# midnight falls into the storm, however long that takes, nor into what is asked about it afterwards.
_CLOCK = """
create schema hasty;
create table hasty.clock (began timestamptz not null);
insert into hasty.clock values (pg_catalog.clock_timestamp());
create function hasty.clock_timestamp() returns timestamptz language sql volatile as
    'select timestamptz ''2027-01-15 00:00+00'' + least(gone * {haste}, interval ''23 hours'' + gone / 100)
     from (select pg_catalog.clock_timestamp() - began as gone from hasty.clock) as since';
alter database {database} set search_path = hasty, public, pg_catalog;
"""
_BESIDE = "import sys; sys.path.insert(0, sys.argv[1]); from tests.integration.storm_work import serve; serve()"


@dataclass
class Storm:
    """All that is known of it afterwards."""

    store: Store
    ways: dict[str, Vendor | None]
    weather: dict[str, Weather]
    written: list[Written]
    lines: list[LedgerLine]
    highest: dict[tuple[str, str], Decimal]
    opened: set[str]
    log: str
    seconds: float = 0.0
    samples: int = 0


@dataclass
class Watch:
    """The highest that each account stood at, what was set aside included, and which breakers were seen open."""

    highest: dict[tuple[str, str], Decimal] = field(default_factory=dict)
    opened: set[str] = field(default_factory=set)
    samples: int = 0

    def look(self, store: Store) -> None:
        with store.engine.begin() as connection:
            rows = connection.execute(text("select owner, period, spent_usd + reserved_usd from spend")).all()
            open_now = connection.execute(text("select key from breakers where open_until > clock_timestamp()")).all()
        for owner, period, usd in rows:
            self.highest[owner, period] = max(self.highest.get((owner, period), Decimal(0)), usd)
        self.opened |= {key for (key,) in open_now}
        self.samples += 1


@contextmanager
def watching(store: Store) -> Iterator[Watch]:
    watch, over = Watch(), Event()

    def keep_looking() -> None:
        while not over.wait(0.02):
            watch.look(store)

    with ThreadPoolExecutor(1) as pool:
        looking = pool.submit(keep_looking)
        try:
            yield watch
        finally:
            over.set()
            looking.result()
    watch.look(store)


@pytest.fixture(scope="module")
def storm_store(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    url = make_url(postgres_url).set(database="storm").render_as_string(hide_password=False)
    _run(postgres_url, "create database storm template template_ready")
    _run(url, _CLOCK.format(haste=HASTE, database="storm"))
    with open_store(url, tmp_path_factory.mktemp("storm")) as store:
        found = [recording_of(number) for number in range(NOTES)]
        store.register([(each, SourceFacts(each.uri, 100, "v1")) for each in found])
        yield store
    _run(postgres_url, "drop database storm")


@pytest.fixture(scope="module")
def storm(storm_store: Store) -> Iterator[Storm]:
    """The storm itself, once for all that is asked about it."""
    weather = {name: Weather(wire) for name, wire in WIRES.items()}
    records: list[str] = []
    with ExitStack() as running:
        ways: dict[str, Vendor | None] = {}
        for name, wire in WIRES.items():
            ways[wire.host] = vendor = running.enter_context(serve())
            vendor.answers = [weather[name].answer]
        running.enter_context(rerouted(ways))
        running.enter_context(_listening(records))
        began = time.monotonic()
        with watching(storm_store) as watch:
            beside = _start_beside(storm_store, ways)
            written = write_many(storm_store, range(HERE), threads=16)
            told, log = beside.communicate(timeout=600)
        assert beside.returncode == 0, log
        written += [Written(number, writer, tuple(why), tuple(body)) for number, writer, why, body in json.loads(told)]
        seconds = time.monotonic() - began
        lines = storm_store.ledger()[::-1]
        yield Storm(
            storm_store,
            ways,
            weather,
            written,
            lines,
            watch.highest,
            watch.opened,
            "\n".join([*records, log]),
            seconds,
            watch.samples,
        )


def _start_beside(store: Store, ways: dict[str, Vendor | None]) -> subprocess.Popen[str]:
    ports = ",".join(vendor.url.rpartition(":")[2] for vendor in ways.values() if vendor)
    url = store.engine.url.render_as_string(hide_password=False)
    arguments = [str(Path(__file__).parents[2]), url, str(store.home), ports, str(HERE), str(NOTES), "4"]
    command = [sys.executable, "-c", _BESIDE, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@contextmanager
def _listening(records: list[str]) -> Iterator[None]:
    """All that is logged at any level, as it would be written down."""

    class Recorder(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(f"{record.name} {record.getMessage()} {record.__dict__}")

    root, recorder = logging.getLogger(), Recorder(logging.DEBUG)
    level = root.level
    root.addHandler(recorder)
    root.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        root.setLevel(level)
        root.removeHandler(recorder)


def _run(url: str, statement: str) -> None:
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()


# -- what came of it --------------------------------------------------------------------------------------------------


def test_each_note_arrives_once_and_is_its_own(storm: Storm) -> None:
    assert sorted(each.number for each in storm.written) == list(range(NOTES))
    by_models = [each for each in storm.written if each.writer in WIRES]
    assert len(by_models) > NOTES / 4
    for each in by_models:
        assert each.body == tuple(segment.text for segment in hear(each.number).segments)
    assert all(each.body for each in storm.written)


def test_all_faults_came(storm: Storm) -> None:
    seen = sum((weather.troubles for weather in storm.weather.values()), Counter[str]())
    assert seen["none"] < 0.65 * seen.total()
    assert len(seen) > 0.8 * len(TROUBLES), "a storm of one kind"
    assert seen.total() > NOTES * 0.75


def test_the_ledger_is_what_the_vendors_counted(storm: Storm) -> None:
    """Calls by outcome, and tokens, to the last one."""
    for name, weather in storm.weather.items():
        lines = [line for line in storm.lines if line.call.writer == name]
        assert Counter(line.outcome for line in lines) == weather.outcomes
        assert sum(line.usage.input_tokens for line in lines) == weather.tokens["in"]
        assert sum(line.usage.output_tokens for line in lines) == weather.tokens["out"]
        known = [line for line in lines if line.usage.input_tokens]
        assert all(line.usd == price(line.usage).usd for line in known)
    assert {line.call.writer for line in storm.lines} == set(WIRES)


def test_each_call_is_some_notes_and_settled(storm: Storm) -> None:
    numbers = {recording_of(number).id: number for number in range(NOTES)}
    for line in storm.lines:
        assert line.outcome is not None
        assert line.call.recording_id is not None
        assert line.call.owner == owner_of(numbers[line.call.recording_id])
        assert line.call.attempt <= 3


def test_what_was_set_aside_covers_what_each_call_cost(storm: Storm) -> None:
    for line in storm.lines:
        assert line.reserved_usd is not None
        assert (line.usd or 0) <= line.reserved_usd


def test_no_budget_is_passed_and_one_binds(storm: Storm) -> None:
    assert storm.samples > 100
    limits = {("", "day"): BUDGETS.day_usd, **{(owner, "day"): BUDGETS.owner_day_usd for owner in OWNERS}}
    for key, limit in limits.items():
        assert limit is not None
        assert storm.highest[key] <= limit
    assert BUDGETS.day_usd is not None
    assert storm.highest["", "day"] > BUDGETS.day_usd * Decimal("0.95")
    poor = [each for each in storm.written if _failed(each, "over_budget")]
    assert [each for each in poor if each.writer == "extractive"]


def test_what_is_spent_is_what_the_calls_cost(storm: Storm) -> None:
    """With what was set aside where the cost is unknown; nothing stays set aside."""
    for owner in ("", *OWNERS):
        lines = [line for line in storm.lines if owner in ("", line.call.owner)]
        counted = sum((line.reserved_usd if line.usd is None else line.usd) or Decimal(0) for line in lines)
        assert storm.store.spent(owner, "day") == storm.store.spent(owner, "month") == counted
    with storm.store.engine.begin() as connection:
        assert connection.execute(text("select sum(reserved_usd) from spend")).scalar_one() == 0


def test_breakers_opened_and_closed(storm: Storm) -> None:
    """Who answered nobody for a while was left alone, asked again, and answered."""
    assert {"openai", "anthropic"} <= storm.opened
    assert [each for each in storm.written if _failed(each, "cooling_down")]
    for name in ("openai", "anthropic"):
        assert _came_back([line.outcome for line in storm.lines if line.call.writer == name])


def _came_back(outcomes: list[str | None]) -> bool:
    failed = [place for place in range(len(outcomes) - 2) if ANSWERED not in outcomes[place : place + 3]]
    return bool(failed) and ANSWERED in outcomes[failed[0] + 3 :]


def test_nobody_reads_the_diary_in_logs_and_books(storm: Storm) -> None:
    with storm.store.engine.begin() as connection:
        books = [
            str(row)
            for table in ("calls", "spend", "breakers")
            for row in connection.execute(text(f"select * from {table}"))
        ]
    told = storm.log + "\n".join(books) + str([each.failures for each in storm.written])
    assert "model_called" in storm.log, "both processes log"
    assert len(books) > len(storm.lines)
    assert not [word for word in (*THINGS, *PLACES, "carried", KEY) if word in told]


def test_no_note_is_paid_twice(storm: Storm) -> None:
    """Written again with no network at all, each note of a model comes from what is kept.

    Asked for again is only what nobody gave: the heading of a note in parts.
    """
    storm.ways.update(dict.fromkeys(storm.ways))
    spent_usd = storm.store.spent("", "day")
    whole = open_chain(storm.store.home)
    place_of = {writer.name: place for place, writer in enumerate(whole)}
    by_models = [each for each in storm.written if each.writer in WIRES]
    again = [write_one(storm.store, whole[place_of[each.writer] :], each.number, pause=False) for each in by_models]
    for writer in whole:
        writer.close()

    assert [(each.number, each.writer, each.body) for each in again] == [
        (each.number, each.writer, each.body) for each in by_models
    ]
    fresh = storm.store.ledger()[: -len(storm.lines)]
    in_parts = {
        line.call.recording_id for line in storm.lines if line.outcome == "bad_output" and line.usage.input_tokens
    }
    assert {line.call.recording_id for line in fresh} <= in_parts
    assert len(fresh) < len(storm.lines) / 20
    assert storm.store.spent("", "day") == spent_usd


def test_a_note_arrives_without_a_network(storm: Storm) -> None:
    storm.ways.update(dict.fromkeys(storm.ways))
    (written,) = write_many(storm.store, [NOTES], threads=1)
    assert (written.writer, len(written.failures)) == ("extractive", len(WIRES))


def _failed(written: Written, kind: WriterFailure) -> bool:
    """Whether a writer gave up on this note for that."""
    why = failure("", kind).why
    return any(why in each for each in written.failures)
