"""Schemas as grammars, held against llama.cpp's own reading of them where it is installed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

import pytest

from diarynotes.diary.gbnf import grammar_of
from diarynotes.diary.note_shape import HeadShape, NoteShape, schema_of

Takes: TypeAlias = Callable[[str, str], bool]

HEAD = grammar_of(schema_of(HeadShape))
NOTE = grammar_of(schema_of(NoteShape))
MOOD = {"label": "neutral", "score": -0.25}
A_HEAD: dict[str, Any] = {"title": "A day", "summary": "Rain.", "mood": MOOD}
A_NOTE: dict[str, Any] = {
    "body": [{"text": 'She said "no" \\ Zoë\n💧', "segments": [0, 12]}, {"text": "", "segments": []}],
    **A_HEAD,
    "people": ["Anna", "Zoë"],
    "places": [],
    "topics": ["rain"],
    "todos": [{"text": "Call", "due": "2026-11-22"}, {"text": "Buy", "due": None}],
    "questions": [],
}


@pytest.fixture(scope="module")
def takes(gguf_model: ModuleType, random_gguf: Path) -> Iterator[Takes]:
    """Whether llama.cpp, held to a grammar, could write a text byte by byte and end there."""
    from diarynotes.diary import llama_loading as loading
    from diarynotes.diary.llama_sampling import Sampling, TokenSampler
    from diarynotes.diary.stoppable import Stop

    library = loading.open_library()
    model = loading.load_model(loading.Spec(random_gguf, 4_096), Stop())
    vocabulary = library.llama_model_get_vocab(model)

    def take(grammar: str, text: str) -> bool:
        with closing(TokenSampler(library, vocabulary, grammar, Sampling(0.0, 1))) as sampler:
            for byte in text.encode():
                if not sampler.allows(gguf_model.FIRST_BYTE + byte):
                    return False
                sampler.accept(gguf_model.FIRST_BYTE + byte)
            return sampler.allows(gguf_model.END)

    yield take
    library.llama_model_free(model)


def test_the_grammar_begins_with_its_root_and_names_every_property() -> None:
    rules = dict(line.split(" ::= ", 1) for line in NOTE.splitlines())
    assert next(iter(rules)) == "root"
    assert {f"root-{name}" for name in NoteShape.model_fields} <= rules.keys()
    assert r'"\"positive\"" | "\"negative\"" | "\"neutral\"" | "\"mixed\""' in rules["root-mood-label"]


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": {"type": "string"}}, "required": []},
        {"type": ["string", "null"]},
        {"$ref": "#/$defs/a"},
    ],
)
def test_a_schema_out_of_the_subset_is_an_error(schema: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no grammar"):
        grammar_of(schema)


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
@pytest.mark.parametrize("escape", [False, True])
def test_it_takes_what_fits(takes: Takes, escape: bool, separators: tuple[str, str]) -> None:
    note = {**A_NOTE, "body": [{"text": "Zoë", "segments": [0]}]} if escape else A_NOTE
    assert takes(NOTE, json.dumps(note, ensure_ascii=escape, separators=separators))
    assert takes(HEAD, json.dumps(A_HEAD, ensure_ascii=escape, separators=separators))


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        json.dumps({**A_HEAD, "more": 1}),
        json.dumps(dict(reversed(A_HEAD.items()))),
        json.dumps({**A_HEAD, "title": None}),
        json.dumps({**A_HEAD, "mood": {"label": "glad", "score": 0}}),
        *(json.dumps({**A_HEAD, "mood": {"label": "mixed", "score": score}}) for score in (1.5, -2, 10, 1e-7)),
        json.dumps(A_HEAD).replace("A day", "A\nday"),
        json.dumps(A_HEAD).replace("A day", "A\x02day"),
        json.dumps(A_HEAD).replace("A day", "half a sign \\ud83d"),
        json.dumps(A_HEAD).replace("-0.25", "-0.25,"),
        json.dumps(A_HEAD, indent=2),
        json.dumps(A_HEAD) + " and more",
        json.dumps(A_HEAD)[:-1],
    ],
)
def test_it_takes_nothing_else(takes: Takes, text: str) -> None:
    assert not takes(HEAD, text)


@pytest.mark.parametrize("segments", [[-1], [1_000_000], [0.5], ["0"], [None]])
def test_evidence_is_numbers_of_lines(takes: Takes, segments: list[Any]) -> None:
    assert not takes(NOTE, json.dumps({**A_NOTE, "body": [{"text": "I", "segments": segments}]}))
