"""Workers as chaos runs them: each picks up again and again, through Prefect, until a file is there or its parent gone.

A worker ends in order then, with status 0. What it does, and whatever fails in between, is told in its log. All are
forked off one nursery that has imported what they need, which takes each of them 7 s of a core otherwise.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from diarynotes.prefect_api import quiet_prefect, reporting_to
from diarynotes.settings import Settings, load_settings, make_home

READY = "ready"
_PAUSE_S = 0.5
_IDLE_S = 5.0
"""After how long a day whose notes have landed is taken for left without its entry; a minute in earnest."""


def main(stop: Path) -> None:
    """Works until `stop` is there; what cannot be opened is opened again a moment later."""
    from diarynotes.store.desk import Desk
    from tests.acceptance.chaos.witness import watched

    Desk.find_answer = watched(Desk.find_answer)  # type: ignore[method-assign]
    settings = load_settings()
    parent = os.getppid()

    def is_over() -> bool:
        return stop.exists() or os.getppid() != parent

    while not is_over():
        try:
            _work(settings, is_over)
        except Exception as error:
            _tell(error)


def _work(settings: Settings, is_over: Callable[[], bool]) -> None:
    import flows.pick_up
    from flows.workshop import open_workshop

    flows.pick_up._IDLE_S = _IDLE_S
    make_home(settings)
    with open_workshop(settings) as shop, reporting_to(os.environ["PREFECT_API_URL"]):
        _ = shop.sandbox, shop.store
        _say(READY)
        while not is_over():
            begun = time.monotonic()
            try:
                taken = flows.pick_up.pick_up(sweep=True).recordings
                if taken:
                    _say(f"{taken} recordings in {time.monotonic() - begun:.1f} s")
            except Exception as error:
                _tell(error)
            time.sleep(_PAUSE_S)


def _tell(error: Exception) -> None:
    _say(f"{time.strftime('%H:%M:%S')} {type(error).__name__}: {str(error)[:300]}")
    time.sleep(_PAUSE_S)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def nurse() -> None:
    """Forks a worker for each line of JSON on stdin, and answers with its id; ends with stdin."""
    quiet_prefect()
    import data_checks
    import flows.pick_up  # noqa: F401

    data_checks.warm_up()
    logs: dict[int, Path] = {}

    def reap(_number: int, _frame: Any) -> None:
        for pid in list(logs):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                logs.pop(pid).with_suffix(".status").write_text(str(os.waitstatus_to_exitcode(status)))

    signal.signal(signal.SIGCHLD, reap)
    _say(READY)
    while line := sys.stdin.readline():
        asked = json.loads(line)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])  # none may end before it is known
        pid = os.fork()
        if not pid:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
            _live(asked)
        logs[pid] = Path(asked["log"])
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
        _say(str(pid))


def _live(asked: dict[str, Any]) -> None:
    """What a worker does after its birth; never returns."""
    status = 1
    try:
        for stream, path, flags in ((0, os.devnull, os.O_RDONLY), (1, asked["log"], os.O_WRONLY | os.O_APPEND)):
            file = os.open(path, flags)
            os.dup2(file, stream)
            os.close(file)
        os.dup2(1, 2)
        os.environ.update(asked["environment"])
        main(Path(asked["stop"]))
        status = 0
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        os._exit(status)


if __name__ == "__main__":
    nurse()
