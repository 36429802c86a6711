"""What a language model is told: the prompt files of this package, filled in and put into roles.

Knows no model and sends nothing. Rules stand in the system's role and what was said in the user's, between marks.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Literal

from diarynotes.diary.note_shape import SHAPES, schema_of
from diarynotes.diary.numbered import Line
from diarynotes.diary.prompt_choice import PROMPTS, PromptName
from diarynotes.diary.words import WEEKDAYS
from diarynotes.models import Draft

_FILES = ("system", *PROMPTS, "part", "shared", "join", "repair")
_MOST_PROBLEMS = 12


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation with a model."""

    role: Literal["system", "user", "assistant"]
    text: str


@cache
def prompt_version() -> str:
    """A hash of all prompt files and of the shape that is asked for: it changes when what a model is told does."""
    told = [_read(name) for name in _FILES] + [json.dumps(schema_of(shape)) for shape in SHAPES]
    return hashlib.sha256("\x1f".join(told).encode()).hexdigest()[:12]


def ask_for_note(
    lines: Sequence[Line], *, day: date, language: str, prompt: PromptName, part: int = 1, parts: int = 1
) -> tuple[Message, ...]:
    """What asks for the note of these lines, the `part`-th of `parts` runs of one transcript (counted from 1).

    `language` is an ISO 639 code, empty where it is not known; `day` is what "tomorrow" counts from.
    """
    rules = [_read("system"), _read(prompt)]
    if parts > 1:
        rules.append(_read("part").format(part=part, parts=parts))
    spoken = "\n".join(map(str, lines))
    user = f"{_name_day(day)}{_name_language(language)}\n\n<transcript>\n{spoken}\n</transcript>"
    return Message("system", "\n".join(rules)), Message("user", user)


def ask_for_notes(memos: Sequence[tuple[date, Sequence[Line]]], language: str) -> tuple[Message, ...]:
    """What asks for a note of each of several memos, of which the days and the lines are given, in one answer."""
    spoken = [
        f"Memo {number}. {_name_day(day)}\n<transcript>\n{chr(10).join(map(str, lines))}\n</transcript>"
        for number, (day, lines) in enumerate(memos, 1)
    ]
    user = f"There are {len(memos)} memos.{_name_language(language)}\n\n" + "\n\n".join(spoken)
    return Message("system", "\n".join((_read("system"), _read("shared")))), Message("user", user)


def ask_for_head(drafts: Sequence[Draft]) -> tuple[Message, ...]:
    """What asks for one title, summary and mood over the drafts of the parts of a transcript."""
    parts = [
        {"title": draft.title, "summary": draft.summary, "mood": draft.mood.label, "score": draft.mood.score}
        for draft in drafts
    ]
    told = "\n".join(json.dumps(part, ensure_ascii=False).replace("<", "\\u003c") for part in parts)
    return Message("system", _read("join")), Message("user", f"<parts>\n{told}\n</parts>")


def ask_for_repair(messages: Sequence[Message], answer: str, problems: Sequence[str]) -> tuple[Message, ...]:
    """The conversation so far with the answer that was not usable and what was wrong with it."""
    told = "\n".join(f"- {problem}" for problem in problems[:_MOST_PROBLEMS])
    answered = Message("assistant", answer.strip() or "(nothing)")  # Anthropic takes no empty turn
    return *messages, answered, Message("user", _read("repair").format(problems=told))


def _name_day(day: date) -> str:
    return f"Day of the memo: {day.isoformat()}, a {WEEKDAYS[day.weekday()].capitalize()}."


def _name_language(language: str) -> str:
    # a file may name anything as its language
    return f"\nLanguage: {language}." if language.isascii() and language.replace("-", "").isalpha() else ""


@cache
def _read(name: str) -> str:
    return (files("diarynotes.diary") / "prompts" / f"{name}.md").read_text("utf-8").strip() + "\n"
