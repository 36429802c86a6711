"""What a month will have cost when it is over, from what its days have cost so far.

Knows days and amounts only: no calls, no prices, no database. It looks back, so it does not see what is about to be
dropped into the bucket.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from math import sqrt
from statistics import fmean
from typing import Literal, TypeAlias

LEAST_DAYS = 3
"""Fewer whole days than this say nothing about the next ones."""
LEVEL = 0.8
"""How often the interval is meant to hold what comes."""

_WEEKDAY_DAYS = 14
"""From two weeks on each weekday was seen twice, and can have a mean of its own."""
_DIGITS = 6

Method: TypeAlias = Literal["mean of days", "mean by weekday"]


@dataclass(frozen=True, slots=True)
class Forecast:
    """The whole month's cost in USD, between `low_usd` and `high_usd` in about eight of ten months.

    `days` is how many whole days it was made of.
    """

    usd: Decimal
    low_usd: Decimal
    high_usd: Decimal
    method: Method
    days: int


def forecast_month(daily: Mapping[date, Decimal], *, today: date, first: date) -> Forecast | None:
    """What the month of `today` will have cost; None where there are less than three whole days to go by.

    `daily` holds what was spent by day, USD; days without an entry cost nothing. `first` is the first day of which
    anything is known. The days looked at are this month's up to yesterday, and where they are fewer than 14 the
    previous month's, too. Each day to come is expected to cost the mean of those days, from 14 of them on the mean of
    its weekday; today is expected to reach its mean if it has not.

    The interval is Student's prediction interval for the sum of m days from the mean of n, by weekday with the spread
    pooled over them: t(n - g) * s * sqrt(m + sum(m_w ** 2 / n_w)) for g weekdays (Meeker, Hahn and Escobar,
    "Statistical Intervals", 2nd edition 2017, chapter 4, for g = 1). It takes days to be alike and independent.
    """
    seen = _days_to_go_by(today, first)
    if len(seen) < LEAST_DAYS:
        return None
    by_weekday = len(seen) >= _WEEKDAY_DAYS
    groups: dict[int, list[float]] = {}
    for day in seen:
        groups.setdefault(day.weekday() if by_weekday else 0, []).append(float(daily.get(day, 0)))
    means = {group: fmean(amounts) for group, amounts in groups.items()}
    spent = {day: float(amount) for day, amount in daily.items() if _month(day) == _month(today) and day <= today}
    ahead = [today + timedelta(days=number) for number in range(32)]
    to_come = [day for day in ahead if _month(day) == _month(today)]
    missing = [means[day.weekday() if by_weekday else 0] - spent.get(day, 0.0) for day in to_come]
    if missing[0] <= 0:  # today has had its share
        to_come, missing = to_come[1:], missing[1:]
    so_far = sum(spent.values())
    expected = so_far + sum(missing)
    counts = Counter(day.weekday() if by_weekday else 0 for day in to_come)
    reach = _reach(list(groups.values()), [counts[group] for group in groups])
    return Forecast(
        _usd(expected),
        _usd(max(so_far, expected - reach)),
        _usd(expected + reach),
        "mean by weekday" if by_weekday else "mean of days",
        len(seen),
    )


def _days_to_go_by(today: date, first: date) -> list[date]:
    """The whole days that are looked at, the latest first."""
    begin = today.replace(day=1)
    if (today - max(begin, first)).days < _WEEKDAY_DAYS:
        begin = (begin - timedelta(days=1)).replace(day=1)
    return [today - timedelta(days=back) for back in range(1, (today - max(begin, first)).days + 1)]


def _reach(groups: Sequence[Sequence[float]], ahead: Sequence[int]) -> float:
    """How far the sum of days to come may be from what is expected, either way; `ahead` are how many of each group."""
    from scipy.special import stdtrit  # a third of a second, only needed here

    freedom = sum(len(group) - 1 for group in groups)
    squares = sum((amount - fmean(group)) ** 2 for group in groups for amount in group)
    spread = sum(ahead) + sum(count**2 / len(group) for group, count in zip(groups, ahead, strict=True))
    return float(stdtrit(freedom, (1 + LEVEL) / 2)) * sqrt(squares / freedom * spread)


def _month(day: date) -> tuple[int, int]:
    return day.year, day.month


def _usd(amount: float) -> Decimal:
    return Decimal(str(round(amount, _DIGITS)))
