"""The inbox of drops: objects that somebody told of, kept until each one is registered.

Knows the table and who holds what; reads no object and registers nothing. What is told of twice is one drop; what is
told of again while somebody is at it stays, since it may be another content by now.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias, get_args

from sqlalchemy import Engine, Row

import diarynotes.store.drops_sql as sql
from diarynotes.errors import DiarynotesError
from diarynotes.models import Priority
from diarynotes.store.database import begin
from diarynotes.store.facts import Drop, DropLine
from diarynotes.store.tables import plain_text
from diarynotes.store.worker import Worker

RETRY_DELAYS_S = (60.0, 300.0, 1800.0)
"""Seconds before a drop that could not be registered is tried again; after the last one it is dead."""

_PRIORITIES: tuple[Priority, ...] = get_args(Priority)  # in the order of their numbers

DropStanding: TypeAlias = Literal["due", "waiting", "dead"]
DropList: TypeAlias = list[Drop]
DropLines: TypeAlias = list[DropLine]


class Drops:
    """The inbox as one worker sees it. Every method is one transaction; StorageFailed where Postgres fails."""

    def __init__(self, engine: Engine, worker: Worker) -> None:
        self._engine = engine
        self._worker = worker

    def put(self, drops: Sequence[Drop]) -> int:
        """Keep them, on disk when this returns; how many of them nobody had told of before.

        One is known by its owner, uri and version. One that was given up is taken up again.
        """
        with begin(self._engine) as connection:
            return sum(row.is_new for row in connection.execute(sql.PUT, _columns(drops)))

    def put_unknown(self, drops: Sequence[Drop]) -> None:
        """Keep those of which there is no drop yet, whatever became of it."""
        with begin(self._engine) as connection:
            connection.execute(sql.PUT_UNKNOWN, _columns(drops))

    def claim(self, limit: int = 100) -> DropList:
        """Up to `limit` drops that nobody holds and whose time has come, most urgent and oldest first."""
        values = {"worker": self._worker.number, "lease_s": self._worker.lease_s, "limit": limit}
        with begin(self._engine) as connection:
            drops = [_drop(row) for row in connection.execute(sql.CLAIM, values)]
        self._worker.hold(drops=[drop.id for drop in drops])
        return sorted(drops, key=lambda drop: (_PRIORITIES.index(drop.priority), drop.id))

    def done(self, drops: Sequence[Drop]) -> None:
        """These claimed drops are registered, or nothing is there any more: they go."""
        values = {"ids": [drop.id for drop in drops], "told": [drop.told for drop in drops]}
        self._worker.let_go(drops=values["ids"])
        with begin(self._engine) as connection:
            connection.execute(sql.DONE, values | {"worker": self._worker.number})

    def release(self, drops: Sequence[Drop]) -> None:
        """Give claims back unharmed: another worker may have them at once, and no try is counted."""
        ids = [drop.id for drop in drops]
        self._worker.let_go(drops=ids)
        values = {"ids": ids, "worker": self._worker.number}
        with begin(self._engine) as connection:
            connection.execute(sql.RELEASE, values)

    def fail(self, drop: Drop, error: DiarynotesError, delays: Sequence[float] = RETRY_DELAYS_S) -> bool:
        """Try a claimed drop again after the next of `delays` (seconds); whether they are used up and it is dead."""
        self._worker.let_go(drops=[drop.id])
        values = {"ids": [drop.id], "worker": self._worker.number, "delays": list(delays)}
        values |= {"code": error.code, "message": plain_text(str(error))}
        with begin(self._engine) as connection:
            return bool(connection.scalar(sql.FAIL, values))

    def lie(self, idle_s: float) -> bool:
        """Whether there are any that have been due for `idle_s` and that nobody holds."""
        with begin(self._engine) as connection:
            return bool(connection.scalar(sql.LIE, {"idle_s": idle_s}))

    # -- what a person does, and looking ------------------------------------------------------------------------------

    def retry(self, ids: Sequence[int] | None = None) -> int:
        """Let dead and waiting drops (None: all) be tried again at once, with a fresh count; how many they are."""
        with begin(self._engine) as connection:
            return connection.execute(sql.RETRY, {"ids": None if ids is None else list(ids)}).rowcount

    def forget(self, ids: Sequence[int]) -> int:
        """Let dead drops go; how many they were. What is told of again, or found by a sweep, comes back."""
        with begin(self._engine) as connection:
            return connection.execute(sql.FORGET, {"ids": list(ids)}).rowcount

    def list(self, *, dead: bool | None = None, owner: str | None = None, limit: int | None = None) -> DropLines:
        """Drops in the order in which they are claimed; only the dead ones, or only the others."""
        values = {"dead": dead, "owner": owner, "limit": limit}
        with begin(self._engine) as connection:
            rows = connection.execute(sql.LIST, values).all()
        return [
            DropLine(_drop(row), row.is_dead, _utc(row.next_try_at), row.error_code, row.error_message) for row in rows
        ]

    def count(self) -> dict[DropStanding, int]:
        """How many drops can be claimed or are held, wait for their next try, or are dead; without those of none."""
        with begin(self._engine) as connection:
            return {row.standing: row.drops for row in connection.execute(sql.COUNT)}


def _columns(drops: Sequence[Drop]) -> dict[str, Any]:
    return {
        "owners": [plain_text(drop.owner) for drop in drops],
        "uris": [plain_text(drop.uri) for drop in drops],
        "versions": [plain_text(drop.version) for drop in drops],
        "priorities": [_PRIORITIES.index(drop.priority) for drop in drops],
    }


def _drop(row: Row[Any]) -> Drop:
    return Drop(
        row.owner,
        row.uri,
        row.version,
        _PRIORITIES[row.priority],
        id=row.id,
        told=row.told,
        tries=row.tries,
        received_at=_utc(row.received_at),
    )


def _utc(moment: datetime | None) -> datetime | None:
    return moment.astimezone(UTC) if moment else None
