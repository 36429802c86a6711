"""Makes a note's calls to models: asks the desk first, tries again where that helps, books what came of each try.

The only place that retries. Knows no vendor and no database; prices come from a function that it is given.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from types import MappingProxyType

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt

from diarynotes import observe
from diarynotes.calls import ANSWERED, INTERRUPTED, Admission, Budgets, Call, Desk, KeptAnswer, Outcome
from diarynotes.diary.caller import Caller, Question
from diarynotes.diary.language_model import Reply
from diarynotes.diary.numbered import estimate_tokens
from diarynotes.diary.remedies import LONGEST_WAIT_S, failure, fault_of, may_retry
from diarynotes.errors import WriterFailed
from diarynotes.models import Cost, RecordingId, Usage

TRIES = 3
SHORTEST_WAIT_S = 2.0
JITTER_S = 1.0

_SHAPE_TOKENS = 500
"""What a service may count beside the words: the shape that is asked for, and the marks between turns."""
_UNKNOWN = "unknown"
_NOTHING_MASKED: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Exchange:
    """Carries the calls for one note: for which owner and recording, within which budgets.

    `price` tells what a usage costs; `sleep` waits so many seconds between two tries, and gives something true where
    nobody is to wait any longer; `hold` is entered around each try
    with the name of the writer, and may wait. With `fresh` no answer that was kept is taken. `billed` gathers the keys
    of the kept answers whose use is among the note's: whoever stores the note settles them with it.
    """

    desk: Desk
    price: Callable[[Usage], Cost]
    owner: str
    recording_id: RecordingId | None = None
    budgets: Budgets = field(default_factory=Budgets)
    sleep: Callable[[float], object] = time.sleep
    hold: Callable[[str], AbstractContextManager[object]] = nullcontext
    fresh: bool = False
    billed: set[str] = field(default_factory=set, compare=False)

    def connect(self, writer: str, *, local: bool, masked: Mapping[str, int] = _NOTHING_MASKED) -> Caller:
        """The caller for one writer; `masked` is how many things of each kind it is not shown."""
        return _Booked(self, writer, local, masked)


@dataclass(frozen=True, slots=True)
class _Booked:
    """Carries one writer's questions to the desk and to the model."""

    exchange: Exchange
    writer: str
    local: bool
    masked: Mapping[str, int]

    def call(self, question: Question, ask: Callable[[], Reply]) -> Reply:
        retrying = Retrying(
            stop=stop_after_attempt(TRIES),
            wait=_wait_s,
            retry=retry_if_exception(partial(_may_try_again, question)),
            sleep=self._pause,
            reraise=True,
        )
        for attempt in retrying:
            with attempt, self.exchange.hold(self.writer):
                return self._try(question, ask, attempt.retry_state.attempt_number)
        raise AssertionError("the last try either answers or raises")

    def find(self, question: Question) -> KeptAnswer | None:
        here = self.exchange
        if here.fresh:
            return None
        found = here.desk.find_answer(question.key, owner=here.owner, recording_id=here.recording_id)
        if found is None or not found.unbilled:
            return found
        if question.key in here.billed:
            return KeptAnswer(found.text)
        here.billed.add(question.key)
        return found

    def keep(self, question: Question, text: str, usages: Sequence[Usage]) -> None:
        costs = [self.exchange.price(usage).usd for usage in usages]
        known = [usd for usd in costs if usd is not None]
        usd = sum(known, Decimal(0)) if len(known) == len(costs) else None
        here = self.exchange
        here.desk.keep_answer(
            question.key, text, owner=here.owner, recording_id=here.recording_id, usd=usd, usages=usages
        )
        here.billed.add(question.key)

    def forget(self, questions: Iterable[Question]) -> None:
        """Answers stay for whoever asks the same again: for another try, and when the warehouse is made anew."""

    def _try(self, question: Question, ask: Callable[[], Reply], attempt: int) -> Reply:
        """One try, entered before it is made and settled whatever comes of it."""
        call = self._announce(question, attempt)
        number = self._admit(call)
        begun = time.monotonic()
        outcome = Outcome(INTERRUPTED, self._unknown(call), 0.0)
        try:
            reply = ask()
            outcome = Outcome(ANSWERED, self.exchange.price(reply.usage), 0.0)
            return reply
        except WriterFailed as error:
            outcome = Outcome(error.kind, self._cost_of(error, call), 0.0, fault_of(error))
            raise
        finally:
            self._settle(number, call, outcome, time.monotonic() - begun)

    def _admit(self, call: Call) -> int:
        """The call's number in the ledger, as soon as the desk lets it pass; a service's short pause is waited for."""
        most_usd, waited_s = self.exchange.price(call.most).usd, 0.0
        while True:
            admission = self.exchange.desk.admit(call, most_usd, self.exchange.budgets)
            if admission.number is not None:
                return admission.number
            if not admission.wait_s or waited_s + admission.wait_s > LONGEST_WAIT_S:
                raise self._refuse(admission)
            pause_s = admission.wait_s + random.uniform(0, JITTER_S)  # noqa: S311 no secret
            waited_s += pause_s
            self._pause(pause_s)

    def _pause(self, seconds: float) -> None:
        if self.exchange.sleep(seconds):
            raise WriterFailed(self.writer, "its next try was called off", "unavailable")

    def _announce(self, question: Question, attempt: int) -> Call:
        sent = question.words.encode()
        tokens = _SHAPE_TOKENS + sum(estimate_tokens(message.text) for message in question.messages)
        return Call(
            owner=self.exchange.owner,
            recording_id=self.exchange.recording_id,
            writer=self.writer,
            model=question.model,
            local=self.local,
            attempt=attempt,
            most=Usage(question.provider, question.model, tokens, question.output_tokens),
            sent_sha256=hashlib.sha256(sent).hexdigest(),
            sent_bytes=len(sent),
            masked=dict(self.masked),
        )

    def _refuse(self, admission: Admission) -> WriterFailed:
        assert admission.refused is not None
        return failure(self.writer, admission.refused)

    def _cost_of(self, error: WriterFailed, call: Call) -> Cost:
        """What a failed call cost: what its answer told; nothing where the service turned it away; else unknown."""
        if error.usage:
            usage = error.usage[-1]
            assert isinstance(usage, Usage)
            return self.exchange.price(usage)
        if error.kind in ("timeout", "broken_off", "bad_output"):  # it may have been written, and billed, all the same
            return self._unknown(call)
        return Cost(Usage(call.most.provider, call.model), Decimal(0), "not answered")

    def _unknown(self, call: Call) -> Cost:
        if self.local:
            return self.exchange.price(Usage(call.most.provider, call.model))
        return Cost(Usage(call.most.provider, call.model), None, _UNKNOWN)

    def _settle(self, number: int, call: Call, outcome: Outcome, latency_s: float) -> None:
        outcome = Outcome(outcome.name, outcome.cost, latency_s, outcome.fault)
        warnings = self.exchange.desk.settle(number, outcome, self.exchange.budgets)
        usage = outcome.cost.usage
        observe.model_called(
            self.exchange.recording_id or "",
            writer=self.writer,
            provider=usage.provider,
            model=call.model,
            outcome=outcome.name,
            attempt=call.attempt,
            latency_s=latency_s,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cached_tokens=usage.cached_tokens,
            usd=outcome.cost.usd,
        )
        for warning in warnings:
            observe.budget_nearly_used(warning.owner, warning.period, warning.spent_usd, warning.limit_usd)


def _may_try_again(question: Question, error: BaseException) -> bool:
    return isinstance(error, WriterFailed) and may_retry(error, question.output_tokens)


def _wait_s(state: RetryCallState) -> float:
    """2 s, doubled with each try, with up to 1 s on top so that workers do not come back all at once; 10 s at most.

    A service that says when to come back is not asked before.
    """
    assert state.outcome is not None
    error = state.outcome.exception()
    asked_s = error.retry_after_s if isinstance(error, WriterFailed) else None
    doubled_s = SHORTEST_WAIT_S * 2.0 ** (state.attempt_number - 1) + random.uniform(0, JITTER_S)  # noqa: S311 no secret
    return max(min(doubled_s, LONGEST_WAIT_S), asked_s or 0.0)
