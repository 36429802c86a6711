"""What calls to models cost, added up from the ledger: by day, owner, model or recording, and as advice needs it.

Knows the tables; knows no prices and changes nothing. A day is a calendar day of the zone that it is asked for.
"""
# ruff: noqa: S608 (the statements are put together from constants of this file alone)

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Literal, TypeAlias
from zoneinfo import ZoneInfo

from sqlalchemy import Engine, text

from diarynotes.calls import ANSWERED, INTERRUPTED, BudgetPeriod
from diarynotes.models import Usage
from diarynotes.spending_advice import LONG_S, SHARED_NOTES, SHORT_S, ModelUse
from diarynotes.store.database import begin

Grouping: TypeAlias = Literal["day", "owner", "provider", "job"]

_KEYS: dict[Grouping | None, str] = {
    None: "",
    "day": "day",
    "owner": "owner",
    "provider": "writer, provider, model",
    "job": "recording_id, owner, source",
}
_DEAREST = "usd desc, reserved_usd desc, calls desc"
_ORDERS: dict[Grouping, str] = {"day": "day", "owner": _DEAREST, "provider": _DEAREST, "job": _DEAREST}

_LINES = """
with lines as (
    select calls.*, cast(begun_at at time zone :zone as date) as day, recordings.uri as source,
           cast(recordings.media ->> 'duration_s' as float8) as duration_s
    from calls left join recordings on recordings.id = calls.recording_id
    where begun_at >= :since and begun_at < :until and (cast(:owner as text) is null or calls.owner = :owner)
)
"""

_SUMS = """
    count(*) as calls,
    count(*) filter (where outcome not in (:answered, :interrupted)) as failed,
    count(*) filter (where outcome = :interrupted) as interrupted,
    count(*) filter (where outcome is null) as open,
    count(*) filter (where outcome is not null and usd is null) as unknown,
    count(*) filter (where attempt > 1) as retries,
    cast(coalesce(sum(input_tokens), 0) as bigint) as input_tokens,
    cast(coalesce(sum(output_tokens), 0) as bigint) as output_tokens,
    cast(coalesce(sum(cached_tokens), 0) as bigint) as cached_tokens,
    coalesce(sum(usd), 0) as usd,
    coalesce(sum(reserved_usd) filter (where usd is null), 0) as reserved_usd,
    avg(latency_s) filter (where outcome = :answered) as mean_latency_s,
    percentile_cont(0.95) within group (order by latency_s) filter (where outcome = :answered) as p95_latency_s
"""

# Of a day's calls that found nothing in the vendor's cache, the first could not have.
_USES = f"""
{_LINES},
cloud as (
    select *, coalesce(duration_s > :long_s, false) as long, input_tokens > 0 and usd is not null as counted
    from lines where not local and outcome is not null
),
by_day as (
    select writer, provider, model, day, greatest(count(*) filter (where counted and cached_tokens = 0) - 1, 0) as late
    from cloud group by writer, provider, model, day
),
by_owner as (
    select writer, provider, model,
           count(distinct recording_id) - ceil(count(distinct recording_id) / cast(:together as float8)) as spared
    from cloud
    where counted and outcome = :answered and cached_tokens = 0 and duration_s <= :short_s
    group by writer, provider, model, day, owner
)
select writer, provider, model, count(*) as calls,
    count(*) filter (where outcome not in (:answered, :interrupted) and usd > 0) as failed,
    coalesce(sum(usd) filter (where outcome not in (:answered, :interrupted)), 0) as failed_usd,
    count(*) filter (where outcome = :answered and usd is null) as unknown,
    coalesce(sum(usd), 0) as usd,
    cast(coalesce(sum(input_tokens) filter (where usd is not null), 0) as bigint) as input_tokens,
    cast(coalesce(sum(output_tokens) filter (where usd is not null), 0) as bigint) as output_tokens,
    cast(coalesce(sum(cached_tokens) filter (where usd is not null), 0) as bigint) as cached_tokens,
    count(distinct recording_id) filter (where long and usd is not null) as long_recordings,
    coalesce(sum(usd) filter (where long), 0) as long_usd,
    cast(coalesce(sum(input_tokens) filter (where long and usd is not null), 0) as bigint) as long_input_tokens,
    cast(coalesce(sum(output_tokens) filter (where long and usd is not null), 0) as bigint) as long_output_tokens,
    cast(coalesce(sum(cached_tokens) filter (where long and usd is not null), 0) as bigint) as long_cached_tokens,
    cast((
        select coalesce(sum(spared), 0) from by_owner
        where (writer, provider, model) = (cloud.writer, cloud.provider, cloud.model)
    ) as bigint) as sharable,
    count(*) filter (where counted and cached_tokens > 0) as cache_hits,
    cast((
        select coalesce(sum(late), 0) from by_day
        where (writer, provider, model) = (cloud.writer, cloud.provider, cloud.model)
    ) as bigint) as cache_misses
from cloud
group by writer, provider, model
order by writer, provider, model
"""

_KEPT = """
select cast(coalesce(sum(uses), 0) as bigint) as calls, coalesce(sum(uses * usd), 0) as usd,
       cast(coalesce(sum(uses) filter (where usd is null), 0) as bigint) as unknown
from answers
where uses > 0 and used_at >= :since and used_at < :until and (cast(:owner as text) is null or owner = :owner)
"""

