"""How `diarynotes costs` looks in a terminal: totals, tables, budgets, the forecast and what would have cost less.

Knows the report alone. Made for 80 columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import click

from diarynotes.cli.console import print_table
from diarynotes.cli.spending_report import GROUPINGS, Report, UsedBudget
from diarynotes.forecast import LEVEL
from diarynotes.spending_advice import Advice

if TYPE_CHECKING:
    from diarynotes.store.spending import Grouping, Spent

_MOST_ROWS = 10
_TITLES: dict[Grouping, str] = {
    "day": "By day",
    "owner": "By owner",
    "provider": "By model",
    "job": "By recording",
}


def print_report(report: Report, only: Grouping | None = None) -> None:
    """The whole report with ten rows a table at most, or one table in full. One sentence where nothing was spent."""
    total = report.total
    click.echo(_headline(report))
    if only is not None:
        _print_group(report, only, None)
        return
    if not (total.usd or total.unknown or total.open):
        return
    click.echo("\n".join(_tell_totals(report)))
    for grouping in GROUPINGS:
        _print_group(report, grouping, _MOST_ROWS)
    _print_budgets(report.budgets)
    if report.notes_over_budget:
        notes = _count_of(report.notes_over_budget, "note")
        click.echo(f"{notes} went to a later writer because a call did not fit a budget.\n")
    click.echo("\n".join(_tell_forecast(report)))
    _print_advice(report.advice)


def format_usd(usd: Decimal | None, digits: int | None = None) -> str:
    """`$0.0004`, told apart from nothing, which is `$0`; `unknown` for None. `digits` come after the point."""
    if usd is None:
        return "unknown"
    if not usd:
        return "$0"
    return f"${usd:,.{_digits([usd]) if digits is None else digits}f}"


def _digits(amounts: Iterable[Decimal]) -> int:
    """How many digits after the point the smallest amount needs to be told from nothing, two of its own as a rule."""
    least = min((abs(amount) for amount in amounts if amount), default=Decimal(1))
    return min(max(2, 1 - least.adjusted()), 8) if least < 1 else 2


def _headline(report: Report) -> str:
    total, period = report.total, report.period
    days = f"{period.since} to {period.until} ({period.timezone})"
    whose = f" for {report.owner}" if report.owner else ""
    if not total.calls:
        return f"No model was called{whose} from {days}. Other months: diarynotes costs --month YYYY-MM"
    if not (total.usd or total.unknown or total.open):
        free = f"{_calls(total.calls)} cost nothing"
        return f"Nothing was spent{whose} from {days}: {free}. To see them: diarynotes costs --by provider"
    return f"Calls to models{whose} from {days}"


def _tell_totals(report: Report) -> Iterable[str]:
    total, kept = report.total, report.kept
    yield f"\n  {format_usd(total.usd)}{' known' if total.unknown or total.open else ''}"
    if total.unknown:
        yield f"  and {_calls(total.unknown)} of unknown cost"
    if total.open:
        yield f"  and {_calls(total.open)} that never came back, or not yet, and may be billed"
    if total.reserved_usd:
        yield f"  for which {format_usd(total.reserved_usd)} at most are set aside"
    ends = {"failed": total.failed, "broken off": total.interrupted, "tried again": total.retries}
    told = "".join(f", {count:,} {name}" for name, count in ends.items() if count)
    yield f"  {_calls(total.calls)}{told}"
    cached = f" ({total.cached_tokens:,} from vendors' caches)" if total.cached_tokens else ""
    yield f"  {total.input_tokens:,} tokens in{cached}, {total.output_tokens:,} out"
    if total.mean_latency_s is not None:
        yield f"  {total.mean_latency_s:.1f} s an answer, 95 of 100 within {total.p95_latency_s:.1f} s"
    if kept.calls:
        yield f"  kept answers spared {_calls(kept.calls)} that had cost {format_usd(kept.usd)}"
    yield ""


def _print_group(report: Report, grouping: Grouping, most: int | None) -> None:
    found = report.groups[grouping]
    if not found or (most and grouping == "owner" and len(found) == 1):
        return
    shown = found[-most:] if most and grouping == "day" else found[:most]
    left = len(found) - len(shown)
    title = _TITLES[grouping] + (f" ({left} more with --by {grouping})" if left else "")
    doubtful = any(spent.unknown or spent.open for spent in shown)
    digits = _digits(spent.usd for spent in shown)
    latency = grouping == "provider"
    numbers = ["calls", "failed", "in", "out", *(["s", "p95 s"] if latency else []), "USD"]
    numbers += ["unknown"] if doubtful else []
    rows = [
        (
            *_name(spent, grouping),
            f"{spent.calls:,}",
            f"{spent.failed:,}",
            _count(spent.input_tokens),
            _count(spent.output_tokens),
            *((_seconds(spent.mean_latency_s), _seconds(spent.p95_latency_s)) if latency else ()),
            format_usd(_known(spent), digits),
            *((f"{spent.unknown + spent.open:,}",) if doubtful else ()),
        )
        for spent in shown
    ]
    names = {"day": ("day",), "owner": ("owner",), "provider": ("model",), "job": ("recording", "file")}
    print_table(title, (*names[grouping], *numbers), rows, numbers=numbers)


def _name(spent: Spent, grouping: Grouping) -> tuple[Any, ...]:
    key = spent.key
    if grouping == "provider":
        own = key["writer"] == key["provider"]  # a vendor's models tell whose they are
        return (key["model"] if own else f"{key['model']} ({key['writer']})",)
    if grouping == "job":
        if key["recording_id"] is None:
            return "none", f"shared calls, days, trials of {key['owner']}"
        return key["recording_id"][:8], PurePosixPath(key["source"]).name
    return (key[grouping],)


def _known(spent: Spent) -> Decimal | None:
    """None where no call of it is known to have cost anything, and some may have."""
    return None if not spent.usd and (spent.unknown or spent.open) else spent.usd


def _print_budgets(budgets: Sequence[UsedBudget]) -> None:
    if not budgets:
        return
    columns = ("budget", "period", "spent", "set aside", "limit", "used")
    fullest = sorted(budgets, key=lambda budget: -budget.used_share)[:_MOST_ROWS]
    rows = [
        (
            budget.owner or "all together",
            f"day {budget.begins}" if budget.period == "day" else f"month {budget.begins:%Y-%m}",
            format_usd(budget.spent_usd),
            format_usd(budget.reserved_usd),
            format_usd(budget.limit_usd),
            f"{budget.used_share:.0%}",
        )
        for budget in fullest
    ]
    print_table("Budgets", columns, rows, numbers=columns[2:])


def _tell_forecast(report: Report) -> Iterable[str]:
    found = report.forecast
    if found is None:
        yield f"Forecast: none; {report.no_forecast}.\n"
        return
    digits = _digits([found.usd])
    low, high = format_usd(found.low_usd, digits), format_usd(found.high_usd, digits)
    yield f"Forecast to the month's end: {format_usd(found.usd, digits)}, in {LEVEL:.0%} of cases {low} to {high}"
    yield f"  ({found.method}, {found.days} whole days; calls without a known price are left out)"
    owner = report.owner
    for budget in report.budgets:
        if budget.period == "month" and budget.owner == owner and found.usd > budget.limit_usd:
            yield f"  That is over the month's budget of {format_usd(budget.limit_usd)}."
    yield ""


def _print_advice(advice: Sequence[Advice]) -> None:
    if not advice:
        return
    digits = _digits(each.saved_usd for each in advice if each.saved_usd is not None)
    rows = [(format_usd(each.saved_usd, digits), each.text) for each in advice]
    print_table("What would have cost less (savings overlap)", ("saved", "how"), rows, numbers=("saved",))


def _calls(count: int) -> str:
    return _count_of(count, "call")


def _count_of(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _count(tokens: int) -> str:
    """A count of tokens in at most six signs."""
    for size, sign in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if tokens >= 10 * size:
            return f"{tokens / size:.0f}{sign}"
        if tokens >= size and size > 10**3:
            return f"{tokens / size:.1f}{sign}"
    return f"{tokens:,}"


def _seconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.1f}"
