"""The tables of calls to models: the ledger, what is spent, breakers, answers that were kept.

Knows the schema only, as `tables` does; queries live beside it.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, Column, ForeignKey, Identity, Numeric, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from diarynotes.store.tables import Table, clock_column, count_column, time_column, usd_column


class CallRow(Table, table=True):
    """A call to a model, entered before it is made; what came of it is null until it is back (`calls.LedgerLine`)."""

    __tablename__ = "calls"

    id: int | None = Field(default=None, sa_column=Column(BigInteger, Identity(), primary_key=True))
    recording_id: str | None = Field(
        default=None,
        sa_column=Column(Text, ForeignKey("recordings.id", ondelete="SET NULL"), nullable=True, index=True),
    )
    owner: str = Field(sa_column=Column(Text, nullable=False))
    writer: str = Field(sa_column=Column(Text, nullable=False))
    provider: str = Field(sa_column=Column(Text, nullable=False))
    model: str = Field(sa_column=Column(Text, nullable=False))
    local: bool
    attempt: int
    begun_at: datetime | None = Field(
        default=None,
        sa_column=clock_column(index=True),
    )
    outcome: str | None = Field(default=None, sa_column=Column(Text))
    latency_s: float | None = Field(default=None)
    most_input_tokens: int = Field(default=0, sa_column=count_column())
    most_output_tokens: int = Field(default=0, sa_column=count_column())
    input_tokens: int = Field(default=0, sa_column=count_column())
    output_tokens: int = Field(default=0, sa_column=count_column())
    cached_tokens: int = Field(default=0, sa_column=count_column())
    reserved_usd: Decimal | None = Field(default=None, sa_column=usd_column())
    usd: Decimal | None = Field(default=None, sa_column=usd_column())
    price_source: str = Field(default="", sa_column=Column(Text, nullable=False, server_default=""))
    sent_sha256: str = Field(sa_column=Column(Text, nullable=False))
    sent_bytes: int = Field(sa_column=Column(BigInteger, nullable=False))
    masked: dict[str, int] = Field(sa_column=Column(JSONB, nullable=False))


class SpendRow(Table, table=True):
    """What was spent and what is set aside for calls under way, by an owner (empty: by all) in a day or month."""

    __tablename__ = "spend"

    owner: str = Field(sa_column=Column(Text, primary_key=True))
    period: str = Field(sa_column=Column(Text, primary_key=True))
    begins: date = Field(primary_key=True)
    spent_usd: Decimal = Field(sa_column=Column(Numeric(20, 10), nullable=False, server_default="0"))
    reserved_usd: Decimal = Field(sa_column=Column(Numeric(20, 10), nullable=False, server_default="0"))
    warned: bool = Field(default=False, sa_column_kwargs={"server_default": "false"})


class BreakerRow(Table, table=True):
    """The circuit breaker of a writer, or of one model of it; no row while nothing is wrong.

    Closed while `open_until` is null, half-open once that is over: then `probe` is the call that tries it, and holds
    that right until `probe_until`.
    """

    __tablename__ = "breakers"

    key: str = Field(sa_column=Column(Text, primary_key=True))
    failures: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    open_until: datetime | None = Field(default=None, sa_column=time_column())
    probe: int | None = Field(default=None, sa_column=Column(BigInteger))
    probe_until: datetime | None = Field(default=None, sa_column=time_column())
    reason: str = Field(default="", sa_column=Column(Text, nullable=False, server_default=""))
    failed_at: datetime | None = Field(default=None, sa_column=clock_column())


class AnswerRow(Table, table=True):
    """A usable answer of a model, by what exactly was asked; `uses` counts how often it spared a call.

    `unbilled` is what it used, as long as no note or entry that was stored has that on its bill.
    """

    __tablename__ = "answers"

    key: str = Field(sa_column=Column(Text, primary_key=True))
    owner: str = Field(sa_column=Column(Text, nullable=False))
    recording_id: str | None = Field(
        default=None,
        sa_column=Column(Text, ForeignKey("recordings.id", ondelete="CASCADE"), nullable=True, index=True),
    )
    text: str = Field(sa_column=Column(Text, nullable=False))
    usd: Decimal | None = Field(default=None, sa_column=usd_column())
    uses: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    unbilled: list[dict[str, Any]] = Field(sa_column=Column(JSONB, nullable=False, server_default="[]"))
    kept_at: datetime | None = Field(default=None, sa_column=clock_column(index=True))
    used_at: datetime | None = Field(default=None, sa_column=time_column())