_SPEND = """
select owner, period, begins, spent_usd, reserved_usd
from spend
where (period, begins) in (('day', cast(:day as date)), ('month', cast(:month as date)))
  and (cast(:owner as text) is null or owner in ('', :owner))
order by owner, period
"""

_PASSED_OVER = """
select count(*)
from notes
where is_current and degraded and written_at >= :since and written_at < :until
  and (cast(:owner as text) is null or owner = :owner)
  and exists (
      select from findings where note_id = notes.id and code = 'writer_failed' and position(:why in message) > 0
  )
"""

_FIRST = "select min(begun_at) from calls where cast(:owner as text) is null or owner = :owner"


@dataclass(frozen=True, slots=True)
class Spent:
    """Calls added up; `key` names what they have in common, such as a day.

    `calls` is all of them: answered, `failed`, `interrupted` or still `open`, which means that they never came back,
    or have not yet. `usd` is what is known; `unknown` is how many calls came back without a price. `reserved_usd` is
    what was set aside for those that are open or unknown. Latencies (s) are of answered calls, None without any.
    """

    key: dict[str, Any]
    calls: int
    failed: int
    interrupted: int
    open: int
    unknown: int
    retries: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    usd: Decimal
    reserved_usd: Decimal
    mean_latency_s: float | None
    p95_latency_s: float | None


@dataclass(frozen=True, slots=True)
class Kept:
    """Calls that kept answers spared, what those had cost that are known, and how many are not."""

    calls: int
    usd: Decimal
    unknown: int


@dataclass(frozen=True, slots=True)
class Balance:
    """What an owner (empty: all together) has spent in a period, and what is set aside for calls under way."""

    owner: str
    period: BudgetPeriod
    begins: date
    spent_usd: Decimal
    reserved_usd: Decimal


class Spending:
    """The ledger of one store, as the days of `zone` divide it; of all owners, or of one."""

    def __init__(self, engine: Engine, *, zone: ZoneInfo, owner: str | None = None) -> None:
        self._engine, self._zone, self._owner = engine, zone, owner

    def total(self, since: date, until: date) -> Spent:
        """Everything from `since` to `until`, both included."""
        return self._sum(None, since, until)[0]

    def by(self, grouping: Grouping, since: date, until: date) -> list[Spent]:
        """The same divided: by day in order, else the dearest first. Calls without a recording are one job an owner."""
        return self._sum(grouping, since, until)

    def uses(self, since: date, until: date) -> list[ModelUse]:
        """Cloud calls as advice needs them."""
        limits = {"long_s": LONG_S, "short_s": SHORT_S, "together": SHARED_NOTES}
        return [_to_use(row._mapping) for row in self._ask(_USES, since, until, **limits)]

    def kept(self, since: date, until: date) -> Kept:
        """What the answers that were last used again in these days have spared since they were kept."""
        return Kept(**self._ask(_KEPT, since, until)[0]._mapping)

    def notes_passed_over(self, since: date, until: date, *, why: str) -> int:
        """Current notes written in these days by a later writer than wanted, `why` being in what was found of that."""
        return int(self._ask(_PASSED_OVER, since, until, why=why)[0][0])

    def balances(self, today: date) -> list[Balance]:
        """What counts against the budgets of `today` and its month; nothing for those who spent nothing."""
        days = {"day": today, "month": today.replace(day=1), "owner": self._owner}
        with begin(self._engine) as connection:
            return [Balance(**row._mapping) for row in connection.execute(text(_SPEND), days)]

    def first_day(self) -> date | None:
        """The day of the first call in the ledger."""
        with begin(self._engine) as connection:
            first = connection.scalar(text(_FIRST), {"owner": self._owner})
        return first.astimezone(self._zone).date() if first else None

    def _sum(self, grouping: Grouping | None, since: date, until: date) -> list[Spent]:
        key = _KEYS[grouping]
        end = f"group by {key} order by {_ORDERS[grouping]}, {key}" if grouping else ""
        rows = self._ask(f"{_LINES} select {f'{key},' if key else ''} {_SUMS} from lines {end}", since, until)
        names = [name.strip() for name in key.split(",") if name]
        sums = [field.name for field in fields(Spent) if field.name != "key"]
        return [
            Spent({name: row._mapping[name] for name in names}, **{name: row._mapping[name] for name in sums})
            for row in rows
        ]

    def _ask(self, statement: str, since: date, until: date, **more: Any) -> Sequence[Any]:
        values = {
            "since": self._begin(since),
            "until": self._begin(until + timedelta(days=1)),
            "zone": self._zone.key,
            "owner": self._owner,
            "answered": ANSWERED,
            "interrupted": INTERRUPTED,
        } | more
        with begin(self._engine) as connection:
            return connection.execute(text(statement), values).all()

    def _begin(self, day: date) -> datetime:
        return datetime.combine(day, time(), self._zone).astimezone(UTC)


def _to_use(row: Any) -> ModelUse:
    plain: dict[str, Any] = {field.name: row.get(field.name) for field in fields(ModelUse)}
    return ModelUse(**plain | {"usage": _usage(row), "long_usage": _usage(row, "long_")})


def _usage(row: Any, part: str = "") -> Usage:
    tokens = (row[f"{part}{name}_tokens"] for name in ("input", "output", "cached"))
    given, written, cached = tokens
    return Usage(row["provider"], row["model"], input_tokens=given, output_tokens=written, cached_tokens=cached)
