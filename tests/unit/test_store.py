"""The store package: what importing it costs, and the parts that need no server."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from sqlalchemy.dialects import postgresql

from diarynotes.errors import BadSettings
from diarynotes.models import (
    Cost,
    DiaryNote,
    Draft,
    Media,
    Mood,
    Quality,
    Recording,
    Segment,
    Sentence,
    Todo,
    Transcript,
    Usage,
)
from diarynotes.store import Landing
from diarynotes.store.database import open_database
from diarynotes.store.land import TABLES, make_frame, schema_of, total_usd
from diarynotes.store.tables import Noun, plain, plain_text

RECORDING = Recording(
    "r1",
    "me",
    "file:///in/a.wav",
    "0" * 64,
    100,
    datetime(2026, 11, 1, 23, tzinfo=UTC),
    "container",
    media=Media("wav", "pcm_s16le", 3.0, 16_000, 1),
    quality=Quality(0.9, 0.1, math.inf, 0.0, 8000.0, ("quiet",)),
)
TRANSCRIPT = Transcript("t1", "r1", "scripted", "m", "en", (Segment(0, 1, "One."), Segment(1, 2, "Two.", -0.1)), 0.8)
DRAFT = Draft(
    "Title",
    "Summary.",
    Mood("mixed", -0.25),
    (Sentence("One.", (0,)), Sentence("Two.", (1,))),
    people=("Ann",),
    todos=(Todo("Call", date(2026, 11, 3)), Todo("Rest")),
)
NOTE = DiaryNote("n1", "t1", "r1", date(2026, 11, 2), DRAFT, "scripted", "m", "1", degraded=False)
COSTS = (Cost(Usage("p", "m", 10, 5, 1.5), Decimal("0.0000012"), "test"), Cost(Usage("q", "m"), Decimal(0), "test"))
LANDING = Landing(RECORDING, TRANSCRIPT, NOTE, COSTS, 3)


def test_importing_the_store_brings_in_nothing_heavy() -> None:
    code = "import sys, diarynotes.store; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert not {"sqlalchemy", "sqlmodel", "alembic", "psycopg", "polars", "deltalake", "duckdb"} & set(loaded)


# -- nouns in JSONB ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("noun", "value"),
    [
        (Media, RECORDING.media),
        (Quality, RECORDING.quality),
        (Draft, DRAFT),
        (tuple[Segment, ...], TRANSCRIPT.segments),
        (tuple[str, ...], ("a", "b")),
        (Media, Media("ogg", "opus", 1.5, 48_000, 2, datetime(2026, 1, 2, tzinfo=UTC))),
    ],
)
def test_nouns_come_back_from_json_as_they_were(noun: type, value: object) -> None:
    column, dialect = Noun(noun), postgresql.dialect()
    stored = json.loads(json.dumps(column.process_bind_param(value, dialect), allow_nan=False))
    assert column.process_result_value(stored, dialect) == value


def test_nothing_stays_nothing() -> None:
    column, dialect = Noun(Media), postgresql.dialect()
    assert column.process_bind_param(None, dialect) is None
    assert column.process_result_value(None, dialect) is None


def test_values_are_made_to_fit_into_jsonb() -> None:
    odd = {"a\0": ["x\0y", math.inf, -math.inf, 1.5, None, True, 7], "half": "\ud83d!"}
    fit = {"a": ["xy", "Infinity", "-Infinity", 1.5, None, True, 7], "half": "?!"}
    assert plain(odd) == fit
    assert plain(math.nan) == "NaN"
    assert plain_text("whole 😀") == "whole 😀"


# -- rows of the warehouse --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", TABLES)
def test_every_table_says_which_recording_day_and_attempt(table: str) -> None:
    frame = make_frame(table, [LANDING])
    assert frame.select("recording_id", "day", "attempt").unique().rows() == [("r1", date(2026, 11, 2), 3)]
    assert dict(frame.schema) == schema_of(table) == dict(make_frame(table, []).schema)


def test_a_note_is_readable_columns() -> None:
    (row,) = make_frame("notes", [LANDING]).to_dicts()
    assert (row["title"], row["mood"], row["mood_score"]) == ("Title", "mixed", -0.25)
    assert (row["body"], row["source"]) == ("One. Two.", "file:///in/a.wav")
    assert row["sentences"] == [{"text": "One.", "evidence": [0]}, {"text": "Two.", "evidence": [1]}]
    assert row["todos"] == [{"text": "Call", "due": date(2026, 11, 3)}, {"text": "Rest", "due": None}]
    assert row["cost_usd"] == Decimal("0.0000012")
    assert (row["degraded"], row["people"], row["places"]) == (False, ["Ann"], [])


def test_a_note_from_a_degraded_transcript_is_degraded() -> None:
    (row,) = make_frame("notes", [replace(LANDING, transcript=replace(TRANSCRIPT, degraded=True))]).to_dicts()
    assert row["degraded"] is True


def test_segments_and_costs_are_a_row_each() -> None:
    segments = make_frame("segments", [LANDING]).to_dicts()
    assert [(row["number"], row["text"], row["avg_logprob"]) for row in segments] == [
        (0, "One.", None),
        (1, "Two.", -0.1),
    ]
    costs = make_frame("costs", [LANDING]).to_dicts()
    assert [(row["number"], row["provider"], row["usd"]) for row in costs] == [
        (0, "p", Decimal("0.0000012")),
        (1, "q", Decimal(0)),
    ]


def test_a_recording_without_media_or_quality_has_gaps() -> None:
    (row,) = make_frame(
        "recordings", [replace(LANDING, recording=replace(RECORDING, media=None, quality=None))]
    ).to_dicts()
    assert (row["codec"], row["quality"], row["size_bytes"]) == (None, None, 100)
    (full,) = make_frame("recordings", [LANDING]).to_dicts()
    assert (full["codec"], full["snr_db"], full["quality_warnings"]) == ("pcm_s16le", None, ["quiet"])


def test_an_unknown_price_makes_the_sum_unknown() -> None:
    assert total_usd(LANDING) == Decimal("0.0000012")
    assert total_usd(replace(LANDING, costs=())) == 0
    assert total_usd(replace(LANDING, costs=(*COSTS, Cost(Usage("p", "m"), None, "")))) is None


# -- the URL of a database --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url", ["", "nonsense", "sqlite:///x.db", "mysql://me:secret@host/db", "postgresql://me:se cret@h:x/d"]
)
def test_a_url_of_no_postgres_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(BadSettings) as caught:
        open_database(url)
    assert "cret" not in str(caught.value)
