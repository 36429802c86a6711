from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from types import ModuleType

import pytest

from diarynotes.errors import BadSettings, EngineClosed, EngineFailed, EngineOutOfMemory, ModelUnavailable
from diarynotes.models import Window, WindowText
from diarynotes.testing import ScriptedEngine
from diarynotes.transcribe.devices import Devices, MovingEngine, find_gpu, list_devices
from diarynotes.transcribe.engine import Engine
from diarynotes.transcribe.process import ProcessEngine
from tests.waiting import PATIENCE_S


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    import fake_engines

    return fake_engines


@pytest.fixture
def told() -> list[tuple[str, str]]:
    return []


@pytest.fixture
def devices(told: list[tuple[str, str]]) -> Devices:
    return Devices(("cuda", "cpu"), lambda device, why: told.append((device, why)))


class Unsteady(ScriptedEngine):
    """Raises one after another what it was given; then says on which device it is."""

    def __init__(self, device: str, *errors: EngineFailed | None) -> None:
        super().__init__(device)
        self.errors: Iterator[EngineFailed | None] = iter(errors)
        self.closed = False

    def decode(self, windows: Sequence[Window]) -> list[WindowText]:
        if error := next(self.errors, None):
            raise error
        return super().decode(windows)

    def close(self) -> None:
        self.closed = True


def failures(count: int) -> list[EngineFailed]:
    return [EngineFailed("scripted", "the device is gone") for _ in range(count)]


def open_unsteady(*errors: EngineFailed | None) -> Callable[[str], Engine]:
    return lambda device: Unsteady(device, *(errors if device == "cuda" else ()))


def test_a_gpu_is_seen_by_its_device_files(tmp_path: Path) -> None:
    assert not find_gpu(tmp_path)
    (tmp_path / "nvidiactl").touch()
    assert not find_gpu(tmp_path)
    (tmp_path / "nvidia0").touch()
    assert find_gpu(tmp_path)
    (tmp_path / "wsl").mkdir()
    (tmp_path / "wsl" / "dxg").touch()
    assert find_gpu(tmp_path / "wsl")


def test_a_person_may_name_the_device() -> None:
    assert list_devices("auto", gpu=True) == ("cuda", "cpu")
    assert list_devices("auto", gpu=False) == ("cpu",)
    assert list_devices("cpu", gpu=True) == ("cpu",)
    assert list_devices("cuda", gpu=False) == ("cuda",)
    with pytest.raises(BadSettings, match="tpu"):
        list_devices("tpu", gpu=True)


def test_the_best_device_is_used_while_it_works(
    devices: Devices, told: list[tuple[str, str]], fakes: ModuleType
) -> None:
    engine = MovingEngine("scripted", open_unsteady(), devices)

    assert engine.decode([fakes.make_window()])[0].text == "cuda"
    assert (engine.name, engine.model, engine.settings, engine.batch_size) == ("scripted", "lines", "", 8)
    assert (engine.degraded, engine.draws, engine.memory_bytes) == (False, False, None)
    assert told == []


def test_a_gpu_that_fails_at_opening_gives_way_to_the_cpu_for_all_to_come(
    devices: Devices, told: list[tuple[str, str]], fakes: ModuleType
) -> None:
    def open_on(device: str) -> Engine:
        return ProcessEngine(partial(fakes.open_on_cpu_only, device), name="fake", model="lines")

    with (
        closing(MovingEngine("scripted", open_on, devices)) as first,
        closing(MovingEngine("scripted", open_on, devices)) as second,
    ):
        assert first.settings == "device=cpu"
        assert first.decode([fakes.make_window()])
        assert (first.memory_bytes or 0) > 0
        assert second.decode([fakes.make_window()])
    with closing(MovingEngine("scripted", open_on, devices)) as third:
        assert third._device == "cpu"
        assert third.decode([fakes.make_window()])
    assert [device for device, _ in told] == ["cuda"]
    assert "The GPU does not work" in told[0][1]


