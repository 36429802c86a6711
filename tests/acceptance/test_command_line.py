"""The command line as a person uses it: examples, odd files, reading back, a second run, Ctrl-C, bad places."""

from __future__ import annotations

import json
import random
import signal
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diarynotes.models import SAMPLE_RATE
from diarynotes.testing import SENTENCES
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[2] / "examples" / "voice-notes"
COUNTS = ("recordings", "landed", "skipped", "quarantined", "waiting", "dead")


def counts(outcome: dict[str, Any]) -> tuple[int, ...]:
    return tuple(outcome[name] for name in COUNTS)


def test_the_examples_become_a_diary_with_the_engine_that_needs_nothing(command_line: Any) -> None:
    first = command_line.call("run", str(EXAMPLES), "--engine", "pocketsphinx", "--json")
    assert first.status == 3, first.err
    assert counts(first.json) == (9, 7, 0, 2, 0, 0)
    assert {(Path(problem["source"]).suffix, problem["code"]) for problem in first.json["problems"]} == {
        (".mp3", "silent"),
        (".m4a", "truncated"),
    }
    assert {note["day"] for note in first.json["notes"]} == {"2026-05-22", "2026-05-23", "2026-05-24"}
    for note in first.json["notes"]:
        assert note["engine"] == "pocketsphinx"
        assert note["degraded"] is True
        assert note["cost_usd"] == 0
        assert Path(note["source"]).parent == EXAMPLES

    again = command_line.call("run", str(EXAMPLES), "--engine", "pocketsphinx", "--json")
    assert again.status == 3
    assert counts(again.json) == (9, 0, 7, 2, 0, 0)
    assert "Nothing is new" in command_line.call("run", str(EXAMPLES)).out

    listed = command_line.call("notes", "--json").json
    assert {note["recording_id"] for note in listed} == {note["recording_id"] for note in first.json["notes"]}
    one_day = command_line.call("notes", "--day", "2026-05-22", "--json").json
    assert {note["day"] for note in one_day["notes"]} == {"2026-05-22"}
    assert one_day["entry"]["day"] == "2026-05-22"
    shown = command_line.call("show", listed[0]["recording_id"][:13], "--json").json
    assert shown["title"] == listed[0]["title"]
    assert all(sentence["evidence"] for sentence in shown["body"])
    assert listed[0]["title"] in command_line.call("show", Path(listed[0]["source"]).name).out

    answer = command_line.call("query", "select count(*) as notes, count(distinct day) as days from notes", "--json")
    assert answer.json == [{"notes": 7, "days": 3}]
    quarantined = command_line.call("jobs", "--state", "quarantined", "--json").json
    assert {job["code"] for job in quarantined} == {"silent", "truncated"}
    assert all(job["message"].endswith(".") for job in quarantined)

    assert command_line.call("retry", "--state", "quarantined", "--json").json["retried"]
    assert counts(command_line.call("run", str(EXAMPLES), "--json").json) == (9, 0, 7, 2, 0, 0)


