from collections.abc import Iterator
from decimal import Decimal

import pytest

from diarynotes.cost import price, total_usd
from diarynotes.models import Cost, Usage
from tests.offline import refuse_connections


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    wanted = refuse_connections(monkeypatch)
    yield
    assert wanted == [], "a price was looked up over the network"


def test_tokens_cost_what_the_list_says() -> None:
    million = price(Usage("openai", "gpt-4o-mini", input_tokens=1_000_000, output_tokens=0))
    both = price(Usage("openai", "gpt-4o-mini", input_tokens=1_000_000, output_tokens=1_000_000))
    assert million.usd is not None
    assert both.usd is not None
    assert Decimal(0) < million.usd < both.usd
    assert isinstance(both.usd, Decimal)
    assert both.price_source.startswith("genai-prices ")


@pytest.mark.parametrize(
    ("provider", "model"),
    [("openai", "gpt-5-mini"), ("anthropic", "claude-haiku-4-5"), ("mistral", "mistral-small-latest")],
)
def test_the_providers_we_write_with_have_prices(provider: str, model: str) -> None:
    usd = price(Usage(provider, model, input_tokens=1000, output_tokens=500)).usd
    assert usd is not None
    assert Decimal("0.00001") < usd < Decimal("0.1")


def test_local_engines_and_writers_cost_nothing() -> None:
    usage = Usage("local", "pocketsphinx", seconds=61.0)
    assert price(usage) == Cost(usage, Decimal(0), "local")


@pytest.mark.parametrize(
    "usage",
    [
        Usage("nobody", "gpt-4o-mini", input_tokens=10),
        Usage("openai", "no-such-model", input_tokens=10),
        Usage("ollama", "llama3", input_tokens=10),
        Usage("", "gpt-4o-mini", input_tokens=10),
        Usage("openai", "", input_tokens=10),
        Usage("openai", "gpt-4o-mini", input_tokens=-1),
        Usage("openai", "gpt-4o-mini"),  # the provider reported nothing, which is not the same as a gift
        Usage("openai", "gpt-4o-mini", seconds=60.0),  # sold by the token
        Usage("openai", "whisper-1", input_tokens=10),  # sold by the second
        Usage("openai", "text-embedding-3-small", input_tokens=10, output_tokens=10),  # no price for what comes out
    ],
)
def test_what_has_no_price_is_unknown_and_never_nothing(usage: Usage) -> None:
    assert price(usage) == Cost(usage, None, "unknown")


def test_speech_sold_by_duration_is_priced_by_seconds() -> None:
    minute = price(Usage("openai", "whisper-1", seconds=60.0)).usd
    assert minute == Decimal("0.006")


def test_a_sum_with_an_unknown_part_is_unknown() -> None:
    known, free = price(Usage("openai", "whisper-1", seconds=60.0)), price(Usage("local", "extractive"))
    unknown = price(Usage("nobody", "nothing", input_tokens=1))
    assert total_usd([known, free]) == Decimal("0.006")
    assert total_usd([known, unknown]) is None
    assert total_usd([]) == 0
