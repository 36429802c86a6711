"""Which writers write what: by owner, priority, length, and what may leave the machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from diarynotes.errors import BadSettings
from diarynotes.models import Recording
from diarynotes.settings import Settings, load_settings
from flows.writers import Writers, may_leave

KEYS = {"OPENAI_API_KEY": "k", "ANTHROPIC_API_KEY": "k", "DIARYNOTES_SERVER_BASE_URL": "http://localhost:1/v1"}
RECORDING = Recording("r", "me", "/home/me/private/a.wav", "0" * 64, 1, datetime(2026, 11, 21, tzinfo=UTC), "file_time")


@pytest.fixture
def opened() -> Iterator[Any]:
    every: list[Writers] = []

    def open_(settings: Settings) -> Writers:
        every.append(Writers(settings))
        return every[-1]

    yield open_
    for writers in every:
        writers.close()


def settings(tmp_path: Path, **changes: Any) -> Settings:
    return replace(load_settings(KEYS, home=tmp_path), **changes)


def names(chain: Any) -> list[str]:
    return [f"{writer.name}:{writer.model}" for writer in chain]


WHOLE = [
    "openai:gpt-5.4",
    "openai:gpt-5.4-mini",
    "anthropic:claude-sonnet-5",
    "anthropic:claude-haiku-4-5",
    "server:llama3.2",
    "extractive:extractive-1",
]
CHEAP = [WHOLE[1], WHOLE[3], WHOLE[4], WHOLE[0], WHOLE[2], WHOLE[5]]


def test_every_chain_ends_with_the_writer_that_never_fails(tmp_path: Path, opened: Any) -> None:
    writers = opened(settings(tmp_path))
    assert names(writers.chain("me")) == WHOLE
    assert names(writers.chain("me", wished=["server"])) == [WHOLE[4], WHOLE[5]]
    assert names(opened(load_settings({}, home=tmp_path)).chain("me")) == [WHOLE[5]]


def test_low_priority_and_long_speech_begin_at_the_cheap_end(tmp_path: Path, opened: Any) -> None:
    writers = opened(settings(tmp_path))
    assert names(writers.chain("me", priority="low")) == CHEAP
    assert names(writers.chain("me", words=6_001)) == CHEAP
    assert names(writers.chain("me", words=6_000)) == WHOLE


def test_a_priority_and_an_owner_may_have_a_chain_of_their_own(tmp_path: Path, opened: Any) -> None:
    own = settings(tmp_path, writers_urgent=("anthropic",), owners={"anna": {"writers": ("server",)}})
    writers = opened(own)
    assert names(writers.chain("me", priority="urgent")) == [WHOLE[2], WHOLE[5]]
    assert names(writers.chain("anna")) == [WHOLE[4], WHOLE[5]]


def test_an_owner_may_forbid_the_cloud(tmp_path: Path, opened: Any) -> None:
    writers = opened(settings(tmp_path, owners={"anna": {"cloud": False}}))
    assert names(writers.chain("anna", wished=["openai"])) == [WHOLE[5]]
    assert names(writers.chain("anna")) == [WHOLE[4], WHOLE[5]]
    assert names(writers.chain("me")) == WHOLE


def test_a_recording_may_forbid_the_cloud(tmp_path: Path, opened: Any) -> None:
    writers = opened(settings(tmp_path))
    assert names(writers.chain("me", recording=replace(RECORDING, cloud=False))) == [WHOLE[4], WHOLE[5]]
    assert names(writers.chain("me", recording=RECORDING)) == WHOLE


def test_a_place_may_forbid_the_cloud(tmp_path: Path) -> None:
    own = settings(tmp_path, local_only=("*/private/*",))
    assert not may_leave(RECORDING, own)
    assert may_leave(replace(RECORDING, uri="/home/me/public/a.wav"), own)


@pytest.mark.parametrize(
    ("pattern", "kept"),
    [
        ("~/private/*", True),
        ("~/private", True),
        ("~/private/", True),
        ("private", True),
        ("private/*", True),
        ("./private", True),
        ("/home/me/private", True),
        ("/home/me/private/", True),
        ("file:///home/me/private", True),
        ("*/private/*", True),
        ("/home/*/private", True),
        ("*.wav", True),
        ("private/a.wav", True),
        ("priv", False),
        ("/private", False),
        ("/home/me/private/a", False),
        ("vate", False),
        ("~/other", False),
    ],
)
@pytest.mark.parametrize("uri", ["/home/me/private/a.wav", "file:///home/me/private/a.wav"])
def test_a_place_is_a_folder_with_all_below_or_a_pattern(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uri: str, pattern: str, kept: bool
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert may_leave(replace(RECORDING, uri=uri), settings(tmp_path, local_only=(pattern,))) is not kept


def test_a_place_may_be_in_a_bucket(tmp_path: Path) -> None:
    found = replace(RECORDING, uri="s3://memos/me/private/a.wav")
    for pattern in ("s3://memos/me/private", "s3://memos/*/private/", "private", "me/private/*"):
        assert not may_leave(found, settings(tmp_path, local_only=(pattern,)))
    assert may_leave(found, settings(tmp_path, local_only=("s3://other/me/private", "/me/private")))


def test_one_of_several_places_may_forbid_the_cloud(tmp_path: Path, opened: Any) -> None:
    writers, public = opened(settings(tmp_path, local_only=("private",))), replace(RECORDING, uri="/in/a.wav")
    assert names(writers.chain("me", recording=public, places=[public.uri])) == WHOLE
    assert names(writers.chain("me", recording=public, places=[public.uri, RECORDING.uri])) == [WHOLE[4], WHOLE[5]]


@pytest.mark.parametrize("pattern", ["", " ", "~nobody-of-this-name/x", "../private"])
def test_a_place_that_cannot_be_is_told_at_once(tmp_path: Path, opened: Any, pattern: str) -> None:
    with pytest.raises(BadSettings, match="local_only"):
        opened(settings(tmp_path, local_only=(pattern,))).check([])


def test_what_is_named_but_forbidden_is_told_at_once(tmp_path: Path, opened: Any) -> None:
    writers = opened(settings(tmp_path, cloud=False))
    with pytest.raises(BadSettings, match="cloud is off"):
        writers.check(["openai"])
    writers.check([])  # keys in the environment are no wish
    assert names(writers.chain("me")) == [WHOLE[4], WHOLE[5]]


def test_an_address_of_ones_own_does_not_make_a_vendor_local(tmp_path: Path, opened: Any) -> None:
    """Behind one on this machine there may be a proxy, so what is private is masked all the same, and priced."""
    writers = opened(settings(tmp_path, openai_base_url="http://127.0.0.1:1/v1"))
    first = writers.chain("me")[0]
    assert (first.local, first.provider) == (False, "openai")


HOSTS = ["http://ollama:11434/v1", "http://vllm.default.svc:8000/v1", "http://nas.local/v1", "http://100.64.0.7/v1"]


@pytest.mark.parametrize("url", HOSTS)
def test_a_server_of_the_house_may_have_a_name(tmp_path: Path, opened: Any, url: str) -> None:
    with pytest.raises(BadSettings, match="server_local"):
        opened(settings(tmp_path, server_base_url=url)).check(["server"])
    (first, _) = opened(settings(tmp_path, server_base_url=url, server_local=True)).chain("me", wished=["server"])
    assert (first.local, first.provider) == (True, "local")


def test_a_server_elsewhere_is_not_local_for_its_protocol(tmp_path: Path, opened: Any) -> None:
    own = settings(tmp_path, server_base_url="https://models.example.com/v1")
    assert not opened(own).chain("me", wished=["server"])[0].local


def test_a_model_that_ollama_hands_on_is_cloud(tmp_path: Path, opened: Any) -> None:
    own = settings(tmp_path, cloud=False, server_model="gpt-oss:120b-cloud", server_local=True)
    assert names(opened(own).chain("me")) == [WHOLE[5]]
    with pytest.raises(BadSettings, match="cloud is off"):
        opened(own).check(["server"])


@pytest.mark.parametrize(
    ("name", "said"), [("opnai", "no writer"), ("extractive:x", "no models"), ("mistral", "a key")]
)
def test_a_chain_that_cannot_work_is_told_at_once(tmp_path: Path, opened: Any, name: str, said: str) -> None:
    with pytest.raises(BadSettings, match=said):
        opened(settings(tmp_path)).check([name])


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"writers": ("opnai",)}, "no writer"),
        ({"writers_low": ("mistral",)}, "a key"),
        ({"writers_urgent": ("openai",), "cloud": False}, "cloud is off"),
        ({"local_only": ("",)}, "local_only"),
    ],
)
def test_a_mistake_for_one_owner_is_told_at_once(tmp_path: Path, opened: Any, table: Any, said: str) -> None:
    with pytest.raises(BadSettings, match=said):
        opened(settings(tmp_path, owners={"anna": table})).check([])


def test_an_owner_without_the_cloud_need_not_name_others_than_everybody(tmp_path: Path, opened: Any) -> None:
    opened(settings(tmp_path, writers=("openai",), owners={"anna": {"cloud": False}})).check([])
