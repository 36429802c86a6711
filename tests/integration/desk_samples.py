"""What the desk's tests share: a desk in memory and one in Postgres that are asked alike, with a clock to be turned."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from diarynotes.calls import ANSWERED, Budgets, Call, Desk, Fault, Outcome
from diarynotes.models import Cost, Usage
from diarynotes.store import open_store
from diarynotes.store.desk import bill_answers
from diarynotes.store.store import Store
from diarynotes.testing import MemoryDesk

ZONE = ZoneInfo("Pacific/Auckland")
CALL = Call(
    owner="me",
    recording_id=None,
    writer="openai",
    model="large",
    local=False,
    attempt=1,
    most=Usage("openai", "large", 900, 400),
    sent_sha256="ab" * 32,
    sent_bytes=4321,
    masked={"email": 2, "person": 3},
)
USAGE = Usage("openai", "large", 850, 120, cached_tokens=512)
FREE = Budgets()

# Postgres looks for functions in the first schema first, so the desk's statements read this clock instead of theirs.
_SHIFTED_CLOCK = """
create schema shifted;
create table shifted.clock (shift interval not null);
insert into shifted.clock values ('0');
create function shifted.clock_timestamp() returns timestamptz language sql volatile
    as 'select pg_catalog.clock_timestamp() + shift from shifted.clock';
alter database desk set search_path = shifted, public, pg_catalog;
"""
_EMPTY = "truncate calls, spend, breakers, answers restart identity; update shifted.clock set shift = '0'"


@dataclass
class Office:
    """A desk with its books, and the clock that both go by."""

    desk: Desk
    books: Store | MemoryDesk
    shift: Callable[[timedelta], None] = field(repr=False)
    ahead: timedelta = timedelta()

    def pass_time(self, seconds: float) -> None:
        self.ahead += timedelta(seconds=seconds)
        self.shift(self.ahead)

    def set_clock(self, moment: datetime) -> None:
        self.ahead = moment - datetime.now(UTC)
        self.shift(self.ahead)

    def admit(self, call: Call = CALL, usd: str | None = "1", budgets: Budgets = FREE) -> int:
        """The number of a call that must be let in."""
        admission = self.desk.admit(call, None if usd is None else Decimal(usd), budgets)
        assert admission.number is not None, admission
        assert admission.refused is None
        return admission.number

    def refusal(self, call: Call = CALL, usd: str | None = "1", budgets: Budgets = FREE) -> tuple[str | None, int]:
        """Why a call is refused, which it must be, and the seconds to wait, rounded."""
        admission = self.desk.admit(call, None if usd is None else Decimal(usd), budgets)
        assert admission.number is None, admission
        return admission.refused, round(admission.wait_s)

    def spend(
        self, usd: str | None, call: Call = CALL, budgets: Budgets = FREE, most: str | None = "1"
    ) -> list[tuple[str, str]]:
        """One call from its beginning to its end; the budgets that were warned of."""
        return self.warned(self.admit(call, most, budgets), usd, budgets)

    def warned(self, number: int, usd: str | None, budgets: Budgets) -> list[tuple[str, str]]:
        return [(each.owner, each.period) for each in self.desk.settle(number, answer(usd), budgets)]

    def bill(self, *keys: str) -> None:
        """A note is stored that rests on these answers."""
        if isinstance(self.books, MemoryDesk):
            self.books.bill_answers(keys)
        else:
            with self.books.engine.begin() as connection:
                bill_answers(connection, keys)

    def fail(self, fault: Fault | None, call: Call = CALL, name: str = "overload") -> None:
        """One call that fails."""
        self.desk.settle(self.admit(call), failure(fault, name), FREE)


def open_memory_office() -> Office:
    now = [timedelta()]
    desk = MemoryDesk(ZONE, clock=lambda: datetime.now(UTC) + now[0])
    return Office(desk, desk, lambda ahead: now.__setitem__(0, ahead))


@contextmanager
def open_desk_store(postgres_url: str, home: Path) -> Iterator[Store]:
    """A store on a database `desk`, made anew from the template, whose desk reads a clock that can be turned."""
    url = make_url(postgres_url).set(database="desk").render_as_string(hide_password=False)
    _run(postgres_url, "create database desk template template_ready")
    _run(url, _SHIFTED_CLOCK)
    with open_store(url, home, zone=ZONE) as store:
        yield store
    _run(postgres_url, "drop database desk")


def open_postgres_office(store: Store) -> Office:
    """A desk with empty books, which go by the real time."""

    def execute(statement: str, **values: object) -> None:
        with store.engine.begin() as connection:
            connection.execute(text(statement), values)

    execute(_EMPTY)
    return Office(store.desk, store, lambda ahead: execute("update shifted.clock set shift = :ahead", ahead=ahead))


def _run(url: str, statement: str) -> None:
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()


def answer(usd: str | None = "1") -> Outcome:
    return Outcome(ANSWERED, Cost(USAGE, None if usd is None else Decimal(usd), "list"), 1.25)


def failure(fault: Fault | None, name: str = "overload") -> Outcome:
    return Outcome(name, Cost(Usage("openai", "large"), Decimal(0), "not answered"), 0.5, fault)


def limit(usd: str, *names: str) -> Budgets:
    return replace(FREE, **{f"{name}_usd": Decimal(usd) for name in names})  # type: ignore[arg-type]
