"""Making recordings known: by their content once, by their sources as often as they are seen.

Knows recordings, sources and the first state of a job; reads no object and no bucket.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from sqlalchemy import Connection, Engine, func, select, update
from sqlalchemy.dialects.postgresql import insert

from diarynotes.errors import SourceUnavailable
from diarynotes.models import Recording, RecordingId
from diarynotes.store.database import begin
from diarynotes.store.facts import KnownSource, Registered, SourceFacts
from diarynotes.store.jobs_sql import WAKE
from diarynotes.store.results import put_recording, read_recordings
from diarynotes.store.tables import JobRow, RecordingRow, SourceRow

_PRIORITY = {"urgent": 0, "normal": 1, "low": 2}

_recordings: Any = RecordingRow.__table__  # type: ignore[attr-defined]
_sources: Any = SourceRow.__table__  # type: ignore[attr-defined]
_jobs: Any = JobRow.__table__  # type: ignore[attr-defined]
_RECORDING = [field.name for field in fields(Recording)]


def register(engine: Engine, found: Sequence[tuple[Recording, SourceFacts]], *, worker: int) -> list[Registered]:
    """Store recordings with their sources, and a job for each new one; answers in the order of `found`.

    The same bytes of the same owner are one recording, whoever registers them first, even in the same moment. One that
    waits or is dead because nobody could read it is taken up again. `worker` is the number of who is going to work on
    the new ones.
    """
    by_id = {recording.id: recording for recording, _ in reversed(found)}
    with begin(engine) as connection:
        new = _put_recordings(connection, [by_id[key] for key in sorted(by_id)], worker)
        _put_sources(connection, {(recording.owner, facts.uri): (recording, facts) for recording, facts in found})
        # what could not be read when its turn came was read just now, here or in another place
        connection.execute(WAKE, {"ids": list(by_id.keys() - new), "code": SourceUnavailable.code})
        stored = read_recordings(connection, list(by_id))
    answers = []
    for recording, _ in found:
        answers.append(Registered(stored[recording.id], recording.id in new))
        new.discard(recording.id)
    return answers


def register_again(connection: Connection, recording: Recording) -> None:
    """Make a recording known that was so before, with what had been learned of it; a job that it has stays."""
    _put_recordings(connection, [recording], None)
    put_recording(connection, recording)


def known_sources(engine: Engine, uris: Sequence[str], *, owner: str) -> dict[str, KnownSource]:
    """What is known of those of `uris` that `owner` has had registered."""
    mine = (_sources.c.owner == owner) & (_sources.c.uri == func.any(list(uris)))
    with begin(engine) as connection:
        rows = connection.execute(select(_sources).where(mine)).all()
    return {row.uri: KnownSource(row.size_bytes, row.etag, row.recording_id) for row in rows}


def places(engine: Engine, ids: Sequence[RecordingId]) -> dict[RecordingId, list[SourceFacts]]:
    """Where each of these recordings was seen, the latest first."""
    newest_first = (_sources.c.last_seen_at.desc(), _sources.c.uri)
    mine = select(_sources).where(_sources.c.recording_id == func.any(list(ids))).order_by(*newest_first)
    found: dict[RecordingId, list[SourceFacts]] = {}
    with begin(engine) as connection:
        for row in connection.execute(mine):
            found.setdefault(row.recording_id, []).append(SourceFacts(row.uri, row.size_bytes, row.etag))
    return found


def call_by(engine: Engine, recording_id: RecordingId, uri: str) -> None:
    """The recording lies in another place than before, by which it is called from now on."""
    with begin(engine) as connection:
        connection.execute(update(_recordings).where(_recordings.c.id == recording_id).values(uri=uri))


def forbid_cloud(engine: Engine, ids: Sequence[RecordingId]) -> None:
    """Nothing of these recordings may be sent to another's machine from now on."""
    with begin(engine) as connection:
        connection.execute(update(_recordings).where(_recordings.c.id == func.any(list(ids))).values(cloud=False))


def _put_recordings(connection: Connection, recordings: Sequence[Recording], worker: int | None) -> set[RecordingId]:
    """Insert those that are not there yet; sorted by id, so that two registrations never wait for each other."""
    rows = [{name: getattr(recording, name) for name in _RECORDING} for recording in recordings]
    statement = insert(_recordings).on_conflict_do_nothing().returning(_recordings.c.id)
    new = set(connection.scalars(statement, rows))
    if new:
        connection.execute(
            insert(_jobs),
            [
                {"recording_id": recording.id, "state": "received", "recorded_at": recording.recorded_at}
                | {"priority": _PRIORITY[recording.priority], "last_worker": worker}
                for recording in recordings
                if recording.id in new
            ],
        )
    return new


def _put_sources(connection: Connection, seen: dict[tuple[str, str], tuple[Recording, SourceFacts]]) -> None:
    rows = [
        {"owner": owner, "uri": uri, "size_bytes": facts.size_bytes, "etag": facts.etag, "recording_id": recording.id}
        for (owner, uri), (recording, facts) in sorted(seen.items())
    ]
    statement = insert(_sources)
    changed = {name: statement.excluded[name] for name in ("size_bytes", "etag", "recording_id")}
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["owner", "uri"], set_=changed | {"last_seen_at": func.clock_timestamp()}
        ),
        rows,
    )
