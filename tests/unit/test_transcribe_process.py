from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil
import pytest

from diarynotes.errors import EngineClosed, EngineFailed, EngineOutOfMemory, ModelUnavailable
from diarynotes.transcribe.child import measure_memory, pick_environment
from diarynotes.transcribe.process import Patience, ProcessEngine
from tests.waiting import PATIENCE_S

OPENING = """
import sys, time
sys.path[:] = {path!r}
import fake_engines
from diarynotes.transcribe.process import ProcessEngine
engine = ProcessEngine(fake_engines.Fake, name="fake", model="lines")
print(engine.decode([fake_engines.make_window()])[0].text, flush=True)
{then}
"""


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The fake engines, importable by name here and in children."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    import fake_engines

    return fake_engines


@pytest.fixture
def engine(fakes: ModuleType) -> Iterator[ProcessEngine]:
    with closing(start(fakes.Fake)) as engine:
        yield engine


def start(open_: Callable[[], Any], **patience: float) -> ProcessEngine:
    return ProcessEngine(open_, name="fake", model="lines", patience=Patience(**patience))


def is_gone(pid: int, *, within_s: float = 10.0) -> bool:
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return True
        process.wait(within_s)
    except psutil.NoSuchProcess:
        return True
    except psutil.TimeoutExpired:
        return False
    return True


def test_it_is_the_engine_in_a_process_of_its_own(engine: ProcessEngine, fakes: ModuleType) -> None:
    assert (engine.name, engine.model, engine.settings) == ("scripted", "lines", "device=cpu")
    assert (engine.degraded, engine.draws, engine.batch_size, engine.device) == (False, False, 3, "cpu")
    first, second = engine.decode([fakes.make_window(), fakes.make_window(length_s=30.0)])
    assert int(first.text) == int(second.text) != os.getpid()
    assert engine.decode([]) == []


def test_closing_ends_the_process(engine: ProcessEngine, fakes: ModuleType) -> None:
    pid = int(engine.decode([fakes.make_window()])[0].text)
    assert (engine.memory_bytes or 0) > 5_000_000
    engine.close()
    engine.close()
    assert is_gone(pid, within_s=0.0)
    assert engine.memory_bytes is None
    with pytest.raises(EngineClosed):
        engine.decode([fakes.make_window()])


def test_what_the_engine_raises_comes_back_and_the_process_stays(engine: ProcessEngine, fakes: ModuleType) -> None:
    (before,) = engine.decode([fakes.make_window()])
    with pytest.raises(EngineFailed, match="scripted failed: told to"):
        engine.decode([fakes.make_window(fakes.FAIL)])
    with pytest.raises(EngineOutOfMemory):
        engine.decode([fakes.make_window(fakes.RUN_OUT)])
    assert engine.decode([fakes.make_window()]) == [before]


def test_a_bug_in_the_engine_is_named_without_its_words(engine: ProcessEngine, fakes: ModuleType) -> None:
    with pytest.raises(EngineFailed, match="it raised KeyError") as caught:
        engine.decode([fakes.make_window(fakes.BUG)])
    assert "_obey" in str(caught.value.__cause__)
    assert "secret" not in f"{caught.value} {caught.value.__cause__}"


def test_a_process_that_dies_costs_one_batch(engine: ProcessEngine, fakes: ModuleType) -> None:
    (before,) = engine.decode([fakes.make_window()])
    with pytest.raises(EngineFailed, match=r"its process died \(signal 9\)"):
        engine.decode([fakes.make_window(), fakes.make_window(fakes.DIE)])
    with pytest.raises(EngineFailed, match=r"its process ended \(status 7\)"):
        engine.decode([fakes.make_window(fakes.LEAVE)])
    (after,) = engine.decode([fakes.make_window()])
    assert before.text != after.text


def test_a_process_that_dies_between_batches_costs_none(engine: ProcessEngine, fakes: ModuleType) -> None:
    pid = int(engine.decode([fakes.make_window()])[0].text)
    psutil.Process(pid).kill()
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert int(engine.decode([fakes.make_window()])[0].text) != pid


def test_a_process_that_hangs_is_ended_and_replaced(fakes: ModuleType) -> None:
    with closing(start(fakes.Fake, window_s=0.1)) as engine:
        _ = engine.batch_size  # the load does not count
        with pytest.raises(EngineFailed, match=r"it gave no answer within 0\.2 s"):
            engine.decode([fakes.make_window(fakes.HANG)] * 2)
    with closing(start(fakes.Fake)) as engine:
        assert engine.decode([fakes.make_window()])


def test_a_frozen_process_does_not_stop_the_sender(fakes: ModuleType) -> None:
    with closing(start(fakes.Fake)) as engine:
        pid = int(engine.decode([fakes.make_window()])[0].text)
        psutil.Process(pid).suspend()
        engine._patience = Patience(window_s=0.01)
        with pytest.raises(EngineFailed, match="no answer"):
            engine.decode([fakes.make_window(length_s=30.0)] * 16)
        assert is_gone(pid)


