from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import psutil
import pytest

from diarynotes.errors import BadSettings, EngineFailed
from diarynotes.models import SAMPLE_RATE, Span, Window, WindowText
from diarynotes.transcribe import pocketsphinx
from diarynotes.transcribe.pocketsphinx import Backend
from tests.waiting import PATIENCE_S


@pytest.fixture
def engine() -> Iterator[Backend]:
    engine = Backend(1)
    yield engine
    engine.close()


def make_window(*spans: tuple[float, float]) -> Window:
    samples = np.random.default_rng(6).normal(0, 0.02, round(spans[-1][1] * SAMPLE_RATE)).astype(np.float32)
    return Window("r", 0, 0.0, samples, tuple(Span(*span) for span in spans))


def workers_of(process: psutil.Process) -> list[psutil.Process]:
    """The sandbox's children: forked from its nursery, which is a child of ours."""
    return [worker for nursery in process.children() for worker in nursery.children()]


class Heard:
    """A decoder that has heard these words already, each half sure."""

    def __init__(self, *words: str) -> None:
        self.words = words

    def __getattr__(self, name: str) -> object:
        return lambda *args, **kwargs: None

    def seg(self) -> list[SimpleNamespace] | None:
        return [SimpleNamespace(word=word, prob=0.5) for word in self.words] or None


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("<s>", "hello", "<sil>", "the(2)", "dog", "[NOISE]", "[SPEECH]", "++UM++", "</s>"), "hello the dog"),
        (("<s>", "<sil>", "</s>"), ""),
        ((), ""),
    ],
)
def test_fillers_are_no_words(monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], text: str) -> None:
    monkeypatch.setattr(pocketsphinx, "_decoder", Heard(*words))

    assert pocketsphinx.hear_words(b"\0\0") == tuple((word, 0.5) for word in text.split())


def test_each_span_is_a_piece_and_silent_ones_are_none() -> None:
    window = Window("r", 0, 10.0, np.zeros(80_000, np.float32), (Span(10.0, 11.0), Span(11.5, 12.0), Span(13.0, 15.0)))

    text = pocketsphinx._text(window, [(("one", 0.9), ("and", 0.5)), (), (("two", 0.1),)])

    assert (text.text, text.language) == ("one and two", "en")
    assert [(piece.start_s, piece.end_s, piece.text) for piece in text.pieces] == [(0, 1, "one and"), (3, 5, "two")]
    assert [piece.avg_logprob for piece in text.pieces] == pytest.approx([np.log(0.7), np.log(0.1)])
    assert text.avg_logprob == pytest.approx(np.log(0.5))


def test_no_words_have_no_confidence_and_hopeless_ones_a_number() -> None:
    window = Window("r", 0, 0.0, np.zeros(16_000, np.float32), (Span(0.0, 1.0),))

    assert pocketsphinx._text(window, [()]) == WindowText("", (), "en")
    assert pocketsphinx._text(window, [(("eh", 0.0),)]).avg_logprob == pytest.approx(np.log(1e-10))


def test_a_span_is_cut_from_its_window() -> None:
    samples = (np.arange(32_000) / 32768).astype(np.float32)
    window = Window("r", 0, 10.0, samples, (Span(10.0, 12.0),))

    assert np.array_equal(pocketsphinx._cut(window, Span(0.5, 1.0)), np.arange(8000, 16000))


@pytest.mark.parametrize("language", ["de", "German"])
def test_only_english_is_heard(language: str) -> None:
    with pytest.raises(BadSettings, match="only English"):
        Backend(1, language=language)


@pytest.mark.parametrize("language", [None, "en", "en-US", "English"])
def test_english_has_many_names(language: str | None) -> None:
    Backend(1, language=language).close()


@pytest.mark.slow
def test_a_hung_worker_costs_its_window(engine: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    window = make_window((0.0, 2.0), (3.0, 5.0))
    expected = engine.decode([window])

    with monkeypatch.context() as patch:
        patch.setattr(pocketsphinx, "SHORTEST_LIMIT_S", 0.01)
        patch.setattr(pocketsphinx, "PACE_LIMIT", 0.0)
        with pytest.raises(EngineFailed, match="hung or died"):
            engine.decode([make_window((0.0, 30.0))])

    assert engine.decode([window]) == expected


def test_a_worker_killed_while_idle_is_replaced(engine: Backend) -> None:
    window = make_window((0.0, 2.0))
    expected = engine.decode([window])
    killed = workers_of(psutil.Process())

    for worker in killed:
        worker.kill()
    psutil.wait_procs(killed, timeout=PATIENCE_S)

    assert killed
    assert decode_again(engine, window) == expected


def decode_again(engine: Backend, window: Window) -> list[WindowText]:
    """As transcribe_recordings does: a failed window is tried once more."""
    try:
        return engine.decode([window])
    except EngineFailed:
        return engine.decode([window])


def test_the_same_sound_gives_the_same_text_whatever_came_before(engine: Backend) -> None:
    first, other = make_window((0.0, 2.0)), make_window((1.0, 4.0))

    assert engine.decode([first, other, first])[::2] == engine.decode([first]) * 2


def test_closing_stops_the_workers_and_may_be_done_twice() -> None:
    before = workers_of(psutil.Process())
    engine = Backend(2)
    engine.decode([make_window((0.0, 1.0), (1.5, 2.5), (3.0, 4.0))])
    started = [worker for worker in workers_of(psutil.Process()) if worker not in before]

    engine.close()
    engine.close()

    assert len(started) == 2
    assert psutil.wait_procs(started, timeout=PATIENCE_S)[1] == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process of its parent's death")
def test_workers_die_with_a_killed_process() -> None:
    code = (
        "import time, numpy as np\n"
        "from diarynotes.models import Span, Window\n"
        "from diarynotes.transcribe.pocketsphinx import Backend\n"
        "engine = Backend(1)\n"
        "engine.decode([Window('r', 0, 0.0, np.zeros(16000, np.float32), (Span(0.0, 1.0),))])\n"
        "print('ready', flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        workers = workers_of(psutil.Process(process.pid))
        os.kill(process.pid, signal.SIGKILL)

    assert workers
    assert psutil.wait_procs(workers, timeout=PATIENCE_S)[1] == []
