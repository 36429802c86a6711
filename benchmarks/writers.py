"""Holds a writer's notes against what a faithful note must and must not say, and prints the table.

Reads a folder of transcripts, each `{"segments": [...], "expect": {...}}`. Knows nothing of audio.

    python benchmarks/writers.py [--writer extractive] [--notes ../shared/notes] [--json FILE] [--show]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from diarynotes.diary import Writer, note_as_markdown, open_writer, read_transcript, write_note
from diarynotes.diary.figures import read_numbers
from diarynotes.models import DiaryNote, Draft, Transcript

RECALLED = ("people", "places", "todos", "must_mention")
DAY = date(2026, 6, 10)
NOTES = Path(__file__).resolve().parents[2] / "shared" / "notes"


@dataclass(frozen=True, slots=True)
class Score:
    """How one note did: found and wanted by kind, broken prohibitions, numbers nobody said, mood, seconds."""

    name: str
    recall: dict[str, tuple[int, int]]
    must_not: int
    wrong_numbers: int
    mood: tuple[str, str]
    seconds: float


def main() -> None:
    arguments = _read_arguments()
    writer = open_writer(arguments.writer)
    scores = []
    for path in sorted(arguments.notes.glob("*.json")):
        score, note = score_file(path, writer)
        scores.append(score)
        if arguments.show:
            print(note_as_markdown(note))
    if not scores:
        raise SystemExit(f"{arguments.notes} holds no .json transcripts")
    print(render_table(scores))
    if arguments.json:
        arguments.json.write_text(json.dumps(as_data(arguments.writer, scores), indent=1))


def score_file(path: Path, writer: Writer) -> tuple[Score, DiaryNote]:
    """Writes the note of one transcript and holds it against the `expect` of its file."""
    transcript = read_transcript(path)
    expect = json.loads(path.read_text())["expect"]
    start = time.perf_counter()
    note = write_note(transcript, day=DAY, writers=(writer,))
    return score_note(path.stem, note.draft, transcript, expect, time.perf_counter() - start), note


def score_note(name: str, draft: Draft, transcript: Transcript, expect: dict[str, Any], seconds: float) -> Score:
    """Recall counts an expectation as met when its words stand in the fitting part of the note, case aside."""
    prose = "\n".join((draft.title, draft.summary, *(sentence.text for sentence in draft.body)))
    todos = "\n".join(todo.text for todo in draft.todos)
    parts = {
        "people": "\n".join(draft.people),
        "places": "\n".join(draft.places),
        "todos": todos,
        "must_mention": f"{prose}\n{todos}",
    }
    recall = {kind: (_count(parts[kind], expect[kind]), len(expect[kind])) for kind in RECALLED}
    wrong = read_numbers(f"{prose}\n{todos}", joined=False) - read_numbers(transcript.text)
    return Score(
        name=name,
        recall=recall,
        must_not=_count(f"{prose}\n{todos}", expect["must_not"]),
        wrong_numbers=len(wrong),
        mood=(draft.mood.label, expect["mood"]),
        seconds=seconds,
    )


def render_table(scores: list[Score]) -> str:
    """One line a note and one for all of them."""
    head = f"{'note':<20}" + "".join(f"{kind:>14}" for kind in RECALLED) + "  must_not  numbers  mood (wanted)      ms"
    lines = [head]
    for score in scores:
        cells = "".join(f"{found:>11}/{wanted:<2}" for found, wanted in score.recall.values())
        mood = score.mood[0] + ("" if score.mood[0] == score.mood[1] else f" ({score.mood[1]})")
        tail = f"{score.must_not:>10}{score.wrong_numbers:>9}  {mood:<16}{score.seconds * 1000:>6.1f}"
        lines.append(f"{score.name[:20]:<20}{cells}{tail}")
    cells = "".join(f"{ratio:>14.0%}" for ratio in total_recall(scores).values())
    right = sum(score.mood[0] == score.mood[1] for score in scores)
    totals = f"{sum(score.must_not for score in scores):>10}{sum(score.wrong_numbers for score in scores):>9}"
    median_ms = statistics.median(score.seconds for score in scores) * 1000
    lines.append(f"{'all':<20}{cells}{totals}  {f'{right} of {len(scores)}':<16}{median_ms:>6.1f}")
    return "\n".join(lines)


def _count(text: str, wanted: list[str]) -> int:
    return sum(word.lower() in text.lower() for word in wanted)


def total_recall(scores: list[Score]) -> dict[str, float]:
    """The share that was found of what was wanted, by kind."""
    totals = {}
    for kind in RECALLED:
        wanted = sum(score.recall[kind][1] for score in scores)
        totals[kind] = sum(score.recall[kind][0] for score in scores) / wanted if wanted else 1.0
    return totals


def as_data(writer: str, scores: list[Score]) -> dict[str, Any]:
    """The figures of one writer."""
    return {
        "writer": writer,
        "notes": len(scores),
        "recall": total_recall(scores),
        "must_not": sum(score.must_not for score in scores),
        "wrong_numbers": sum(score.wrong_numbers for score in scores),
        "mood_right": sum(score.mood[0] == score.mood[1] for score in scores),
        "median_s": statistics.median(score.seconds for score in scores),
    }


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--writer", default="extractive")
    parser.add_argument("--notes", type=Path, default=NOTES)
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    parser.add_argument("--show", action="store_true", help="print each note as a page")
    return parser.parse_args()


if __name__ == "__main__":
    main()
