"""Addresses and keys: what counts as local, and what is refused before anything is sent."""

from __future__ import annotations

from typing import Any

import pytest

from diarynotes import cost
from diarynotes.diary import anthropic, openai_compatible
from diarynotes.diary.note_shape import HeadShape
from diarynotes.diary.wire import check_address, check_key
from diarynotes.errors import BadSettings
from diarynotes.models import Usage

KEY = "sk-secret"


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://localhost:11434/v1", True),
        ("http://LOCALHOST./v1", True),
        ("http://model.localhost/v1", True),
        ("http://127.0.0.1:8080", True),
        ("http://[::1]:8080/v1", True),
        ("http://192.168.1.7/v1", True),
        ("http://10.0.0.1/v1", True),
        ("http://172.16.3.4/v1", True),
        ("http://[fd00::1]/v1", True),
        ("https://[::ffff:192.168.1.7]/v1", True),
        ("https://[::ffff:8.8.8.8]/v1", False),
        ("https://api.openai.com/v1", False),
        ("https://8.8.8.8/v1", False),
        ("https://localhost.example.com/v1", False),
        ("https://127.0.0.1.example.com/v1", False),
        ("https://notlocalhost/v1", False),
        ("https://ollama/v1", False),
        ("https://100.64.0.1/v1", False),
    ],
)
def test_local_is_what_cannot_be_elsewhere(url: str, local: bool) -> None:
    assert check_address(url, writer="server", local=None).local is local


def test_the_owner_may_say_otherwise() -> None:
    assert check_address("http://ollama:11434/v1", writer="server", local=True).local
    assert not check_address("https://127.0.0.1/v1", writer="server", local=False).local


@pytest.mark.parametrize(
    "url",
    [
        "", "api.openai.com/v1", "ftp://localhost/", "https://", "file:///etc/passwd", "https://[::1",
        "https://user:hidden@example.com/v1", "https://127.0.0.1@example.com/v1", "https://example.com/v1?key=hidden",
        "https://example.com/#hidden", "http://example.com/v1", "http://ollama:11434/v1", "http://8.8.8.8/",
    ],
)  # fmt: skip
def test_what_cannot_work_or_leaks_is_refused(url: str) -> None:
    with pytest.raises(BadSettings) as caught:
        check_address(url, writer="server", local=None)
    assert "hidden" not in str(caught.value)


def test_who_names_a_server_of_the_house_is_told_how_to_say_so() -> None:
    with pytest.raises(BadSettings, match=r"^server_base_url: .* set server_local = true"):
        check_address("http://nas.local:8000/v1", writer="server", local=None)
    with pytest.raises(BadSettings, match=r"^openai_base_url: .* use https$"):
        check_address("http://proxy:4000/v1", writer="openai", local=False)


@pytest.mark.parametrize("model", ["gpt-oss:120b-cloud", "minimax-m2:cloud", "Kimi-K2:1T-Cloud"])
def test_a_model_that_a_local_server_hands_on_is_not_local(model: str) -> None:
    """Ollama on this machine takes the question and sends it to its makers."""
    for local in (None, True):
        writer = openai_compatible.Backend(model, api_key=None, base_url="http://localhost:11434/v1", local=local)
        assert not writer.local
        assert cost.price(Usage(writer.provider, model, 1000, 1000)).usd is None
        writer.close()


@pytest.mark.parametrize(
    "named", [{"proxy": "socks5://me:hidden@proxy:1"}, {"ca_file": "/none.pem"}, {"ca_file": __file__}]
)
def test_a_proxy_or_certificates_that_cannot_be_used_are_named(named: dict[str, str]) -> None:
    with pytest.raises(BadSettings, match=r"^writer_(proxy|ca_file): ") as caught:
        openai_compatible.Backend("m", api_key=KEY, **named)
    assert "hidden" not in str(caught.value)


def test_keys_are_trimmed_and_checked() -> None:
    assert check_key(f" {KEY}\n") == KEY
    assert check_key(None) is check_key(" ") is None
    for bad in ("sk secret", "sk\nsecret", "sk-sécret", "sk\x00"):
        with pytest.raises(BadSettings) as caught:
            check_key(bad)
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize("backend", [openai_compatible.Backend, anthropic.Backend])
def test_a_vendor_needs_a_key_and_a_window_with_room(backend: Any) -> None:
    with pytest.raises(BadSettings, match="key"):
        backend("m", api_key=None)
    with pytest.raises(BadSettings, match="context_tokens"):
        backend("m", api_key=KEY, context_tokens=2_000)
    with pytest.raises(BadSettings, match="prompt"):
        backend("m", api_key=KEY, prompt="poem")


def test_vendors_are_cloud_and_priced_by_name() -> None:
    openai = openai_compatible.Backend("gpt-4o-mini", api_key=KEY)
    mistral = openai_compatible.Backend("mistral-small-latest", api_key=KEY, base_url="https://api.mistral.ai/v1")
    claude = anthropic.Backend("claude-sonnet-4-5", api_key=KEY)
    unknown = openai_compatible.Backend("m", api_key=KEY, base_url="https://models.example.com/v1")
    assert [writer.provider for writer in (openai, mistral, claude, unknown)] == [
        "openai", "mistral", "anthropic", "models.example.com",
    ]  # fmt: skip
    for writer in (openai, mistral, claude):
        assert not writer.local
        assert (cost.price(Usage(writer.provider, writer.model, 1000, 1000)).usd or 0) > 0
        assert KEY not in repr(writer) + str(vars(writer))
    assert cost.price(Usage(unknown.provider, "m", 1000, 1000)).usd is None
    for writer in (openai, mistral, claude, unknown):
        writer.close()


def test_our_own_servers_cost_nothing() -> None:
    writer = openai_compatible.Backend("m", api_key=None, base_url="http://localhost:11434/v1")
    assert writer.provider == cost.LOCAL
    writer.close()


def test_openai_itself_is_told_to_store_nothing() -> None:
    writer = openai_compatible.Backend("m", api_key=KEY)
    request = writer.request(writer._dialect, [], HeadShape, 900)
    assert request["store"] is False
    assert request["max_completion_tokens"] == 900
    assert "max_tokens" not in request
    writer.close()


def test_a_fixed_prompt_is_part_of_the_version() -> None:
    free = openai_compatible.Backend("m", api_key=KEY)
    fixed = openai_compatible.Backend("m", api_key=KEY, prompt="meeting")
    assert fixed.prompt_version == f"{free.prompt_version}-meeting"
    free.close()
    fixed.close()
