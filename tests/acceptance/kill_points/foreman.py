"""Processes that have imported everything and fork one child for each order: a try costs its work, not the imports.

An order comes in as a line of JSON, what became of the child goes out as another.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from tests.acceptance.kill_points.points import Deed, Points, Side, choose_act, read_points

if TYPE_CHECKING:
    from tests.acceptance.kill_points.workload import Place

_MOST_S = 300
"""After which a child is taken for stuck."""
_ROOT = Path(__file__).parents[3]
_MAIN = "import sys; sys.path.insert(0, sys.argv[1]); from tests.acceptance.kill_points.foreman import main; main()"


@dataclass(frozen=True)
class Outcome:
    """How a child ended (`status` as of `subprocess`; -SIGSTOP for one that is frozen), which points it passed by, and
    how things stand if it got to its end.

    `ended_at` is by the monotonic clock, which all processes share, and so is `free_at`: when everything that is left
    to be done could be claimed. `held` is how much of that a dead worker had held.
    """

    process: int
    status: int
    ended_at: float
    points: dict[int, str]
    stand: dict[str, Any]
    error: str
    held: int = 0
    free_at: float = 0.0


class Foreman:
    """One of the processes as the test sees it. Not safe to share between threads."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line.makefile("rw")

    def work(self, place: Place, at: tuple[int, Side] | None = None, deed: Deed = "kill") -> Outcome:
        """One child at work in `place`, until it ends, is killed or freezes; at that point it does what `deed` says."""
        order = asdict(place) | {"home": str(place.home), "bucket": str(place.bucket)}
        print(json.dumps([order, at, deed]), file=self._line, flush=True)
        return self._listen(place)

    def thaw(self, place: Place, frozen: Outcome) -> Outcome:
        """The child that was frozen goes on to its end."""
        os.kill(frozen.process, signal.SIGCONT)
        return self._listen(place)

    def _listen(self, place: Place) -> Outcome:
        answer = json.loads(self._line.readline())
        told = place.home.with_suffix(f".{answer['process']}")
        report = json.loads(told.read_text()) if told.exists() else {"stand": {}, "error": ""}
        return Outcome(**answer, **report, points=read_points(told.with_suffix(f"{told.suffix}.points")))

    def close(self) -> None:
        self._line.close()


@contextmanager
def start_foremen(count: int) -> Iterator[list[Foreman]]:
    """So many, forked from one that has warmed up."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DIARYNOTES_")}
    lines = [socket.socketpair() for _ in range(count)]
    numbers = [theirs.fileno() for _, theirs in lines]
    command = [sys.executable, "-c", _MAIN, str(_ROOT), *map(str, numbers)]
    process = subprocess.Popen(command, env=environment, pass_fds=numbers)
    foremen = [Foreman(ours) for ours, _ in lines]
    for ends in lines:
        for end in ends:
            end.close()  # ours stays open as long as the foreman's file does
    try:
        yield foremen
    finally:
        for foreman in foremen:
            foreman.close()
        process.wait(timeout=_MOST_S)


def main() -> None:
    """Warms up, and forks a foreman for each socket whose number is an argument."""
    _warm_up()
    numbers = [int(number) for number in sys.argv[2:]]
    for number in numbers:
        if not os.fork():
            for other in numbers:
                if other != number:
                    os.close(other)
            _serve(socket.socket(fileno=number))
    for number in numbers:
        os.close(number)
    for _ in numbers:
        os.wait()
    os._exit(0)  # without the farewells of libraries, which are many words on standard error


def _serve(line: socket.socket) -> NoReturn:
    """Forks a child for each order, one after the other."""
    with line.makefile("rw") as orders:
        for order in orders:
            child = os.fork()
            if not child:
                _run_child(*json.loads(order))
            ended = False
            while not ended:
                _, status = os.waitpid(child, os.WUNTRACED)
                ended = not os.WIFSTOPPED(status)
                code = os.waitstatus_to_exitcode(status) if ended else -os.WSTOPSIG(status)
                answer = {"process": child, "status": code, "ended_at": time.monotonic()}
                print(json.dumps(answer), file=orders, flush=True)
    os._exit(0)


def _warm_up() -> None:
    """Imports what the work needs; starts no thread of Python's, of which a fork would lose all but one."""
    import anthropic  # noqa: F401
    import deltalake  # noqa: F401
    import duckdb  # noqa: F401
    import openai  # noqa: F401
    import polars as pl  # noqa: F401
    import psycopg  # noqa: F401

    import data_checks
    from flows import hearing
    from tests.acceptance.kill_points import workload  # noqa: F401

    data_checks.warm_up()
    hearing.warm_up()
    gc.freeze()


def _run_child(order: dict[str, Any], at: tuple[int, Side] | None, deed: Deed) -> NoReturn:
    from tests.acceptance.kill_points.workload import Place, work

    signal.alarm(_MOST_S)
    place = Place(**order | {"home": Path(order["home"]), "bucket": Path(order["bucket"])})
    told = place.home.with_suffix(f".{os.getpid()}")
    act = choose_act(deed, place.home / "postgres" / "data")
    Points(told.with_suffix(f"{told.suffix}.points"), tuple(at) if at else None, act).instrument()
    try:
        report = {"error": "", **work(place)}
    except BaseException:
        report = {"error": traceback.format_exc(), "stand": {}}
    told.write_text(json.dumps(report))
    os._exit(bool(report["error"]))
