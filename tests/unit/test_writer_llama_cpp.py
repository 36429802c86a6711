"""The writer in this process, with a random model: the shape holds whatever it says, and failures are told apart."""

from __future__ import annotations

import ctypes
import logging
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

import psutil
import pytest

from diarynotes.diary import llama_cpp
from diarynotes.diary.caller import DirectCaller, Question
from diarynotes.diary.language_model import Reply
from diarynotes.diary.llama_cpp import Backend
from diarynotes.diary.note_shape import NoteShape, read_shape
from diarynotes.errors import BadSettings, NotInstalled, WriterFailed
from diarynotes.models import Draft, Segment, Transcript
from tests.waiting import PATIENCE_S

DAY = date(2026, 11, 21)
SAID = ("I went home with Anna at nine.", "She did not call.")
Open: TypeAlias = Callable[..., Backend]


def transcript(*texts: str) -> Transcript:
    segments = tuple(Segment(float(n), n + 1.0, text) for n, text in enumerate(texts or SAID))
    return Transcript("t", "r", "file", "", "en", segments, 1.0)


class Listener(DirectCaller):
    """Hears what the model answers, and lets it be asked so many times."""

    def __init__(self, calls: int) -> None:
        super().__init__()
        self.calls, self.replies = calls, list[Reply]()

    def call(self, question: Question, ask: Callable[[], Reply]) -> Reply:
        if len(self.replies) == self.calls:
            raise WriterFailed("test", "that was enough")
        self.replies.append(super().call(question, ask))
        return self.replies[-1]


@pytest.fixture
def open_backend(random_gguf: Path) -> Iterator[Open]:
    """Opens writers on the one CPU thread that makes their answers the same everywhere, and closes them."""
    opened: list[Backend] = []

    def open_one(model: str = "random", **options: Any) -> Backend:
        options = {"context_tokens": 4_096, "temperature": 1.0, "threads": 1} | options
        opened.append(Backend(model, models_folder=random_gguf.parent, **options))
        return opened[-1]

    yield open_one
    for backend in opened:
        backend.close()
    assert not llama_cpp._slot.is_loaded, "a model outlives its writers"


@pytest.fixture
def endless(gguf_model: ModuleType, tmp_path: Path) -> str:
    """A model that never ends a text."""
    return str(gguf_model.write_model(tmp_path / "endless.gguf", liking=-30.0))


def write(backend: Backend, *texts: str, calls: int = 9) -> tuple[Draft | WriterFailed, list[Reply]]:
    """What came of it, and all that the model said; nonsense may be no note."""
    listener = Listener(calls)
    try:
        return backend.write(transcript(*texts), day=DAY, caller=listener), listener.replies
    except WriterFailed as error:
        return error, listener.replies


def ask(backend: Backend, *texts: str) -> Reply:
    """What the model says when it is asked once."""
    (reply,) = write(backend, *texts, calls=1)[1]
    return reply


def failing(backend: Backend, *texts: str) -> WriterFailed:
    with pytest.raises(WriterFailed) as caught:
        backend.write(transcript(*texts), day=DAY)
    assert caught.value.writer == "llama_cpp"
    assert not any(word in str(caught.value) for text in texts or SAID for word in text.split() if len(word) > 4)
    return caught.value


def test_it_says_what_it_is(open_backend: Open) -> None:
    backend = open_backend(prompt="memo")
    assert (backend.name, backend.model, backend.local, backend.degraded) == ("llama_cpp", "random.gguf", True, False)
    assert backend.prompt_version.endswith("-memo")
    assert repr(backend) == "<writer llama_cpp: random.gguf>"


def test_nothing_is_loaded_before_it_is_asked(open_backend: Open) -> None:
    backend = open_backend()
    assert not llama_cpp._slot.is_loaded
    ask(backend)
    assert llama_cpp._slot.is_loaded


def test_whatever_it_says_has_the_shape(open_backend: Open) -> None:
    drafts = []
    for backend in [open_backend(seed=seed) for seed in range(5)]:
        came, replies = write(backend, calls=1)
        for reply in replies:
            note = read_shape(reply.text, NoteShape)
            assert -1 <= note.mood.score <= 1
        if isinstance(came, Draft):
            drafts.append(came)
            assert {number for sentence in came.body for number in sentence.evidence} <= {0, 1}
            assert came.usage == tuple(reply.usage for reply in replies)
    assert drafts, "nonsense is a note now and then"


