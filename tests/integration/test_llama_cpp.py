"""llama.cpp in the chain of writers, and over HTTP: llama-cpp-python's own server asked as OpenAI's would be."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from diarynotes.diary import llama_cpp, open_writer, openai_compatible, write_note
from diarynotes.diary.caller import DirectCaller, Question
from diarynotes.diary.language_model import Reply
from diarynotes.diary.note_shape import NoteShape
from diarynotes.errors import WriterFailed
from diarynotes.models import DiaryNote, Segment, Transcript
from tests.waiting import PATIENCE_S

DAY = date(2026, 11, 21)
SAID = Transcript(
    "t",
    "r",
    "file",
    "",
    "en",
    (Segment(0.0, 2.0, "I planted twelve tomatoes with Anna."), Segment(2.0, 4.0, "It did not rain.")),
    1.0,
)


def write_with(*models: Any) -> DiaryNote:
    """The note by the first of the models that has one, or else by the writer that needs none."""
    return write_note(SAID, day=DAY, writers=(*models, open_writer("extractive")))


def test_nonsense_in_the_right_shape_is_no_note(random_gguf: Path) -> None:
    notes = []
    for seed in range(4):
        options = {"context_tokens": 4_096, "temperature": 1.0, "threads": 1, "seed": seed}
        with closing(llama_cpp.Backend(str(random_gguf), models_folder=random_gguf.parent, **options)) as model:
            notes.append(write_with(model))
    for note in notes:
        assert (note.writer, note.degraded) == ("extractive", True)
        assert [sentence.text for sentence in note.draft.body] == [segment.text for segment in SAID.segments]
        assert [usage.model for usage in note.draft.usage][:1] == ["random.gguf"]
        assert all(usage.provider == "local" and usage.output_tokens for usage in note.draft.usage)
    told = " ".join(finding.message for note in notes for finding in note.findings)
    assert "tell what was said" in told, "now and then it has the shape of a note"


def test_a_damaged_model_leaves_the_note_to_the_next_writer(random_gguf: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(random_gguf.read_bytes()[:20_000])
    with closing(llama_cpp.Backend(str(cut), models_folder=tmp_path)) as model:
        note = write_with(model)
    assert (note.writer, note.degraded) == ("extractive", True)
    assert [sentence.text for sentence in note.draft.body] == [segment.text for segment in SAID.segments]
    assert "writer_failed" in [finding.code for finding in note.findings]


class Listener(DirectCaller):
    def __init__(self) -> None:
        super().__init__()
        self.replies: list[Reply] = []

    def call(self, question: Question, ask: Any) -> Reply:
        self.replies.append(super().call(question, ask))
        return self.replies[-1]


@pytest.fixture
def server(random_gguf: Path, tmp_path: Path) -> Iterator[str]:
    """The address of llama-cpp-python's server with the random model; it ends with the test."""
    if not (find_spec("sse_starlette") and find_spec("starlette_context")):
        pytest.skip("llama-cpp-python's server is not installed: pip install 'llama-cpp-python[server]'")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "llama_cpp.server", "--model", str(random_gguf), "--host", "127.0.0.1"]
    command += ["--port", str(port), "--n_ctx", "4096", "--n_threads", "1", "--n_threads_batch", "1"]
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    with (tmp_path / "server.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            await_server(f"http://127.0.0.1:{port}/v1/models", process, tmp_path / "server.log")
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.kill()
            process.wait()


def await_server(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    given_up = time.monotonic() + PATIENCE_S
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < given_up, "the server does not start"
            time.sleep(0.05)


def test_its_server_answers_in_the_shape(server: str) -> None:
    """It knows no `json_schema`, says so with status 500, and is then given the schema in its own way.

    Its grammar lets control characters into texts, so an answer need not be JSON; then the next writer has its turn.
    """
    listener = Listener()
    options = {"api_key": None, "temperature": 1.0, "timeout_s": 120.0}
    with closing(openai_compatible.Backend("random.gguf", base_url=server, **options)) as writer:
        assert writer.local
        with suppress(WriterFailed):
            writer.write(SAID, day=DAY, caller=listener)
        note = write_with(writer)
    assert note.writer in ("openai_compatible", "extractive")
    assert note.draft.usage
    assert listener.replies
    for reply in listener.replies:
        assert all(f'"{name}"' in reply.text for name in NoteShape.model_fields)
        assert reply.usage.provider == "local"
        assert reply.usage.input_tokens > 1_000
        assert reply.usage.output_tokens > 50
