"""One model at a time: who gets it, who waits, and when it is dropped."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from diarynotes.diary.model_slot import ModelSlot
from tests.waiting import PATIENCE_S

FOREVER_S = 3_600.0


class FakeModel:
    def __init__(self, name: str) -> None:
        self.name, self.closed = name, threading.Event()

    def close(self) -> None:
        assert not self.closed.is_set(), "closed twice"
        self.closed.set()


class Maker:
    """Opens models and remembers them."""

    def __init__(self) -> None:
        self.made: list[FakeModel] = []

    def __call__(self, name: str) -> Callable[[], FakeModel]:
        def make() -> FakeModel:
            assert all(model.closed.is_set() for model in self.made), "two at once"
            self.made.append(FakeModel(name))
            return self.made[-1]

        return make


@pytest.fixture
def slot() -> ModelSlot[str, FakeModel]:
    return ModelSlot()


@pytest.fixture
def make() -> Maker:
    return Maker()


def test_it_is_opened_once_for_all_who_want_the_same(slot: ModelSlot[str, FakeModel], make: Maker) -> None:
    assert not slot.is_loaded
    for _ in range(3):
        with slot.lend("a", make("a"), idle_s=FOREVER_S) as model:
            assert model.name == "a"
    assert len(make.made) == 1
    assert slot.is_loaded


def test_another_takes_its_place(slot: ModelSlot[str, FakeModel], make: Maker) -> None:
    for name in ("a", "b", "a"):
        with slot.lend(name, make(name), idle_s=FOREVER_S) as model:
            assert model.name == name
    assert [model.closed.is_set() for model in make.made] == [True, True, False]


def test_it_is_dropped_when_idle(slot: ModelSlot[str, FakeModel], make: Maker) -> None:
    with slot.lend("a", make("a"), idle_s=0.0) as model:
        pass
    assert model.closed.wait(PATIENCE_S)
    with slot.lend("a", make("a"), idle_s=FOREVER_S):
        assert len(make.made) == 2


def test_whoever_comes_in_time_keeps_it(slot: ModelSlot[str, FakeModel], make: Maker) -> None:
    with slot.lend("a", make("a"), idle_s=0.2):
        pass
    with slot.lend("a", make("a"), idle_s=FOREVER_S) as model:
        assert not model.closed.wait(0.4)  # the first one's time runs out meanwhile
    assert slot.is_loaded


def test_it_is_dropped_when_the_last_user_leaves(slot: ModelSlot[str, FakeModel], make: Maker) -> None:
    for _ in range(2):
        slot.join("a")
    with slot.lend("a", make("a"), idle_s=FOREVER_S) as model:
        pass
    slot.leave("a")
    assert not model.closed.is_set()
    slot.leave("a")
    assert model.closed.is_set()


def test_a_user_of_another_model_takes_none_away(slot: ModelSlot[str, FakeModel], make: Maker) -> None:
    slot.join("a")
    slot.join("b")
    with slot.lend("a", make("a"), idle_s=FOREVER_S) as model:
        pass
    slot.leave("b")
    assert not model.closed.is_set()


def test_one_works_at_a_time(slot: ModelSlot[str, FakeModel], make: Maker) -> None:
    at_work = threading.Semaphore(1)

    def work(number: int) -> None:
        name = "ab"[number % 2]
        with slot.lend(name, make(name), idle_s=FOREVER_S) as model:
            assert at_work.acquire(blocking=False), "two at work"
            assert not model.closed.wait(0.001)
            at_work.release()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(40)))
    assert sum(not model.closed.is_set() for model in make.made) == 1


def test_an_error_at_work_leaves_it_for_the_next(slot: ModelSlot[str, FakeModel], make: Maker) -> None:
    with pytest.raises(KeyError), slot.lend("a", make("a"), idle_s=FOREVER_S):
        raise KeyError
    with slot.lend("a", make("a"), idle_s=FOREVER_S):
        assert len(make.made) == 1


def test_an_error_while_opening_leaves_nothing(slot: ModelSlot[str, FakeModel], make: Maker) -> None:
    def fail() -> FakeModel:
        raise MemoryError

    with pytest.raises(MemoryError), slot.lend("a", fail, idle_s=FOREVER_S):
        pass
    assert not slot.is_loaded
    with slot.lend("a", make("a"), idle_s=FOREVER_S):
        assert slot.is_loaded