def test_tokens_are_counted_and_the_rules_are_read_once(open_backend: Open) -> None:
    backend = open_backend()
    first, second = (ask(backend, text).usage for text in ("Rain.", "Sun again."))
    assert (first.provider, first.model, first.cached_tokens) == ("local", "random.gguf", 0)
    assert 1_000 < first.input_tokens < second.input_tokens
    assert second.input_tokens - 150 < second.cached_tokens < second.input_tokens
    assert 50 < first.output_tokens < backend.limits.output_tokens


def test_the_same_seed_says_the_same(open_backend: Open) -> None:
    one, same, other = (ask(open_backend(seed=seed)).text for seed in (1, 1, 2))
    assert one == same != other


def test_two_writers_share_a_model_and_another_takes_its_place(open_backend: Open, random_gguf: Path) -> None:
    other = shutil.copy(random_gguf, random_gguf.parent.parent / "other.gguf")
    one, two, three = open_backend(), open_backend(), open_backend(str(other))
    cached = [ask(backend).usage.cached_tokens > 0 for backend in (one, two, three, one)]
    assert cached == [False, True, False, False]


def test_the_model_stays_while_another_writer_uses_it(open_backend: Open) -> None:
    one, two = open_backend(), open_backend()
    ask(one)
    one.close()
    one.close()
    assert llama_cpp._slot.is_loaded
    two.close()
    assert not llama_cpp._slot.is_loaded


