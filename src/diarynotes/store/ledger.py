"""The read side of the desk: calls as the ledger has them, breakers, what is spent.

Changes nothing; sums over many calls are not made here.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from typing import Any

from sqlalchemy import Engine, Row

import diarynotes.store.desk_sql as sql
from diarynotes.calls import Breaker, BudgetPeriod, Call, LedgerLine
from diarynotes.models import RecordingId, Usage
from diarynotes.store.budgets import begin_period
from diarynotes.store.database import begin


def find_calls(
    engine: Engine,
    zone: tzinfo,
    *,
    since: date | None = None,
    until: date | None = None,
    owner: str | None = None,
    recording_id: RecordingId | None = None,
    elsewhere: bool = False,
    limit: int | None = None,
) -> list[LedgerLine]:
    """Calls, newest first; `since` and `until` are the first and the last day wanted, by the clocks of `zone`.

    `elsewhere` leaves out models of one's own.
    """
    values = {
        "since": _midnight(since, zone) if since else None,
        "until": _midnight(until + timedelta(days=1), zone) if until else None,
        "owner": owner,
        "recording_id": recording_id,
        "elsewhere": elsewhere,
        "limit": limit,
    }
    with begin(engine) as connection:
        return [_to_line(row) for row in connection.execute(sql.LEDGER, values)]


def find_breakers(engine: Engine) -> list[Breaker]:
    """The breakers of writers and models that failed since they last answered."""
    with begin(engine) as connection:
        rows = connection.execute(sql.BREAKERS).all()
    return [
        Breaker(row.key, row.failures, row.open_until and row.open_until.astimezone(UTC), row.reason) for row in rows
    ]


def find_spent(engine: Engine, zone: tzinfo, owner: str, period: BudgetPeriod) -> Decimal:
    """What `owner` (empty: all) has spent so far in the day or month that it is now in `zone`, USD."""
    with begin(engine) as connection:
        now: datetime = connection.execute(sql.NOW).scalar_one()
        begins = begin_period(period, now, zone)
        spent: Decimal | None = connection.scalar(sql.SPENT, {"owner": owner, "period": period, "begins": begins})
    return Decimal(0) if spent is None else spent


def _midnight(day: date, zone: tzinfo) -> datetime:
    return datetime.combine(day, time(), zone)


def _to_line(row: Row[Any]) -> LedgerLine:
    call = Call(
        owner=row.owner,
        recording_id=row.recording_id,
        writer=row.writer,
        model=row.model,
        local=row.local,
        attempt=row.attempt,
        most=Usage(row.provider, row.model, row.most_input_tokens, row.most_output_tokens),
        sent_sha256=row.sent_sha256,
        sent_bytes=row.sent_bytes,
        masked=row.masked,
    )
    return LedgerLine(
        number=row.id,
        call=call,
        begun_at=row.begun_at.astimezone(UTC),
        outcome=row.outcome,
        latency_s=row.latency_s,
        usage=Usage(row.provider, row.model, row.input_tokens, row.output_tokens, cached_tokens=row.cached_tokens),
        reserved_usd=row.reserved_usd,
        usd=row.usd,
        price_source=row.price_source,
    )
