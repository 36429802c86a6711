"""What tests of every kind share: recordings, the small trained Whisper of `tests/checkpoint`, a random GGUF, a proxy.

Hypothesis asks the same of every run, so that what fails, fails for everybody until it is mended. It looks for new
counterexamples with `pytest tests/unit --hypothesis-profile=search`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

import diarynotes.buckets.remote as remote
from tests import gguf_model as gguf_model_module
from tests import media as media_module
from tests.checkpoint import expand
from tests.waiting import PATIENCE_S

_UNHURRIED = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("same", derandomize=True, database=None, **_UNHURRIED)
settings.register_profile("search", print_blob=True, **_UNHURRIED)
settings.load_profile("same")


@pytest.fixture(scope="module", autouse=True)
def _buckets_unknown() -> Iterator[None]:
    """Each module begins as a process does that has reached no bucket: the servers of the one before are gone.

    All that it opened is closed. fsspec does so too when nobody needs it any more, but gives up after a tenth of a
    second, and what is left open then is warned of in the middle of another test.
    """
    opened: list[Any] = []
    open_backend = remote._open_backend

    def open_and_note(*given: Any) -> Any:
        opened.append(open_backend(*given))
        return opened[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(remote, "_open_backend", open_and_note)
        yield
    remote._connections = remote._Connections()
    for backend in opened:
        _hang_up(backend)


def _hang_up(backend: Any) -> None:
    files = getattr(backend, "_files", None)
    match type(files).__name__:
        case "S3FileSystem" if creator := getattr(files, "_s3creator", None):
            _run_in(files.loop, creator.__aexit__, None, None, None)
        case "GCSFileSystem" if files._session is not None and not files._session.closed:
            _run_in(files.loop, files._session.close)
        case "AzureBlobFileSystem":
            _run_in(files.loop, files.service_client.close)


def _run_in(loop: Any, work: Any, *given: Any) -> None:
    from fsspec.asyn import sync

    sync(loop, work, *given, timeout=PATIENCE_S)


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
def media() -> ModuleType:
    """The module that makes recordings."""
    return media_module


@pytest.fixture(scope="session")
def trained_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint in OpenAI's format that hears the diary's few hundred words in flite's voices."""
    return expand.trained_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture(scope="session")
def gguf_model() -> ModuleType:
    """The module that writes random models. Skips where llama.cpp is missing, which is compiled from source."""
    pytest.importorskip("llama_cpp", reason="llama.cpp is not installed: pip install 'diarynotes[llama]'")
    pytest.importorskip("gguf", reason="gguf is not installed: pip install gguf")
    return gguf_model_module


@pytest.fixture(scope="session")
def random_gguf(gguf_model: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A language model that knows nothing, alone in a folder of models."""
    path: Path = gguf_model.write_model(tmp_path_factory.mktemp("models") / "random.gguf")
    return path
