"""Fakes that ship with the library, for tests of diarynotes and of what is built on it.

They are typed like the real things, need no weights and no network, and give the same answer to the same input.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal
from threading import Lock

import numpy as np

from diarynotes.calls import (
    ANSWER_DAYS,
    ANSWERED,
    Admission,
    Breaker,
    BudgetPeriod,
    Budgets,
    BudgetWarning,
    Call,
    KeptAnswer,
    LedgerLine,
    Outcome,
)
from diarynotes.diary.caller import Caller
from diarynotes.errors import WriterFailed
from diarynotes.models import Draft, RecordingId, Transcript, Usage, Window, WindowText
from diarynotes.store.breakers import PROBE_S, decide_open_s, name_breaker, name_breakers, tell_wait_s, wants_probe
from diarynotes.store.budgets import Account, begin_period, find_accounts, is_limited, is_passed, make_warning

SENTENCES = (
    "I walked to the river this morning and the water was very high.",
    "Anna called and we talked for nearly an hour about the summer.",
    "The bread came out of the oven a little too dark but it tasted fine.",
    "I want to write to my brother before the weekend.",
    "It rained all afternoon so I stayed in and read.",
    "The new neighbours have a small dog that barks at the postman.",
    "I slept badly and felt slow for most of the day.",
    "We planted tomatoes and beans behind the shed.",
    "The train was late again and I missed the meeting.",
    "I fixed the bicycle and rode it once around the lake.",
    "My sister sent a photograph of the two children in the snow.",
    "I need to buy paint for the kitchen door.",
    "The concert was better than I had hoped.",
    "I made soup from what was left in the garden.",
    "Work was quiet and I finished the report before lunch.",
    "I keep thinking about the house by the sea.",
    "The doctor said that my knee is healing well.",
    "We played cards until late and laughed a great deal.",
    "I forgot to water the plants for three days.",
    "The market was full and I came home with far too many apples.",
    "I am proud that I ran five kilometres without stopping.",
    "The library has the book that I was looking for.",
    "I was angry at first but then we talked it over.",
    "Tomorrow I will get up early and see the sun rise.",
)


class ScriptedEngine:
    """A speech engine that knows its lines: what it hears in a window depends on the window's samples alone.

    Batching and order therefore change nothing. Without `texts` it says harmless sentences of a diary. `delay_s` is
    what each call of `decode` takes at least.
    """

    name = "scripted"
    settings = ""
    degraded = False
    draws = False

    def __init__(
        self, *texts: str, model: str = "lines", language: str = "en", delay_s: float = 0.0, batch_size: int = 8
    ) -> None:
        self.texts = texts or SENTENCES
        self.model, self.language, self.delay_s, self.batch_size = model, language, delay_s, batch_size

    def decode(self, windows: Sequence[Window]) -> list[WindowText]:
        """One line for each window; with the confidence of a good engine."""
        if self.delay_s:
            time.sleep(self.delay_s)
        return [WindowText(self._line(window), language=self.language, avg_logprob=-0.2) for window in windows]

    def close(self) -> None:
        """Nothing to give back."""

    def _line(self, window: Window) -> str:
        samples = np.ascontiguousarray(window.samples, dtype=np.float32)
        return self.texts[zlib.crc32(samples.tobytes()) % len(self.texts)]


class ScriptedWriter:
    """A writer that gives its draft, or fails as it was told, whatever was said; it counts how often it was asked."""

    name = "scripted"
    prompt_version = "1"

    def __init__(
        self, answer: Draft | WriterFailed, *, model: str = "lines", degraded: bool = False, local: bool = True
    ) -> None:
        self.answer, self.model, self.degraded, self.local = answer, model, degraded, local
        self.asked = 0

    def close(self) -> None:
        """Nothing to give back."""

    def write(self, transcript: Transcript, *, day: date, caller: Caller | None = None) -> Draft:  # noqa: ARG002
        """The draft it was made with; raises what it was made with if that is an error."""
        self.asked += 1
        if isinstance(self.answer, WriterFailed):
            raise self.answer
        return self.answer


@dataclass(slots=True)
class _Breaker:
    failed_at: datetime
    failures: int = 0
    reason: str = ""
    open_until: datetime | None = None
    probe: int | None = None
    probe_until: datetime | None = None


@dataclass(slots=True)
class _Total:
    spent_usd: Decimal = Decimal(0)
    reserved_usd: Decimal = Decimal(0)
    warned: bool = False


@dataclass(frozen=True, slots=True)
class _Answer:
    text: str
    whose: tuple[str, RecordingId | None]
    unbilled: tuple[Usage, ...]
    kept_at: datetime


class MemoryDesk:
    """A desk (`calls.Desk`) that keeps its books in memory: the same rules as the one in Postgres, for one process.

    `clock` tells the time, aware; days and months are those of `zone`. Safe to share between threads.
    """

    def __init__(self, zone: tzinfo = UTC, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._zone, self._clock, self._lock = zone, clock, Lock()
        self._lines: dict[int, LedgerLine] = {}
        self._totals: dict[tuple[str, BudgetPeriod, date], _Total] = {}
        self._breakers: dict[str, _Breaker] = {}
        self._answers: dict[str, _Answer] = {}

    # -- what a desk does ---------------------------------------------------------------------------------------------

    def admit(self, call: Call, most_usd: Decimal | None, budgets: Budgets) -> Admission:
        """Enter the call and set aside what it may cost, or refuse it."""
        reserved_usd = Decimal(0) if call.local else most_usd
        with self._lock:
            now = self._clock()
            breakers = self._breakers_of(call)
            wait_s = max((tell_wait_s(now, each.open_until, each.probe_until) for each in breakers), default=0.0)
            if wait_s:
                return Admission(None, "cooling_down", wait_s)
            if not self._reserve(call, reserved_usd, now, budgets):
                return Admission(None, "over_budget")
            number = len(self._lines) + 1
            nothing = Usage(call.most.provider, call.model)
            self._lines[number] = LedgerLine(number, call, now, None, None, nothing, reserved_usd, None, "")
            for breaker in breakers:
                if breaker.open_until is not None and wants_probe(breaker.failures, breaker.reason):
                    breaker.probe, breaker.probe_until = number, now + timedelta(seconds=PROBE_S)
            return Admission(number)

    def settle(self, number: int, outcome: Outcome, budgets: Budgets) -> Sequence[BudgetWarning]:
        """Enter what came of the call, once."""
        with self._lock:
            line = self._lines.get(number)
            if line is None or line.outcome is not None:
                return ()
            cost = outcome.cost
            self._lines[number] = replace(
                line,
                outcome=outcome.name,
                latency_s=outcome.latency_s,
                usage=cost.usage,
                usd=cost.usd,
                price_source=cost.price_source,
            )
            self._settle_breakers(line, outcome)
            return self._settle_spend(line, cost.usd, budgets)

    def find_answer(self, key: str, *, owner: str, recording_id: RecordingId | None) -> KeptAnswer | None:
        """The answer that was kept under `key` within the last 30 days."""
        with self._lock:
            found = self._answers.get(key)
            if found is None or self._clock() - found.kept_at >= timedelta(days=ANSWER_DAYS):
                return None
            return KeptAnswer(found.text, found.unbilled if found.whose == (owner, recording_id) else ())

    def keep_answer(
        self,
        key: str,
        text: str,
        *,
        owner: str,
        recording_id: RecordingId | None,
        usd: Decimal | None,  # noqa: ARG002
        usages: Sequence[Usage] = (),
    ) -> None:
        """Keep an answer under `key`."""
        whose = owner, recording_id
        with self._lock:
            before = self._answers.get(key)
            unbilled = before.unbilled if before and before.whose == whose else ()
            self._answers[key] = _Answer(text, whose, (*unbilled, *usages), self._clock())

    def bill_answers(self, keys: Collection[str], recording_id: RecordingId | None = None) -> None:
        """What these answers used is on a bill now: that of the recording, or of an entry."""
        with self._lock:
            for key, answer in self._answers.items():
                if key in keys and answer.whose[1] in (None, recording_id):
                    self._answers[key] = replace(answer, unbilled=())

    # -- what a store tells -------------------------------------------------------------------------------------------

    def ledger(self) -> list[LedgerLine]:
        """Every call, newest first."""
        with self._lock:
            return list(reversed(self._lines.values()))

    def breakers(self) -> list[Breaker]:
        """The writers and models that failed since they last answered."""
        with self._lock:
            return [
                Breaker(key, each.failures, each.open_until, each.reason)
                for key, each in sorted(self._breakers.items())
            ]

    def spent(self, owner: str, period: BudgetPeriod) -> Decimal:
        """What `owner` (empty: all) has spent so far today or this month, USD."""
        with self._lock:
            begins = begin_period(period, self._clock(), self._zone)
            return self._totals.get((owner, period, begins), _Total()).spent_usd

    # -- how ----------------------------------------------------------------------------------------------------------

    def _breakers_of(self, call: Call) -> list[_Breaker]:
        keys = name_breakers(call.writer, call.model)
        return [self._breakers[key] for key in keys if key in self._breakers]

    def _total(self, account: Account) -> _Total:
        return self._totals.setdefault((account.owner, account.period, account.begins), _Total())

    def _reserve(self, call: Call, usd: Decimal | None, now: datetime, budgets: Budgets) -> bool:
        if usd is None:
            return not is_limited(budgets)
        totals = [(account, self._total(account)) for account in find_accounts(call.owner, now, self._zone, budgets)]
        if usd and any(is_passed(account, total.spent_usd + total.reserved_usd + usd) for account, total in totals):
            return False
        for _, total in totals:
            total.reserved_usd += usd
        return True

    def _settle_spend(self, line: LedgerLine, usd: Decimal | None, budgets: Budgets) -> tuple[BudgetWarning, ...]:
        reserved_usd = line.reserved_usd or Decimal(0)
        spent_usd = reserved_usd if usd is None else usd
        if line.call.local or not (reserved_usd or spent_usd):
            return ()
        warnings = []
        for account in find_accounts(line.call.owner, line.begun_at, self._zone, budgets):
            total = self._total(account)
            total.reserved_usd -= reserved_usd
            total.spent_usd += spent_usd
            warning = make_warning(account, total.spent_usd)
            if warning is not None and not total.warned:
                warnings.append(warning)
            if account.limit_usd is not None:
                total.warned = warning is not None  # not once the limit is raised
        return tuple(warnings)

    def _settle_breakers(self, line: LedgerLine, outcome: Outcome) -> None:
        call = line.call
        if outcome.name == ANSWERED:
            for key in name_breakers(call.writer, call.model):
                breaker = self._breakers.get(key)
                if breaker is not None and _is_healed(breaker, line):
                    del self._breakers[key]
        elif outcome.fault is not None:
            self._count_fault(name_breaker(call.writer, call.model, outcome.fault.scope), line.number, outcome)
        for breaker in self._breakers_of(call):
            if breaker.probe == line.number:
                breaker.probe = breaker.probe_until = None

    def _count_fault(self, key: str, number: int, outcome: Outcome) -> None:
        assert outcome.fault is not None
        now = self._clock()
        breaker = self._breakers.setdefault(key, _Breaker(now))
        breaker.failures, breaker.reason, breaker.failed_at = breaker.failures + 1, outcome.name, now
        open_s = decide_open_s(outcome.fault, breaker.failures, probe=breaker.probe == number)
        if open_s is not None:
            breaker.open_until = max(breaker.open_until or now, now + timedelta(seconds=open_s))


def _is_healed(breaker: _Breaker, line: LedgerLine) -> bool:
    """Whether an answer says so: to a probe, or to a call that set out after the breaker had opened."""
    return breaker.open_until is None or breaker.probe == line.number or breaker.failed_at < line.begun_at
