"""The tables of the store as SQLModel classes, and how the nouns inside JSONB columns are written and read.

Knows the schema only; queries live beside it. The schema is changed by adding a migration under `migrations/`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any, ClassVar

from pydantic import TypeAdapter
from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    Identity,
    Index,
    MetaData,
    Numeric,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.types import Date, TypeDecorator
from sqlmodel import Field, SQLModel

from diarynotes.models import Draft, Finding, Media, Quality, Segment, WindowText

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_%(column_0_name)s_fkey",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    }
)


def plain_text(value: str) -> str:
    """`value` without what Postgres cannot hold: NUL characters, and halves of surrogate pairs."""
    return value.replace("\0", "").encode("utf-8", "replace").decode("utf-8")


def plain(value: Any) -> Any:
    """`value`, made of dicts, lists and scalars, as JSONB can hold it; an infinite number becomes its name."""
    match value:
        case str():
            return plain_text(value)
        case float() if not math.isfinite(value):
            return {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "NaN")
        case Mapping():
            return {plain_text(str(key)): plain(item) for key, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
        case _:
            return value


class Noun(TypeDecorator[Any]):
    """A JSONB column that holds one of the nouns, or a tuple of them."""

    impl = JSONB(none_as_null=True)
    cache_ok = True

    def __init__(self, noun: Any) -> None:
        super().__init__()
        self.noun = noun
        self._adapter: TypeAdapter[Any] = TypeAdapter(noun)

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:  # noqa: ARG002
        return None if value is None else plain(self._adapter.dump_python(value, mode="json"))

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:  # noqa: ARG002
        return None if value is None else self._adapter.validate_python(value)


def _now() -> Column[datetime]:
    return Column(DateTime(timezone=True), nullable=False, server_default=func.now())


def clock_column(**options: Any) -> Column[datetime]:
    """When the row was made."""
    return Column(DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp(), **options)


def time_column() -> Column[datetime]:
    """A moment that may not have come."""
    return Column(DateTime(timezone=True), nullable=True)


def usd_column() -> Column[Decimal]:
    """An amount in USD; null is unknown."""
    return Column(Numeric(20, 10), nullable=True)


def count_column() -> Column[int]:
    """A large count, 0 where none is given."""
    return Column(BigInteger, nullable=False, server_default=text("0"))


def _recording(**options: Any) -> Column[str]:
    return Column(Text, ForeignKey("recordings.id", ondelete="CASCADE"), nullable=False, **options)


class Table(SQLModel):
    """What all tables here share: one schema."""

    metadata: ClassVar[MetaData] = metadata


class RecordingRow(Table, table=True):
    """One recording; its fields are those of `models.Recording`."""

    __tablename__ = "recordings"

    id: str = Field(sa_column=Column(Text, primary_key=True))
    owner: str = Field(sa_column=Column(Text, nullable=False, index=True))
    uri: str = Field(sa_column=Column(Text, nullable=False))
    sha256: str = Field(sa_column=Column(Text, nullable=False))
    size_bytes: int = Field(sa_column=Column(BigInteger, nullable=False))
    recorded_at: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False))
    recorded_at_source: str = Field(sa_column=Column(Text, nullable=False))
    priority: str = Field(sa_column=Column(Text, nullable=False))
    media: Media | None = Field(default=None, sa_column=Column(Noun(Media), nullable=True))
    quality: Quality | None = Field(default=None, sa_column=Column(Noun(Quality), nullable=True))
    cloud: bool = Field(default=True, sa_column_kwargs={"server_default": text("true")})
    registered_at: datetime | None = Field(default=None, sa_column=_now())


class SourceRow(Table, table=True):
    """Where a recording was found, so that an unchanged object is not read again. Two owners may share a uri."""

    __tablename__ = "sources"

    owner: str = Field(sa_column=Column(Text, primary_key=True))
    uri: str = Field(sa_column=Column(Text, primary_key=True))
    size_bytes: int = Field(sa_column=Column(BigInteger, nullable=False))
    etag: str = Field(sa_column=Column(Text, nullable=False))
    recording_id: str = Field(sa_column=_recording(index=True))
    first_seen_at: datetime | None = Field(default=None, sa_column=_now())
    last_seen_at: datetime | None = Field(default=None, sa_column=_now())


class JobRow(Table, table=True):
    """Where a recording stands. `worker` and `lease_until` are null while nobody holds it; `last_worker` registered it
    or claimed it last, and goes on with it unless it has died.

    `landed_attempt` is the fencing token under which it landed last, `days` every day that a note of it had, `crashes`
    how often in a row it was taken over from a worker that had died or frozen on it.
    """

    __tablename__ = "jobs"
    __table_args__ = (
        Index("jobs_claim_idx", "state", "priority", "recorded_at"),
        Index("jobs_worker_idx", "worker", postgresql_where=text("worker is not null")),
        Index("jobs_landed_idx", "updated_at", postgresql_where=text("state = 'landed'")),
    )

    recording_id: str = Field(sa_column=_recording(primary_key=True))
    state: str = Field(sa_column=Column(Text, nullable=False))
    priority: int
    recorded_at: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False))
    attempt: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    failures: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    resume_state: str | None = Field(default=None, sa_column=Column(Text))
    next_attempt_at: datetime | None = Field(default=None, sa_column=time_column())
    worker: int | None = Field(default=None, sa_column=Column(BigInteger))
    last_worker: int | None = Field(default=None, sa_column=Column(BigInteger))
    lease_until: datetime | None = Field(default=None, sa_column=time_column())
    landed_attempt: int | None = Field(default=None)
    crashes: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    days: list[date] = Field(
        default_factory=list, sa_column=Column(ARRAY(Date), nullable=False, server_default=text("'{}'"))
    )
    error_code: str | None = Field(default=None, sa_column=Column(Text))
    error_message: str | None = Field(default=None, sa_column=Column(Text))
    updated_at: datetime | None = Field(default=None, sa_column=_now())


class TranscriptRow(Table, table=True):
    """What one engine heard in a recording; the newest is the one that the job goes on with."""

    __tablename__ = "transcripts"

    id: str = Field(sa_column=Column(Text, primary_key=True))
    recording_id: str = Field(sa_column=_recording(index=True))
    engine: str = Field(sa_column=Column(Text, nullable=False))
    model: str = Field(sa_column=Column(Text, nullable=False))
    language: str = Field(sa_column=Column(Text, nullable=False))
    segments: tuple[Segment, ...] = Field(sa_column=Column(Noun(tuple[Segment, ...]), nullable=False))
    trust: float
    trust_reasons: tuple[str, ...] = Field(sa_column=Column(Noun(tuple[str, ...]), nullable=False))
    degraded: bool
    heard_at: datetime | None = Field(default=None, sa_column=_now())


class HeardWindowRow(Table, table=True):
    """What was heard in one window of a recording whose transcript is not whole yet; gone when it is.

    `key` stands for the windows and for who heard them; a window heard several times has several rows, in order of id.
    """

    __tablename__ = "heard_windows"

    id: int | None = Field(default=None, sa_column=Column(BigInteger, Identity(), primary_key=True))
    recording_id: str = Field(sa_column=_recording(index=True))
    key: str = Field(sa_column=Column(Text, nullable=False))
    number: int
    text: WindowText = Field(sa_column=Column(Noun(WindowText), nullable=False))
    heard_at: datetime | None = Field(default=None, sa_column=_now())


class NoteRow(Table, table=True):
    """One note. Exactly one of a recording is current; those that it superseded stay as history."""

    __tablename__ = "notes"
    __table_args__ = (
        Index("notes_current_idx", "recording_id", unique=True, postgresql_where=text("is_current")),
        Index("notes_day_idx", "owner", "day", postgresql_where=text("is_current")),
    )

    id: str = Field(sa_column=Column(Text, primary_key=True))
    recording_id: str = Field(sa_column=_recording(index=True))
    transcript_id: str = Field(sa_column=Column(Text, ForeignKey("transcripts.id"), nullable=False, index=True))
    owner: str = Field(sa_column=Column(Text, nullable=False))
    day: date
    draft: Draft = Field(sa_column=Column(Noun(Draft), nullable=False))
    writer: str = Field(sa_column=Column(Text, nullable=False))
    model: str = Field(sa_column=Column(Text, nullable=False))
    prompt_version: str = Field(sa_column=Column(Text, nullable=False))
    degraded: bool
    is_current: bool
    written_at: datetime | None = Field(default=None, sa_column=_now())
    grounded_share: float | None = Field(default=None)


class FindingRow(Table, table=True):
    """What a check saw in a note, in the order in which it was seen."""

    __tablename__ = "findings"

    note_id: str = Field(sa_column=Column(Text, ForeignKey("notes.id", ondelete="CASCADE"), primary_key=True))
    number: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    code: str = Field(sa_column=Column(Text, nullable=False))
    severity: str = Field(sa_column=Column(Text, nullable=False))
    place: str = Field(sa_column=Column(Text, nullable=False))
    message: str = Field(sa_column=Column(Text, nullable=False))


class UsageRow(Table, table=True):
    """A line of a recording's bill: never changed, never replaced. `usd` is null where the price is unknown.

    It holds what the stored results cost; `calls` holds every call, those too that nothing came of.
    """

    __tablename__ = "usages"

    id: int | None = Field(default=None, sa_column=Column(BigInteger, Identity(), primary_key=True))
    recording_id: str = Field(sa_column=_recording(index=True))
    owner: str = Field(sa_column=Column(Text, nullable=False))
    stage: str = Field(sa_column=Column(Text, nullable=False))
    provider: str = Field(sa_column=Column(Text, nullable=False))
    model: str = Field(sa_column=Column(Text, nullable=False))
    input_tokens: int = Field(sa_column=Column(BigInteger, nullable=False))
    output_tokens: int = Field(sa_column=Column(BigInteger, nullable=False))
    seconds: float
    cached_tokens: int = Field(default=0, sa_column=count_column())
    usd: Decimal | None = Field(default=None, sa_column=usd_column())
    price_source: str = Field(sa_column=Column(Text, nullable=False))
    at: datetime | None = Field(
        default=None, sa_column=Column(DateTime(timezone=True), nullable=False, server_default=func.now(), index=True)
    )


class EntryRow(Table, table=True):
    """The entry of an owner's day, made of its notes; its fields are those of `models.DayEntry`.

    At most one of a day is current; those that it superseded stay as history.
    """

    __tablename__ = "entries"
    __table_args__ = (
        Index("entries_current_idx", "owner", "day", unique=True, postgresql_where=text("is_current")),
        Index("entries_owner_day_idx", "owner", "day"),
    )

    id: str = Field(sa_column=Column(Text, primary_key=True))
    owner: str = Field(sa_column=Column(Text, nullable=False))
    day: date
    notes_version: str = Field(sa_column=Column(Text, nullable=False))
    sources: tuple[tuple[str, int], ...] = Field(sa_column=Column(Noun(tuple[tuple[str, int], ...]), nullable=False))
    draft: Draft = Field(sa_column=Column(Noun(Draft), nullable=False))
    findings: tuple[Finding, ...] = Field(sa_column=Column(Noun(tuple[Finding, ...]), nullable=False))
    writer: str = Field(sa_column=Column(Text, nullable=False))
    model: str = Field(sa_column=Column(Text, nullable=False))
    prompt_version: str = Field(sa_column=Column(Text, nullable=False))
    degraded: bool
    grounded_share: float | None = Field(default=None)
    is_current: bool
    written_at: datetime | None = Field(default=None, sa_column=clock_column())


class CheckResultRow(Table, table=True):
    """How a suite of data checks ended; `details` holds counts and names of columns, never rows."""

    __tablename__ = "check_results"

    id: int | None = Field(default=None, sa_column=Column(BigInteger, Identity(), primary_key=True))
    suite: str = Field(sa_column=Column(Text, nullable=False))
    subject: str = Field(sa_column=Column(Text, nullable=False))
    success: bool
    details: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    at: datetime | None = Field(default=None, sa_column=_now())
