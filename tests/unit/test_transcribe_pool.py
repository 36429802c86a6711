from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from diarynotes.errors import BadSettings, EngineClosed, EngineFailed, ModelUnavailable
from diarynotes.testing import ScriptedEngine
from diarynotes.transcribe.devices import Devices, MovingEngine
from diarynotes.transcribe.engine import Engine
from diarynotes.transcribe.opening import Opening
from diarynotes.transcribe.pool import EnginePool, estimate_bytes, open_apart
from diarynotes.transcribe.process import Patience, ProcessEngine
from tests.waiting import PATIENCE_S

MB = 1_000_000


class Heavy(ScriptedEngine):
    """Holds the memory that it is told to; says when it is closed."""

    def __init__(self, memory_bytes: int) -> None:
        super().__init__()
        self.memory_bytes = memory_bytes
        self.closed = threading.Event()

    def close(self) -> None:
        self.closed.set()


@dataclass
class Opener:
    """Opens heavy engines and remembers them; refuses the model `bad`."""

    sizes: Mapping[str, int] = field(default_factory=dict)
    opened: list[tuple[str, Heavy]] = field(default_factory=list)

    def __call__(self, opening: Opening) -> Heavy:
        if opening.model == "bad":
            raise ModelUnavailable("bad", "It is not there.")
        engine = Heavy(self.sizes.get(str(opening.model), MB))
        self.opened.append((str(opening.model), engine))
        return engine

    def closed(self) -> list[str]:
        return [name for name, engine in self.opened if engine.closed.is_set()]


@pytest.fixture
def opener() -> Opener:
    return Opener()


@pytest.fixture
def pool(opener: Opener) -> Iterator[EnginePool]:
    with closing(EnginePool(opener, memory_bytes=10_000 * MB)) as pool:
        yield pool


def opening(model: str, name: str = "scripted", language: str | None = None) -> Opening:
    return Opening(name, model, Path("models"), language, 1)


def use(pool: EnginePool, *models: str) -> None:
    for model in models:
        with pool.borrow(opening(model)):
            pass


def test_an_engine_is_opened_once(pool: EnginePool, opener: Opener) -> None:
    with pool.borrow(opening("a")) as first:
        pass
    with pool.borrow(opening("a")) as second, pool.borrow(opening("a")) as third:
        assert first is second is third
    with pool.borrow(opening("a", language="de")) as other:
        assert other is not first
    assert len(opener.opened) == 2


def test_the_least_recently_used_makes_room(pool: EnginePool, opener: Opener) -> None:
    use(pool, "a", "b", "c", "a", "d")

    assert opener.closed() == ["b"]
    assert [each.model for each in pool.openings()] == ["c", "a", "d"]


def test_one_in_use_never_goes(pool: EnginePool, opener: Opener) -> None:
    with pool.borrow(opening("a")):
        use(pool, "b", "c", "d", "e")
        assert "a" not in opener.closed()
    assert opener.closed() == ["b", "c"]


def test_who_holds_engines_is_never_made_to_wait_for_them(pool: EnginePool, opener: Opener) -> None:
    with ExitStack() as held:
        for model in "abcd":
            held.enter_context(pool.borrow(opening(model)))
        assert len(pool.openings()) == 4
    assert len(pool.openings()) == 3


def test_who_holds_none_waits_for_room(opener: Opener) -> None:
    got = threading.Event()

    def borrow() -> None:
        with pool.borrow(opening("b")):
            got.set()

    with closing(EnginePool(opener, memory_bytes=10_000 * MB, max_loaded=1)) as pool:
        thread = threading.Thread(target=borrow)
        with pool.borrow(opening("a")):
            thread.start()
            assert not got.wait(0.1)
        assert got.wait(PATIENCE_S)
        thread.join()
    assert opener.closed() == ["a", "b"]


def test_memory_makes_room_too(opener: Opener) -> None:
    opener.sizes = {"a": 300 * MB, "b": 300 * MB, "c": 300 * MB, "huge": 5_000 * MB}
    with closing(EnginePool(opener, memory_bytes=850 * MB, max_loaded=9)) as pool:
        use(pool, "a", "b")  # before it is open, each is expected to take 200 MB
        with pool.borrow(opening("c")):
            assert opener.closed() == []
        assert opener.closed() == ["a"]
        use(pool, "d", "e")
        assert opener.closed() == ["a"]
        use(pool, "f", "g", "h")
        assert opener.closed() == ["a"]
        opener.sizes["i"] = 250 * MB
        use(pool, "i")
        assert opener.closed() == ["a", "b"]


def test_one_that_is_larger_than_all_memory_is_opened_alone_and_kept(opener: Opener) -> None:
    opener.sizes = {"huge": 5_000 * MB}
    with closing(EnginePool(opener, memory_bytes=850 * MB)) as pool:
        use(pool, "a", "huge")
        assert [each.model for each in pool.openings()] == ["huge"]
        use(pool, "huge")
        assert len(opener.opened) == 2
        use(pool, "b")
        assert [each.model for each in pool.openings()] == ["b"]


def test_an_engine_that_idles_is_unloaded(opener: Opener) -> None:
    with closing(EnginePool(opener, memory_bytes=10_000 * MB, idle_s=0.05)) as pool:
        with pool.borrow(opening("busy")):
            use(pool, "idle")
            ((_, busy), (_, idle)) = opener.opened
            assert idle.closed.wait(PATIENCE_S)
            assert not busy.closed.is_set()
        assert busy.closed.wait(PATIENCE_S)
        assert pool.openings() == ()
        use(pool, "idle")
        assert opener.opened[-1][1].closed.wait(PATIENCE_S)


