"""The report of a night: what came in, what became of it, what it cost, what waits, over thirty days.

Numbers, ids and codes; never diary text, and no owner's name. `report_page` makes a page of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from diarynotes.store.spending import Spending
from diarynotes.store.statistics import DayCost, DayFigures, Failures, Queue, Statistics
from flows.plots import bars, data_uri, format_number, lines, ranking, sparkline
from flows.workshop import Workshop

DAYS = 30
"""How many days a report shows."""
STATE_WORDS: Mapping[str, str] = {
    "received": "received",
    "validated": "checked",
    "transcribed": "heard",
    "written": "written",
    "landed": "landed",
    "waiting": "waiting for another try",
    "quarantined": "set aside",
    "dead": "given up",
    "discarded": "discarded",
    "erased": "erased",
}
"""How a person is told of where a recording stands, in the order in which it comes there."""
_WEEK = 7
_MOST_CAUSES = 10


@dataclass(frozen=True, slots=True)
class UsedBudget:
    """A budget of all together, or of the owner who has used most of theirs; USD."""

    of: str
    spent: Decimal
    limit: Decimal

    @property
    def used_share(self) -> float:
        return float(self.spent / self.limit)


@dataclass(frozen=True, slots=True)
class Report:
    """What the report tells; `notes` and `degraded` are of all current notes, the rest of its days."""

    days: tuple[DayFigures, ...]
    costs: tuple[DayCost, ...]
    failures: tuple[Failures, ...]
    failed_calls: tuple[Failures, ...]
    queue: Queue
    notes: int
    degraded: int
    budgets: tuple[UsedBudget, ...]

    @property
    def day(self) -> date:
        """The last day, on which the report is made."""
        return self.days[-1].day


@dataclass(frozen=True, slots=True)
class Plot:
    """A picture as SVG, what it shows as a sentence, and its course in plain characters."""

    svg: str
    title: str
    spark: str


def build_report(shop: Workshop, *, now: datetime, days: int = DAYS) -> Report:
    """The numbers of the last `days` days up to `now`, as the settings' time zone divides them."""
    zone = shop.settings.zone
    until = now.astimezone(zone).date()
    since = until - timedelta(days=days - 1)
    found = Statistics(shop.store.engine, zone=zone)
    notes, degraded = found.notes()
    return Report(
        days=tuple(found.days(since, until)),
        costs=tuple(found.costs(since, until)),
        failures=tuple(found.failures(since, until)),
        failed_calls=tuple(found.failed_calls(since, until)),
        queue=found.queue(),
        notes=notes,
        degraded=degraded,
        budgets=tuple(_budgets(shop, until)),
    )


def headline(report: Report) -> list[tuple[str, str]]:
    """The few numbers that a person looks at first, each with its name."""
    today, week = report.days[-1], report.days[-_WEEK:]
    usd = sum((cost.usd for cost in report.costs), Decimal(0))
    unknown = sum(cost.unknown for cost in report.costs)
    pending = report.queue.pending + report.queue.drops
    return [
        ("recordings today", f"{today.recordings:,}"),
        (f"hours in {len(week)} days", format_number(sum(day.audio_s for day in week) / 3600)),
        ("landed", share(sum(day.landed for day in report.days), sum(day.recordings for day in report.days))),
        ("degraded notes", share(report.degraded, report.notes)),
        ("on their way" + (f", oldest {_ago(report.queue.oldest_s)}" if report.queue.pending else ""), f"{pending:,}"),
        (f"USD in {len(report.days)} days" + (f", and {unknown:,} calls unknown" if unknown else ""), f"{usd:,.2f}"),
    ]


