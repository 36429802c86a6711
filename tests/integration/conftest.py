"""Recordings and damage for integration tests: `tests/media.py` makes them, `damage.py` breaks them."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


def load_module(path: Path) -> ModuleType:
    """Test folders are no packages, so what they share is loaded by its path."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def media() -> ModuleType:
    return load_module(Path(__file__).parents[1] / "media.py")


@pytest.fixture(scope="session")
def damage() -> ModuleType:
    return load_module(Path(__file__).with_name("damage.py"))
