"""Entries of days: which are stale, the turn of writing one, and how a new one supersedes the one before.

Knows the tables; knows no writer. A day's entry is stale as soon as the day's current notes are not those, word for
word and in the same order, that it was made of; `notes_version` stands for them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import fields
from datetime import UTC, date
from threading import Event, Thread
from typing import Any

from sqlalchemy import Connection, Engine, Row, bindparam, func, select, text, true
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import SQLAlchemyError

from diarynotes.models import PERSON, DayEntry, RecordingId
from diarynotes.store.database import begin
from diarynotes.store.desk import bill_answers
from diarynotes.store.facts import SET_ASIDE, StaleDay, StoredEntry
from diarynotes.store.tables import EntryRow

_entries: Any = EntryRow.__table__  # type: ignore[attr-defined]
_ENTRY = [field.name for field in fields(DayEntry)]

_ORDERED = "order by recordings.recorded_at, notes.recording_id"
_STANDING = f"""
from notes
join recordings on recordings.id = notes.recording_id
join jobs on jobs.recording_id = notes.recording_id
where notes.is_current and jobs.state <> all ('{{{",".join(SET_ASIDE)}}}')
    and (cast(:owner as text) is null or (notes.owner, notes.day) = (:owner, cast(:day as date)))
"""
# which notes, and what they say; what a call used is no part of that
_VERSIONS = f"""
select notes.owner, notes.day,
    md5(string_agg(notes.id, ' ' {_ORDERED})) || '-'
        || md5(string_agg(md5((notes.draft - 'usage')::text), ' ' {_ORDERED})) as notes_version
{_STANDING}
"""
# Reading all notes would take longer with each year. So a day whose notes are the same ones and older than its entry is
# passed over, unless it is asked about; the hour is for a note whose writing began before the entry's and ended after.
_STALE = text(f"""
with days as (
    select notes.owner, notes.day, md5(string_agg(notes.id, ' ' {_ORDERED})) as ids_version,
        max(notes.written_at) as newest,
        bool_or(cast(:ids as text[]) is null or notes.recording_id = any(cast(:ids as text[]))) as is_asked
    {_STANDING} group by 1, 2
),
current as (
    select owner, day, notes_version, writer, written_at from entries
    where is_current and (cast(:owner as text) is null or (owner, day) = (:owner, cast(:day as date)))
),
doubtful as (
    select owner, day, current.notes_version as shown
    from days full join current using (owner, day)
    where (is_asked or current.writer is not null) and current.writer is distinct from '{PERSON}'
        and (is_asked or ids_version is distinct from split_part(current.notes_version, '-', 1)
            or newest > current.written_at - interval '1 hour')
),
standing as ({_VERSIONS} and (notes.owner, notes.day) in (select owner, day from doubtful) group by 1, 2)
select doubtful.owner, doubtful.day, standing.notes_version
from doubtful left join standing using (owner, day)
where standing.notes_version is distinct from doubtful.shown
order by doubtful.day, doubtful.owner
""")  # noqa: S608
# Whatever landed is followed by an entry soon, unless its worker has died; the night looks at what is older than a day.
# A day of the diary lies within two of UTC's.
_LEFT = text(f"""
with landed as (
    select notes.owner, notes.day, max(jobs.updated_at) as last_at
    from jobs join notes on notes.recording_id = jobs.recording_id and notes.is_current
    where jobs.state = 'landed' and jobs.updated_at > now() - interval '1 day'
    group by 1, 2
)
select owner, day
from landed
where last_at < now() - make_interval(secs => :idle_s)
    and not exists (
        select from entries
        where (entries.owner, entries.day) = (landed.owner, landed.day) and is_current
            and (entries.written_at > last_at or entries.writer = '{PERSON}')
    )
    and not exists (
        select from jobs join recordings on recordings.id = jobs.recording_id
        where recordings.owner = landed.owner
            and (jobs.worker is not null or jobs.state in ('received', 'validated', 'transcribed', 'written'))
            and recordings.recorded_at >= landed.day - 1 and recordings.recorded_at < landed.day + 2
    )