def test_two_threads_move_an_engine_once(devices: Devices, told: list[tuple[str, str]], fakes: ModuleType) -> None:
    def open_on(device: str) -> Engine:
        opened.append(device)
        return ProcessEngine(partial(fakes.open_on_cpu_only, device), name="fake", model="lines")

    opened: list[str] = []
    names: list[str] = []
    with closing(MovingEngine("scripted", open_on, devices)) as engine:
        threads = [threading.Thread(target=lambda: names.append(engine.name)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert opened == ["cuda", "cpu"]
    assert names == ["scripted"] * 4
    assert len(told) == 1


def test_a_gpu_on_which_engines_die_gives_way_to_the_cpu_and_the_batch_is_decoded(
    devices: Devices, told: list[tuple[str, str]], fakes: ModuleType
) -> None:
    def open_on(device: str) -> Engine:
        return ProcessEngine(partial(fakes.DeadlyOnGpu, device), name="fake", model="lines")

    with closing(MovingEngine("scripted", open_on, devices)) as engine:
        with pytest.raises(EngineFailed, match="status 1"):
            engine.decode([fakes.make_window()] * 2)
        assert len(engine.decode([fakes.make_window()])) == 1
        assert engine.settings == "device=cpu"
    assert "status 1" in told[0][1]


def test_a_model_that_no_device_can_load_is_no_fault_of_the_gpu(
    devices: Devices, told: list[tuple[str, str]], fakes: ModuleType
) -> None:
    with closing(
        MovingEngine("scripted", lambda _: ProcessEngine(fakes.refuse, name="f", model="m"), devices)
    ) as engine:
        for _ in range(2):
            with pytest.raises(ModelUnavailable, match="It is not there"):
                engine.decode([fakes.make_window()])
    assert devices.best == "cuda"
    assert told == []


def test_a_bad_recording_is_no_reason_to_leave_a_device(
    devices: Devices, told: list[tuple[str, str]], fakes: ModuleType
) -> None:
    engine = MovingEngine("scripted", open_unsteady(*failures(2), None, *failures(2), None), devices)

    for _ in range(4):
        with pytest.raises(EngineFailed):
            engine.decode([fakes.make_window()])
    assert engine.decode([fakes.make_window()])[0].text == "cuda"
    assert told == []


def test_failures_that_do_not_follow_each_other_are_forgiven(devices: Devices, fakes: ModuleType) -> None:
    (fail,) = failures(1)
    engine = MovingEngine("scripted", open_unsteady(fail, None, fail, None, fail, None), devices)

    for _ in range(3):
        with pytest.raises(EngineFailed):
            engine.decode([fakes.make_window()])
        assert engine.decode([fakes.make_window()])[0].text == "cuda"


def test_too_large_a_batch_is_no_reason_to_leave_a_device_but_too_small_a_device_is(
    devices: Devices, told: list[tuple[str, str]], fakes: ModuleType
) -> None:
    engine = MovingEngine("scripted", open_unsteady(*[EngineOutOfMemory("scripted")] * 9), devices)
    gpu = engine._engine

    for _ in range(5):
        with pytest.raises(EngineOutOfMemory):
            engine.decode([fakes.make_window()] * 2)
    with pytest.raises(EngineOutOfMemory):
        engine.decode([fakes.make_window()])
    assert engine.decode([fakes.make_window()])[0].text == "cpu"
    assert isinstance(gpu, Unsteady)
    assert gpu.closed
    assert len(told) == 1


def test_closing_also_ends_what_it_is_moving_to(devices: Devices, fakes: ModuleType) -> None:
    """It is closed while the model loads on the second device."""
    engines: list[ProcessEngine] = []

    def open_on(device: str) -> Engine:
        open_ = fakes.refuse if device == "cuda" else fakes.hang
        engines.append(ProcessEngine(open_, name="fake", model="lines"))
        if device == "cpu":
            moving.set()
        return engines[-1]

    def ask() -> None:
        with pytest.raises(EngineClosed):
            _ = engine.name

    moving = threading.Event()
    engine = MovingEngine("scripted", open_on, devices)
    thread = threading.Thread(target=ask)
    thread.start()
    assert moving.wait(PATIENCE_S)
    engine.close()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    assert [each._child for each in engines] == [None, None]
    assert devices.best == "cuda"


def test_on_the_last_device_failures_are_raised(told: list[tuple[str, str]], fakes: ModuleType) -> None:
    devices = Devices(("cpu",), lambda device, why: told.append((device, why)))
    engine = MovingEngine("scripted", lambda device: Unsteady(device, *failures(5)), devices)

    for _ in range(5):
        with pytest.raises(EngineFailed):
            engine.decode([fakes.make_window()])
    assert engine.decode([fakes.make_window()])[0].text == "cpu"
    assert told == []
