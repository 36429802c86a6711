"""Anything may be killed or frozen at any moment: no recording is lost, none is done twice."""

from __future__ import annotations

import os
import random
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from diarynotes.settings import load_settings
from diarynotes.store import open_store
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.slow

ENGINE = ("--engine", "scripted")


def assert_each_once(command_line: Any, count: int) -> None:
    """One transcript and one current note a recording, and a warehouse that equals Postgres."""
    # A cost is booked with every transcript that is stored, so as many costs as recordings: none was heard twice.
    for table in ("recordings", "transcripts", "notes", "costs"):
        answer = command_line.call(
            "query", f"select count(*) as found, count(distinct recording_id) as recordings from {table}", "--json"
        )
        assert answer.json == [{"found": count, "recordings": count}], table
    settings = load_settings(command_line.environment)
    with open_store(settings.database_url, settings.home) as store:
        assert store.verify() == ()


def test_killed_at_twelve_moments_then_run_again(command_line: Any, make_notes: Any, tmp_path: Path) -> None:
    notes = make_notes(tmp_path / "notes", 40)
    chance = random.Random(9)
    for _ in range(12):
        process = command_line.start("run", str(tmp_path / "notes"), "--json", *ENGINE)
        try:
            process.communicate(timeout=chance.uniform(0.5, 9.0))
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
    # A recording on which four runs in a row died is given up, and chance may have it so.
    retried = command_line.call("retry", "--code", "worker_died", "--json")
    assert retried.status == 0, retried.err
    last = command_line.call("run", str(tmp_path / "notes"), "--json", *ENGINE)
    assert last.status == 0, last.err
    assert last.json["recordings"] == len(notes)
    assert last.json["landed"] + last.json["skipped"] == len(notes)
    assert_each_once(command_line, len(notes))


def test_two_runs_over_one_folder_at_the_same_time(command_line: Any, make_notes: Any, tmp_path: Path) -> None:
    notes = make_notes(tmp_path / "notes", 40)
    both = [command_line.start("run", str(tmp_path / "notes"), "--json", *ENGINE) for _ in range(2)]
    for process in both:
        _, err = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, err
    assert_each_once(command_line, len(notes))


def test_a_frozen_run_that_thaws_too_late_writes_nothing(command_line: Any, make_notes: Any, tmp_path: Path) -> None:
    notes = make_notes(tmp_path / "notes", 40)
    short_lease = {"DIARYNOTES_LEASE_S": "3"}
    frozen = command_line.start("run", str(tmp_path / "notes"), "--json", *ENGINE, **short_lease)
    command_line.wait_for("transcribed", frozen)
    os.kill(frozen.pid, signal.SIGSTOP)
    rescuer = command_line.call("run", str(tmp_path / "notes"), "--json", *ENGINE, **short_lease)
    assert rescuer.status == 0, rescuer.err
    os.kill(frozen.pid, signal.SIGCONT)
    out, err = frozen.communicate(timeout=PATIENCE_S)
    # One that froze within a transaction has lost its connection meanwhile, and says what that means.
    assert frozen.returncode == 0 or (frozen.returncode == 1 and "What had landed is safe" in out + err), err
    assert_each_once(command_line, len(notes))
