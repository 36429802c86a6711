"""Models found by path and by name, and what is said where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from diarynotes.diary.gguf_models import find_gguf, list_ggufs, measure_gguf
from diarynotes.errors import BadSettings


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    put(folder / "small-q4.gguf")
    put(folder / "whisper" / "base.pt")
    put(folder / "qwen" / "large.gguf")
    return folder


def put(path: Path, content: bytes = b"GGUF and more") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def refusal(model: str, folder: Path) -> str:
    with pytest.raises(BadSettings) as caught:
        find_gguf(model, folder)
    assert caught.value.setting == "llama_model"
    return caught.value.why


@pytest.mark.parametrize("name", ["small-q4", "small-q4.gguf"])
def test_a_name_is_a_file_of_the_folder(models: Path, name: str) -> None:
    assert find_gguf(name, models) == models / "small-q4.gguf"


def test_one_level_below_is_found_too(models: Path) -> None:
    assert find_gguf("large", models) == models / "qwen" / "large.gguf"


def test_a_path_is_taken_wherever_it_lies(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = put(tmp_path / "home" / "mine.bin")
    assert find_gguf(str(elsewhere), models) == elsewhere
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert find_gguf("~/mine.bin", models) == elsewhere


def test_what_is_missing_is_told_with_what_is_there(models: Path) -> None:
    why = refusal("huge", models)
    assert "'huge' names no GGUF file" in why
    assert "large, small-q4" in why
    assert str(models) in why


def test_without_any_model_it_says_where_to_put_one(tmp_path: Path) -> None:
    why = refusal("", tmp_path / "none")
    assert why.startswith("name a GGUF file")
    assert "none yet" in why


def test_two_files_of_one_name_are_told_apart_by_path(models: Path) -> None:
    put(models / "other" / "large.gguf")
    assert "other/large.gguf, qwen/large.gguf" in refusal("large", models)


def test_a_long_list_is_cut(models: Path) -> None:
    for number in range(12):
        put(models / f"m{number:02}.gguf")
    why = refusal("huge", models)
    assert "m09, …" in why
    assert "m11" not in why


def test_a_path_without_a_file(models: Path) -> None:
    assert "there is no file" in refusal(str(models / "gone.gguf"), models)


@pytest.mark.parametrize("content", [b"", b"GGU", b"GGJT", b"<html>404</html>"])
def test_what_is_no_gguf_is_refused(models: Path, content: bytes) -> None:
    put(models / "page.gguf", content)
    assert "is no GGUF file" in refusal("page", models)


def test_of_a_model_in_parts_the_first_is_named_and_all_are_measured(models: Path) -> None:
    parts = [put(models / f"big-0000{number}-of-00003.gguf", b"GGUF" + b"x" * number) for number in (1, 2, 3)]
    put(models / "big.gguf")
    assert parts[0] in list_ggufs(models)
    assert not {*parts[1:]} & {*list_ggufs(models)}
    assert measure_gguf(find_gguf("big-00001-of-00003", models)) == 5 + 6 + 7
    assert measure_gguf(models / "small-q4.gguf") == 13
