"""The one shape that every language model fills: what it may hold, its JSON schema, and the way to and from a draft.

Knows no model and no vendor. The text of the note comes before its title and summary, so that a model that writes from
left to right sums up what it has written, not what it expects to write.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Mapping, Sequence
from copy import deepcopy
from datetime import date
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictInt, StringConstraints, ValidationError

from diarynotes.models import Draft, Mood, MoodLabel, Sentence, Todo

_MOST_PROBLEMS = 20


def _clean(text: str) -> str:
    """One line without control characters: databases refuse NUL, and a name with a line break in it is none."""
    return " ".join("".join(" " if unicodedata.category(sign) == "Cc" else sign for sign in text).split())


_Line = Annotated[str, StringConstraints(max_length=500), AfterValidator(_clean)]
_Paragraph = Annotated[str, StringConstraints(max_length=5_000), AfterValidator(_clean)]
_Lines = Annotated[list[_Line], Field(max_length=500)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True, allow_inf_nan=False)


class MoodShape(_Part):
    """How the speaker says they feel."""

    label: MoodLabel
    score: Annotated[float, Field(ge=-1, le=1, description="From -1 (bad) to 1 (good).")]


class SentenceShape(_Part):
    """A sentence of the note with its evidence."""

    text: _Paragraph
    segments: Annotated[list[StrictInt], Field(description="Numbers of the transcript lines that carry the sentence.")]


class TodoShape(_Part):
    """Something that the speaker means to do."""

    text: _Line
    due: Annotated[str | None, Field(description="YYYY-MM-DD where a day was said, else null.")] = None


class HeadShape(_Part):
    """What stands over a note."""

    title: _Line
    summary: _Paragraph
    mood: MoodShape


class NoteShape(_Part):
    """A whole note. Lists may be missing in what is read; the schema asks for all of them."""

    body: Annotated[list[SentenceShape], Field(max_length=5_000)]
    title: _Line
    summary: _Paragraph
    mood: MoodShape
    people: _Lines = []
    places: _Lines = []
    topics: _Lines = []
    todos: Annotated[list[TodoShape], Field(max_length=500)] = []
    questions: _Lines = []


class SharedNoteShape(NoteShape):
    """The note of one of several memos, which are counted from 1."""

    memo: Annotated[int, Field(description="The number of the memo that this is the note of.")]


class SharedShape(_Part):
    """The notes of several memos."""

    notes: Annotated[list[SharedNoteShape], Field(max_length=100)]


SHAPES = (NoteShape, HeadShape, SharedShape)
"""All that a model may be asked for."""

_Shape = TypeVar("_Shape", bound=_Part)


class NotThisShape(ValueError):
    """An answer that is not what was asked for; `problems` name places and rules, never words of the answer."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__(*problems)
        self.problems = tuple(problems)


def schema_of(shape: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema of a shape in the subset that all vendors take.

    No references, no limits and no defaults; every property required, no others allowed: what OpenAI's and Anthropic's
    structured outputs ask for (platform.openai.com/docs/guides/structured-outputs,
    platform.claude.com/docs/en/build-with-claude/structured-outputs). Limits are checked when the answer is read.
    """
    whole = shape.model_json_schema()
    return _narrow(whole, whole.get("$defs", {}))


def read_shape(text: str, shape: type[_Shape]) -> _Shape:
    """Reads the JSON object in an answer, which may stand in a code fence or behind a model's thoughts.

    Raises: NotThisShape for what is no such object; infinite numbers and lone surrogates are none either.
    """
    problems: list[str] = []
    try:
        return shape.model_validate_json(_find_object(text))
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=False)
        problems = [f"{'.'.join(map(str, one['loc'])) or 'answer'}: {one['msg']}" for one in found[:_MOST_PROBLEMS]]
    raise NotThisShape(problems)  # outside of the handler: what pydantic raised holds the answer


def draft_from(note: NoteShape, *, numbers: Collection[int]) -> tuple[Draft, tuple[str, ...]]:
    """The draft in a note, and what is wrong with it without making it useless.

    `numbers` are those of the lines that the model was shown: evidence beyond them is left out and told, and so is a
    date that does not exist. Empty texts and names said twice are left out.
    """
    slips: list[str] = []
    body = tuple(_sentence(part, place, numbers, slips) for place, part in enumerate(note.body) if part.text)
    todos = tuple(_todo(part, place, slips) for place, part in enumerate(note.todos) if part.text)
    slips += [f"{name}: must not be empty" for name, given in (("body", body), ("title", note.title)) if not given]
    draft = Draft(
        title=note.title,
        summary=note.summary,
        mood=Mood(note.mood.label, note.mood.score),
        body=body,
        people=once(note.people),
        places=once(note.places),
        topics=once(note.topics),
        todos=tuple(dict.fromkeys(todos)),
        questions=once(note.questions),
    )
    return draft, tuple(slips)


def note_from(draft: Draft) -> NoteShape:
    """The shape of a draft, as a model would have given it."""
    return NoteShape(
        body=[SentenceShape(text=sentence.text, segments=list(sentence.evidence)) for sentence in draft.body],
        title=draft.title,
        summary=draft.summary,
        mood=MoodShape(label=draft.mood.label, score=draft.mood.score),
        people=list(draft.people),
        places=list(draft.places),
        topics=list(draft.topics),
        todos=[TodoShape(text=todo.text, due=todo.due.isoformat() if todo.due else None) for todo in draft.todos],
        questions=list(draft.questions),
    )


def once(texts: Sequence[str]) -> tuple[str, ...]:
    """The texts that are not empty, each once; "anna" after "Anna" is the same."""
    seen: dict[str, str] = {}
    for text in texts:
        seen.setdefault(unicodedata.normalize("NFKC", text).casefold(), text)
    return tuple(text for key, text in seen.items() if key)


def _sentence(part: SentenceShape, place: int, numbers: Collection[int], slips: list[str]) -> Sentence:
    named = tuple(dict.fromkeys(part.segments))
    evidence = tuple(number for number in named if number in numbers)
    if not evidence or evidence != named:
        slips.append(f"body.{place}.segments: must name the lines that carry the sentence, and only lines that exist")
    return Sentence(part.text, evidence)


def _todo(part: TodoShape, place: int, slips: list[str]) -> Todo:
    if not part.due:
        return Todo(part.text)
    try:
        return Todo(part.text, date.fromisoformat(part.due))
    except ValueError:
        slips.append(f"todos.{place}.due: must be a date that exists, as YYYY-MM-DD, or null")
        return Todo(part.text)


def _find_object(text: str) -> str:
    answer = text.rpartition("</think>")[2]
    start, end = answer.find("{"), answer.rfind("}")
    return answer[start : end + 1] if 0 <= start < end else answer


def _narrow(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        return _narrow(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    told = ("type", "enum") if "properties" in schema else ("type", "enum", "description")  # docstrings are for us
    narrow = {key: deepcopy(schema[key]) for key in told if key in schema}
    if "anyOf" in schema:
        narrow["anyOf"] = [_narrow(one, definitions) for one in schema["anyOf"]]
    if "items" in schema:
        narrow["items"] = _narrow(schema["items"], definitions)
    if "properties" in schema:
        narrow["properties"] = {name: _narrow(one, definitions) for name, one in schema["properties"].items()}
        narrow |= {"required": list(schema["properties"]), "additionalProperties": False}
    return narrow
