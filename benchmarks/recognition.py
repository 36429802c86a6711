"""How many words a speech engine gets wrong, clip by clip, and how fast it is; prints a table, writes JSON.

Reads a folder of clips with a `transcripts.csv` of the columns file and text. Unlike `diarynotes evaluate` it runs in
one process, without a sandbox, so that a profiler sees all of it; its pace counts loading the engine.

    python benchmarks/recognition.py [--engine pocketsphinx] [--model NAME] [--clips FOLDER] [--json FILE]
"""

from __future__ import annotations

import argparse
import csv
import json
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from diarynotes.audio import decode
from diarynotes.models import Transcript
from diarynotes.transcribe import ENGINES, Heard, open_engine, transcribe_recordings
from diarynotes.transcribe.vad import find_speech
from diarynotes.word_errors import count_word_errors


@dataclass(frozen=True, slots=True)
class Row:
    """One clip: words wrong (changed, missing or added) of words said."""

    file: str
    wrong: int
    words: int
    heard: str


def main() -> None:
    arguments = _read_arguments()
    begun = time.perf_counter()
    said, heard = _listen(arguments.clips)
    vad_s = time.perf_counter() - begun
    audio_s = sum(item.audio.duration_s for item in heard)
    begun = time.perf_counter()
    engine = open_engine(
        arguments.engine, model=arguments.model, models=arguments.models, language="en", workers=arguments.workers
    )
    rows = [
        _compare(file, said[file], result.text if isinstance(result, Transcript) else "")
        for file, result in transcribe_recordings(engine, heard)
    ]
    engine_s = time.perf_counter() - begun
    engine.close()
    for row in rows:
        print(f"{row.wrong:3d} of {row.words:3d} wrong  {row.file}: {row.heard}")
    figures = {
        "engine": engine.name,
        "model": engine.model,
        "word_error_rate": sum(row.wrong for row in rows) / sum(row.words for row in rows),
        "audio_s": audio_s,
        "times_real_time": audio_s / engine_s,
        "decode_and_vad_s": vad_s,
    }
    print(f"{figures['word_error_rate']:.1%} word errors at {audio_s / engine_s:.1f} times real time")
    if arguments.json:
        report = {**figures, "clips": [asdict(row) for row in rows]}
        arguments.json.write_text(json.dumps(report, indent=2), encoding="utf-8")


def _listen(clips: Path) -> tuple[dict[str, str], list[Heard]]:
    """What each clip says, and the clips ready to be transcribed."""
    with (clips / "transcripts.csv").open(encoding="utf-8", newline="") as file:
        said = {row["file"]: row["text"] for row in csv.DictReader(file)}
    with tempfile.TemporaryDirectory() as spool:
        audios = {file: decode(clips / file, spool=Path(spool)).open() for file in said}
    return said, [Heard(file, audio, find_speech(audio)) for file, audio in audios.items()]


def _compare(file: str, said: str, heard: str) -> Row:
    errors = count_word_errors(said, heard)
    return Row(file, errors.wrong, errors.words, heard)


def _read_arguments() -> argparse.Namespace:
    shared = Path(__file__).resolve().parents[2] / "shared" / "audio" / "human"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", default="pocketsphinx", choices=ENGINES)
    parser.add_argument("--model", help="a Whisper model's name or a .pt file")
    parser.add_argument("--models", type=Path, default=Path("models"), help="the folder that holds whisper/NAME.pt")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--clips", type=Path, default=shared)
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    return parser.parse_args()


if __name__ == "__main__":
    main()