def test_an_engine_that_is_used_again_is_kept_for_longer(opener: Opener) -> None:
    with closing(EnginePool(opener, memory_bytes=10_000 * MB, idle_s=60.0)) as pool:
        use(pool, "a", "b")
        pool._loaded[opening("a")].used_at -= 61
        pool._unload_idle()
        assert opener.closed() == ["a"]
        pool._loaded[opening("b")].used_at -= 61
        use(pool, "b")
        pool._unload_idle()
        assert opener.closed() == ["a"]


def test_a_failed_opening_is_remembered_by_nobody(pool: EnginePool, opener: Opener) -> None:
    for _ in range(2):
        with pytest.raises(ModelUnavailable), pool.borrow(opening("bad")):
            pass
    use(pool, "a", "b", "c")
    assert opener.closed() == []


@pytest.mark.parametrize("error", [ModelUnavailable("a", "It is not there."), EngineFailed("a", "it died")])
def test_an_engine_that_failed_is_closed_and_the_next_one_is_fresh(
    pool: EnginePool, opener: Opener, error: Exception
) -> None:
    with pytest.raises(type(error)), pool.borrow(opening("a")):
        raise error
    assert opener.closed() == ["a"]
    with pytest.raises(KeyError), pool.borrow(opening("b")):
        raise KeyError
    assert opener.closed() == ["a"]
    use(pool, "a")
    assert len(opener.opened) == 3


def test_closing_ends_all_and_those_who_wait(opener: Opener) -> None:
    pool = EnginePool(opener, memory_bytes=10_000 * MB, max_loaded=1)
    failed: list[EngineClosed] = []

    def borrow() -> None:
        with pytest.raises(EngineClosed) as error, pool.borrow(opening("b")):
            pass
        failed.append(error.value)

    thread = threading.Thread(target=borrow)
    with pool.borrow(opening("a")):
        thread.start()
        pool.close()
        thread.join(PATIENCE_S)
    pool.close()
    assert opener.closed() == ["a"]
    assert len(failed) == 1
    with pytest.raises(EngineClosed), pool.borrow(opening("a")):
        pass


def test_threads_may_borrow_at_once(opener: Opener) -> None:
    """Eight threads over five models in a pool of two: never more than two open, each open while it is used."""
    seen: list[int] = []
    wrong: list[str] = []

    def work(number: int) -> None:
        for step in range(40):
            with pool.borrow(opening("abcde"[(number * 7 + step * 3) % 5])) as engine:
                seen.append(len(pool.openings()))
                if not isinstance(engine, Heavy) or engine.closed.is_set():
                    wrong.append("closed")

    with closing(EnginePool(opener, memory_bytes=10_000 * MB, max_loaded=2, idle_s=0.001)) as pool:
        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert max(seen) <= 2
    assert len(seen) == 320
    assert wrong == []
    assert len(opener.closed()) == len(opener.opened)


def test_memory_is_expected_by_the_size_of_the_weights(tmp_path: Path) -> None:
    weights = tmp_path / "base.pt"
    with weights.open("wb") as file:
        file.truncate(145 * MB)

    assert 700 * MB < estimate_bytes(opening(str(weights), "whisper")) < 1200 * MB
    assert estimate_bytes(opening("gone.pt", "ctranslate2")) < 700 * MB
    assert estimate_bytes(opening("en-us", "pocketsphinx")) < 500 * MB


def test_whisper_is_opened_apart_and_others_in_this_process(tmp_path: Path) -> None:
    devices = Devices(("cpu",), lambda *_: None)

    def open_(name: str) -> object:
        return open_apart(opening(str(tmp_path / "x.pt"), name), devices=devices, patience=Patience(), environment={})

    assert isinstance(open_("scripted"), ScriptedEngine)
    with pytest.raises(BadSettings):
        open_("kaldi")
    engine = open_("whisper")
    assert isinstance(engine, MovingEngine)
    with closing(engine), pytest.raises(BadSettings, match=r"x\.pt"):  # as the backend in the other process raised it
        _ = engine.name


def test_an_interruption_ends_what_is_at_work_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    import fake_engines as fakes

    def open_(opening: Opening) -> Engine:
        if opening.name == "scripted":
            return Heavy(MB)
        apart = ProcessEngine(fakes.Fake, name="whisper", model="x")
        return MovingEngine("whisper", lambda _: apart, Devices(("cpu",), lambda *_: None))

    def decode() -> None:
        with pool.borrow(opening("x", "whisper")) as engine:
            _ = engine.name
            at_work.set()
            with pytest.raises(EngineClosed):
                engine.decode([fakes.make_window(fakes.HANG)])

    at_work = threading.Event()
    with closing(EnginePool(open_, memory_bytes=10_000 * MB)) as pool:
        use(pool, "kept")
        thread = threading.Thread(target=decode)
        thread.start()
        assert at_work.wait(PATIENCE_S)
        pool.interrupt()
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
        assert [each.model for each in pool.openings()] == ["kept"]
        with pool.borrow(opening("x", "whisper")) as engine:
            assert engine.decode([fakes.make_window()])
