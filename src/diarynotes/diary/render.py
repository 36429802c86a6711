"""Shows a note: as a diary page in Markdown, and as plain data for JSON.

Knows nothing of files or terminals.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Any

from diarynotes.models import DiaryNote, Draft, Recording, Todo

_SENTENCES_A_PARAGRAPH = 6
_MARKS = re.compile(r"[\\`*_\[\]<>|~]|^\s*(?:#{1,6}|[+\-]|\d+[.)])(?=\s)", re.MULTILINE)


def note_as_json(note: DiaryNote) -> dict[str, Any]:
    """The note as plain data; dates are ISO 8601, evidence counts segments from 0."""
    draft = note.draft
    return {
        "title": draft.title,
        "summary": draft.summary,
        "body": [{"text": sentence.text, "evidence": list(sentence.evidence)} for sentence in draft.body],
        "mood": {"label": draft.mood.label, "score": draft.mood.score},
        "people": list(draft.people),
        "places": list(draft.places),
        "topics": list(draft.topics),
        "todos": [{"text": todo.text, "due": todo.due.isoformat() if todo.due else None} for todo in draft.todos],
        "questions": list(draft.questions),
        "writer": note.writer,
        "model": note.model,
        "degraded": note.degraded,
        "findings": [
            {"code": finding.code, "severity": finding.severity, "where": finding.where, "message": finding.message}
            for finding in note.findings
        ],
    }


def note_as_markdown(note: DiaryNote, recording: Recording | None = None) -> str:
    """The note as a page of a diary; with its `recording`, how long it lasted is told too."""
    draft = note.draft
    blocks = [f"# {_escape(draft.title)}", _head(note, recording)]
    if _says_more(draft):
        blocks.append(f"> {_escape(draft.summary)}")
    blocks += _paragraphs(draft)
    blocks += _section("To do", [_check_box(todo) for todo in draft.todos])
    blocks += _section("Open questions", [f"- {_escape(question)}" for question in draft.questions])
    names = (("People", draft.people), ("Places", draft.places), ("Topics", draft.topics))
    lines = [f"**{label}:** {_escape(', '.join(values))}" for label, values in names if values]
    if lines:
        blocks.append("  \n".join(lines))
    return "\n\n".join(blocks) + "\n"


def _head(note: DiaryNote, recording: Recording | None) -> str:
    parts = [_name_day(note.day), f"{note.draft.mood.label} mood"]
    if recording and recording.media:
        parts.append(_name_length(recording.media.duration_s))
    return f"*{' · '.join(parts)}*"


def _name_day(day: date) -> str:
    # strftime would follow the machine's locale and pad the day of the month
    weekday = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")[day.weekday()]
    months = "January February March April May June July August September October November December".split()
    return f"{weekday}, {day.day} {months[day.month - 1]} {day.year}"


def _name_length(duration_s: float) -> str:
    minutes, seconds = divmod(round(duration_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def _says_more(draft: Draft) -> bool:
    """A short note is its own summary; saying everything twice helps nobody."""
    return bool(draft.summary) and draft.summary != " ".join(sentence.text for sentence in draft.body)


def _paragraphs(draft: Draft) -> list[str]:
    texts = [sentence.text for sentence in draft.body]
    starts = range(0, len(texts), _SENTENCES_A_PARAGRAPH)
    return [_escape(" ".join(texts[start : start + _SENTENCES_A_PARAGRAPH])) for start in starts]


def _section(title: str, lines: list[str]) -> list[str]:
    return [f"## {title}", "\n".join(lines)] if lines else []


def _check_box(todo: Todo) -> str:
    due = f" *({_name_day(todo.due)})*" if todo.due else ""
    return f"- [ ] {_escape(todo.text)}{due}"


def _escape(text: str) -> str:
    """Text as it was said, whatever signs it holds: none of them may turn into Markdown."""
    return _MARKS.sub(lambda match: f"{match[0][:-1]}\\{match[0][-1]}", text)