order by day, owner
""")  # noqa: S608
# While a note of the day is degraded itself, its upgrade makes the entry stale anyway.
_DEGRADED = text(f"""
select owner, day, writer, model from entries
where is_current and degraded and writer <> '{PERSON}' and not exists (
    select from notes
    where (notes.owner, notes.day) = (entries.owner, entries.day) and notes.is_current and notes.degraded
)
order by day desc, owner
""")  # noqa: S608
_REOPEN = text(f"""
update entries set notes_version = ''
where (owner, day) = (:owner, cast(:day as date)) and is_current and writer <> '{PERSON}'
""")  # noqa: S608
_VERSION = text(f"{_VERSIONS} group by 1, 2")
_CURRENT = text("select id, writer from entries where owner = :owner and day = :day and is_current for update")
_SUPERSEDE = text("update entries set is_current = false where owner = :owner and day = :day and is_current")
_STAND = text("select count(*), md5(string_agg(id, ' ' order by id)), max(written_at) from entries where is_current")

_inserted = insert(_entries).values(
    {name: bindparam(name) for name in _ENTRY} | {"is_current": true(), "written_at": func.clock_timestamp()}
)
_PUT = _inserted.on_conflict_do_update(
    index_elements=["id"],
    set_={name: _inserted.excluded[name] for name in (*_ENTRY, "is_current", "written_at") if name != "id"},
)

TURN_S = 60.0
"""How long a turn holds after the last sign of life. Who lost it may have asked in vain, but `put_entry` is fenced."""

_EXPIRE = text("select set_config('idle_session_timeout', :expiry, false)")

# two numbers, so that it is none of the locks by which workers are known to live
_TRY_TURN = text("select pg_try_advisory_lock(hashtext(:owner), :number)")
_END_TURN = text("select pg_advisory_unlock_all()")

# not the lock of the turn: whoever has that holds it in another session
_ONE_AT_A_TIME = text("select pg_advisory_xact_lock(hashtext('put ' || :owner), :number)")


def find_stale(engine: Engine, recording_ids: Sequence[RecordingId] | None = None) -> list[StaleDay]:
    """The days whose entry does not show their current notes, oldest first.

    Days without an entry count where a note of `recording_ids` is theirs (None: all of them); days that have one
    always do. What a person has edited is never stale.
    """
    values = {"ids": None if recording_ids is None else list(recording_ids), "owner": None, "day": None}
    with begin(engine) as connection:
        return [StaleDay(*row) for row in connection.execute(_STALE, values)]


def find_left(engine: Engine, *, idle_s: float) -> list[tuple[str, date]]:
    """Owners and stale days on which something landed within a day, but not within `idle_s`.

    Nobody is at work on them: nothing of the owner's that was recorded around then is held, or on its way.
    """
    with begin(engine) as connection:
        return [
            (row.owner, row.day)
            for row in connection.execute(_LEFT, {"idle_s": idle_s}).all()
            if connection.execute(_STALE, {"owner": row.owner, "day": row.day, "ids": None}).one_or_none()
        ]


def find_degraded(engine: Engine) -> list[tuple[str, date, str, str]]:
    """Owner, day, writer and model of entries that a better writer might join anew, though none of their notes waits
    for one; the newest day first."""
    with begin(engine) as connection:
        return [(row.owner, row.day, row.writer, row.model) for row in connection.execute(_DEGRADED)]


def reopen(engine: Engine, owner: str, day: date) -> None:
    """The day's entry is stale from now on, unless it is a person's; it stands until another takes its place."""
    with begin(engine) as connection:
        connection.execute(_REOPEN, {"owner": owner, "day": day})


@contextmanager
def take_turn(engine: Engine, owner: str, day: date) -> Iterator[StaleDay | None]:
    """The day as it stands, if it is stale and this process may write its entry; while the block runs no other may.

    The turn is a session's advisory lock: a killed process gives it back at once, a frozen one after `TURN_S`.
    """
    values = {"owner": owner, "day": day, "ids": None}
    with _hold_lock(engine, owner, day) as is_ours:
        row = None
        if is_ours:
            with begin(engine) as connection:
                row = connection.execute(_STALE, values).one_or_none()
        yield StaleDay(*row) if row else None


@contextmanager
def _hold_lock(engine: Engine, owner: str, day: date) -> Iterator[bool]:
    with begin(engine) as connection:  # a first touch, so that errors come out as ours
        connection.execute(text("select 1"))
    session = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
    session.detach()  # closing it ends the session, and with it the lock
    done = Event()
    try:
        session.execute(_EXPIRE, {"expiry": f"{TURN_S}s"})
        is_ours = bool(session.scalar(_TRY_TURN, {"owner": owner, "number": day.toordinal()}))
        beat = Thread(target=_beat, args=(session, done), name="turn", daemon=True)
        beat.start()
        try:
            yield is_ours
        finally:
            done.set()
            beat.join()
    finally:
        with suppress(SQLAlchemyError):
            session.execute(_END_TURN)  # the server notices a closed session only a moment later
        with suppress(SQLAlchemyError):
            session.close()


def _beat(session: Connection, done: Event) -> None:
    """Shows the server that we are alive, until `done`; a writer may take longer than a turn."""
    with suppress(SQLAlchemyError):
        while not done.wait(TURN_S / 3):
            session.execute(text("select 1"))


def put_entry(engine: Engine, entry: DayEntry, answers: Collection[str] = ()) -> bool:
    """Make `entry` its day's current one, and what `answers` used its bill; the one before stays as history.

    False, and nothing is changed, where a person's own stands there or the notes are others by now. An entry of a
    person goes over any other.
    """
    where = {"owner": entry.owner, "day": entry.day}
    with begin(engine) as connection:
        connection.execute(_ONE_AT_A_TIME, {"owner": entry.owner, "number": entry.day.toordinal()})
        if entry.writer != PERSON and not _may_follow(connection, where, entry.notes_version):
            return False
        connection.execute(_SUPERSEDE, where)
        connection.execute(_PUT, {name: getattr(entry, name) for name in _ENTRY})
        bill_answers(connection, answers)
        return True


def drop_entry(engine: Engine, owner: str, day: date) -> bool:
    """The day has lost all its notes: its entry becomes history. False where it has notes, or a person's entry."""
    where = {"owner": owner, "day": day}
    with begin(engine) as connection:
        if not _may_follow(connection, where, None):
            return False
        connection.execute(_SUPERSEDE, where)
        return True


