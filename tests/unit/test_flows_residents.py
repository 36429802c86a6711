"""Warm processes: who gets which, what happens when one dies. Real ones run in the acceptance tests of `up`."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from flows.residence import find_flow
from flows.residents import Residents

CHILD = """
import json, os, sys
out = os.fdopen(int(sys.argv[2]), "w")
def tell(**answer): print(json.dumps(answer), file=out, flush=True)
if os.path.exists({broken!r}): sys.exit(1)
tell(ready=True)
for line in sys.stdin:
    what = json.loads(line)["what"]
    if what == "die before": os._exit(9)
    tell(begun=True)
    if what == "die": os._exit(9)
    tell(code=0, memory_bytes=int(what) if what.isdigit() else 1)
"""
"""Speaks as a warm process does, and does what it is told."""


@pytest.fixture
def residents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Residents]:
    """Processes that start at once: what they run is CHILD in place of `flows.residence`."""
    script = tmp_path / "child.py"
    script.write_text(CHILD.format(broken=str(tmp_path / "broken")))
    start = asyncio.create_subprocess_exec

    async def start_child(_python: str, _m: str, *arguments: str, **options: Any) -> asyncio.subprocess.Process:
        return await start(sys.executable, str(script), *arguments, **options)

    monkeypatch.setattr("flows.residents.asyncio.create_subprocess_exec", start_child)
    monkeypatch.setattr("flows.residents._PATIENCE_S", 0.01)
    return lambda slots: Residents(slots, os.environ)


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(work, 30))


async def do(residents: Residents, what: str) -> tuple[int, int]:
    """The process that did it, and the exit code."""
    async with residents.begun({"what": what}) as resident:
        return resident.process.pid, await resident.finish()


def test_runs_that_follow_each_other_find_the_same_process(residents: Callable[[int], Residents]) -> None:
    async def work() -> None:
        pool = residents(1)
        assert len({await do(pool, "well") for _ in range(3)}) == 1
        await pool.close()

    run(work())


def test_a_process_that_dies_takes_its_run_with_it_and_is_replaced(residents: Callable[[int], Residents]) -> None:
    async def work() -> None:
        pool = residents(1)
        first, code = await do(pool, "die")
        assert code == 9
        second, code = await do(pool, "well")
        assert (second != first, code) == (True, 0)
        await pool.close()

    run(work())


def test_a_run_that_has_not_begun_goes_to_another_process(
    residents: Callable[[int], Residents], tmp_path: Path
) -> None:
    async def work() -> None:
        pool = residents(1)
        pid, _ = await do(pool, "well")
        os.kill(pid, 9)
        other, code = await do(pool, "well")
        assert (other != pid, code) == (True, 0)
        await pool.close()

    run(work())


def test_a_process_that_has_grown_gets_no_further_run(residents: Callable[[int], Residents]) -> None:
    async def work() -> None:
        pool = residents(1)
        first, _ = await do(pool, "1000")
        same, _ = await do(pool, str(2 << 30))
        other, _ = await do(pool, "1000")
        assert first == same != other
        await pool.close()

    run(work())


def test_what_cannot_start_is_told_and_not_waited_for_forever(
    residents: Callable[[int], Residents], tmp_path: Path
) -> None:
    (tmp_path / "broken").touch()

    async def work() -> None:
        pool = residents(1)
        with pytest.raises(RuntimeError, match="could be started"):
            await do(pool, "well")
        (tmp_path / "broken").unlink()
        assert (await do(pool, "well"))[1] == 0
        await pool.close()

    run(work())


def test_one_that_did_not_start_ahead_of_work_costs_the_next_run_nothing(
    residents: Callable[[int], Residents], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.residents._MOST_TRIES", 1)

    (tmp_path / "broken").touch()

    async def work() -> None:
        pool = residents(1)
        pool.keep_one_ready()
        while pool._starting:
            await asyncio.sleep(0.01)
        (tmp_path / "broken").unlink()
        assert (await do(pool, "well"))[1] == 0
        await pool.close()

    run(work())


def test_those_that_died_while_they_waited_cost_a_run_no_try(residents: Callable[[int], Residents]) -> None:
    async def work() -> None:
        pool = residents(4)
        together = asyncio.Barrier(4)

        async def one() -> None:
            async with pool.begun({"what": "well"}) as resident:
                await together.wait()
                await resident.finish()

        await asyncio.gather(*(one() for _ in range(4)))
        for resident in tuple(pool._alive):
            os.kill(resident.process.pid, 9)
            await resident.process.wait()
        assert (await do(pool, "well"))[1] == 0
        await pool.close()

    run(work())


def test_a_machine_that_forks_no_more_is_told_of_and_not_waited_for_forever(
    residents: Callable[[int], Residents], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: Any, **__: Any) -> None:
        raise BlockingIOError("no process can be made now")

    monkeypatch.setattr("flows.residents.asyncio.create_subprocess_exec", refuse)

    async def work() -> None:
        pool = residents(1)
        with pytest.raises(RuntimeError, match="could be started"):
            await do(pool, "well")
        await pool.close()

    run(work())


def test_runs_go_side_by_side_in_as_many_processes_as_allowed(residents: Callable[[int], Residents]) -> None:
    async def work() -> None:
        pool = residents(2)
        async with pool.begun({"what": "well"}) as one, pool.begun({"what": "well"}) as other:
            assert one.process.pid != other.process.pid
            third = asyncio.create_task(do(pool, "well"))
            await asyncio.sleep(0.1)
            assert not third.done()
            await one.finish()
        assert (await third)[1] == 0
        await pool.close()
        for resident in (one, other):
            assert resident.process.returncode is not None

    run(work())


@pytest.mark.parametrize(
    "entrypoint", ["other/file.py:flow", "flows/../x.py:flow", "flows.pick_up:pick_up", "flows/pick_up.py:PickedUp", ""]
)
def test_only_flows_of_our_own_are_run(entrypoint: str) -> None:
    with pytest.raises(ValueError, match="is no flow"):
        find_flow(entrypoint)


def test_the_flow_of_a_deployment_is_found() -> None:
    assert find_flow("flows/pick_up.py:pick_up").name == "pick-up"
    assert json.dumps(find_flow("flows/write.py:write").name) == '"write"'
