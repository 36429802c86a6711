"""What a call to a model cost: usage times the list price that genai-prices ships.

Knows no budgets, no database and no network: prices are those of the installed package. A price that is not known is
None, never 0, so that nobody mistakes a bill for a gift.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

from diarynotes.models import Cost, Usage

if TYPE_CHECKING:
    from genai_prices.types import PriceCalculation

LOCAL = "local"
"""The provider of engines and writers that run on our own machines; they cost nothing per call."""

_UNKNOWN = "unknown"


def price(usage: Usage) -> Cost:
    """What `usage` cost in USD by list price, with where the price came from.

    Local engines and writers cost 0. The cost is None for a provider or model without a known price, for a usage in a
    unit that has no price (tokens of a model billed by the second), and for a cloud call that reported no usage.
    """
    if usage.provider == LOCAL:
        return Cost(usage, Decimal(0), LOCAL)
    unknown = Cost(usage, None, _UNKNOWN)
    counted = usage.input_tokens or usage.output_tokens or usage.seconds
    if not counted:
        return unknown
    calculation = _calculate(usage)
    if calculation is None or not _every_unit_priced(usage, calculation):
        return unknown
    return replace(unknown, usd=calculation.total_price, price_source=_package())


def total_usd(costs: Iterable[Cost]) -> Decimal | None:
    """The sum in USD; None where one part is unknown, 0 where there are no parts."""
    amounts = [cost.usd for cost in costs]
    known = [amount for amount in amounts if amount is not None]
    return sum(known, Decimal(0)) if len(known) == len(amounts) else None


def _calculate(usage: Usage) -> PriceCalculation | None:
    import genai_prices  # 0.15 s and 3 MB of price tables, only needed where a cloud model answered

    try:
        counts = genai_prices.Usage(
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cache_read_tokens=usage.cached_tokens,
            audio_seconds=usage.seconds,
        )
        return genai_prices.calc_price(counts, usage.model, provider_id=usage.provider)
    except (LookupError, ValueError):  # no such provider or model; a count that is no count
        return None


def _every_unit_priced(usage: Usage, calculation: PriceCalculation) -> bool:
    """Whether each unit that was used has a price; genai-prices counts an unpriced unit as 0."""
    prices = calculation.model_price
    if usage.seconds and prices.audio_hours is not None:
        return True  # billed by duration; tokens are then only told, not sold
    tokens_used = bool(usage.input_tokens or usage.output_tokens)
    input_known = not usage.input_tokens or prices.input_mtok is not None
    output_known = not usage.output_tokens or prices.output_mtok is not None
    return tokens_used and input_known and output_known


def _package() -> str:
    import genai_prices  # already imported by the calculation

    return f"genai-prices {genai_prices.__version__}"
