"""Recordings for unit tests, made by `tests/media.py`."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def media() -> ModuleType:
    """The module that makes recordings; test folders are no packages, so it is loaded by its path."""
    spec = importlib.util.spec_from_file_location("media", Path(__file__).parents[1] / "media.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
