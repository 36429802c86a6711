from datetime import date
from decimal import Decimal

import pytest

from diarynotes.cli.spending_page import format_usd
from diarynotes.cli.spending_report import UsedBudget


@pytest.mark.parametrize(
    ("usd", "told"),
    [
        (None, "unknown"),
        ("0", "$0"),
        ("0.0004", "$0.00040"),
        ("0.00000001", "$0.00000001"),
        ("0.0123456", "$0.012"),
        ("0.5", "$0.50"),
        ("1", "$1.00"),
        ("1234.5", "$1,234.50"),
    ],
)
def test_small_amounts_are_told_from_nothing_and_from_the_unknown(usd: str | None, told: str) -> None:
    assert format_usd(None if usd is None else Decimal(usd)) == told


def test_a_column_has_one_number_of_digits_but_nothing_stays_nothing() -> None:
    assert [format_usd(Decimal(usd), 4) for usd in ("0.0004", "12", "0")] == ["$0.0004", "$12.0000", "$0"]


def test_of_a_budget_of_nothing_all_is_used() -> None:
    nothing = Decimal(0)
    assert UsedBudget("anna", "day", date(2026, 11, 21), nothing, nothing, nothing).used_share == 1