def find_entries(
    engine: Engine,
    *,
    owner: str | None = None,
    since: date | None = None,
    until: date | None = None,
    history: bool = False,
) -> list[StoredEntry]:
    """Entries by day and owner, newest day first; with `history` the superseded ones too, each day's newest first."""
    wanted = [] if history else [_entries.c.is_current]
    if owner is not None:
        wanted.append(_entries.c.owner == owner)
    if since is not None:
        wanted.append(_entries.c.day >= since)
    if until is not None:
        wanted.append(_entries.c.day <= until)
    order = (_entries.c.day.desc(), _entries.c.owner, _entries.c.is_current.desc(), _entries.c.written_at.desc())
    with begin(engine) as connection:
        return [_to_stored(row) for row in connection.execute(select(_entries).where(*wanted).order_by(*order))]


def find_owners(engine: Engine) -> list[str]:
    """Everybody who has a note."""
    with begin(engine) as connection:
        return list(connection.scalars(text("select distinct owner from notes where is_current order by owner")))


def read_stand(engine: Engine) -> str:
    """Differs whenever an entry has come, gone or changed."""
    with begin(engine) as connection:
        count, ids, newest = connection.execute(_STAND).one()
    return f"{count} entries {ids}, {newest.isoformat() if newest else 'never'}"


def _may_follow(connection: Connection, where: dict[str, Any], notes_version: str | None) -> bool:
    """Whether no person's entry stands there, and the day's notes are still those of this version."""
    current = connection.execute(_CURRENT, where).one_or_none()
    standing = connection.execute(_VERSION, where).one_or_none()
    is_persons = current is not None and current.writer == PERSON
    return not is_persons and (standing.notes_version if standing else None) == notes_version


def _to_stored(row: Row[Any]) -> StoredEntry:
    entry = DayEntry(**{name: getattr(row, name) for name in _ENTRY})
    return StoredEntry(entry, row.written_at.astimezone(UTC), row.is_current)
