"""Shows a note or the entry of a day: as a diary page in Markdown, and as plain data for JSON.

Knows nothing of files or terminals.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from itertools import pairwise
from typing import Any

from diarynotes.models import DayEntry, DiaryNote, Draft, Recording, Sentence, Todo

_MOST_SENTENCES = 6
"""A longer paragraph tires the eye."""
_MARKS = re.compile(r"[\\`*_\[\]<>|~]|^\s*(?:#{1,6}|[+\-]|\d+[.)])(?=\s)", re.MULTILINE)


def note_as_json(note: DiaryNote) -> dict[str, Any]:
    """The note as plain data; dates are ISO 8601, evidence counts segments from 0."""
    body = [{"text": sentence.text, "evidence": list(sentence.evidence)} for sentence in note.draft.body]
    return _as_json(note, body)


def entry_as_json(entry: DayEntry) -> dict[str, Any]:
    """The entry as plain data; the evidence of a sentence is notes, and numbers of sentences of them from 0."""
    body = [
        {
            "text": sentence.text,
            "evidence": [
                {"note_id": note_id, "sentence": number}
                for note_id, number in (entry.sources[place] for place in sentence.evidence)
                if number >= 0
            ],
        }
        for sentence in entry.draft.body
    ]
    notes = list(dict.fromkeys(note_id for note_id, _ in entry.sources))
    names = {"id": entry.id, "owner": entry.owner, "day": entry.day.isoformat()}
    return {**names, **_as_json(entry, body), "prompt_version": entry.prompt_version, "note_ids": notes}


def note_as_markdown(note: DiaryNote, recording: Recording | None = None) -> str:
    """The note as a page of a diary; with its `recording`, how long it lasted is told too."""
    length = [name_length(recording.media.duration_s)] if recording and recording.media else []
    starts = divide(0, len(note.draft.body))
    return _as_markdown(note.draft, [name_day(note.day), f"{note.draft.mood.label} mood", *length], starts)


def entry_as_markdown(entry: DayEntry) -> str:
    """The entry as a page of a diary, with a paragraph for each of its notes, or several."""
    count = len({note_id for note_id, _ in entry.sources})
    made_of = "1 note" if count == 1 else f"{count} notes"
    told = [name_day(entry.day), f"{entry.draft.mood.label} mood", made_of]
    return _as_markdown(entry.draft, told, find_paragraphs(entry))


def find_paragraphs(entry: DayEntry) -> list[int]:
    """The numbers of the sentences with which a paragraph begins.

    Where the entry tells one note after the other, each note begins one.
    """
    notes = [_note_of(entry, sentence) for sentence in entry.draft.body]
    changes = [number for number, (one, other) in enumerate(pairwise(notes), 1) if one != other]
    if len(changes) >= len(set(notes)):  # it goes back and forth between them
        changes = []
    return [start for begin, end in pairwise((0, *changes, len(notes))) for start in divide(begin, end)]


def divide(begin: int, end: int) -> list[int]:
    """Where the paragraphs of these sentences begin: as few as hold six at most, about equally long."""
    count = -(-(end - begin) // _MOST_SENTENCES)
    return [begin + (end - begin) * number // count for number in range(count)]


def _note_of(entry: DayEntry, sentence: Sentence) -> str:
    return entry.sources[sentence.evidence[0]][0] if sentence.evidence else ""


def _as_json(written: DiaryNote | DayEntry, body: list[dict[str, Any]]) -> dict[str, Any]:
    draft = written.draft
    return {
        "title": draft.title,
        "summary": draft.summary,
        "body": body,
        "mood": {"label": draft.mood.label, "score": draft.mood.score},
        "people": list(draft.people),
        "places": list(draft.places),
        "topics": list(draft.topics),
        "todos": [{"text": todo.text, "due": todo.due.isoformat() if todo.due else None} for todo in draft.todos],
        "questions": list(draft.questions),
        "writer": written.writer,
        "model": written.model,
        "degraded": written.degraded,
        "grounded_share": written.grounded_share,
        "findings": [
            {"code": finding.code, "severity": finding.severity, "where": finding.where, "message": finding.message}
            for finding in written.findings
        ],
    }


def _as_markdown(draft: Draft, told: Sequence[str], starts: Sequence[int]) -> str:
    blocks = [f"# {escape(draft.title)}", f"*{' · '.join(told)}*"]
    if says_more(draft):
        blocks.append(f"> {escape(draft.summary)}")
    texts = [sentence.text for sentence in draft.body]
    blocks += [escape(" ".join(texts[start:stop])) for start, stop in pairwise((*starts, len(texts)))]
    blocks += list_todos(draft)
    names = (("People", draft.people), ("Places", draft.places), ("Topics", draft.topics))
    lines = [f"**{label}:** {escape(', '.join(values))}" for label, values in names if values]
    if lines:
        blocks.append("  \n".join(lines))
    return "\n\n".join(blocks) + "\n"


def name_day(day: date) -> str:
    """Such as `Thursday, 21 May 2026`."""
    # strftime would follow the machine's locale and pad the day of the month
    weekday = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")[day.weekday()]
    months = "January February March April May June July August September October November December".split()
    return f"{weekday}, {day.day} {months[day.month - 1]} {day.year}"


def name_length(duration_s: float) -> str:
    """Minutes and seconds, or hours too, such as `1:02:03`."""
    minutes, seconds = divmod(round(duration_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def says_more(draft: Draft) -> bool:
    """A short note is its own summary; saying everything twice helps nobody."""
    return bool(draft.summary) and draft.summary != " ".join(sentence.text for sentence in draft.body)


def list_todos(draft: Draft) -> list[str]:
    """What is to be done, with boxes to check, and what is asked, as blocks of Markdown."""
    todos = section("To do", [_check_box(todo) for todo in draft.todos])
    return todos + section("Open questions", [f"- {escape(question)}" for question in draft.questions])


def section(title: str, lines: list[str]) -> list[str]:
    """A heading and its lines as blocks of Markdown; nothing where there are none."""
    return [f"## {title}", "\n".join(lines)] if lines else []


def _check_box(todo: Todo) -> str:
    due = f" *({name_day(todo.due)})*" if todo.due else ""
    return f"- [ ] {escape(todo.text)}{due}"


def escape(text: str) -> str:
    """Text as it was said, whatever signs it holds: none of them may turn into Markdown."""
    return _MARKS.sub(lambda match: f"{match[0][:-1]}\\{match[0][-1]}", text)
