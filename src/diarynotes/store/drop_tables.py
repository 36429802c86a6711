"""The tables of the way in: drops that were told of, and how far each source was listed.

Knows the schema only, as `tables` does; queries live beside it.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Column, Identity, Index, Text, text
from sqlmodel import Field

from diarynotes.store.tables import Table, clock_column, time_column


class DropRow(Table, table=True):
    """An object that somebody told of and that is not registered yet; the row goes when it is.

    `version` is what the provider calls this content of it (empty where it says none), so that a message that comes
    twice is one drop. `told` counts such messages. `worker` and `lease_until` are as those of a job;
    a dead drop is one that nobody tries any more.
    """

    __tablename__ = "drops"
    __table_args__ = (
        Index("drops_object_idx", "owner", "uri", "version", unique=True),
        Index("drops_due_idx", "priority", "id", postgresql_where=text("not is_dead")),
    )

    id: int | None = Field(default=None, sa_column=Column(BigInteger, Identity(), primary_key=True))
    owner: str = Field(sa_column=Column(Text, nullable=False))
    uri: str = Field(sa_column=Column(Text, nullable=False))
    version: str = Field(default="", sa_column=Column(Text, nullable=False, server_default=""))
    priority: int
    received_at: datetime | None = Field(default=None, sa_column=clock_column())
    told: int = Field(default=1, sa_column_kwargs={"server_default": text("1")})
    worker: int | None = Field(default=None, sa_column=Column(BigInteger))
    lease_until: datetime | None = Field(default=None, sa_column=time_column())
    claimed_at: datetime | None = Field(default=None, sa_column=time_column())
    tries: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    next_try_at: datetime | None = Field(default=None, sa_column=time_column())
    is_dead: bool = Field(default=False, sa_column_kwargs={"server_default": text("false")})
    error_code: str | None = Field(default=None, sa_column=Column(Text))
    error_message: str | None = Field(default=None, sa_column=Column(Text))


class WatermarkRow(Table, table=True):
    """How far the sweep that goes round a source has come, and which of its folders had its turn last."""

    __tablename__ = "watermarks"

    source: str = Field(sa_column=Column(Text, primary_key=True))
    sweep_key: str = Field(default="", sa_column=Column(Text, nullable=False, server_default=""))
    turn: str = Field(default="", sa_column=Column(Text, nullable=False, server_default=""))
    swept_at: datetime | None = Field(default=None, sa_column=time_column())
    listed_at: datetime | None = Field(default=None, sa_column=clock_column())


class NewestRow(Table, table=True):
    """The newest name that was seen in a folder of a source, by the order of bytes, in which buckets list."""

    __tablename__ = "newest_names"

    source: str = Field(sa_column=Column(Text, primary_key=True))
    folder: str = Field(sa_column=Column(Text, primary_key=True))
    key: str = Field(sa_column=Column(Text(collation="C"), nullable=False))
