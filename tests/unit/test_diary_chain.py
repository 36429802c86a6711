"""What `auto` stands for."""

from __future__ import annotations

from diarynotes.diary.chain import expand_chain, split_name

MODELS = {
    "mistral": ("mistral-small",),
    "openai": ("gpt-big", "gpt-small"),
    "anthropic": ("claude-big", "claude-small"),
    "server": ("llama",),
}


def test_the_strong_model_of_each_cloud_goes_before_its_cheap_one_and_local_ones_come_last() -> None:
    assert expand_chain(["auto"], MODELS) == (
        "openai",
        "openai:gpt-small",
        "anthropic",
        "anthropic:claude-small",
        "mistral",
        "server",
    )


def test_what_is_to_be_cheap_begins_with_the_cheap_ones() -> None:
    assert expand_chain(["auto"], MODELS, cheap_first=True) == (
        "openai:gpt-small",
        "anthropic:claude-small",
        "mistral",
        "server",
        "openai",
        "anthropic",
    )


def test_without_keys_nobody_is_asked() -> None:
    assert expand_chain(["auto"], {}) == ()


def test_auto_may_stand_in_a_chain_and_each_is_asked_once() -> None:
    assert expand_chain(["server", "auto"], {"server": ("llama",), "openai": ("one",)}) == ("server", "openai")


def test_a_chain_that_is_named_keeps_its_order_however_cheap() -> None:
    assert expand_chain(["openai", "server"], MODELS, cheap_first=True) == ("openai", "server")


def test_a_model_may_hold_a_colon() -> None:
    assert split_name("server:llama3.2:3b") == ("server", "llama3.2:3b")
    assert split_name("openai") == ("openai", "")
