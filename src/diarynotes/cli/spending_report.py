"""What `diarynotes costs` shows, gathered from the ledger and the settings, and the same as JSON.

Prints nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from diarynotes.cli.console import name_source
from diarynotes.forecast import Forecast, forecast_month
from diarynotes.settings import Settings
from diarynotes.spending_advice import Advice, advise

if TYPE_CHECKING:
    from diarynotes.store.spending import Balance, Grouping, Kept, Spending, Spent

GROUPINGS: tuple[Grouping, ...] = ("day", "owner", "provider", "job")

_LETTERS_A_TOKEN = 4
"""Of English, by OpenAI's rule of thumb (help.openai.com, "What are tokens and how to count them")."""


@dataclass(frozen=True, slots=True)
class Period:
    """Days from `since` to `until`, both included, by the calendar of `timezone`."""

    since: date
    until: date
    timezone: str


@dataclass(frozen=True, slots=True)
class UsedBudget:
    """A limit, for all owners together where `owner` is None, and how much of it is used."""

    owner: str | None
    period: str
    begins: date
    limit_usd: Decimal
    spent_usd: Decimal
    reserved_usd: Decimal

    @property
    def used_share(self) -> float:
        """1 where nothing is left; what is set aside counts."""
        return float((self.spent_usd + self.reserved_usd) / self.limit_usd) if self.limit_usd else 1.0


@dataclass(frozen=True, slots=True)
class Report:
    """Everything about a period; `forecast` is None with the reason in `no_forecast`.

    `notes_over_budget` are notes that a later writer of the chain wrote because a call did not fit a budget.
    """

    period: Period
    owner: str | None
    total: Spent
    groups: dict[Grouping, list[Spent]]
    kept: Kept
    budgets: list[UsedBudget]
    notes_over_budget: int
    forecast: Forecast | None
    no_forecast: str
    advice: tuple[Advice, ...]


def gather(spending: Spending, settings: Settings, period: Period, *, owner: str | None, today: date) -> Report:
    """Reads all that there is to say about a period; budgets and forecast are those of `today`."""
    from diarynotes.cost import price
    from diarynotes.diary.remedies import failure

    since, until = period.since, period.until
    forecast, no_forecast = _forecast(spending, period, today)
    rules_tokens = None if settings.share_calls == "on" else _rules_tokens()
    cheaper = {"openai": settings.openai_cheap_model, "anthropic": settings.anthropic_cheap_model}
    return Report(
        period=period,
        owner=owner,
        total=spending.total(since, until),
        groups={grouping: spending.by(grouping, since, until) for grouping in GROUPINGS},
        kept=spending.kept(since, until),
        budgets=_use_budgets(settings, spending.balances(today), owner, today),
        notes_over_budget=spending.notes_passed_over(since, until, why=failure("", "over_budget").why),
        forecast=forecast,
        no_forecast=no_forecast,
        advice=advise(spending.uses(since, until), price=price, cheaper=cheaper, rules_tokens=rules_tokens),
    )


def report_as_json(report: Report) -> dict[str, Any]:
    """One object with everything. Amounts are numbers, in USD as `run` tells them; what is not known is null."""
    return {
        "since": report.period.since.isoformat(),
        "until": report.period.until.isoformat(),
        "timezone": report.period.timezone,
        "owner": report.owner,
        "total": _spent_as_json(report.total),
        **{f"by_{name}": [_spent_as_json(spent) for spent in found] for name, found in report.groups.items()},
        "kept_answers": _plain(asdict(report.kept)),
        "budgets": [_plain(asdict(budget) | {"used_share": budget.used_share}) for budget in report.budgets],
        "notes_over_budget": report.notes_over_budget,
        "forecast": _plain(asdict(report.forecast)) if report.forecast else None,
        "no_forecast": report.no_forecast or None,
        "recommendations": [_plain(asdict(advice)) for advice in report.advice],
    }


def _forecast(spending: Spending, period: Period, today: date) -> tuple[Forecast | None, str]:
    month = today.replace(day=1)
    if period.since != month or period.until < today:
        return None, "only for the month that is under way"
    before = (month - timedelta(days=1)).replace(day=1)
    daily = {spent.key["day"]: spent.usd for spent in spending.by("day", before, today)}
    first = spending.first_day()
    forecast = forecast_month(daily, today=today, first=first) if first else None
    return forecast, "" if forecast else "there are less than three whole days to go by"


def _use_budgets(settings: Settings, balances: Sequence[Balance], owner: str | None, today: date) -> list[UsedBudget]:
    """Every limit that is set, with what counts against it: of all, then of each owner who is known or asked for."""
    spent = {(balance.owner, balance.period): balance for balance in balances}
    owners = {owner} if owner else {*settings.owners, *(balance.owner for balance in balances if balance.owner)}
    limits: list[tuple[str, Any, Decimal | None]] = [
        ("", "day", settings.budgets.day_usd),
        ("", "month", settings.budgets.month_usd),
    ]
    for name in sorted(owners):
        own = settings.of(name).budgets
        limits += [(name, "day", own.owner_day_usd), (name, "month", own.owner_month_usd)]
    found = []
    for name, period, limit in limits:
        if limit is not None:
            balance = spent.get((name, period))
            used = (balance.spent_usd, balance.reserved_usd) if balance else (Decimal(0), Decimal(0))
            begins = today if period == "day" else today.replace(day=1)
            found.append(UsedBudget(name or None, period, begins, limit, *used))
    return found


def _rules_tokens() -> int:
    """About what a short note's call takes beside the speech: the rules and the shape that is asked for."""
    import json

    from diarynotes.diary.note_shape import NoteShape, schema_of
    from diarynotes.diary.prompt import ask_for_note

    messages = ask_for_note((), day=date.min, language="en", prompt="memo")
    letters = sum(len(message.text) for message in messages) + len(json.dumps(schema_of(NoteShape)))
    return letters // _LETTERS_A_TOKEN


def _spent_as_json(spent: Spent) -> dict[str, Any]:
    """`usd` is null where a part of it is not known; `known_usd` is the part that is."""
    sums = asdict(spent)
    key, known = sums.pop("key"), sums.pop("usd")
    if key.get("source"):
        key["source"] = name_source(key["source"])
    usd = None if spent.unknown or spent.open else known
    return _plain({**key, **sums, "usd": usd, "known_usd": known})


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """`values` as JSON can hold them."""
    plain: dict[str, Any] = {}
    for name, value in values.items():
        match value:
            case Decimal():
                plain[name] = float(value)
            case date():
                plain[name] = value.isoformat()
            case _:
                plain[name] = value
    return plain
