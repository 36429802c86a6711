"""Recordings and damage for integration tests: `tests/media.py` makes them, `damage.py` breaks them."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from diarynotes.prefect_api import TemporaryServer


def load_module(path: Path) -> ModuleType:
    """Test folders are no packages, so what they share is loaded by its path."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a real Prefect server for all modules that need one and nothing special of it."""
    server = TemporaryServer(tmp_path_factory.mktemp("prefect"))
    try:
        server.wait()
        yield server.url
    finally:
        server.stop()


@pytest.fixture(scope="session")
def media() -> ModuleType:
    return load_module(Path(__file__).parents[1] / "media.py")


@pytest.fixture(scope="session")
def damage() -> ModuleType:
    return load_module(Path(__file__).with_name("damage.py"))
