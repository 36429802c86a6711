"""The block of YAML at the head of a page.

Text always stands in double quotes: YAML 1.2 takes JSON's (yaml.org/spec/1.2.2, section 1.3), and what a reader of
YAML 1.1 would stumble on is escaped. Knows nothing of diaries.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import TypeAlias

Value: TypeAlias = str | bool | int | float | date | Sequence[str]

# printable in JSON, but neither printable nor a plain sign in YAML: controls, line and paragraph ends, byte order marks
_UNSAFE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")


def front_matter(values: Mapping[str, Value]) -> str:
    """The block with its fences, a line break at the end; keys are plain words, in the order given."""
    lines = [f"{key}:{_write(value)}" for key, value in values.items()]
    return "\n".join(("---", *lines, "---", ""))


def _write(value: Value) -> str:
    match value:
        case bool():
            return f" {str(value).lower()}"
        case int() | float():
            return f" {value}"
        case date():
            return f" {value.isoformat()}"
        case str():
            return f" {_quote(value)}"
        case _:
            return "".join(f"\n  - {_quote(text)}" for text in value) or " []"


def _quote(text: str) -> str:
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", json.dumps(text, ensure_ascii=False))
