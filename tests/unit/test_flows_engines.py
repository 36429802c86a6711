from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from diarynotes import observe
from diarynotes.errors import BadSettings, EngineClosed, ModelUnavailable
from diarynotes.settings import load_settings
from diarynotes.testing import ScriptedEngine
from diarynotes.transcribe import Opening, choice
from flows import engines
from flows.engines import Engines, Wishes

AUTO = Wishes(engine="auto", model="", language="", writers=())


def wish(engine: str, model: str = "", language: str = "") -> Wishes:
    return Wishes(engine, model, language, ())


class Opener:
    """Stands in for the opening of engines."""

    def __init__(self) -> None:
        self.opened: list[Opening] = []
        self.settings: dict[str, Any] = {}

    def __call__(self, opening: Opening, **settings: Any) -> ScriptedEngine:
        self.opened.append(opening)
        self.settings = settings
        return ScriptedEngine()


@pytest.fixture
def opener(monkeypatch: pytest.MonkeyPatch) -> Opener:
    opener = Opener()
    monkeypatch.setattr(engines, "open_apart", opener)
    return opener


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The models that were asked for, all in vain."""
    asked: list[str] = []

    def fetch(model: str, models: Path) -> Path:
        asked.append(model)
        raise ModelUnavailable(model, "It cannot be fetched now.")

    monkeypatch.setattr(choice, "fetch_weights", fetch)
    return asked


@pytest.fixture
def told() -> Iterator[list[str]]:
    reasons: list[str] = []
    with observe.listening(lambda event: reasons.append(event.facts["reason"])):
        yield reasons


def open_engines(home: Path, *models: str, **overrides: Any) -> Engines:
    folder = home / "models" / "whisper"
    folder.mkdir(parents=True, exist_ok=True)
    for model in models:
        (folder / f"{model}.pt").touch()
    return Engines(load_settings({}, home=home, **overrides))


def test_priority_and_length_choose_the_model(tmp_path: Path, opener: Opener, told: list[str]) -> None:
    with closing(open_engines(tmp_path, "tiny", "base", "small")) as ours:
        assert ours.name_model(AUTO, "low", 5) == "tiny"
        assert ours.name_model(AUTO, "normal", 5) == "base"
        assert ours.name_model(AUTO, "urgent", 5) == "small"
        assert ours.name_model(AUTO, "urgent", 3601) == "tiny"
        with ours.borrow(AUTO, "low", 5) as engine:
            assert isinstance(engine, ScriptedEngine)
    assert [Path(str(opening.model)).stem for opening in opener.opened] == ["tiny"]
    assert len(told) == 3


def test_settings_change_the_rule(tmp_path: Path) -> None:
    with closing(open_engines(tmp_path, "medium", "tiny", model_normal="medium", long_s=60.0)) as ours:
        assert ours.name_model(AUTO, "normal", 60) == "medium"
        assert ours.name_model(AUTO, "normal", 61) == "tiny"


def test_a_named_model_beats_the_rule(tmp_path: Path) -> None:
    with closing(open_engines(tmp_path, "tiny", "small")) as ours:
        assert ours.name_model(wish("auto", "small"), "low", 7200) == "small"


def test_a_missing_model_is_looked_for_once_and_the_nearest_stands_in(
    tmp_path: Path, fetched: list[str], told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(open_engines(tmp_path, "tiny")) as ours:
        assert [ours.name_model(AUTO, "normal", 5) for _ in range(3)] == ["tiny"] * 3
        assert fetched == ["base"]
        assert len(told) == 1
        assert "tiny in place of base" in told[0]

        monkeypatch.setattr(engines, "_SECOND_BEST_S", -1.0)
        assert ours.name_model(AUTO, "urgent", 5) == "tiny"
        (tmp_path / "models" / "whisper" / "small.pt").touch()
        assert ours.name_model(AUTO, "urgent", 5) == "small"
        assert fetched == ["base", "small"]


def test_without_any_weights_pocketsphinx_hears_it(tmp_path: Path, fetched: list[str], told: list[str]) -> None:
    with closing(open_engines(tmp_path)) as ours:
        assert ours.name_model(AUTO, "normal", 5) == "pocketsphinx"
        assert "cannot be fetched" in told[0]
        with pytest.raises(ModelUnavailable, match="base"):
            ours.borrow(wish("whisper"), "normal", 5)


def test_nothing_is_fetched_where_that_is_forbidden(tmp_path: Path, fetched: list[str]) -> None:
    with closing(open_engines(tmp_path, fetch_models=False)) as ours:
        assert ours.name_model(AUTO, "normal", 5) == "pocketsphinx"
    assert fetched == []


def test_what_was_wished_for_reaches_the_engine(tmp_path: Path, opener: Opener, told: list[str]) -> None:
    with closing(open_engines(tmp_path, "base", workers=3, engine_timeout_s=7.0)) as ours:
        with ours.borrow(wish("ctranslate2", "base", "de"), "normal", 5):
            pass
        with ours.borrow(wish("pocketsphinx"), "normal", 5):
            pass
    whisper, sphinx = opener.opened
    assert (whisper.name, whisper.language, whisper.workers) == ("ctranslate2", "de", 3)
    assert (sphinx.name, sphinx.model, sphinx.language) == ("pocketsphinx", None, None)
    assert opener.settings["patience"].window_s == 7.0
    assert not [name for name in opener.settings["environment"] if name.startswith("DIARYNOTES_")]
    assert told == []  # a person named them


def test_a_gpu_that_is_given_up_is_told_of(tmp_path: Path, told: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "find_gpu", lambda: True)
    with closing(open_engines(tmp_path)) as ours:
        assert ours._devices.best == "cuda"
        ours._devices.give_up("cuda", "It failed.")
        ours._devices.give_up("cuda", "It failed.")
        assert ours._devices.best == "cpu"
    assert len(told) == 1
    assert "It failed." in told[0]


def test_a_device_that_is_none_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="tpu"):
        open_engines(tmp_path, device="tpu")


def test_nothing_is_opened_after_the_end(tmp_path: Path, opener: Opener) -> None:
    ours = open_engines(tmp_path, "base")
    ours.close()
    with pytest.raises(EngineClosed), ours.borrow(AUTO, "normal", 5):
        pass
    assert opener.opened == []


def test_the_next_larger_model_on_disk_hears_again(tmp_path: Path, opener: Opener) -> None:
    with closing(open_engines(tmp_path, "base", "medium", "tiny")) as ours:
        second = ours.second(AUTO, "normal", 10.0)
        assert second is not None
        with second():
            pass
        assert [Path(str(opening.model)).stem for opening in opener.opened] == ["medium"]
        assert ours.second(wish("whisper", "base"), "normal", 10.0) is None  # who names a model gets that one
        assert ours.second(wish("pocketsphinx"), "normal", 10.0) is None


@pytest.mark.parametrize(("setting", "model"), [("off", None), ("tiny", "tiny"), ("base", None)])
def test_who_hears_again_is_a_setting(tmp_path: Path, opener: Opener, setting: str, model: str | None) -> None:
    with closing(open_engines(tmp_path, "base", "medium", "tiny", second_model=setting)) as ours:
        second = ours.second(AUTO, "normal", 10.0)
        assert (second is None) == (model is None)
        if second is not None:
            with second():
                pass
            assert Path(str(opener.opened[0].model)).stem == model
