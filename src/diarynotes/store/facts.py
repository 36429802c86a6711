"""What goes into the store and comes out of it beside the nouns of `diarynotes.models`. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Literal, TypeAlias

from diarynotes.models import Cost, DiaryNote, Job, Recording, RecordingId, Transcript, WindowText

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


@dataclass(frozen=True, slots=True)
class JobLine:
    """A job with its recording's owner and uri, as a list of jobs shows it."""

    job: Job
    owner: str
    uri: str
