"""A disk that is full: a clear error that names the path, what had landed stays, and the next run goes on."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

# In a mount namespace of its own the home is a small disk: land, fill it, fail, make room, land the rest.
SCRIPT = """
set -u
mount -t tmpfs -o size=400m none "$DIARYNOTES_HOME" || exit 77
run() { "$PYTHON" -m diarynotes run "$1" --engine scripted --json; }
run "$NOTES/first" > "$OUT/first.json" || exit 1
dd if=/dev/zero of="$DIARYNOTES_HOME/filler" bs=64k 2> /dev/null
run "$NOTES/second" > "$OUT/full.json" 2> "$OUT/full.err"
echo $? > "$OUT/full.status"
rm "$DIARYNOTES_HOME/filler"
run "$NOTES/second" > "$OUT/second.json" 2> "$OUT/second.err"
"$PYTHON" -m diarynotes query "select count(*) as notes from notes" --json > "$OUT/count.json"
"""


APART = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--map-current-user", "--keep-caps"]


def can_mount() -> bool:
    probe = [*APART, "mount", "-t", "tmpfs", "none", "/mnt"]
    return shutil.which("unshare") is not None and subprocess.run(probe, capture_output=True).returncode == 0


@pytest.mark.skipif(not can_mount(), reason="this machine lets nobody mount a small disk in a namespace")
def test_a_full_disk_is_named_and_loses_nothing(command_line: Any, make_notes: Any, tmp_path: Path) -> None:
    notes = make_notes(tmp_path / "notes" / "first", 8)
    (tmp_path / "notes" / "second").mkdir()
    for path in notes[3:]:
        path.rename(tmp_path / "notes" / "second" / path.name)
    command_line.home.mkdir()
    environment = {
        **command_line.environment, "PYTHON": sys.executable, "NOTES": str(tmp_path / "notes"), "OUT": str(tmp_path)
    }  # fmt: skip
    subprocess.run([*APART, "bash", "-c", SCRIPT], env=environment, check=True)

    assert json.loads((tmp_path / "first.json").read_text())["landed"] == 3
    assert (tmp_path / "full.status").read_text().strip() == "1"
    # where the disk fails a recording it is among the problems, where it fails all it ends the run
    told = (tmp_path / "full.err").read_text() + (tmp_path / "full.json").read_text()
    assert str(command_line.home) in told
    assert "Traceback" not in told
    second = json.loads((tmp_path / "second.json").read_text())
    # some may have found room on the full disk: Postgres has laid out its log in advance
    assert second["landed"] + second["skipped"] == second["recordings"] == 5, (tmp_path / "second.err").read_text()
    assert json.loads((tmp_path / "count.json").read_text()) == [{"notes": 8}]
