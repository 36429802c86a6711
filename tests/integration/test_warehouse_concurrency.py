"""Sixteen processes append to one table while another compacts and vacuums it: what they wrote is there, once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from diarynotes.store.warehouse import Warehouse
from tests.integration.warehouse_storm import AGAIN, DAYS, TABLE, make_landing

WRITERS = 16
APPENDS = 100 if os.environ.get("DIARYNOTES_KILL_ALL") else 10
"""Of each of them; the more with `make kill-points`."""
SEEDED = 6
PATIENCE_S = 570.0
_STORM = "import sys; sys.path.insert(0, sys.argv[1]); from tests.integration.warehouse_storm import main; main()"
_OLD_MS = 8 * 24 * 3600 * 1000
"""Older than a vacuum's seven days."""


@pytest.mark.slow
def test_compaction_and_vacuum_take_nothing_from_those_who_append(tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path / "warehouse")
    replaced = seed(warehouse)

    begun_at = time.monotonic()
    command = [sys.executable, "-c", _STORM, str(Path(__file__).parents[2]), str(warehouse.folder)]
    storm = subprocess.Popen([*command, str(WRITERS), str(APPENDS)], start_new_session=True)
    try:
        assert storm.wait(PATIENCE_S) == 0
    finally:
        if storm.returncode is None:
            os.killpg(storm.pid, signal.SIGKILL)  # it leads a group of its own, with all that it forked
            storm.wait()
    print(f"\n{WRITERS * APPENDS} appends in {time.monotonic() - begun_at:.0f} s")  # noqa: T201

    rows = warehouse.read(TABLE).select("recording_id", "day", "attempt").collect()
    wanted = {
        (
            landing.recording.id,
            landing.note.day,
            2 if writer < WRITERS and number + 1 in AGAIN and number + 1 < count else 1,
        )
        for writer, count in [*((number, APPENDS) for number in range(WRITERS)), (WRITERS, SEEDED)]
        for number, landing in ((number, make_landing(writer, number)) for number in range(count))
    }
    assert rows.height == len(wanted)
    assert set(rows.iter_rows()) == wanted
    assert not [path for path in replaced if path.exists()], "nothing was vacuumed"
    warehouse.tidy()
    assert len(warehouse.files(TABLE)) == DAYS


def seed(warehouse: Warehouse) -> list[Path]:
    """Landings that were compacted more than a week ago; the files that a vacuum may delete."""
    for number in range(SEEDED):
        warehouse.land([make_landing(WRITERS, number)])
    before = set(warehouse.files(TABLE))
    warehouse.tidy()
    replaced = sorted(before - set(warehouse.files(TABLE)))
    assert len(replaced) == SEEDED
    log = max((warehouse.folder / TABLE / "_delta_log").glob("*.json"))
    actions = [json.loads(line) for line in log.read_text().splitlines()]
    for removed in (action["remove"] for action in actions if "remove" in action):
        removed["deletionTimestamp"] -= _OLD_MS
    log.write_text("".join(json.dumps(action) + "\n" for action in actions))
    return replaced
