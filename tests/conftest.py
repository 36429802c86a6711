"""What tests of every kind share: the small trained Whisper of `tests/checkpoint`."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def trained_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint in OpenAI's format that hears the diary's few hundred words in flite's voices."""
    spec = importlib.util.spec_from_file_location("expand", Path(__file__).parent / "checkpoint" / "expand.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    path: Path = module.trained_checkpoint(tmp_path_factory.mktemp("checkpoint"))
    return path
