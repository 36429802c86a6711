"""Breakers against a second telling of their rules, step by step, on a random way through all kinds of failure."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import cast

import pytest

from diarynotes.calls import ANSWERED, Admission, Budgets, BudgetWarning, Call, Fault, Outcome
from diarynotes.diary.caller import Question
from diarynotes.diary.exchange import Exchange
from diarynotes.diary.language_model import Reply
from diarynotes.diary.prompt import Message
from diarynotes.diary.remedies import REMEDIES
from diarynotes.errors import WriterFailed, WriterFailure
from diarynotes.models import Cost, Usage
from diarynotes.store.breakers import name_breakers
from diarynotes.testing import MemoryDesk


@dataclass
class Rules:
    """How breakers are to behave, told once more and plainly: who may be asked at a time, and what an outcome does."""

    failures: Counter[str] = field(default_factory=Counter)
    until: dict[str, datetime] = field(default_factory=dict)
    reasons: dict[str, WriterFailure] = field(default_factory=dict)
    deeds: Counter[str] = field(default_factory=Counter)

    def allow(self, keys: Sequence[str], now: datetime) -> bool:
        return all(now >= self.until[key] for key in keys if key in self.until)

    def settle(self, keys: Sequence[str], outcome: str, fault: Fault | None, now: datetime) -> None:
        if outcome == ANSWERED:
            for key in keys:
                self.deeds["closed"] += self.until.pop(key, None) is not None
                self.failures.pop(key, None)
        elif fault is not None:
            key = keys[0] if fault.scope == "writer" else keys[1]
            self.failures[key] += 1
            third = self.failures[key] >= 3
            lasting = self.failures[key] > 3 or not REMEDIES[self.reasons.get(key, "auth")].retryable
            probe = key in self.until and lasting  # after a mere pause nobody is one
            self.reasons[key] = cast(WriterFailure, outcome)
            if probe or third or fault.at_once:
                patient = fault.at_once and not third
                seconds = fault.cool_down_s if patient else max(30.0, fault.cool_down_s)
                self.until[key] = now + timedelta(seconds=seconds)
                self.deeds["opened again" if probe else "opened"] += 1


class WatchedDesk(MemoryDesk):
    """A desk that is held against the rules at each step."""

    def __init__(self) -> None:
        self.now, self.rules = datetime(2026, 11, 21, tzinfo=UTC), Rules()
        self.calls: dict[int, Call] = {}
        super().__init__(clock=lambda: self.now)

    def admit(self, call: Call, most_usd: Decimal | None, budgets: Budgets) -> Admission:
        admission = super().admit(call, most_usd, budgets)
        assert (admission.number is not None) == self.rules.allow(name_breakers(call.writer, call.model), self.now)
        if admission.number is None:
            self.rules.deeds["refused"] += 1
        else:
            self.calls[admission.number] = call
        return admission

    def settle(self, number: int, outcome: Outcome, budgets: Budgets) -> Sequence[BudgetWarning]:
        call = self.calls[number]
        self.rules.settle(name_breakers(call.writer, call.model), outcome.name, outcome.fault, self.now)
        return super().settle(number, outcome, budgets)

    def pass_time(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.mark.parametrize("seed", range(4))
def test_breakers_keep_their_rules_call_by_call(seed: int) -> None:
    rng, desk = random.Random(seed), WatchedDesk()
    kinds = [kind for kind in REMEDIES if kind not in ("cooling_down", "over_budget")]
    exchange = Exchange(desk, lambda usage: Cost(usage, Decimal(0), "list"), "me", sleep=desk.pass_time)

    def ask(model: str) -> Reply:
        desk.pass_time(rng.uniform(0.1, 3))
        if rng.random() < 0.5:
            return Reply("{}", Usage("cloud", model, 1, 1))
        raise WriterFailed("w", "why", rng.choice(kinds), rng.choice([None, None, 3.0, 20.0, 90.0]))

    for _ in range(2_000):
        desk.pass_time(rng.expovariate(1 / 20) if rng.random() < 0.97 else 1000)
        writer, model = rng.choice("ab"), rng.choice(("large", "small"))
        caller = exchange.connect(writer, local=False)
        with suppress(WriterFailed):
            caller.call(Question("cloud", model, (Message("user", "x"),), 10), partial(ask, model))
    assert min(desk.rules.deeds[deed] for deed in ("opened", "opened again", "closed", "refused")) > 10
