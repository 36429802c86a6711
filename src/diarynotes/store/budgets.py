"""The rules of budgets: in which accounts a call is counted, whether one would be passed, which is nearly used up.

Pure: knows no database and no clock.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from datetime import date, datetime, tzinfo
from decimal import Decimal

from diarynotes.calls import BudgetPeriod, Budgets, BudgetWarning

WARN_SHARE = Decimal("0.8")
"""A budget is nearly used up when this share of it is spent."""


@dataclass(frozen=True, slots=True)
class Account:
    """What all owners together (`owner` empty) or one of them may spend in the day or month that begins at `begins`."""

    owner: str
    period: BudgetPeriod
    begins: date
    limit_usd: Decimal | None


def find_accounts(owner: str, moment: datetime, zone: tzinfo, budgets: Budgets) -> tuple[Account, ...]:
    """The accounts in which a call of `owner` that begins at `moment` is counted, always in the same order.

    Everybody who locks them in this order waits for the first one, and nobody waits in a circle.
    """
    day, month = begin_period("day", moment, zone), begin_period("month", moment, zone)
    all_owners = (
        Account("", "day", day, budgets.day_usd),
        Account("", "month", month, budgets.month_usd),
    )
    if not owner:
        return all_owners
    return (
        *all_owners,
        Account(owner, "day", day, budgets.owner_day_usd),
        Account(owner, "month", month, budgets.owner_month_usd),
    )


def begin_period(period: BudgetPeriod, moment: datetime, zone: tzinfo) -> date:
    """The first day of the day or month that it is at `moment` in `zone`."""
    day = moment.astimezone(zone).date()
    return day if period == "day" else day.replace(day=1)


def is_limited(budgets: Budgets) -> bool:
    """Whether there is any limit; each of them binds every owner."""
    return any(limit is not None for limit in astuple(budgets))


def is_passed(account: Account, counted_usd: Decimal) -> bool:
    """Whether `counted_usd`, what is spent and what is set aside, is more than the account may hold."""
    return account.limit_usd is not None and counted_usd > account.limit_usd


def make_warning(account: Account, spent_usd: Decimal) -> BudgetWarning | None:
    """What there is to warn of once `spent_usd` is spent."""
    if account.limit_usd is None or not spent_usd or spent_usd < WARN_SHARE * account.limit_usd:
        return None
    return BudgetWarning(account.owner, account.period, spent_usd, account.limit_usd)
