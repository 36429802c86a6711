from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from diarynotes.cli.evaluate import Said, _list_openings, _read_transcripts, _read_way
from diarynotes.errors import BadSettings
from diarynotes.settings import Settings, load_settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings({}, home=tmp_path)


def test_clips_are_english_unless_they_say_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "transcripts.csv"
    path.write_text("file,text,language\na.wav,Bonjour., FR \nb.wav,Hello.,\n,nothing,de\n", encoding="utf-8")

    assert _read_transcripts(path) == {"a.wav": Said("Bonjour.", "fr"), "b.wav": Said("Hello.", "en")}

    path.write_text("file,text\na.wav,Hello.\n", encoding="utf-8")
    assert _read_transcripts(path) == {"a.wav": Said("Hello.", "en")}


def test_every_engine_is_opened_with_every_model_that_it_can_have(settings: Settings) -> None:
    openings = _list_openings(settings, ("whisper", "pocketsphinx"), ("tiny", "base"), {"a": Said("Hello.", "en")})

    assert [(opening.name, opening.model) for opening in openings] == [
        ("whisper", "tiny"),
        ("whisper", "base"),
        ("pocketsphinx", None),
    ]


@pytest.mark.parametrize(
    ("languages", "forced", "told"), [(("en", "en"), "", "en"), (("en", "de"), "", None), (("en", "de"), "de", "de")]
)
def test_engines_are_told_a_language_only_if_all_clips_have_it(
    settings: Settings, languages: tuple[str, ...], forced: str, told: str | None
) -> None:
    said = {f"{number}.wav": Said("", language) for number, language in enumerate(languages)}

    [opening] = _list_openings(replace(settings, language=forced), ("scripted",), (), said)

    assert opening.language == told


@pytest.mark.parametrize(
    ("named", "way", "steps"),
    [
        ("auto", "auto", None),
        ("none", "none", ()),
        ("loudness", "loudness", ("loudness",)),
        ("loudness+high_pass", "high_pass+loudness", ("high_pass", "loudness")),
    ],
)
def test_steps_are_named_in_the_order_in_which_they_are_taken(
    named: str, way: str, steps: tuple[str, ...] | None
) -> None:
    assert _read_way(named) == (way, steps)


@pytest.mark.parametrize("named", ["", "reverb", "auto+loudness", "loudness+"])
def test_unknown_steps_are_told_what_there_is(named: str) -> None:
    with pytest.raises(BadSettings, match="high_pass"):
        _read_way(named)
