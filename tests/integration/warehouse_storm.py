"""Many processes that land in one table of a warehouse while another compacts and vacuums it.

Run as a process of its own, which forks them when it has imported everything and used nothing: what
Delta and Polars have started does not survive a fork.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import diarynotes.store.warehouse as warehouse_module
from diarynotes.store import Landing
from diarynotes.store.warehouse import Warehouse
from tests.integration.store_samples import DAY, make_cost, make_note, make_recording, make_transcript

TABLE = "notes"
AGAIN = range(4, 1000, 5)
"""After these a writer lands once more what it landed just before, so that files with others' rows are replaced."""
DAYS = 4
"""Writers share days, so that they get into each other's way."""


def make_landing(writer: int, number: int, attempt: int = 1) -> Landing:
    """The landing that this writer lands as its `number`th; nobody else has that recording."""
    recording = make_recording(writer * 1_000_000 + number)
    transcript = make_transcript(recording)
    day = DAY + timedelta(days=writer % DAYS)
    return Landing(recording, transcript, make_note(transcript, day), (make_cost(),), attempt, (day,))


def write(folder: Path, writer: int, appends: int) -> None:
    warehouse = Warehouse(folder)
    for number in range(appends):
        warehouse.land([make_landing(writer, number)])
        if number in AGAIN:
            warehouse.land([make_landing(writer, number - 1, attempt=2)])


def tidy(folder: Path) -> None:
    """Compacts and vacuums until it is ended."""
    ending: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: ending.append(number))
    while not ending:
        Warehouse(folder).tidy()
        time.sleep(0.1)


def main() -> None:
    """Arguments: the folder, how many writers, how many appends each. The exit code is how many of all failed."""
    import deltalake  # noqa: F401
    import polars as pl  # noqa: F401

    warehouse_module.TABLES = (TABLE,)
    folder, writers, appends = Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    tidier = _fork(lambda: tidy(folder))
    children = [_fork(lambda writer=writer: write(folder, writer, appends)) for writer in range(writers)]  # type: ignore[misc]
    failed = sum(os.waitpid(child, 0)[1] != 0 for child in children)
    os.kill(tidier, signal.SIGTERM)
    failed += os.waitpid(tidier, 0)[1] != 0
    os._exit(failed)


def _fork(work: Callable[[], None]) -> int:
    child = os.fork()
    if child:
        return child
    try:
        work()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