def test_it_is_unloaded_when_idle_and_comes_back(open_backend: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = threading.Event()
    close = llama_cpp.LlamaModel.close
    monkeypatch.setattr(llama_cpp.LlamaModel, "close", lambda model: (close(model), closed.set()))
    backend = open_backend(idle_s=0.0)
    ask(backend)
    assert closed.wait(PATIENCE_S)
    assert ask(backend).usage.cached_tokens == 0


def test_many_at_once_take_turns(open_backend: Open) -> None:
    backends = [open_backend(seed=seed) for seed in range(3)]
    with ThreadPoolExecutor(3) as pool:
        texts = {reply.text for reply in pool.map(ask, backends)}
    assert len(texts) == 3
    for text in texts:
        read_shape(text, NoteShape)


def test_control_marks_in_speech_are_only_words(open_backend: Open) -> None:
    backend = open_backend()
    plain, marked = (ask(backend, f"I said {text}").usage.input_tokens for text in ("a b c", "</s><s><|user|>"))
    assert marked - plain > 10


def test_a_long_transcript_is_written_in_parts(open_backend: Open) -> None:
    came, replies = write(open_backend(), *[f"On day {day} I walked {day} miles." for day in range(90)])
    assert len(replies) > 1
    assert all(reply.usage.input_tokens + reply.usage.output_tokens <= 4_096 for reply in replies)
    assert len(came.usage) >= len(replies)


def test_what_does_not_fit_the_window_is_told(open_backend: Open) -> None:
    backend = open_backend(context_tokens=131_072)  # the model was trained with 4,096
    error = failing(backend, "word " * 12_000)
    assert error.kind == "context_too_long"
    assert not error.usage


def test_an_answer_without_end_is_cut(open_backend: Open, endless: str) -> None:
    backend = open_backend(endless, max_output_tokens=120)
    error = failing(backend, "Rain")
    assert error.kind == "bad_output"
    assert [usage.output_tokens for usage in error.usage] == [120]


def test_a_cut_answer_is_asked_for_again_in_halves(open_backend: Open, endless: str) -> None:
    error = failing(open_backend(endless, max_output_tokens=120), "Rain fell", "Sun came")
    assert len(error.usage) > 1


@pytest.mark.parametrize("loaded", [False, True])
def test_time_runs_out(open_backend: Open, endless: str, loaded: bool) -> None:
    """While it is loaded, or while it answers; the next one is not the worse for it."""
    patient, hasty = open_backend(endless), open_backend(endless, timeout_s=0.05 if loaded else 0.0)
    if loaded:
        assert failing(patient, "Rain").kind == "bad_output"
    assert failing(hasty, "Sun, and then " * 20).kind == "timeout"
    assert failing(patient, "Rain").kind == "bad_output"


def test_ctrl_c_ends_it(open_backend: Open, endless: str, monkeypatch: pytest.MonkeyPatch) -> None:
    here, asked = threading.get_ident(), threading.Event()
    answer = llama_cpp.LlamaModel.answer
    monkeypatch.setattr(llama_cpp.LlamaModel, "answer", lambda *a, **k: (asked.set(), answer(*a, **k))[1])
    done = threading.Event()

    def interrupt() -> None:
        asked.wait(PATIENCE_S)
        while not done.wait(0.05):
            signal.pthread_kill(here, signal.SIGINT)

    def give_up(_number: int, _frame: object) -> None:
        if not done.is_set():  # one that comes later would end the tests
            done.set()
            raise KeyboardInterrupt

    backend = open_backend(endless, context_tokens=4_096)
    before = signal.signal(signal.SIGINT, give_up)
    interrupting = threading.Thread(target=interrupt, daemon=True)
    interrupting.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            backend.write(transcript(), day=DAY)
    finally:
        done.set()
        asked.set()
        interrupting.join()
        signal.signal(signal.SIGINT, before)


def test_a_file_cut_off_is_told(open_backend: Open, random_gguf: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(random_gguf.read_bytes()[:-50_000])
    error = failing(open_backend(str(cut)))
    assert error.kind == "misconfigured"
    assert "cut.gguf" in str(error)
    assert "fetch it again" in str(error)


def test_a_vocabulary_that_would_end_the_process_is_told(open_backend: Open, random_gguf: Path, tmp_path: Path) -> None:
    whole = bytearray(random_gguf.read_bytes())
    length = b"\x02" + bytes(7)  # of the word that follows
    whole[whole.index(b"bx" + length) + len(b"bx" + length) - 1] = 110
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(whole)
    error = failing(open_backend(str(damaged)))
    assert error.kind == "misconfigured"
    assert "fetch it again" in str(error)


def test_damaged_weights_are_an_error_not_a_crash(open_backend: Open, random_gguf: Path, tmp_path: Path) -> None:
    whole = bytearray(random_gguf.read_bytes())
    whole[-8_000:] = b"\xff" * 8_000  # no numbers
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(whole)
    error = failing(open_backend(str(damaged)))
    assert error.kind == "unavailable"
    assert "weights are damaged" in str(error)


@pytest.mark.parametrize(("total", "kind"), [(1 << 40, "unavailable"), (100_000, "misconfigured")])
def test_too_little_memory_is_told(open_backend: Open, monkeypatch: pytest.MonkeyPatch, total: int, kind: str) -> None:
    class Memory:
        available = 100_000

    Memory.total = total  # type: ignore[attr-defined]
    monkeypatch.setattr(psutil, "virtual_memory", lambda: Memory)
    error = failing(open_backend())
    assert error.kind == kind
    assert "GB" in str(error)


@pytest.mark.parametrize("template", [None, "{{ raise_exception('no') }}", "{% if %}", "{{ messages[0].content }}"])
def test_any_chat_template_will_do(
    open_backend: Open, gguf_model: ModuleType, tmp_path: Path, template: str | None
) -> None:
    path = gguf_model.write_model(tmp_path / "templated.gguf", chat_template=template)
    reply = ask(open_backend(str(path)))
    assert reply.usage.input_tokens > 1_000
    read_shape(reply.text, NoteShape)


def test_quantized_weights_are_read(open_backend: Open, gguf_model: ModuleType, tmp_path: Path) -> None:
    """On Xeons with AMX llama.cpp's own way to lay them out ends the process."""
    path = gguf_model.write_model(tmp_path / "small-q8_0.gguf", quantized=True)
    read_shape(ask(open_backend(str(path))).text, NoteShape)


def test_nothing_is_printed(
    open_backend: Open, random_gguf: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: Any
) -> None:
    caplog.set_level(logging.DEBUG)
    ask(open_backend())
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(random_gguf.read_bytes()[:2_000])
    failing(open_backend(str(cut)))
    assert capfd.readouterr() == ("", "")
    assert not caplog.records


def test_what_we_start_later_hears_nothing_of_it(open_backend: Open) -> None:
    ask(open_backend())
    assert bool(ctypes.CDLL(None).getenv(b"OMP_WAIT_POLICY")) == ("OMP_WAIT_POLICY" in os.environ)


def test_what_cannot_work_is_refused_at_once(random_gguf: Path) -> None:
    for options in ({"model": "gone"}, {"prompt": "poem"}, {"context_tokens": 500}):
        with pytest.raises(BadSettings):
            Backend(**{"model": "random", "models_folder": random_gguf.parent, **options})


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(llama_cpp, "find_spec", lambda name: None)
    with pytest.raises(NotInstalled, match=r"diarynotes\[llama\].*compiler"):
        Backend("any", models_folder=tmp_path)
