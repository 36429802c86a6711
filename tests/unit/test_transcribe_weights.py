from __future__ import annotations

import hashlib
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from diarynotes.errors import BadSettings, ModelUnavailable, StorageFailed
from diarynotes.transcribe import weights
from diarynotes.transcribe.weights import fetch_weights, find_any_weights, find_weights

WEIGHTS = b"weights " * 400_000


class Server(ThreadingHTTPServer):
    """Serves WEIGHTS; `answer` changes what comes."""

    daemon_threads = False  # closing the server waits for its answers
    answer = WEIGHTS
    promised = len(WEIGHTS)
    status = 200
    requests = 0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_HEAD(self) -> None:
        self.server.requests += 1
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(self.server.promised))
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        self.wfile.write(self.server.answer)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Quiet."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        point_at(monkeypatch, server.address)
        yield server
        server.shutdown()
        thread.join()


def point_at(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    sha256 = hashlib.sha256(WEIGHTS).hexdigest()
    urls = {name: f"{address}/{sha256}/{file}.pt" for name, file in (("tiny", "tiny"), ("turbo", "large-v3-turbo"))}
    monkeypatch.setattr(weights, "_urls", lambda: urls)


def test_weights_are_fetched_whole(server: Server, tmp_path: Path) -> None:
    file = fetch_weights("tiny", tmp_path)

    assert file == tmp_path / "whisper" / "tiny.pt"
    assert file.read_bytes() == WEIGHTS
    assert [*file.parent.iterdir()] == [file]
    assert find_weights("tiny", tmp_path) == find_any_weights(tmp_path) == file


def test_a_second_name_means_the_same_file(server: Server, tmp_path: Path) -> None:
    assert fetch_weights("turbo", tmp_path).name == "large-v3-turbo.pt"
    assert find_weights("turbo", tmp_path) == tmp_path / "whisper" / "large-v3-turbo.pt"


@pytest.mark.parametrize("answer", [b"", b"something else", WEIGHTS[:-1] + b"!"])
def test_what_does_not_match_its_checksum_never_appears(server: Server, tmp_path: Path, answer: bytes) -> None:
    server.answer, server.promised = answer, len(answer)

    with pytest.raises(ModelUnavailable, match="SHA-256"):
        fetch_weights("tiny", tmp_path)

    assert [*(tmp_path / "whisper").iterdir()] == []


def test_a_download_that_breaks_off_never_appears(server: Server, tmp_path: Path) -> None:
    server.answer = WEIGHTS[: len(WEIGHTS) // 2]

    with pytest.raises(ModelUnavailable):
        fetch_weights("tiny", tmp_path)

    assert [*(tmp_path / "whisper").iterdir()] == []


@pytest.mark.parametrize("status", [404, 503])
def test_a_server_that_refuses_makes_the_model_unavailable(server: Server, tmp_path: Path, status: int) -> None:
    server.status = status

    with pytest.raises(ModelUnavailable) as caught:
        fetch_weights("tiny", tmp_path)

    assert str(tmp_path / "whisper" / "tiny.pt") in str(caught.value)
    assert server.address in str(caught.value)
    assert server.requests == 1


def test_a_closed_door_is_seen_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as closed:
        port = closed.server_port
    point_at(monkeypatch, f"http://127.0.0.1:{port}")

    with pytest.raises(ModelUnavailable, match="cannot be fetched"):
        fetch_weights("tiny", tmp_path)


def test_a_server_that_never_answers_costs_a_moment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import socket
    import time

    monkeypatch.setattr(weights, "CONNECT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        point_at(monkeypatch, f"http://127.0.0.1:{mute.getsockname()[1]}")
        begun = time.monotonic()
        with pytest.raises(ModelUnavailable):
            fetch_weights("tiny", tmp_path)
        assert time.monotonic() - begun < 2


def test_a_folder_that_cannot_be_written_is_said(server: Server, tmp_path: Path) -> None:
    (tmp_path / "whisper").write_text("a file where the folder should be")

    with pytest.raises(StorageFailed, match="whisper"):
        fetch_weights("tiny", tmp_path)


def test_weights_are_found_by_path(tmp_path: Path) -> None:
    file = tmp_path / "mine.pt"
    file.touch()

    assert find_weights(str(file), tmp_path / "models") == file
    with pytest.raises(BadSettings, match="no file"):
        find_weights(str(tmp_path / "other.pt"), tmp_path)


def test_what_a_laptop_runs_well_is_preferred(tmp_path: Path) -> None:
    assert find_any_weights(tmp_path) is None
    folder = tmp_path / "whisper"
    folder.mkdir()
    for name in ("large-v3", "tiny", "base"):
        (folder / f"{name}.pt").touch()

    assert find_any_weights(tmp_path) == folder / "base.pt"
    (folder / "base.pt").unlink()
    (folder / "tiny.pt").unlink()
    assert find_any_weights(tmp_path) == folder / "large-v3.pt"


def test_openais_addresses_are_known_without_loading_torch() -> None:
    import subprocess

    code = (
        "import sys; from diarynotes.transcribe import weights; urls = weights._urls(); "
        "print(urls['base'], 'torch' in sys.modules)"
    )
    url, loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()

    assert url.startswith("https://")
    assert url.endswith("/base.pt")
    assert len(url.split("/")[-2]) == 64
    assert loaded == "False"


def test_the_addresses_are_whispers_own() -> None:
    import whisper

    assert weights._urls() == whisper._MODELS
    assert {weights.DEFAULT_MODEL, *weights.PREFERRED} <= set(whisper._MODELS)


def test_an_unknown_name_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="large-v3-turbo"):
        find_weights("enormous", tmp_path)