def test_a_batch_may_take_longer_than_those_before_but_not_for_ever(fakes: ModuleType) -> None:
    with closing(start(fakes.Fake, window_s=300.0)) as engine:
        assert engine._limit_s(8, "cpu") == 2400.0
        assert engine._limit_s(8, "cuda") == 300.0
        engine.decode([fakes.make_window()])
        assert engine._slowest_s is not None, "it goes by what a batch took"
        engine._slowest_s = 0.01
        assert engine._limit_s(8, "cpu") == 60.0
        engine._note_pace(10.0)
        assert engine._limit_s(8, "cpu") == 1600.0
        with pytest.raises(EngineFailed):
            engine.decode([fakes.make_window(fakes.DIE)])
        assert engine._limit_s(8, "cpu") == 2400.0


def test_a_failed_load_is_told_and_leaves_nothing_behind(fakes: ModuleType, tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    with closing(start(partial(fakes.open_if_there, weights))) as engine:
        for _ in range(2):
            with pytest.raises(ModelUnavailable, match="It is not there"):
                _ = engine.batch_size
        with pytest.raises(ModelUnavailable):
            engine.decode([fakes.make_window()])
        weights.touch()
        assert engine.decode([fakes.make_window()])


def test_a_load_that_dies_is_an_unavailable_model(fakes: ModuleType) -> None:
    with closing(start(fakes.die)) as engine, pytest.raises(ModelUnavailable, match=r"lines .*died \(signal 9\)"):
        engine.decode([fakes.make_window()])


def test_a_load_that_hangs_is_an_unavailable_model(fakes: ModuleType) -> None:
    with closing(start(fakes.hang, load_s=0.1)) as engine:
        with pytest.raises(ModelUnavailable, match=r"no answer within 0\.1 s"):
            engine.decode([fakes.make_window()])
        assert engine._child is None


def test_a_model_that_was_loaded_long_ago_is_not_too_late(fakes: ModuleType) -> None:
    with closing(start(fakes.Fake, load_s=30.0)) as engine:
        assert engine._child is not None
        engine._child._begun -= 1_000
        engine._child._pipe.poll(30.0)
        assert engine.batch_size == 3


def test_closing_does_not_wait_for_a_batch(engine: ProcessEngine, fakes: ModuleType) -> None:
    _ = engine.name
    caught: list[EngineClosed] = []

    def decode() -> None:
        with pytest.raises(EngineClosed) as error:
            engine.decode([fakes.make_window(fakes.HANG)])
        caught.append(error.value)

    thread = threading.Thread(target=decode)
    thread.start()
    engine.close()
    thread.join(PATIENCE_S)
    assert len(caught) == 1


def test_threads_share_one_engine(engine: ProcessEngine, fakes: ModuleType) -> None:
    texts: list[str] = []

    def decode() -> None:
        for _ in range(20):
            texts.extend(text.text for text in engine.decode([fakes.make_window()] * 2))

    threads = [threading.Thread(target=decode) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(texts) == 160
    assert len(set(texts)) == 1


def test_the_process_gets_no_secret_and_reports_nothing_home(fakes: ModuleType) -> None:
    secret = "DIARYNOTES_DATABASE_URL OPENAI_API_KEY PGPASSWORD NVIDIA_API_KEY LANGSMITH_API_KEY TORCH_HUB_TOKEN"
    useful = {"PATH": "/bin", "OMP_NUM_THREADS": "2", "CUDA_VISIBLE_DEVICES": "0"}
    environment = pick_environment({**dict.fromkeys(secret.split(), "x"), **useful})
    assert environment == useful
    with closing(ProcessEngine(fakes.Fake, name="fake", model="lines", environment=environment)) as engine:
        seen = engine.decode([fakes.make_window(fakes.TELL_ENVIRONMENT)])[0].text.split(",")
    assert {"CUDA_VISIBLE_DEVICES", "DO_NOT_TRACK", "HF_HUB_DISABLE_TELEMETRY"} <= set(seen)
    assert not set(secret.split()) & set(seen)


def test_an_engine_prints_nothing(engine: ProcessEngine, fakes: ModuleType, capfd: pytest.CaptureFixture[str]) -> None:
    engine.decode([fakes.make_window(fakes.PRINT)])
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("then", ["time.sleep(600)", "engine.decode([fake_engines.make_window(fake_engines.HANG)])"])
def test_the_process_ends_when_its_parent_is_killed(fakes: ModuleType, then: str) -> None:
    parent = run(then)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert not is_gone(pid, within_s=0.0)
    parent.kill()
    parent.communicate()
    assert is_gone(pid)


def test_the_process_outlives_the_thread_that_started_it(fakes: ModuleType) -> None:
    engines: list[ProcessEngine] = []
    thread = threading.Thread(target=lambda: engines.append(start(fakes.Fake)))
    thread.start()
    thread.join()
    with closing(engines[0]) as engine:
        pid = int(engine.decode([fakes.make_window()])[0].text)
        assert engine.decode([fakes.make_window()])[0].text == str(pid)


def test_ctrl_c_is_for_the_parent(engine: ProcessEngine, fakes: ModuleType) -> None:
    pid = int(engine.decode([fakes.make_window()])[0].text)
    assert os.getpgid(pid) != os.getpgrp()
    psutil.Process(pid).send_signal(2)
    assert engine.decode([fakes.make_window()])[0].text == str(pid)


def test_memory_of_a_process_that_is_gone_is_none() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert measure_memory(process.pid) == 0
    assert measure_memory(os.getpid()) > 10_000_000


def run(then: str) -> subprocess.Popen[str]:
    code = OPENING.format(path=sys.path, then=then)
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
