from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from diarynotes.errors import BadSettings, ModelUnavailable, StorageFailed
from diarynotes.models import Priority
from diarynotes.transcribe import choice
from diarynotes.transcribe.choice import (
    ON_CPU,
    ON_GPU,
    ModelRule,
    choose_engine,
    choose_model,
    choose_weights,
    find_larger,
    find_nearest,
)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(model: str, models: Path) -> Path:
        raise ModelUnavailable(model, "It cannot be fetched now.")

    monkeypatch.setattr(choice, "fetch_weights", unreachable)


@pytest.fixture
def online(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "fetch_weights", lambda model, models: models / "whisper" / f"{model}.pt")


@pytest.fixture
def read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(model: str, models: Path) -> Path:
        raise StorageFailed(str(models / "whisper"), "Read-only file system")

    monkeypatch.setattr(choice, "fetch_weights", refused)


def put(models: Path, *names: str) -> None:
    (models / "whisper").mkdir(exist_ok=True)
    for name in names:
        (models / "whisper" / f"{name}.pt").touch()


@pytest.mark.parametrize(
    ("priority", "duration_s", "model"),
    [
        ("low", 10.0, "tiny"),
        ("normal", 3600.0, "base"),
        ("normal", 3600.1, "tiny"),
        ("urgent", 10.0, "small"),
        ("urgent", 7200.0, "tiny"),
    ],
)
def test_priority_and_length_choose_the_model(priority: Priority, duration_s: float, model: str) -> None:
    assert choose_model(priority, duration_s) == model


def test_the_rule_is_settable() -> None:
    rule = ModelRule(low="a", normal="b", urgent="c", long_s=5.0)
    cases: list[tuple[Priority, float]] = [("low", 1.0), ("normal", 1.0), ("urgent", 1.0), ("urgent", 6.0)]
    assert [choose_model(priority, duration_s, rule) for priority, duration_s in cases] == ["a", "b", "c", "a"]


@pytest.mark.usefixtures("offline")
def test_whisper_is_chosen_where_its_weights_are(tmp_path: Path) -> None:
    put(tmp_path, "tiny")
    weights = str(tmp_path / "whisper" / "tiny.pt")

    found = choose_engine(tmp_path)

    assert (found.name, found.model, found.second_best) == (ON_CPU, weights, False)
    assert choose_engine(tmp_path, "tiny") == choose_engine(tmp_path, weights) == found
    assert choose_engine(tmp_path, "tiny", gpu=True).name == ON_GPU


@pytest.mark.usefixtures("online")
def test_whisper_is_chosen_where_its_weights_can_be_fetched(tmp_path: Path) -> None:
    found = choose_engine(tmp_path)

    assert (found.name, found.model) == (ON_CPU, str(tmp_path / "whisper" / "base.pt"))
    assert "fetched" in found.reason
    put(tmp_path, "small")
    assert choose_engine(tmp_path, "base").model == found.model
    assert choose_engine(tmp_path).model == choose_engine(tmp_path, "small").model


@pytest.mark.usefixtures("offline")
def test_the_nearest_model_on_disk_stands_in_and_that_is_said(tmp_path: Path) -> None:
    put(tmp_path, "tiny", "medium")

    found = choose_engine(tmp_path, "small")

    assert found.model == str(tmp_path / "whisper" / "tiny.pt")
    assert found.second_best
    assert "tiny in place of small" in found.reason
    assert "cannot be fetched" in found.reason


@pytest.mark.usefixtures("offline")
def test_offline_pocketsphinx_is_chosen_and_says_what_to_do(tmp_path: Path) -> None:
    found = choose_engine(tmp_path)

    assert (found.name, found.model, found.second_best) == ("pocketsphinx", None, True)
    assert "base" in found.reason
    assert "cannot be fetched" in found.reason


@pytest.mark.usefixtures("read_only")
def test_where_nothing_can_be_kept_it_goes_on_as_where_nothing_can_be_fetched(tmp_path: Path) -> None:
    alone = choose_engine(tmp_path, "small")
    put(tmp_path, "base")
    nearest = choose_engine(tmp_path, "small")

    assert (alone.name, alone.second_best) == ("pocketsphinx", True)
    assert (nearest.model, nearest.second_best) == (str(tmp_path / "whisper" / "base.pt"), True)
    assert "base in place of small" in nearest.reason
    assert all("Read-only file system" in found.reason for found in (alone, nearest))
    assert choose_weights("ctranslate2", tmp_path, "small", fetch=True) == replace(nearest, name="ctranslate2")
    with pytest.raises(StorageFailed, match="Read-only"):
        choose_weights("whisper", tmp_path, "small", fetch=True, exactly=True)


@pytest.mark.usefixtures("online")
def test_nothing_is_fetched_that_may_not_be(tmp_path: Path) -> None:
    found = choose_engine(tmp_path, "base", fetch=False)

    assert found.name == "pocketsphinx"
    assert "diarynotes models pull base" in found.reason


@pytest.mark.usefixtures("offline")
def test_a_named_engine_with_a_named_model_is_that_or_nothing(tmp_path: Path) -> None:
    put(tmp_path, "tiny")

    assert choose_weights("whisper", tmp_path, "base", fetch=True).second_best
    with pytest.raises(ModelUnavailable, match="base"):
        choose_weights("whisper", tmp_path, "base", fetch=True, exactly=True)
    with pytest.raises(ModelUnavailable, match="base"):
        choose_weights("whisper", tmp_path / "empty", "base", fetch=True)


def test_a_model_that_does_not_exist_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="enormous"):
        choose_engine(tmp_path, "enormous")


@pytest.mark.parametrize(
    ("there", "wanted", "nearest"),
    [
        (("tiny", "base", "medium"), "small", "base"),
        (("medium", "large-v3"), "small", "medium"),
        (("tiny", "large-v3-turbo"), "large-v3", "large-v3-turbo"),
        (("tiny", "medium"), "large", "medium"),
        (("small.en", "tiny.en", "small"), "base.en", "tiny.en"),
        (("small", "tiny.en"), "base", "small"),
        (("mine",), "base", "mine"),
        (("tiny.en",), "base", "tiny.en"),
        ((), "base", None),
    ],
)
def test_nearest_is_the_next_smaller_else_the_next_larger_else_any(
    tmp_path: Path, there: tuple[str, ...], wanted: str, nearest: str | None
) -> None:
    put(tmp_path, *there)

    found = find_nearest(wanted, tmp_path)

    assert (found.stem if found else None) == nearest


@pytest.mark.parametrize(
    ("present", "first", "larger"),
    [
        (("tiny", "small", "medium"), "tiny", "small"),
        (("base.en", "small"), "base.en", "small"),
        (("tiny", "base"), "base", None),
        (("tiny", "mine"), "mine", None),
    ],
)
def test_the_next_larger_model_hears_again(
    tmp_path: Path, present: tuple[str, ...], first: str, larger: str | None
) -> None:
    folder = tmp_path / "whisper"
    folder.mkdir()
    for name in present:
        (folder / f"{name}.pt").touch()

    found = find_larger(folder / f"{first}.pt", tmp_path)

    assert found == (folder / f"{larger}.pt" if larger else None)
