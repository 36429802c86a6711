"""What integration tests share: a Prefect server, and `damage.py`, which breaks recordings."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

import pytest

from diarynotes.prefect_api import TemporaryServer
from tests.integration import damage as damage_module


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
def damage() -> ModuleType:
    return damage_module
