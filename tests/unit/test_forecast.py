import random
from datetime import date, timedelta
from decimal import Decimal

import pytest

from diarynotes.forecast import LEVEL, Forecast, forecast_month

NOVEMBER = date(2026, 11, 1)  # a Sunday, 30 days


def spend(*amounts: float, first: date = NOVEMBER) -> dict[date, Decimal]:
    return {first + timedelta(days=number): Decimal(str(usd)) for number, usd in enumerate(amounts)}


def foresee(daily: dict[date, Decimal], day: int, first: date = NOVEMBER) -> Forecast:
    forecast = forecast_month(daily, today=date(2026, 11, day), first=first)
    assert forecast is not None
    return forecast


def test_the_mean_of_the_days_so_far_goes_on_to_the_end() -> None:
    forecast = foresee(spend(1, 2, 3, 2, 0.5), 5)
    # 8.50 until now, 1.50 that today lacks of its 2, and 25 days of 2
    assert (forecast.usd, forecast.method, forecast.days) == (Decimal("60"), "mean of days", 4)
    # t(3; 0.9) = 1.637744, s ** 2 = 2 / 3, 26 days from 4: 1.637744 * sqrt(2 / 3 * (26 + 26 ** 2 / 4))
    assert float(forecast.low_usd) == pytest.approx(60 - 18.67309, abs=1e-4)
    assert float(forecast.high_usd) == pytest.approx(60 + 18.67309, abs=1e-4)


def test_days_that_are_all_alike_leave_no_doubt() -> None:
    forecast = foresee(spend(*[1] * 10), 11)
    assert (forecast.low_usd, forecast.usd, forecast.high_usd) == (30, 30, 30)


def test_what_today_has_above_its_mean_is_on_top() -> None:
    assert foresee(spend(1, 1, 1, 5), 4).usd == 3 + 5 + 26


def test_two_weeks_give_each_weekday_a_mean_of_its_own() -> None:
    week = [0, 3, 3, 3, 3, 3, 0]  # from Sunday to Saturday
    forecast = foresee(spend(*week, *week), 15)
    assert forecast.method == "mean by weekday"
    assert forecast.usd == sum(week) * 4 + week[0] + week[1]
    assert forecast.low_usd == forecast.high_usd == forecast.usd


def test_the_doubt_by_weekday_is_pooled() -> None:
    daily = spend(*[0, 3, 3, 3, 3, 3, 0], *[0, 5, 3, 3, 3, 3, 0])
    forecast = foresee(daily, 15)
    # Mondays are 3 and 5: s ** 2 = 2 / 7, 7 degrees of freedom. Today, a Sunday, lacks nothing; to come are 3 Mondays
    # and 2 of each other day, all of them seen twice
    spread = 15 + (3**2 + 6 * 2**2) / 2
    assert float(forecast.high_usd - forecast.usd) == pytest.approx(1.414924 * (2 / 7 * spread) ** 0.5, abs=1e-4)


def test_a_young_month_looks_at_the_one_before() -> None:
    october = spend(*[2] * 31, first=date(2026, 10, 1))
    forecast = foresee(october | spend(2), 2, first=date(2026, 10, 1))
    assert (forecast.usd, forecast.days) == (60, 32)


def test_a_month_of_two_weeks_does_not() -> None:
    october = spend(*[9] * 31, first=date(2026, 10, 1))
    assert foresee(october | spend(*[1] * 14), 15, first=date(2026, 10, 1)).usd == 30


def test_days_before_the_first_call_are_no_days_without_cost() -> None:
    forecast = foresee(spend(4, 4, 4, first=date(2026, 11, 17)), 20, first=date(2026, 11, 17))
    assert (forecast.days, forecast.usd) == (3, 12 + 11 * 4)


def test_less_than_three_whole_days_say_nothing() -> None:
    assert forecast_month(spend(1, 1, 1), today=date(2026, 11, 3), first=NOVEMBER) is None
    assert forecast_month({}, today=NOVEMBER, first=NOVEMBER) is None


def test_on_the_last_day_only_today_is_left() -> None:
    assert foresee(spend(*[1] * 29), 30).usd == 30
    assert foresee(spend(*[1] * 29, 2), 30).usd == 31


def test_nothing_that_was_spent_is_taken_back() -> None:
    forecast = foresee(spend(0, 9, 0, 0), 5)
    assert forecast.low_usd == 9


def test_the_interval_holds_about_as_often_as_it_says() -> None:
    chance = random.Random(20261121)
    held = 0
    for _ in range(400):
        month = spend(*(sum(chance.lognormvariate(-5, 1) for _ in range(chance.randint(2, 6))) for _ in range(30)))
        known = {day: usd for day, usd in month.items() if day.day < 11}
        forecast = foresee(known, 11)
        held += forecast.low_usd <= sum(month.values()) <= forecast.high_usd
    assert LEVEL - 0.1 < held / 400 < LEVEL + 0.1
