"""Reads a transcript from a file that a person made: plain text, a segment a line, or JSON.

Knows nothing of recordings; the file's own content stands in for one.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from diarynotes.errors import BadSettings
from diarynotes.models import Segment, Transcript, make_id

_SEGMENT_S = 5.0
"""Seconds that a segment without times is given, so that segments keep their order in time."""


def read_transcript(path: Path) -> Transcript:
    """The transcript in a text file (a segment a line) or in a `.json` file.

    JSON is `{"segments": [...], "language": "en"}`; a segment is a string or `{"start_s", "end_s", "text"}`. The
    language may be left out and is then empty: unknown. The same content always gives the same ids.

    Raises: BadSettings, naming the file and never its text, when it cannot be read or is not of this form.
    """
    content = _read_bytes(path)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadSettings(str(path), "is not UTF-8 text; a transcript is a text or a JSON file") from error
    language, segments = _read_json(path, text) if path.suffix.lower() == ".json" else ("", _read_lines(text))
    recording_id = make_id("transcript_file", hashlib.sha256(content).hexdigest())
    return Transcript(
        id=Transcript.identify(recording_id, "file", ""),
        recording_id=recording_id,
        engine="file",
        model="",
        language=language,
        segments=segments,
        trust=1.0,
    )


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadSettings(str(path), f"cannot be read: {error.strerror or 'unknown reason'}") from error


def _read_lines(text: str) -> tuple[Segment, ...]:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return tuple(_place(line, number) for number, line in enumerate(lines))


def _read_json(path: Path, text: str) -> tuple[str, tuple[Segment, ...]]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        place = f" (line {error.lineno})" if isinstance(error, json.JSONDecodeError) else ""
        raise BadSettings(str(path), f"is not valid JSON{place}") from error
    items = document.get("segments") if isinstance(document, dict) else None
    if not isinstance(items, list):
        raise BadSettings(str(path), 'holds no segments; expected {"segments": [...]}')
    language = document.get("language", "")
    if not isinstance(language, str):
        raise BadSettings(str(path), "language must be a string such as en")
    return language, tuple(_read_segment(path, item, number) for number, item in enumerate(items))


def _read_segment(path: Path, item: Any, number: int) -> Segment:
    if isinstance(item, str):
        return _place(item, number)
    if not isinstance(item, dict) or not isinstance(item.get("text"), str):
        raise BadSettings(str(path), f"segment {number} is neither a string nor an object with a text")
    default = _place(item["text"], number)
    start_s, end_s = item.get("start_s", default.start_s), item.get("end_s", default.end_s)
    if not _is_time(start_s) or not _is_time(end_s) or end_s < start_s:
        raise BadSettings(str(path), f"segment {number} has times that do not fit; give start_s <= end_s in seconds")
    return Segment(float(start_s), float(end_s), item["text"])


def _is_time(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf")


def _place(text: str, number: int) -> Segment:
    return Segment(number * _SEGMENT_S, (number + 1) * _SEGMENT_S, text)
