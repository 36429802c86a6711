"""What became of recordings since last asked, for the person who dropped them: names, days and times, no diary text."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from sqlalchemy import Engine, text

from diarynotes.store.database import begin

_SHARE = 0.02
"""Looking may take so much of the time: a long queue is looked at less often."""
_LOOK_EVERY_S = 0.5
_SETTLE_S = 10.0
"""A transaction may become visible so much later than its time says."""
_FORGET_S = 60.0

_SINCE = text("""
select j.recording_id, j.state, j.attempt, j.error_code, j.error_message, r.owner, r.uri, j.updated_at, r.registered_at,
    (select max(day) from unnest(j.days) as day) as day, now() as looked_at
from jobs j join recordings r on r.id = j.recording_id
where j.updated_at > :since and j.state in ('landed', 'quarantined', 'dead') and j.worker is null
order by j.updated_at
""")
_KNOWN = text("""
select s.recording_id, s.owner, s.uri, r.uri as first_uri, s.first_seen_at,
    (select max(day) from unnest(j.days) as day) as day
from sources s join recordings r on r.id = s.recording_id join jobs j on j.recording_id = s.recording_id
where s.first_seen_at > :since and s.uri <> r.uri and r.registered_at < s.first_seen_at
order by s.first_seen_at
""")
_NOW = text("select now()")


@dataclass(frozen=True, slots=True)
class News:
    """A recording has landed, was set aside, was given up, or is one that was `known` under another name.

    `seconds` are those since it was dropped; `same_as` is the name under which it was known.
    """

    recording_id: str
    state: str
    file: str
    owner: str
    day: date | None
    seconds: float
    code: str | None
    message: str | None
    same_as: str | None = None


class Newsreader:
    """Tells each thing once. Not safe to share between threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        with begin(engine) as connection:
            self._since: datetime = connection.execute(_NOW).scalar_one()
        self._told: dict[tuple[str, ...], float] = {}
        """What was told, and when it was last found."""
        self._next_at = 0.0

    def read(self) -> Iterator[News]:
        """What happened since the last time; nothing where that was a moment ago. Raises: StorageFailed."""
        begun = time.monotonic()
        if begun < self._next_at:
            return
        with begin(self._engine) as connection:
            ended = connection.execute(_SINCE, {"since": self._since}).all()
            known = connection.execute(_KNOWN, {"since": self._since}).all()
        took_s = time.monotonic() - begun
        self._next_at = begun + max(_LOOK_EVERY_S, took_s / _SHARE)
        yield from self._tell(ended, known, begun)

    def _tell(self, ended: Sequence[Any], known: Sequence[Any], now: float) -> Iterator[News]:
        latest = self._since
        for row in ended:
            if self._is_new((row.recording_id, str(row.attempt), row.state), now):
                yield News(
                    *(row.recording_id, row.state, _name(row.uri), row.owner, row.day, _age_s(row)),
                    *(row.error_code, row.error_message),
                )
            latest = max(latest, row.updated_at)
        for row in known:
            if self._is_new((row.recording_id, row.owner, row.uri), now):
                name, same_as = _name(row.uri), _name(row.first_uri)
                yield News(row.recording_id, "known", name, row.owner, row.day, 0.0, None, None, same_as)
            latest = max(latest, row.first_seen_at)
        self._since = max(self._since, latest - timedelta(seconds=_SETTLE_S))
        self._told = {key: at for key, at in self._told.items() if now - at < _FORGET_S}

    def _is_new(self, key: tuple[str, ...], now: float) -> bool:
        is_new = key not in self._told
        self._told[key] = now
        return is_new


def _name(uri: str) -> str:
    return PurePosixPath(unquote(urlsplit(uri).path) if "://" in uri else uri).name


def _age_s(row: Any) -> float:
    """From the moment when a local file got its name to now; for others from when they were registered."""
    registered: datetime = row.registered_at
    ended: datetime = row.updated_at
    begun = registered.timestamp()
    uri: str = row.uri
    if "://" not in uri or uri.startswith("file://"):
        try:
            changed = os.stat(unquote(urlsplit(uri).path) if "://" in uri else uri).st_ctime
        except OSError:
            changed = begun
        begun = changed if begun - 60.0 < changed < begun else begun
    return max(ended.timestamp() - begun, 0.0)