def draw(report: Report) -> list[Plot]:
    """Every plot of the report."""
    days = report.days
    labels = [f"{day.day:%d %b}" for day in days]
    minutes = [day.audio_s / 60 for day in days]
    fates = {
        "landed": [float(day.landed) for day in days],
        "under way": [float(day.recordings - day.landed - day.set_aside - day.dead) for day in days],
        "set aside": [float(day.set_aside) for day in days],
        "given up": [float(day.dead) for day in days],
    }
    degraded = [day.degraded / day.notes if day.notes else None for day in days]
    spent = _by_provider(report)
    causes = {f"{STATE_WORDS[found.of]}: {found.code}": float(found.count) for found in report.failures[:_MOST_CAUSES]}
    calls = {f"{found.of}: {found.code}": float(found.count) for found in report.failed_calls[:_MOST_CAUSES]}
    trust, rate = [day.trust for day in days], [day.words_per_minute for day in days]
    percent = [None if part is None else 100 * part for part in degraded]
    budgets = {budget.of: 100 * budget.used_share for budget in report.budgets}
    counts = {str(state): float(count) for state, count in report.queue.states.items()}
    states = {words: counts[state] for state, words in STATE_WORDS.items() if state in counts}
    total_usd = [sum(column) for column in zip(*spent.values(), strict=True)]
    plots: list[tuple[str, Callable[[str], str], str]] = [
        ("Minutes of sound a day", lambda t: bars(t, labels, {"": minutes}), sparkline(minutes)),
        ("Recordings a day", lambda t: bars(t, labels, fates), sparkline(day.recordings for day in days)),
        ("Cost a day by provider, USD", lambda t: bars(t, labels, spent), sparkline(total_usd)),
        ("Trust in what was heard", lambda t: lines(t, labels, {"trust": trust}, top=1.0), sparkline(trust)),
        ("Words a minute of speech", lambda t: lines(t, labels, {"words": rate}), sparkline(rate)),
        ("Degraded notes", lambda t: lines(t, labels, {"share": percent}, unit=" %", top=100), sparkline(percent)),
        ("Failures by cause", lambda t: ranking(t, causes), ""),
        ("Failed calls to models", lambda t: ranking(t, calls), ""),
        ("Where all recordings stand", lambda t: ranking(t, states), ""),
        *([("Budgets used", lambda t: ranking(t, budgets, unit=" %"), "")] if budgets else []),
    ]
    return [Plot(make(title), title, spark) for title, make, spark in plots]


def to_markdown(report: Report, *, page: str = "") -> str:
    """The report for Prefect's UI: the numbers, the courses as text, the pictures, and tables. `page` is its file."""
    plots = draw(report)
    top = "\n".join(f"| {name} | {value} |" for name, value in headline(report))
    courses = "\n".join(f"| {plot.title} | `{plot.spark}` |" for plot in plots if plot.spark)
    pictures = "\n\n".join(f"![{plot.title}]({data_uri(plot.svg)})" for plot in plots)
    failures = [replace(found, of=STATE_WORDS[found.of]) for found in report.failures]
    parts = [
        f"# The diary on {report.day:%d %B %Y}\n\n| in short | |\n|---|---|\n{top}",
        f"## The last {len(report.days)} days\n\n| from day to day | until today |\n|---|---|\n{courses}\n\n{pictures}",
        _table("Failures by cause", ("stands", "cause", "recordings"), failures),
        _table("Failed calls to models", ("writer", "kind", "calls"), report.failed_calls),
        f"The same as a page: `{page}`" if page else "",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def to_rows(report: Report) -> list[dict[str, Any]]:
    """A row for each day, the newest first."""
    return [
        {
            "day": str(day.day),
            "recordings": day.recordings,
            "minutes": round(day.audio_s / 60, 1),
            "landed": day.landed,
            "set aside": day.set_aside,
            "given up": day.dead,
            "degraded": day.degraded,
            "trust": "" if day.trust is None else round(day.trust, 2),
            "words a minute": "" if day.words_per_minute is None else round(day.words_per_minute),
            "USD": f"{sum((cost.usd for cost in report.costs if cost.day == day.day), Decimal(0)):.4f}",
        }
        for day in reversed(report.days)
    ]


def share(part: int, whole: int) -> str:
    """`90 % of 10`, or `none` of nothing."""
    return f"{part / whole:.0%} of {whole:,}".replace("%", " %") if whole else "none"


def _by_provider(report: Report) -> dict[str, list[float]]:
    usd = {(cost.day, cost.provider): float(cost.usd) for cost in report.costs}
    providers = sorted({provider for _, provider in usd})
    return {provider: [usd.get((day.day, provider), 0.0) for day in report.days] for provider in providers}


def _budgets(shop: Workshop, today: date) -> Iterable[UsedBudget]:
    fullest: dict[str, UsedBudget] = {}
    for balance in Spending(shop.store.engine, zone=shop.settings.zone).balances(today):
        own = shop.settings.of(balance.owner).budgets
        limits = {
            "": {"day": own.day_usd, "month": own.month_usd},
            "owner": {"day": own.owner_day_usd, "month": own.owner_month_usd},
        }["owner" if balance.owner else ""]
        limit = limits[balance.period]
        if limit:
            name = f"{'fullest of an owner' if balance.owner else 'all together'}, {balance.period}"
            used = UsedBudget(name, balance.spent_usd + balance.reserved_usd, limit)
            fullest[name] = max(fullest.get(name, used), used, key=lambda each: each.used_share)
    yield from fullest.values()


def _table(title: str, columns: tuple[str, str, str], found: Sequence[Failures]) -> str:
    if not found:
        return ""
    rows = "\n".join(f"| {each.of} | {each.code} | {each.count:,} |" for each in found)
    return f"## {title}\n\n| {' | '.join(columns)} |\n|---|---|---:|\n{rows}"


def _ago(seconds: float) -> str:
    for size_s, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size_s:
            return f"{seconds / size_s:.0f}\u00a0{unit}"
    return f"{seconds:.0f}\u00a0s"
