"""Calls to models as money and as a risk: what is about to be sent, what came of it, and who lets it pass.

Nouns only. `diary.exchange` makes calls, `store.desk` keeps count of them for all workers; neither knows the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Literal, Protocol, TypeAlias

from diarynotes.models import Cost, RecordingId, Usage

Refusal: TypeAlias = Literal["cooling_down", "over_budget"]
FaultScope: TypeAlias = Literal["writer", "model"]
BudgetPeriod: TypeAlias = Literal["day", "month"]

ANSWERED = "answered"
"""The outcome of a call that came back as it should; every other outcome is the kind of a failure."""
INTERRUPTED = "interrupted"
"""The outcome of a call that this process broke off."""

ANSWER_DAYS = 30
"""An answer that was kept is given for so many days."""


@dataclass(frozen=True, slots=True)
class Call:
    """One attempt (counted from 1) at a call to a model, as it is about to be sent.

    `recording_id` is None where no recording is behind it (a transcript from a file, a day's entry). `most` is the most
    that it can use. `sent_sha256` and `sent_bytes` are those of the words that leave this process, `masked` how many
    things of each kind are placeholders in them.
    """

    owner: str
    recording_id: RecordingId | None
    writer: str
    model: str
    local: bool
    attempt: int
    most: Usage
    sent_sha256: str
    sent_bytes: int
    masked: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fault:
    """What a failure says about the service: about the writer as a whole, or about one model of it.

    `cool_down_s` is how long it is to be left alone; `at_once` after this one failure, else after the third in a row.
    """

    scope: FaultScope
    cool_down_s: float
    at_once: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a call: `ANSWERED`, `INTERRUPTED` or the kind of failure; what it cost; how long it took.

    `fault` is None where the service is not to blame.
    """

    name: str
    cost: Cost
    latency_s: float
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """An answer that was kept, and what it used where that is on nobody's bill though it was asked for the same note.

    That is so where somebody was killed between the answer and the note.
    """

    text: str
    unbilled: tuple[Usage, ...] = ()


@dataclass(frozen=True, slots=True)
class Admission:
    """The number of the call in the ledger, or why it must not be made; then `wait_s` tells how long at least."""

    number: int | None
    refused: Refusal | None = None
    wait_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Budgets:
    """The most that may be spent, USD; None for no limit. The first two bind all owners together, the others each."""

    day_usd: Decimal | None = None
    month_usd: Decimal | None = None
    owner_day_usd: Decimal | None = None
    owner_month_usd: Decimal | None = None


@dataclass(frozen=True, slots=True)
class BudgetWarning:
    """A budget that is nearly used up: of all (`owner` empty) or of one owner, for a day or a month."""

    owner: str
    period: BudgetPeriod
    spent_usd: Decimal
    limit_usd: Decimal


@dataclass(frozen=True, slots=True)
class LedgerLine:
    """A call as the ledger has it. `outcome` and `latency_s` are None until it comes back; `usd` where it is unknown.

    `reserved_usd` is what was set aside for it, which a budget counts where `usd` is unknown.
    """

    number: int
    call: Call
    begun_at: datetime
    outcome: str | None
    latency_s: float | None
    usage: Usage
    reserved_usd: Decimal | None
    usd: Decimal | None
    price_source: str


@dataclass(frozen=True, slots=True)
class Breaker:
    """How a writer (`key` is its name) or one of its models (`writer:model`) stands since it last answered.

    It failed so many times in a row, last with `reason`; it is left alone until `open_until`, where that is set.
    """

    key: str
    failures: int
    open_until: datetime | None
    reason: str


class Desk(Protocol):
    """Where every call is announced and settled; what all workers know about writers, money and answers."""

    def admit(self, call: Call, most_usd: Decimal | None, budgets: Budgets) -> Admission:
        """Enter a call into the ledger and set aside the most that it can cost, or refuse it.

        A local call needs no budget. With `most_usd` unknown no budget could be kept, so any that is set refuses it.
        """
        ...

    def settle(self, number: int, outcome: Outcome, budgets: Budgets) -> Sequence[BudgetWarning]:
        """Enter what came of a call; the budgets of which it used up four fifths are told once a period."""
        ...

    def find_answer(self, key: str, *, owner: str, recording_id: RecordingId | None) -> KeptAnswer | None:
        """The answer to exactly this question, if one was kept, whoever it was kept for."""
        ...

    def keep_answer(
        self,
        key: str,
        text: str,
        *,
        owner: str,
        recording_id: RecordingId | None,
        usd: Decimal | None,
        usages: Sequence[Usage] = (),
    ) -> None:
        """Keep a usable answer for whoever asks the same again; `usd` is what `usages`, all that led to it, cost.

        Those count as unbilled until a note or an entry is stored that rests on it.
        """
        ...
