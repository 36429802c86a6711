import csv
import importlib.util
import re
import sys
from collections.abc import Sequence
from datetime import date, time
from pathlib import Path
from types import ModuleType
from zoneinfo import ZoneInfo

import av
import numpy as np
import pytest

from diarynotes.audio import decode
from diarynotes.buckets import list_objects
from diarynotes.ingest import date_recording, diary_day, make_recording
from diarynotes.models import Recording
from diarynotes.transcribe import Heard, open_engine, transcribe_recordings
from diarynotes.transcribe.vad import find_speech

EXAMPLES = Path(__file__).parents[2] / "examples"
NOTES = EXAMPLES / "voice-notes"
SILENT, DAMAGED = "REC20260524210000.mp3", "20260524 213000-9D3E1F7A.m4a"


def transcripts() -> dict[str, str]:
    with (EXAMPLES / "transcripts.csv").open(newline="") as file:
        return {row["file"]: row["text"] for row in csv.DictReader(file)}


def load_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_examples", EXAMPLES / "make_examples.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.modules[spec.name]
    return module


def count_word_errors(said: str, heard: str) -> int:
    """Words to insert, delete or replace to turn one text into the other (Levenshtein)."""

    def words(text: str) -> Sequence[str]:
        return re.findall(r"[a-z']+", text.lower())

    row = list(range(len(words(heard)) + 1))
    for number, word in enumerate(words(said), 1):
        diagonal, row[0] = row[0], number
        for column, other in enumerate(words(heard), 1):
            cost = min(row[column] + 1, row[column - 1] + 1, diagonal + (word != other))
            diagonal, row[column] = row[column], cost
    return row[-1]


def test_every_note_is_there_and_nothing_else() -> None:
    assert {path.name for path in NOTES.iterdir()} == {*transcripts(), SILENT, DAMAGED}
    assert sum(path.stat().st_size for path in NOTES.iterdir()) < 1_500_000
    assert {path.suffix for path in NOTES.iterdir()} == {".mp3", ".wav", ".m4a", ".flac", ".ogg", ".opus", ".webm"}


def test_the_script_makes_just_these_files() -> None:
    script = load_script()
    assert {take.file for take in script.TAKES} == set(transcripts())
    assert (script.SILENT.file, script.DAMAGED.file) == (SILENT, DAMAGED)


def test_the_readme_tells_each_file() -> None:
    readme = (EXAMPLES / "README.md").read_text()
    assert [path.name for path in NOTES.iterdir() if f"`{path.name}`" not in readme] == []


@pytest.mark.parametrize("name", sorted(transcripts()))
def test_a_note_lasts_ten_to_sixty_seconds(name: str, tmp_path: Path) -> None:
    assert 10 <= decode(NOTES / name, spool=tmp_path).media.duration_s <= 60


def test_the_notes_are_of_three_days(tmp_path: Path) -> None:
    zone = ZoneInfo("America/New_York")
    days = {}
    sources = set()
    for obj in list_objects(str(NOTES)):
        name = Path(obj.uri).name
        if name in transcripts():
            found: Recording = make_recording(obj, owner="me", sha256="0" * 64, zone=zone)
            found = date_recording(found, decode(NOTES / name, spool=tmp_path).media.created_at)
            days[name] = diary_day(found.recorded_at, zone=zone, day_start=time(4))
            sources.add(found.recorded_at_source)
    assert sources == {"container", "file_name"}
    assert sorted(days.values()) == [date(2026, 5, 22)] * 2 + [date(2026, 5, 23)] * 3 + [date(2026, 5, 24)] * 2
    assert days["Recording 2026-05-24 01-20-33.webm"] == date(2026, 5, 23)


def test_the_silent_file_is_silent_and_the_damaged_one_cannot_be_opened() -> None:
    with av.open(str(NOTES / SILENT)) as container:
        assert not any(np.any(frame.to_ndarray()) for frame in container.decode(audio=0))
    with pytest.raises(av.FFmpegError):
        av.open(str(NOTES / DAMAGED))


@pytest.mark.slow
def test_pocketsphinx_hears_at_least_nine_words_of_ten_in_each_note(tmp_path: Path) -> None:
    texts = transcripts()
    audio = {name: decode(NOTES / name, spool=tmp_path).open() for name in texts}
    heard = [Heard(name, sound, tuple(find_speech(sound))) for name, sound in audio.items()]
    engine = open_engine("pocketsphinx", model=None, models=tmp_path, language=None, workers=2)
    try:
        results = dict(transcribe_recordings(engine, heard))
    finally:
        engine.close()
    for name, text in texts.items():
        transcript = results[name]
        assert not isinstance(transcript, Exception), name
        assert count_word_errors(text, transcript.text) <= 0.1 * len(text.split()), name
