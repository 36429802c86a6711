"""What the desk's tests share: a desk in memory and one in Postgres that are asked alike; their clock stands still."""

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
NOON = datetime(2027, 1, 14, 23, tzinfo=UTC)
"""Where each office's clock stands at first: noon of the 15th in Auckland, far from the next day and the next month."""

# Postgres looks for functions in the first schema first, so the desk's statements read this clock instead of theirs.
_STILL_CLOCK = """
create schema still;
create table still.clock (now timestamptz not null);
insert into still.clock values ('{noon}');
create function still.clock_timestamp() returns timestamptz language sql volatile as 'select now from still.clock';
alter database desk set search_path = still, public, pg_catalog;
"""
_EMPTY = "truncate calls, spend, breakers, answers restart identity"


@dataclass
class Office:
    """A desk with its books, and the clock that both go by: it stands still until it is turned.

    So what is asked is true to the second, however long this machine takes to ask it.
    """

    desk: Desk
    books: Store | MemoryDesk
    turn: Callable[[datetime], None] = field(repr=False)
    now: datetime = NOON

    def pass_time(self, seconds: float) -> None:
        self.set_clock(self.now + timedelta(seconds=seconds))

    def set_clock(self, moment: datetime) -> None:
        self.now = moment
        self.turn(moment)

    def admit(self, call: Call = CALL, usd: str | None = "1", budgets: Budgets = FREE) -> int:
        """The number of a call that must be let in."""
        admission = self.desk.admit(call, None if usd is None else Decimal(usd), budgets)
        assert admission.number is not None, admission
        assert admission.refused is None
        return admission.number

    def refusal(self, call: Call = CALL, usd: str | None = "1", budgets: Budgets = FREE) -> tuple[str | None, float]:
        """Why a call is refused, which it must be, and the seconds to wait."""
        admission = self.desk.admit(call, None if usd is None else Decimal(usd), budgets)
        assert admission.number is None, admission
        return admission.refused, admission.wait_s

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
    now = [NOON]
    desk = MemoryDesk(ZONE, clock=lambda: now[0])
    return Office(desk, desk, lambda moment: now.__setitem__(0, moment))


@contextmanager
def open_desk_store(postgres_url: str, home: Path) -> Iterator[Store]:
    """A store on a database `desk`, made anew from the template, whose desk reads a clock of ours."""
    url = make_url(postgres_url).set(database="desk").render_as_string(hide_password=False)
    _run(postgres_url, "create database desk template template_ready")
    _run(url, _STILL_CLOCK.format(noon=NOON.isoformat()))
    with open_store(url, home, zone=ZONE) as store:
        yield store
    _run(postgres_url, "drop database desk")


def open_postgres_office(store: Store) -> Office:
    """A desk with empty books."""

    def execute(statement: str, **values: object) -> None:
        with store.engine.begin() as connection:
            connection.execute(text(statement), values)

    def turn(moment: datetime) -> None:
        execute("update still.clock set now = :moment", moment=moment)

    execute(_EMPTY)
    turn(NOON)
    return Office(store.desk, store, turn)


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
