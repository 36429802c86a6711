"""What goes into the store and comes out of it beside the nouns of `diarynotes.models`. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Literal, TypeAlias

from diarynotes.models import (
    Cost,
    DayEntry,
    DiaryNote,
    Job,
    JobState,
    Priority,
    Recording,
    RecordingId,
    Transcript,
    WindowText,
)

SET_ASIDE: tuple[JobState, ...] = ("quarantined", "discarded", "erased")
"""The notes of recordings in these states are in no entry."""

UsageStage: TypeAlias = Literal["engine", "writer"]
HeardWindows: TypeAlias = dict[str, dict[int, list[WindowText]]]
"""What was heard of one recording, by what its windows are and who heard them, and by the window's number."""


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """What a bucket says about an object without reading it; `etag` changes whenever the object does."""

    uri: str
    size_bytes: int
    etag: str


@dataclass(frozen=True, slots=True)
class Drop:
    """An object that somebody told of and that is to be registered.

    `version` is what the teller calls this content of it, empty where it calls it nothing. The rest is the inbox's:
    `told` counts how often it was told of, `tries` how often it could not be registered.
    """

    owner: str
    uri: str
    version: str = ""
    priority: Priority = "normal"
    id: int = 0
    told: int = 1
    tries: int = 0
    received_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class DropLine:
    """A drop as a list of drops shows it: when it is tried again, why it was not registered, whether it is given up."""

    drop: Drop
    is_dead: bool
    next_try_at: datetime | None
    error_code: str | None
    error_message: str | None


@dataclass(frozen=True, slots=True)
class KnownSource:
    """A source as it was when last seen, and the recording that it held then."""

    size_bytes: int
    etag: str
    recording_id: RecordingId


@dataclass(frozen=True, slots=True)
class Registered:
    """A recording as it is stored; `is_new` is false where these bytes of this owner were known already."""

    recording: Recording
    is_new: bool


@dataclass(frozen=True, slots=True)
class Landing:
    """All that the warehouse holds of one recording. `attempt` is the fencing token of the job that lands it.

    `days` are the diary days under which the recording may have landed before; None is unknown, and makes the
    warehouse look through every day.
    """

    recording: Recording
    transcript: Transcript
    note: DiaryNote
    costs: Sequence[Cost]
    attempt: int
    days: tuple[date, ...] | None = None


@dataclass(frozen=True, slots=True)
class StoredNote:
    """A current note with what a list of notes shows beside it; `usd` is None where a part of the cost is unknown."""

    note: DiaryNote
    recording: Recording
    transcript: Transcript
    usd: Decimal | None
    written_at: datetime


def in_order(stored: StoredNote) -> tuple[datetime, RecordingId]:
    """What puts the notes of a day in the order in which they were recorded."""
    return stored.recording.recorded_at, stored.recording.id


@dataclass(frozen=True, slots=True)
class NoteVersion:
    """A note of a recording, when it was written, and whether it is the current one or history."""

    note: DiaryNote
    written_at: datetime
    is_current: bool


@dataclass(frozen=True, slots=True)
class Experience:
    """What the latest answers of a model took: how many they are, and the means of an answer.

    `input_share` is what they read by what was estimated, `output_share` what they wrote by that estimate.
    """

    answers: int
    input_share: float
    output_share: float
    latency_s: float


@dataclass(frozen=True, slots=True)
class Fruitless:
    """Calls of a model for a recording since its current note was written, none of which became its note.

    `rejected` tells that the model refused what was said, found it too long, or gave no answer that can be read.
    """

    recording_id: RecordingId
    writer: str
    model: str
    answers: int
    rejected: bool


@dataclass(frozen=True, slots=True)
class JobLine:
    """A job with its recording's owner and uri, as a list of jobs shows it."""

    job: Job
    owner: str
    uri: str


@dataclass(frozen=True, slots=True)
class StaleDay:
    """A day of an owner whose entry does not show its notes; `notes_version` is theirs, None where it has none."""

    owner: str
    day: date
    notes_version: str | None


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """An entry, when it was written, and whether it is its day's current one."""

    entry: DayEntry
    written_at: datetime
    is_current: bool
