"""What tests of every kind share: the small trained Whisper of `tests/checkpoint`, a random GGUF, a proxy."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import diarynotes.buckets.remote as remote


@pytest.fixture(scope="module", autouse=True)
def _buckets_unknown() -> Iterator[None]:
    """Each module begins as a process does that has reached no bucket: the servers of the one before are gone."""
    yield
    remote._connections = remote._Connections()


class Proxy:
    """A proxy that lets nothing through and remembers what it was asked for."""

    def __init__(self) -> None:
        asked: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            def parse_request(self) -> bool:
                if super().parse_request():
                    asked.append(f"{self.command} {self.path}")
                    self.send_error(502)
                return False

            def log_message(self, *arguments: Any) -> None:
                pass

        self.asked = asked
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.environment = {
            name: self.url for word in ("HTTP", "HTTPS", "ALL") for name in (f"{word}_PROXY", f"{word.lower()}_proxy")
        }
        """As a person behind a proxy has it."""


@pytest.fixture(scope="module")
def proxy() -> Iterator[Proxy]:
    """For one test of a module, or for several that ask it for nothing."""
    proxy = Proxy()
    threading.Thread(target=proxy.server.serve_forever, daemon=True).start()
    yield proxy
    proxy.server.shutdown()
    proxy.server.server_close()


@pytest.fixture(scope="session")
def trained_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint in OpenAI's format that hears the diary's few hundred words in flite's voices."""
    expand = _load(Path(__file__).parent / "checkpoint" / "expand.py")
    path: Path = expand.trained_checkpoint(tmp_path_factory.mktemp("checkpoint"))
    return path


@pytest.fixture(scope="session")
def gguf_model() -> ModuleType:
    """The module that writes random models. Skips where llama.cpp is missing, which is compiled from source."""
    pytest.importorskip("llama_cpp", reason="llama.cpp is not installed: pip install 'diarynotes[llama]'")
    pytest.importorskip("gguf", reason="gguf is not installed: pip install gguf")
    return _load(Path(__file__).with_name("gguf_model.py"))


@pytest.fixture(scope="session")
def random_gguf(gguf_model: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A language model that knows nothing, alone in a folder of models."""
    path: Path = gguf_model.write_model(tmp_path_factory.mktemp("models") / "random.gguf")
    return path


def _load(path: Path) -> ModuleType:
    """Test folders are no packages, so what they share is loaded by its path."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
