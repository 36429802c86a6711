"""A note as a small text file for a person's editor, and back.

What a line says is taken as it stands; only where each sentence was said is looked up, by the words that it shares with
the sentence that it was. Knows no editor, no file and no store.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import TypeVar, get_args

from diarynotes.diary.words import STOPWORDS, fold
from diarynotes.errors import BadSettings
from diarynotes.models import PERSON, DiaryNote, Draft, Mood, MoodLabel, Sentence, Todo

_HELP = {
    "title": "One line.",
    "summary": "",
    "mood": "positive, negative, neutral or mixed, and a number from -1 (bad) to 1 (good).",
    "body": "A sentence or a paragraph a line.",
    "todos": "One a line, with its date where it has one: - [ ] Water the roses (due 2026-11-22). [x] takes it off.",
    "people": "One a line; so with what follows.",
    "places": "",
    "topics": "",
    "questions": "",
}
"""The parts of a note in the order in which they stand, and what is said about each."""
_HEAD = """\
# {about}
#
# Change what you like, save and close. Lines that begin with a # and a blank are not part of the note, and a word alone
# in [brackets] names a part of it; put a \\ before either to make it text. Save an empty file to change nothing.
"""
_LISTS = ("people", "places", "topics", "questions")
_HEADING = re.compile(r"\[(\w+)\]\s*")
_COMMENT = re.compile(r"#(?:\s|$)")
_MARKED = re.compile(r"#(?:\s|$)|\\|\[\w+\]$")
_DUE = re.compile(r"(?<!\\)\(due ([^()]*)\)$")
_BOX = re.compile(r"(?:[-*+]\s+)?\[([ xX]?)\]\s+|[-*+]\s+")
_BULLET = re.compile(r"[-*+]\s+")
_MOST_LETTERS = 120
"""Of a title: what the data checks let land."""
_USUAL_SCORES: dict[MoodLabel, float] = {"positive": 0.5, "negative": -0.5, "neutral": 0.0, "mixed": 0.0}
_Item = TypeVar("_Item")
_ALIKE = 0.6
"""The share of words that a sentence must have kept for what carries it to carry it still."""


def note_as_text(note: DiaryNote, about: str) -> str:
    """The note as a text to edit; `about` is one line that says which it is."""
    draft = note.draft
    parts: dict[str, list[str]] = {
        "title": [draft.title],
        "summary": [draft.summary] if draft.summary else [],
        "mood": [f"{draft.mood.label} {draft.mood.score:g}"],
        "body": [sentence.text for sentence in draft.body],
        "todos": [_show_todo(todo) for todo in draft.todos],
        **{name: [f"- {_join(item)}" for item in getattr(draft, name)] for name in _LISTS},
    }
    blocks = [_HEAD.format(about=_join(about))]
    for name, says in _HELP.items():
        lines = [f"[{name}]", *([f"# {says}"] if says else []), *(_escape(_join(line)) for line in parts[name])]
        blocks.append("\n".join(lines) + "\n")
    return "\n".join(blocks)


def edit_note(note: DiaryNote, text: str) -> DiaryNote | None:
    """What a person has made of `note`, read from their text; None where that changes nothing, or is empty.

    Sentences keep the evidence of what they were, where they are that still; new ones have none. Raises: BadSettings,
    with the line, for a text that cannot be read; it quotes nothing of it.
    """
    if not any(line for _, line in _lines(text)):
        return None
    after = _read(text, note.draft)
    if after == _read_again(note):
        return None
    draft = replace(after, body=find_evidence([sentence.text for sentence in after.body], note.draft.body))
    version = hashlib.sha256(json.dumps([note.id, asdict(draft)], default=str).encode()).hexdigest()[:12]
    return replace(
        note,
        id=DiaryNote.identify(note.transcript_id, PERSON, "", version),
        draft=draft,
        writer=PERSON,
        model="",
        prompt_version=version,
        degraded=False,
        findings=(),
        grounded_share=None,
    )


def find_evidence(texts: Sequence[str], known: Sequence[Sentence]) -> tuple[Sentence, ...]:
    """The texts as sentences, each with the evidence of the known sentences that it is, holds or is a part of.

    Those that did not change come first. Of the others, a text holds a sentence, or is a part of one, when three fifths
    of the words of the shorter are in the longer, one of them more than a small word.
    """
    same = {_join(sentence.text): sentence.evidence for sentence in known}
    left = [sentence for sentence in known if _join(sentence.text) not in set(texts)]
    bags = [_Bag(sentence.text) for sentence in left]
    return tuple(Sentence(text, same[text] if text in same else _search(_Bag(text), left, bags)) for text in texts)


class _Bag:
    """The words of a text, folded, without their order."""

    def __init__(self, text: str) -> None:
        self.words = Counter(fold(text))
        self.content = frozenset(self.words) - STOPWORDS


def _search(bag: _Bag, known: Sequence[Sentence], bags: Sequence[_Bag]) -> tuple[int, ...]:
    found: list[int] = []
    for sentence, other in zip(known, bags, strict=True):
        shorter = min(bag.words.total(), other.words.total())
        if bag.content & other.content and (bag.words & other.words).total() >= _ALIKE * shorter:
            found += sentence.evidence
    return tuple(dict.fromkeys(found))


# -- writing ----------------------------------------------------------------------------------------------------------


def _join(text: str) -> str:
    """One line of it."""
    return " ".join(text.split())


def _escape(line: str) -> str:
    return f"\\{line}" if _MARKED.match(line) else line


def _show_todo(todo: Todo) -> str:
    text = _DUE.sub(lambda match: f"\\{match[0]}", _join(todo.text))
    return f"- [ ] {text}" + (f" (due {todo.due.isoformat()})" if todo.due else "")


# -- reading ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of a part, and its number in the file, counted from 1."""

    number: int
    text: str


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines by number, without comments and blanks around; only what ends a line in an editor ends one here."""
    for number, raw in enumerate(text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n"), 1):
        line = _join(raw)
        yield number, "" if _COMMENT.match(line) else line


def _read(text: str, before: Draft) -> Draft:
    parts = _split(text)
    for name in ("title", "body"):
        if not any(line.text for line in parts.get(name, [])):
            raise BadSettings(f"[{name}]", "a note needs one; a text that is left empty altogether changes nothing")
    lists = {name: _read_list(parts.get(name, []), _read_item) for name in _LISTS}
    return Draft(
        title=_read_title(parts["title"]),
        summary=" ".join(line.text for line in parts.get("summary", [])),
        mood=_read_mood(parts.get("mood", []), before.mood),
        body=tuple(Sentence(line.text, ()) for line in parts["body"]),
        people=lists["people"],
        places=lists["places"],
        topics=lists["topics"],
        todos=_read_list(parts.get("todos", []), _read_todo),
        questions=lists["questions"],
    )


def _read_again(note: DiaryNote) -> Draft | None:
    """The draft as it comes out of its own text; None for one that is too bare to be a note."""
    try:
        return _read(note_as_text(note, ""), note.draft)
    except BadSettings:
        return None


def _split(text: str) -> dict[str, list[_Line]]:
    """The lines that hold something, by the part that they stand in."""
    parts: dict[str, list[_Line]] = {}
    name = ""
    for number, line in _lines(text):
        heading = _HEADING.fullmatch(line)
        if heading:
            name = heading[1].lower()
            if name not in _HELP:
                known = ", ".join(f"[{part}]" for part in _HELP)
                raise _wrong(number, f"no part of a note has this name; there are {known}. As text, begin it with a \\")
            parts.setdefault(name, [])
        elif line and not name:
            raise _wrong(number, "it stands before the first part; put it below [title] or another")
        elif line:
            parts[name].append(_Line(number, line.removeprefix("\\")))
    return parts


def _wrong(number: int, why: str) -> BadSettings:
    return BadSettings(f"line {number}", why)


def _read_title(lines: Sequence[_Line]) -> str:
    if len(lines) > 1:
        raise _wrong(lines[1].number, "a title is one line")
    if len(lines[0].text) > _MOST_LETTERS:
        raise _wrong(lines[0].number, f"a title has {_MOST_LETTERS} letters at most; this one {len(lines[0].text)}")
    return lines[0].text


def _read_mood(lines: Sequence[_Line], before: Mood) -> Mood:
    """The mood; a label alone has the score that it had, or its usual one."""
    if not lines:
        return before
    label, _, number = lines[0].text.partition(" ")
    known = {name: name for name in get_args(MoodLabel)}
    if label.lower() not in known or len(lines) > 1:
        raise _wrong(lines[-1].number, f"a mood is one of {', '.join(known)}, and a number from -1 to 1")
    chosen: MoodLabel = known[label.lower()]
    if not number:
        return before if chosen == before.label else Mood(chosen, _USUAL_SCORES[chosen])
    try:
        score = float(number.replace(",", "."))
    except ValueError:
        score = 2.0
    if not -1 <= score <= 1:
        raise _wrong(lines[0].number, "the number of a mood lies between -1 (bad) and 1 (good)")
    return before if f"{score:g}" == f"{before.score:g}" and chosen == before.label else Mood(chosen, score)


def _read_list(lines: Sequence[_Line], read: Callable[[_Line], _Item | None]) -> tuple[_Item, ...]:
    return tuple(dict.fromkeys(item for item in map(read, lines) if item))


def _read_item(line: _Line) -> str:
    return _BULLET.sub("", line.text, count=1) if _BULLET.match(line.text) else line.text


def _read_todo(line: _Line) -> Todo | None:
    """A todo; None for one that is done."""
    box = _BOX.match(line.text)
    if box and (box[1] or "").lower() == "x":
        return None
    text = line.text[box.end() :] if box else line.text
    named = _DUE.search(text)
    if not named:
        return Todo(text.replace("\\(due", "(due"))
    try:
        due = date.fromisoformat(named[1].strip())
    except ValueError:
        due = None
    if due is None:
        raise _wrong(line.number, "a date is written like (due 2026-11-22); as text, put a \\ before the bracket")
    return Todo(text[: named.start()].rstrip().replace("\\(due", "(due"), due)
