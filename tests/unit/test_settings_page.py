"""The page about settings names every one of them, and none that is not there."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from diarynotes.settings import Settings

PAGE = (Path(__file__).parents[2] / "docs" / "settings.md").read_text()


def test_the_page_names_each_setting_once() -> None:
    first_cells = re.findall(r"^\| (`.*?`) \|", PAGE, re.MULTILINE)
    named = [name for cell in first_cells for name in re.findall(r"`(\w+)`", cell)]
    assert sorted(named) == sorted(field.name for field in fields(Settings))
