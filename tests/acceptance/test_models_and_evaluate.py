"""`diarynotes models` and `diarynotes evaluate` as a person calls them."""

from __future__ import annotations

import csv
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
CLIPS = ("2026-05-23T09-15-00.wav", "Recording 2026-05-24 01-20-33.webm")


class Handler(BaseHTTPRequestHandler):
    """Gives the same few bytes for every address."""

    body = b"not the weights"

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        self.wfile.write(self.body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Quiet."""


class Server(ThreadingHTTPServer):
    daemon_threads = False  # closing the server waits for its answers


@pytest.fixture
def mirror() -> Iterator[str]:
    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/models"
        server.shutdown()
        thread.join()


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Two short spoken examples, with what is said in them."""
    folder = tmp_path / "clips"
    folder.mkdir()
    said = read_examples()
    for name in CLIPS:
        shutil.copy(EXAMPLES / "voice-notes" / name, folder)
    write_transcripts(folder, {name: said[name] for name in CLIPS})
    return folder


def read_examples() -> dict[str, str]:
    with (EXAMPLES / "transcripts.csv").open(encoding="utf-8", newline="") as file:
        return {row["file"]: row["text"] for row in csv.DictReader(file)}


def write_transcripts(folder: Path, said: dict[str, str]) -> None:
    rows = [(file, text, "en") for file, text in said.items()]
    with (folder / "transcripts.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("file", "text", "language"), *rows])


def test_models_are_listed_with_where_they_lie(command_line: Any) -> None:
    file = command_line.home / "models" / "whisper" / "large-v3-turbo.pt"
    file.parent.mkdir(parents=True)
    file.write_bytes(bytes(3_000_000))

    found = {model["name"]: model for model in command_line.call("models", "list", "--json").json}

    assert {"tiny", "tiny.en", "base", "small", "medium", "large-v3", "large-v3-turbo"} <= set(found)
    assert found["tiny"]["path"] is None
    assert found["tiny"]["size_mb"] == 76
    assert found["large-v3-turbo"] == {**found["large-v3-turbo"], "aliases": ["turbo"], "path": str(file), "size_mb": 3}
    shown = command_line.call("models", "list").out
    assert str(file) in shown.replace("\n", "")
    assert command_line.call("models", "path", "turbo").out.strip() == str(file)


def test_a_model_that_is_not_here_is_said_with_what_to_do(command_line: Any) -> None:
    missing = command_line.call("models", "path", "tiny")
    unknown = command_line.call("models", "pull", "enormous")

    assert (missing.status, missing.out) == (1, "")
    assert "diarynotes models pull tiny" in missing.err
    assert unknown.status == 2
    assert "large-v3-turbo" in unknown.err


def test_a_model_that_cannot_be_fetched_is_said_with_where_to_put_it(command_line: Any) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as closed:
        port = closed.server_port

    result = command_line.call("models", "pull", "tiny", "--mirror", f"http://127.0.0.1:{port}")

    assert (result.status, result.out) == (1, "")
    assert str(command_line.home / "models" / "whisper" / "tiny.pt") in result.err
    assert f"http://127.0.0.1:{port}/" in result.err
    assert "Traceback" not in result.err


def test_a_wrong_file_is_refused_and_never_appears(command_line: Any, mirror: str) -> None:
    result = command_line.call("models", "pull", "tiny", "--mirror", mirror)

    assert (result.status, result.out) == (1, "")
    assert "SHA-256" in result.err
    assert [*(command_line.home / "models" / "whisper").iterdir()] == []


def test_a_file_put_there_by_hand_is_told_from_the_published_one(command_line: Any) -> None:
    file = command_line.home / "models" / "whisper" / "tiny.pt"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"my own weights")

    result = command_line.call("models", "pull", "tiny")

    assert result.status == 2
    assert "is not the published tiny" in result.err
    assert file.read_bytes() == b"my own weights"


@pytest.mark.slow
def test_an_engine_is_scored_on_clips(command_line: Any, clips: Path) -> None:
    said = {name: read_examples()[name] for name in CLIPS}
    said[CLIPS[0]] += " Nobody ever said these words."
    write_transcripts(clips, said)

    outcome = command_line.call(
        *("evaluate", str(clips), "--engine", "pocketsphinx", "--model", "tiny", "--model", "base", "--json"),
        *("--preprocess", "none", "--preprocess", "loudness+high_pass"),
    )

    assert outcome.status == 0
    assert "wine" not in outcome.out + outcome.err  # a word of the first clip
    report = outcome.json
    assert (report["clips"], report["problems"]) == (2, [])
    score, prepared = report["engines"]  # once each: it has no models to choose from
    assert (score["preprocess"], prepared["preprocess"]) == ("none", "high_pass+loudness")
    assert report["advice"].startswith("pocketsphinx en-us")
    assert "clips" not in score
    assert (score["engine"], score["model"]) == ("pocketsphinx", "en-us")
    assert score["words"] == sum(len(words.split()) for words in said.values())
    assert 5 <= score["wrong"] <= 15
    assert score["word_error_rate"] == score["wrong"] / score["words"]
    assert score["real_time_factor"] > 0
    assert 60 < score["peak_memory_mb"] < 2000
    assert 0 < score["mean_trust"] <= 1
    assert (score["trust_error_correlation"], score["trust_error_clips"]) == (None, 2)
    assert not command_line.home.exists()


@pytest.mark.slow
def test_bad_clips_and_engines_that_are_missing_are_listed(command_line: Any, clips: Path) -> None:
    (clips / "broken.mp3").write_bytes(b"no sound at all")
    said = read_examples()
    write_transcripts(clips, {CLIPS[0]: said[CLIPS[0]], "gone.wav": "gone", "broken.mp3": "broken"})
    (command_line.home / "models").mkdir(parents=True)
    (command_line.home / "models" / "whisper").write_text("no folder")

    result = command_line.call(
        *("evaluate", str(clips), "--clips", "--engine", "pocketsphinx", "--engine", "whisper"),
        HTTPS_PROXY="http://127.0.0.1:9",
        https_proxy="http://127.0.0.1:9",
    )

    assert result.status == 1
    table = result.out.replace("\n", " ")
    assert "too few clips to hold trust against error (1 " in table
    assert "Left out: gone.wav: is not there" in table
    assert "broken.mp3: This file is not a sound recording" in table
    assert "whisper: The model base is not at hand" in table
    assert "village" in table  # with --clips, what was said is shown
    assert "Traceback" not in result.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("--preprocess", "reverb"), "high_pass+noise_reduction+loudness"), (("--engine", "ears"), "pocketsphinx")],
)
def test_what_there_is_to_choose_from_is_said(
    command_line: Any, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    write_transcripts(tmp_path, {"gone.wav": "gone"})

    result = command_line.call("evaluate", str(tmp_path), *arguments)

    assert result.status == 2
    assert message in result.err


def test_a_folder_without_transcripts_is_told_what_it_must_hold(command_line: Any, tmp_path: Path) -> None:
    missing = command_line.call("evaluate", str(tmp_path))
    (tmp_path / "transcripts.csv").write_text("name,words\na.wav,hello\n")
    other = command_line.call("evaluate", str(tmp_path))

    for result in (missing, other):
        assert result.status == 2
        assert str(tmp_path / "transcripts.csv") in result.err
        assert "columns file and text" in result.err
