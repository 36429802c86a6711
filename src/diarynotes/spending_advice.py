"""What would have cost less: the calls of a period at other prices, in other company, or not made at all.

Computed from calls as they were, never from what others pay. Knows no database and no price list: the calls come added
up by model, and a function tells prices. Savings overlap, so they do not add up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Literal, TypeAlias

from diarynotes.models import Cost, Usage

LONG_S = 900.0
"""Recordings of more seconds count as long."""
SHORT_S = 60.0
"""Recordings of at most so many seconds count as short: about 150 words, as many as may share a call."""
SHARED_NOTES = 5
"""How many short notes one call is reckoned to hold."""

_MANY_FAILURES = 0.1
_LEAST_USD = Decimal("0.01")
_LEAST_SHARE = Decimal("0.01")
_PRICED_TOKENS = 10_000
"""Rates are read off so many tokens, which is below what any vendor sells at a surcharge for length."""

AdviceCode: TypeAlias = Literal[
    "cheaper_model", "long_recordings", "share_calls", "prompt_cache", "failed_calls", "unknown_price"
]
Price: TypeAlias = Callable[[Usage], Cost]


@dataclass(frozen=True, slots=True)
class ModelUse:
    """The cloud calls of one writer to one model in a period, added up.

    `calls` came back; `failed` of them were billed and no good all the same, for `failed_usd`; `unknown` were answered
    at a price that nobody knows. `usage` and `usd` are of those whose price is known; `long_usage` and `long_usd` of
    those among them that were for the `long_recordings` recordings longer than `LONG_S`.

    `sharable` is how many calls fewer the notes of recordings of at most `SHORT_S` would have taken, `SHARED_NOTES` of
    an owner and day to a call.
    `cache_hits` are the calls that found a part of their question in the vendor's cache, `cache_misses` those that did
    not though an earlier one of that day had asked.
    """

    writer: str
    provider: str
    model: str
    calls: int
    failed: int
    failed_usd: Decimal
    unknown: int
    usage: Usage
    usd: Decimal
    long_recordings: int
    long_usage: Usage
    long_usd: Decimal
    sharable: int
    cache_hits: int
    cache_misses: int


@dataclass(frozen=True, slots=True)
class Advice:
    """Something to do otherwise: about how many calls it is, and what it would have saved; None where nobody knows."""

    code: AdviceCode
    text: str
    calls: int
    saved_usd: Decimal | None


def advise(
    uses: Sequence[ModelUse], *, price: Price, cheaper: Mapping[str, str], rules_tokens: int | None
) -> tuple[Advice, ...]:
    """What would have saved at least a cent, or a hundredth of what was spent, the most first; unknown prices last.

    `price` gives list prices, `cheaper` the cheap model of a writer by the writer's name, `rules_tokens` what a call
    takes beside the speech, None where short notes share calls already. Other models are priced with the tokens of the
    calls as they were, though each counts tokens a little differently.
    """
    spent = sum((use.usd for use in uses), Decimal(0))
    least = min(_LEAST_USD, spent * _LEAST_SHARE)
    found = [advice for use in uses for advice in _advise_on(use, price, cheaper.get(use.writer), rules_tokens)]
    worth = [each for each in found if each.saved_usd is None or each.saved_usd >= max(least, Decimal("1e-10"))]
    return tuple(sorted(worth, key=lambda each: (each.saved_usd is None, -(each.saved_usd or 0), each.text)))


def _advise_on(use: ModelUse, price: Price, cheap: str | None, rules_tokens: int | None) -> Iterator[Advice]:
    if cheap and cheap != use.model:
        yield from _take_cheaper(use, price, cheap)
    if rules_tokens is not None:
        yield from _share_calls(use, price, rules_tokens)
    yield from _use_prompt_cache(use, price)
    yield from _avoid_failures(use)
    if use.unknown:
        text = (
            f"Name a model of {use.writer} with a known price instead of {use.model}: what "
            f"{_count(use.unknown, 'call')} cost nobody knows."
        )
        yield Advice("unknown_price", text, use.unknown, None)


def _take_cheaper(use: ModelUse, price: Price, cheap: str) -> Iterator[Advice]:
    """The same calls, or those for long recordings alone, by the writer's cheap model."""
    other = _price_of(replace(use.usage, model=cheap), price)
    if other is None:
        return
    text = f"Write with {use.writer}:{cheap} instead of {use.model}."
    yield Advice("cheaper_model", text, use.calls, use.usd - other)
    part = _price_of(replace(use.long_usage, model=cheap), price)
    if use.long_recordings and use.long_usd < use.usd and part is not None:
        text = (
            f"Give recordings longer than {LONG_S / 60:.0f} minutes low priority, or lower long_words, so that "
            f"{cheap} writes them instead of {use.model}: {_count(use.long_recordings, 'recording')}."
        )
        yield Advice("long_recordings", text, use.long_recordings, use.long_usd - part)


def _share_calls(use: ModelUse, price: Price, rules_tokens: int) -> Iterator[Advice]:
    """Fewer calls say the rules fewer times."""
    rate = _rate(use, price)
    if use.sharable and rate is not None:
        text = (
            f"Set share_calls to on, so that up to {SHARED_NOTES} short notes of one owner share a call to "
            f"{use.model}: {_count(use.sharable, 'call')} fewer to say the rules in, about {rules_tokens:,} tokens."
        )
        yield Advice("share_calls", text, use.sharable, use.sharable * rules_tokens * rate)


def _use_prompt_cache(use: ModelUse, price: Price) -> Iterator[Advice]:
    """What calls that came too late for the vendor's cache would have found there: as much as the others did."""
    fresh, cached = _rate(use, price), _rate(use, price, cached=True)
    if not use.cache_hits or not use.cache_misses or fresh is None or cached is None:
        return
    found = Decimal(use.usage.cached_tokens) / use.cache_hits
    text = (
        f"Write a day's notes in one run: {_count(use.cache_misses, 'call')} to {use.model} came too late to find the "
        f"rules, about {found:,.0f} tokens, in {use.provider}'s prompt cache."
    )
    yield Advice("prompt_cache", text, use.cache_misses, use.cache_misses * found * (fresh - cached))


def _avoid_failures(use: ModelUse) -> Iterator[Advice]:
    if use.failed and use.failed >= _MANY_FAILURES * use.calls:
        text = (
            f"Put another model before {use.writer}:{use.model}: {use.failed} of its {use.calls} calls were billed and "
            "gave nothing that can be used."
        )
        yield Advice("failed_calls", text, use.failed, use.failed_usd)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _price_of(usage: Usage, price: Price) -> Decimal | None:
    """What many calls cost together, from the rates of short ones: added up they would look like one long call."""
    total = Decimal(0)
    fresh = replace(usage, input_tokens=usage.input_tokens - usage.cached_tokens, output_tokens=0, cached_tokens=0)
    parts = (
        (fresh.input_tokens, replace(fresh, input_tokens=_PRICED_TOKENS)),
        (usage.cached_tokens, replace(fresh, input_tokens=_PRICED_TOKENS, cached_tokens=_PRICED_TOKENS)),
        (usage.output_tokens, replace(fresh, input_tokens=0, output_tokens=_PRICED_TOKENS)),
    )
    for count, sample in parts:
        if count:
            usd = price(sample).usd
            if usd is None:
                return None
            total += count * usd / _PRICED_TOKENS
    return total


def _rate(use: ModelUse, price: Price, *, cached: bool = False) -> Decimal | None:
    """USD for one token of a question."""
    return _price_of(Usage(use.provider, use.model, input_tokens=1, cached_tokens=int(cached)), price)
