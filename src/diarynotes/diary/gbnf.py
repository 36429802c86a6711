"""A JSON schema as a grammar in llama.cpp's notation (GBNF), so that a model can write nothing else.

Takes the subset that `note_shape.schema_of` gives: objects whose properties are all required, arrays, enums, unions and
plain values. llama-cpp-python has a converter of its own (0.3.36), which lets line breaks and control characters into
strings; JSON does not. Notation: github.com/ggml-org/llama.cpp/blob/master/grammars/README.md.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

_TERMINALS = {
    "string": r'"\"" char* "\""',
    "integer": '("0" | [1-9] [0-9]{0,5})',
    "number": '"-"? ("0" ("." [0-9]{1,4})? | "1" ("." "0"{1,4})?)',
    "boolean": '("true" | "false")',
    "null": '"null"',
}
_SHARED = (
    r'char ::= [^"\\\x00-\x1F\x7F] | "\\" (["\\/bfnrt] | "u" unit)',
    "unit ::= [0-9a-cA-CefEF] hex hex hex | [dD] [0-7] hex hex",  # no halves of surrogate pairs
    "hex ::= [0-9a-fA-F]",
    'ws ::= " "?',  # more would let a model that has lost its way write spaces to the end
)


def grammar_of(schema: Mapping[str, Any]) -> str:
    """The grammar, rule `root` first, of all JSON texts that fit the schema, with a space at most between tokens.

    Whole numbers are those of lines: not negative, and below a million. Others are scores: from -1 to 1. Raises:
    ValueError for what is not in the subset.
    """
    rules: list[str] = []
    root = _rule(schema, "root", rules)
    return "\n".join((f"root ::= {root}", *rules, *_SHARED))


def _rule(schema: Mapping[str, Any], name: str, rules: list[str]) -> str:
    """What stands for the schema inside of another rule; rules that it needs are added."""
    if "anyOf" in schema:
        return f"({' | '.join(_rule(one, f'{name}-{number}', rules) for number, one in enumerate(schema['anyOf']))})"
    if "enum" in schema:
        return f"({' | '.join(_literal(json.dumps(value)) for value in schema['enum'])})"
    kind = schema.get("type")
    if kind == "object":
        return _object(schema["properties"], schema["required"], name, rules)
    if kind == "array":
        rules.append(f"{name}-item ::= {_rule(schema['items'], f'{name}-item', rules)}")
        return f'"[" ws ({name}-item (ws "," ws {name}-item)*)? ws "]"'
    if str(kind) not in _TERMINALS:
        raise ValueError(f"no grammar for a schema of type {kind}")
    return _TERMINALS[str(kind)]


def _object(properties: Mapping[str, Any], required: Sequence[str], name: str, rules: list[str]) -> str:
    if set(required) != set(properties):
        raise ValueError("no grammar for an object with properties that may be missing")
    members = []
    for key, value in properties.items():
        rules.append(f'{name}-{key} ::= {_literal(json.dumps(key))} ws ":" ws {_rule(value, f"{name}-{key}", rules)}')
        members.append(f"{name}-{key}")
    return '"{" ws ' + ' ws "," ws '.join(members) + ' ws "}"'


def _literal(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
