from __future__ import annotations

import fcntl
import hashlib
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from diarynotes.errors import BadSettings, ModelUnavailable, StorageFailed
from diarynotes.transcribe import weights
from diarynotes.transcribe.weights import (
    fetch_weights,
    find_any_weights,
    find_weights,
    list_checkpoints,
    published_urls,
)
from tests.ports import nobody_there
from tests.waiting import PATIENCE_S, wait_for

WEIGHTS = b"weights " * 400_000


class Server(ThreadingHTTPServer):
    """Serves WEIGHTS, in pieces where it is asked for them; the fields change what comes."""

    daemon_threads = False  # closing the server waits for its answers
    answer = WEIGHTS
    promised: int | None = None
    """What the header says there is, if not what comes."""
    status = 200
    knows_ranges = True
    cuts_after: list[int]
    """So many bytes each answer breaks off after, in turn; then they are whole."""
    asked: list[str | None]
    """The range of each request for the file, in order."""
    heads = 0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def urls(self) -> dict[str, str]:
        return addresses(self.address)


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_HEAD(self) -> None:
        self.server.heads += 1
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        server = self.server
        wanted = self.headers["Range"]
        server.asked.append(wanted)
        begin = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and server.knows_ranges else 0
        if begin and begin >= len(server.answer):
            self.send_error(416)
            return
        body = server.answer[begin:]
        self.send_response(206 if begin else server.status)
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(server.answer) - 1}/{len(server.answer)}")
        self.send_header("Content-Length", str(len(body) if server.promised is None else server.promised))
        self.end_headers()
        self.wfile.write(body[: server.cuts_after.pop(0)] if server.cuts_after else body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Quiet."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as server:
        server.cuts_after, server.asked = [], []
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def addresses(address: str) -> dict[str, str]:
    sha256 = hashlib.sha256(WEIGHTS).hexdigest()
    return {name: f"{address}/{sha256}/{file}.pt" for name, file in (("tiny", "tiny"), ("turbo", "large-v3-turbo"))}


def part_of(models: Path) -> Path:
    (models / "whisper").mkdir(exist_ok=True)
    return models / "whisper" / ".tiny.pt.part"


def test_weights_are_fetched_whole(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []

    file = fetch_weights("tiny", tmp_path, urls=server.urls, progress=lambda done, total: seen.append((done, total)))

    assert file == tmp_path / "whisper" / "tiny.pt"
    assert file.read_bytes() == WEIGHTS
    assert [*file.parent.iterdir()] == [file]
    assert find_weights("tiny", tmp_path, urls=server.urls) == find_any_weights(tmp_path) == file
    assert seen == sorted(seen)
    assert seen[-1] == (len(WEIGHTS), len(WEIGHTS))


def test_a_second_name_means_the_same_file(server: Server, tmp_path: Path) -> None:
    file = fetch_weights("turbo", tmp_path, urls=server.urls)

    assert file.name == "large-v3-turbo.pt"
    assert find_weights("turbo", tmp_path) == find_weights("large-v3-turbo", tmp_path) == file


def test_a_download_that_breaks_off_is_taken_up_again(server: Server, tmp_path: Path) -> None:
    server.cuts_after = [1_000_000, 500_000]

    file = fetch_weights("tiny", tmp_path, urls=server.urls)

    assert file.read_bytes() == WEIGHTS
    assert server.asked == [None, "bytes=1000000-", "bytes=1500000-"]
    assert [*file.parent.iterdir()] == [file]


def test_what_has_come_is_kept_for_the_next_call(server: Server, tmp_path: Path) -> None:
    server.cuts_after = [2_000_000, 0]

    with pytest.raises(ModelUnavailable, match="2 MB of it are kept"):
        fetch_weights("tiny", tmp_path, urls=server.urls)
    assert find_any_weights(tmp_path) is None
    assert part_of(tmp_path).read_bytes() == WEIGHTS[:2_000_000]

    server.asked.clear()
    assert fetch_weights("tiny", tmp_path, urls=server.urls).read_bytes() == WEIGHTS
    assert server.asked == ["bytes=2000000-"]
    assert not part_of(tmp_path).exists()


def test_a_server_that_knows_no_ranges_begins_anew(server: Server, tmp_path: Path) -> None:
    server.knows_ranges = False
    part_of(tmp_path).write_bytes(WEIGHTS[:1000])

    assert fetch_weights("tiny", tmp_path, urls=server.urls).read_bytes() == WEIGHTS
    assert server.asked == ["bytes=1000-"]


def test_a_whole_piece_only_lacks_its_name(server: Server, tmp_path: Path) -> None:
    part_of(tmp_path).write_bytes(WEIGHTS)

    assert fetch_weights("tiny", tmp_path, urls=server.urls).read_bytes() == WEIGHTS
    assert server.asked == []


@pytest.mark.parametrize("kept", [b"of another file", WEIGHTS + b"and more", WEIGHTS[:-9] + b"otherwise"])
def test_a_wrong_piece_is_thrown_away(server: Server, tmp_path: Path, kept: bytes) -> None:
    part_of(tmp_path).write_bytes(kept)

    file = fetch_weights("tiny", tmp_path, urls=server.urls)

    assert file.read_bytes() == WEIGHTS
    assert [*file.parent.iterdir()] == [file]


@pytest.mark.parametrize("answer", [b"", b"something else", WEIGHTS[:-1] + b"!"])
def test_what_does_not_match_its_checksum_never_appears(server: Server, tmp_path: Path, answer: bytes) -> None:
    server.answer = answer

    with pytest.raises(ModelUnavailable, match="SHA-256"):
        fetch_weights("tiny", tmp_path, urls=server.urls)

    assert [*(tmp_path / "whisper").iterdir()] == []


def test_a_server_that_sends_nothing_is_not_asked_for_ever(server: Server, tmp_path: Path) -> None:
    server.cuts_after = [0] * 9

    with pytest.raises(ModelUnavailable, match="cannot be fetched"):
        fetch_weights("tiny", tmp_path, urls=server.urls)

    assert len(server.asked) == 1
    assert [*(tmp_path / "whisper").iterdir()] == []


def test_a_file_too_large_for_the_disk_is_refused_before_it_comes(server: Server, tmp_path: Path) -> None:
    server.promised = 10**18

    with pytest.raises(StorageFailed, match="MB are free"):
        fetch_weights("tiny", tmp_path, urls=server.urls)

    assert [*(tmp_path / "whisper").iterdir()] == []


@pytest.mark.parametrize("status", [404, 503])
def test_a_server_that_refuses_makes_the_model_unavailable(server: Server, tmp_path: Path, status: int) -> None:
    server.status = status

    with pytest.raises(ModelUnavailable) as caught:
        fetch_weights("tiny", tmp_path, urls=server.urls)

    assert str(tmp_path / "whisper" / "tiny.pt") in str(caught.value)
    assert server.address in str(caught.value)
    assert (server.heads, server.asked) == (1, [])
    assert [*tmp_path.iterdir()] == []


def test_a_closed_door_is_seen_at_once(tmp_path: Path) -> None:
    with nobody_there() as port, pytest.raises(ModelUnavailable, match="cannot be fetched"):
        fetch_weights("tiny", tmp_path, urls=addresses(f"http://127.0.0.1:{port}"))


def test_a_server_that_never_answers_is_not_waited_for(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        urls = addresses(f"http://127.0.0.1:{mute.getsockname()[1]}")
        with pytest.raises(ModelUnavailable):
            fetch_weights("tiny", tmp_path, urls=urls, connect_s=0.2)


def test_processes_that_want_the_same_file_share_one_download(server: Server, tmp_path: Path) -> None:
    code = (
        "import json, sys; from pathlib import Path; from diarynotes.transcribe.weights import fetch_weights; "
        "print(fetch_weights('tiny', Path(sys.argv[1]), urls=json.loads(sys.argv[2])))"
    )
    command = [sys.executable, "-c", code, str(tmp_path), json.dumps(server.urls)]
    held = part_of(tmp_path).open("ab")
    fcntl.flock(held, fcntl.LOCK_EX)
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    # All have asked whether the server is there, and now meet at the lock.
    wait_for(lambda: server.heads == 3 or any(process.poll() is not None for process in processes))
    assert server.heads == 3, "one ended before"
    assert server.asked == []
    held.close()

    answers = [process.communicate(timeout=PATIENCE_S)[0].strip() for process in processes]

    file = tmp_path / "whisper" / "tiny.pt"
    assert answers == [str(file)] * 3
    assert file.read_bytes() == WEIGHTS
    assert server.asked == [None]
    assert [*file.parent.iterdir()] == [file]


def test_a_folder_that_cannot_be_written_is_said(server: Server, tmp_path: Path) -> None:
    (tmp_path / "whisper").write_text("a file where the folder should be")

    with pytest.raises(StorageFailed, match="whisper"):
        fetch_weights("tiny", tmp_path, urls=server.urls)


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
    code = (
        "import sys; from diarynotes.transcribe import weights; urls = weights.published_urls(); "
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

    assert weights.published_urls() == whisper._MODELS
    assert {weights.DEFAULT_MODEL, *weights.PREFERRED} <= set(whisper._MODELS)


def test_an_unknown_name_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="large-v3-turbo"):
        find_weights("enormous", tmp_path)


def test_every_published_file_is_listed_once_with_its_size() -> None:
    checkpoints = list_checkpoints()

    assert len({checkpoint.file_name for checkpoint in checkpoints}) == len(checkpoints)
    assert {name for checkpoint in checkpoints for name in checkpoint.names} == set(published_urls())
    sizes = {checkpoint.file_name: checkpoint.size_mb for checkpoint in checkpoints}
    assert sizes["tiny.en.pt"] == sizes["tiny.pt"] == 76
    assert sizes["large-v3-turbo.pt"] == 1618
    assert None not in sizes.values()
