"""The shape of a note: its schema, and answers read into drafts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diarynotes.diary.note_shape import (
    HeadShape,
    NoteShape,
    NotThisShape,
    draft_from,
    note_from,
    once,
    read_shape,
    schema_of,
)
from diarynotes.models import Draft, Mood, Sentence, Todo

DRAFT = Draft(
    title="A title",
    summary="A summary.",
    mood=Mood("mixed", -0.25),
    body=(Sentence("I saw [PERSON_1].", (0, 2)), Sentence("It rained.", (3,))),
    people=("[PERSON_1]",),
    places=("Gdańsk",),
    topics=("rain",),
    todos=(Todo("Call", date(2026, 2, 28)), Todo("Buy milk")),
    questions=("Why?",),
)


def objects_in(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        if schema.get("type") == "object":
            yield schema
        for part in schema.values():
            yield from objects_in(part)
    if isinstance(schema, list):
        for part in schema:
            yield from objects_in(part)


@pytest.mark.parametrize("shape", [NoteShape, HeadShape])
def test_the_schema_is_in_the_subset_that_vendors_take(shape: type[NoteShape]) -> None:
    schema = schema_of(shape)
    found = list(objects_in(schema))
    assert found[0] is schema
    for one in found:
        assert one["additionalProperties"] is False
        assert one["required"] == list(one["properties"])
    words = json.dumps(schema)
    assert not [key for key in ("$ref", "$defs", "default", "maxLength", "minimum", "maxItems") if f'"{key}"' in words]
    assert "A whole note" not in words  # our docstrings are no business of a model's


def test_the_body_is_written_before_its_title() -> None:
    names = list(schema_of(NoteShape)["properties"])
    assert names.index("body") < names.index("title") < names.index("summary")


def test_a_draft_comes_back_as_it_went() -> None:
    answer = note_from(DRAFT).model_dump_json()
    assert draft_from(read_shape(answer, NoteShape), numbers=range(4)) == (DRAFT, ())


@pytest.mark.parametrize(
    "around",
    ["{}", "```json\n{}\n```", "Here is the note: {} I hope it helps.", "<think>{{or not}}</think>\n{}", "\ufeff{}"],
)
def test_an_object_is_found_among_words(around: str) -> None:
    answer = around.format(note_from(DRAFT).model_dump_json())
    assert read_shape(answer, NoteShape).title == "A title"


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"mood": {"label": "mixed", "score": 1.01}}, "mood.score"),
        ({"mood": {"label": "joyful", "score": 0}}, "mood.label"),
        ({"mood": None}, "mood"),
        ({"body": [{"text": "secret", "segments": [True]}]}, "body.0.segments.0"),
        ({"body": [{"text": "secret", "segments": [1.5]}]}, "body.0.segments.0"),
        ({"body": [{"segments": [1]}]}, "body.0.text"),
        ({"title": ["secret"]}, "title"),
        ({"summary": "secret " * 1_000}, "summary"),
        ({"people": [{"name": "secret"}]}, "people.0"),
    ],
)
def test_what_is_wrong_is_told_by_its_place(change: dict[str, Any], place: str) -> None:
    answer = json.dumps(json.loads(note_from(DRAFT).model_dump_json()) | change)
    with pytest.raises(NotThisShape) as caught:
        read_shape(answer, NoteShape)
    assert [problem.split(":")[0] for problem in caught.value.problems] == [place]
    assert "secret" not in str(caught.value)
    assert caught.value.__context__ is None


def test_lists_may_be_missing() -> None:
    bare = {
        "body": [{"text": "x", "segments": [0]}],
        "title": "t",
        "summary": "",
        "mood": {"label": "neutral", "score": 0},
    }
    draft, slips = draft_from(read_shape(json.dumps(bare), NoteShape), numbers={0})
    assert (draft.people, draft.todos, slips) == ((), (), ())


def test_control_signs_and_line_breaks_are_cleaned_away() -> None:
    note = note_from(DRAFT).model_dump() | {"title": "A\x00 title\r\n of\ttwo\u0085 lines", "people": ["An\x1bna"]}
    draft, _ = draft_from(NoteShape.model_validate(note), numbers=range(4))
    assert draft.title == "A title of two lines"
    assert draft.people == ("An na",)


def test_slips_are_left_out_and_told() -> None:
    note = note_from(DRAFT)
    note.body[0].segments = [0, 0, 9, -1]
    note.todos[0].due = "2026-02-30"
    draft, slips = draft_from(note, numbers=range(4))
    assert draft.body[0].evidence == (0,)
    assert draft.todos[0].due is None
    assert [slip.split(":")[0] for slip in slips] == ["body.0.segments", "todos.0.due"]
    _, slips = draft_from(note.model_copy(update={"title": "", "body": []}), numbers=range(4))
    assert [slip.split(":")[0] for slip in slips] == ["todos.0.due", "body", "title"]


def test_names_are_told_once() -> None:
    assert once(["Anna", "", "anna", "Ａｎｎａ", "Bo"]) == ("Anna", "Bo")


@given(st.text())
def test_any_answer_is_a_note_or_not_one(answer: str) -> None:
    with pytest.raises(NotThisShape):
        read_shape(answer, NoteShape)
