from dataclasses import replace
from decimal import Decimal

import pytest

from diarynotes.models import Cost, Usage
from diarynotes.spending_advice import Advice, ModelUse, advise

RATES = {"strong": ("10", "1", "40"), "cheap": ("2", "0.5", "8")}
"""USD for a million tokens of question, from the vendor's cache, and of answer."""
RULES = 1000


def price(usage: Usage) -> Cost:
    if usage.model not in RATES or max(usage.input_tokens, usage.output_tokens) > 200_000:  # a surcharge nobody pays
        return Cost(usage, None, "unknown")
    fresh, cached, written = (Decimal(rate) / 1_000_000 for rate in RATES[usage.model])
    usd = (usage.input_tokens - usage.cached_tokens) * fresh + usage.cached_tokens * cached
    return Cost(usage, usd + usage.output_tokens * written, "list")


def use(**changes: object) -> ModelUse:
    """100 calls of a million tokens in and 200,000 out, $18, of which nothing could have been saved."""
    nothing = Usage("vendor", "strong")
    made = ModelUse(
        writer="vendor",
        provider="vendor",
        model="strong",
        calls=100,
        failed=0,
        failed_usd=Decimal(0),
        unknown=0,
        usage=Usage("vendor", "strong", 1_000_000, 200_000),
        usd=Decimal(18),
        long_recordings=0,
        long_usage=nothing,
        long_usd=Decimal(0),
        sharable=0,
        cache_hits=0,
        cache_misses=0,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def get(*uses: ModelUse, cheaper: str = "") -> tuple[Advice, ...]:
    return advise(uses, price=price, cheaper={"vendor": cheaper} if cheaper else {}, rules_tokens=RULES)


def test_without_a_reason_there_is_no_advice() -> None:
    assert get(use()) == ()
    assert get() == ()


def test_the_same_tokens_by_the_cheap_model() -> None:
    usage = Usage("vendor", "strong", 1_000_000, 200_000, cached_tokens=400_000)
    (advice,) = get(use(usage=usage, usd=Decimal("14.4")), cheaper="cheap")
    # 600,000 at $2, 400,000 at $0.50 and 200,000 at $8 a million
    assert advice.saved_usd == Decimal("14.4") - (Decimal("1.2") + Decimal("0.2") + Decimal("1.6"))
    assert (advice.code, advice.calls) == ("cheaper_model", 100)
    assert "vendor:cheap instead of strong" in advice.text


def test_many_short_calls_are_not_priced_as_one_long_one() -> None:
    (advice,) = get(use(usage=Usage("vendor", "strong", 50_000_000, 0), usd=Decimal(500)), cheaper="cheap")
    assert advice.saved_usd == 500 - 100


def test_a_model_that_is_not_cheaper_or_has_no_price_is_not_named() -> None:
    assert (
        get(use(model="cheap", usage=Usage("vendor", "cheap", 1000, 0), usd=Decimal("0.002")), cheaper="strong") == ()
    )
    assert get(use(), cheaper="nobody-knows") == ()
    assert get(use(model="cheap"), cheaper="cheap") == ()


def test_long_recordings_alone() -> None:
    long = {"long_recordings": 3, "long_usage": Usage("vendor", "strong", 300_000, 50_000), "long_usd": Decimal(5)}
    whole, part = get(use(**long), cheaper="cheap")
    assert (whole.code, whole.saved_usd) == ("cheaper_model", 18 - (2 + Decimal("1.6")))
    assert (part.code, part.calls, part.saved_usd) == ("long_recordings", 3, 5 - (Decimal("0.6") + Decimal("0.4")))
    assert "15 minutes" in part.text
    assert "3 recordings" in part.text


def test_short_notes_in_one_call_say_the_rules_once() -> None:
    (advice,) = get(use(sharable=80))
    assert advice.code == "share_calls"
    assert advice.saved_usd == 80 * RULES * Decimal("10") / 1_000_000
    assert advise([use(sharable=80)], price=price, cheaper={}, rules_tokens=None) == ()  # they do already


def test_calls_that_came_too_late_for_the_vendors_cache() -> None:
    usage = Usage("vendor", "strong", 1_000_000, 200_000, cached_tokens=24_000)
    (advice,) = get(use(usage=usage, cache_hits=20, cache_misses=50))
    # the hits found 1,200 tokens each; a token costs $9 a million less from the cache
    assert advice.code == "prompt_cache"
    assert advice.saved_usd == 50 * 1200 * Decimal("9") / 1_000_000


def test_without_a_hit_nobody_knows_what_a_cache_holds() -> None:
    assert get(use(cache_misses=50)) == ()


@pytest.mark.parametrize(("failed", "told"), [(9, False), (10, True)])
def test_failures_that_were_billed_are_told_where_they_are_many(failed: int, told: bool) -> None:
    found = get(use(failed=failed, failed_usd=Decimal("0.9")))
    assert [advice.saved_usd for advice in found] == [Decimal("0.9")] * told


def test_unknown_prices_are_told_last_and_save_nobody_knows_what() -> None:
    guess = use(model="mystery", usage=Usage("vendor", "mystery"), usd=Decimal(0), unknown=1)
    known, unknown = get(guess, use(sharable=80))
    assert known.code == "share_calls"
    assert (unknown.code, unknown.calls, unknown.saved_usd) == ("unknown_price", 1, None)
    assert "1 call cost nobody knows" in unknown.text


@pytest.mark.parametrize(
    ("usd", "saved", "told"),
    [("18", "0.009", False), ("18", "0.01", True), ("0.10", "0.0009", False), ("0.10", "0.001", True)],
)
def test_only_a_cent_or_a_hundredth_is_worth_telling(usd: str, saved: str, told: bool) -> None:
    assert bool(get(use(calls=1, failed=1, failed_usd=Decimal(saved), usd=Decimal(usd)))) is told


def test_the_most_that_could_be_saved_comes_first() -> None:
    found = get(use(failed=50, failed_usd=Decimal(1), sharable=80), cheaper="cheap")
    amounts = [advice.saved_usd for advice in found]
    assert amounts == sorted(amounts, key=lambda usd: -(usd or 0))
    assert len(found) == 3