def test_odd_files_are_set_aside_and_cost_nothing_else(
    command_line: Any, tmp_path: Path, write_wav: Any, speech: Any
) -> None:
    folder = tmp_path / "odd files"
    folder.mkdir()
    chance = np.random.default_rng(7)
    good = {"a space.wav", "line\nbreak.wav", 'it\'s "quoted".wav', "émoji 🎙️.wav", "noextension"}
    for number, name in enumerate(sorted(good)):
        write_wav(folder / name, speech[number * SAMPLE_RATE : (number + 5) * SAMPLE_RATE])
    (folder / "zero.mp3").touch()
    (folder / "random.m4a").write_bytes(chance.bytes(50_000))
    (folder / "text.mp3").write_text("This is only text.\n" * 50)
    (folder / "picture.wav").write_bytes(_png())
    (folder / "playlist.m4a").write_text(
        "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n/etc/passwd\n#EXT-X-ENDLIST\n"
    )
    (folder / "concat.m4a").write_text("ffconcat version 1.0\nfile /etc/passwd\n")
    write_wav(folder / "short.wav", speech[: SAMPLE_RATE // 5])
    write_wav(folder / "silence.wav", np.zeros(5 * SAMPLE_RATE, np.int16))
    write_wav(folder / "noise.wav", chance.normal(0, 3000, 5 * SAMPLE_RATE).astype(np.int16))
    with (folder / "sparse.wav").open("wb") as sparse:
        sparse.truncate(2_000_000_000)
    (folder / "loop").symlink_to(folder)
    (folder / ".hidden.wav").write_bytes(b"hidden")

    outcome = command_line.call("run", str(folder), "--engine", "scripted", "--json")
    assert outcome.status == 3, outcome.err
    assert {Path(note["source"]).name for note in outcome.json["notes"]} == good
    assert {Path(problem["source"]).name: problem["code"] for problem in outcome.json["problems"]} == {
        "zero.mp3": "not_audio",
        "random.m4a": "not_audio",
        "text.mp3": "not_audio",
        "picture.wav": "not_audio",
        "playlist.m4a": "not_audio",
        "concat.m4a": "not_audio",
        "short.wav": "too_short",
        "silence.wav": "silent",
        "noise.wav": "no_speech",
        "sparse.wav": "too_large",
    }


def test_what_nobody_says_makes_no_note(command_line: Any) -> None:
    folder = Path(__file__).parents[3] / "shared" / "audio" / "not-speech"
    if not folder.is_dir():
        pytest.skip("the recordings of animals and noise are not beside this checkout")
    outcome = command_line.call("run", str(folder), "--engine", "scripted", "--json")
    assert counts(outcome.json) == (4, 0, 0, 4, 0, 0)
    assert {problem["code"] for problem in outcome.json["problems"]} <= {"no_speech", "silent"}


def test_a_recording_that_changes_between_runs_is_a_new_one(
    command_line: Any, tmp_path: Path, write_wav: Any, speech: Any
) -> None:
    path = tmp_path / "note.wav"
    write_wav(path, speech[: 5 * SAMPLE_RATE])
    first = command_line.call("run", str(path), "--engine", "scripted", "--json").json
    write_wav(path, speech[5 * SAMPLE_RATE : 11 * SAMPLE_RATE])
    second = command_line.call("run", str(path), "--engine", "scripted", "--json").json
    (tmp_path / "copy.wav").write_bytes(path.read_bytes())
    third = command_line.call("run", str(tmp_path / "copy.wav"), "--engine", "scripted", "--json").json
    assert [counts(outcome)[:3] for outcome in (first, second, third)] == [(1, 1, 0), (1, 1, 0), (1, 0, 1)]


def test_no_diary_text_outside_the_diary(command_line: Any, make_notes: Any, tmp_path: Path, proxy: Any) -> None:
    make_notes(tmp_path / "notes", 5)
    # Without a configured API the run starts a Prefect server of its own, whose files then lie in the home; that is
    # on this machine, and no proxy can reach it.
    outcome = command_line.call(
        "run",
        str(tmp_path / "notes"),
        "--engine",
        "scripted",
        "--prompt",
        "Zebulon, Quetzal",
        "--json",
        PREFECT_API_URL="",
        PREFECT_LOGGING_LEVEL="DEBUG",
        **proxy.environment,
    )
    assert outcome.status == 0, outcome.err
    assert not proxy.asked
    said = [sentence[:24].encode() for sentence in SENTENCES] + [b"Zebulon", b"Quetzal"]
    allowed = ("postgres", "warehouse", "diarynotes.duckdb")
    for path in command_line.home.rglob("*"):
        if path.is_file() and path.relative_to(command_line.home).parts[0] not in allowed:
            content = path.read_bytes()
            assert not [words for words in said if words in content], path
    assert not [words for words in said if words in outcome.err.encode()]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_run_gives_everything_back(
    command_line: Any, make_notes: Any, tmp_path: Path, number: signal.Signals
) -> None:
    make_notes(tmp_path / "notes", 60)
    process = command_line.start("run", str(tmp_path / "notes"), "--engine", "scripted")
    command_line.wait_for("validated", process)
    process.send_signal(number)
    _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert "run the same command again" in err
    assert "Traceback" not in err
    assert not (command_line.home / "postgres" / "data" / "postmaster.pid").exists()
    outcome = command_line.call("run", str(tmp_path / "notes"), "--engine", "scripted", "--json")
    assert outcome.status == 0, outcome.err
    assert outcome.json["landed"] + outcome.json["skipped"] == 60


@pytest.mark.parametrize("home", ["file", "proc"])
def test_a_home_that_cannot_be_written_is_named(command_line: Any, make_notes: Any, tmp_path: Path, home: str) -> None:
    make_notes(tmp_path / "notes", 1)
    (tmp_path / "a file").touch()
    place = tmp_path / "a file" / "home" if home == "file" else Path("/proc/diarynotes")
    outcome = command_line.call("run", str(tmp_path / "notes"), "--engine", "scripted", DIARYNOTES_HOME=str(place))
    assert outcome.status == 1
    assert str(place) in outcome.err
    assert "Traceback" not in outcome.err


def test_wrong_usage_is_status_two(command_line: Any, tmp_path: Path) -> None:
    for arguments in (
        ("run",),
        ("run", str(tmp_path / "missing")),
        ("run", str(tmp_path), "--engine", "nonsense"),
        ("run", str(tmp_path), "--writer", "nonsense"),
        ("show", "no such id"),
        ("query", "select nonsense"),
        ("retry",),
        ("write", str(tmp_path / "missing.txt")),
    ):
        outcome = command_line.call(*arguments)
        assert outcome.status == 2, (arguments, outcome)
        assert "Traceback" not in outcome.err


def test_a_note_from_a_text_file(command_line: Any, tmp_path: Path) -> None:
    (tmp_path / "said.txt").write_text(
        "Okay so it's Saturday.\nI met Anna in the garden.\nTomorrow I have to call Ben.\n"
    )
    note = command_line.call("write", str(tmp_path / "said.txt"), "--day", "2026-05-23", "--json").json
    assert set(note["people"]) == {"Anna", "Ben"}
    assert note["todos"] == [{"text": "Call Ben", "due": "2026-05-24"}]
    assert set(note) >= {
        "title",
        "summary",
        "body",
        "mood",
        "places",
        "topics",
        "questions",
        "writer",
        "model",
        "degraded",
    }
    (tmp_path / "said.json").write_text(json.dumps({"segments": [{"start_s": 0, "end_s": 2, "text": "It rained."}]}))
    assert "It rained." in command_line.call("write", str(tmp_path / "said.json")).out


def test_the_doctor_finds_all_well(command_line: Any) -> None:
    outcome = command_line.call("doctor", "--json")
    assert outcome.status == 0, outcome.out
    names = {check["name"]: check["status"] for check in outcome.json["checks"]}
    assert names["formats"] == names["database"] == names["warehouse"] == names["engine pocketsphinx"] == "ok"
    assert names["engine whisper"] == "missing"


def test_damaged_copies(command_line: Any, tmp_path: Path, damage: Any) -> None:
    """Two thousand are decoded in `tests/integration/test_hostile_files.py`; these go all the way."""
    folder = tmp_path / "damaged"
    folder.mkdir()
    originals = sorted(EXAMPLES.iterdir())
    chance = random.Random(1)
    for number in range(300):
        original = chance.choice(originals)
        (folder / f"{number}{original.suffix}").write_bytes(damage.damage(original.read_bytes(), number))
    outcome = command_line.call("run", str(folder), "--engine", "scripted", "--json", timeout_s=2 * PATIENCE_S)
    assert outcome.status in (0, 3), outcome.err
    assert outcome.json["landed"] + outcome.json["quarantined"] == outcome.json["recordings"]
    assert outcome.json["recordings"] > 285
    assert not list((command_line.home / "spool").iterdir())


def _png() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0\0")) + chunk(b"IEND", b"")
