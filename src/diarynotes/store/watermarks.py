"""How far each source was listed, kept across runs.

Knows nothing of buckets: what the names mean is `diarynotes.buckets.listing`'s business.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Engine, text

from diarynotes.buckets.listing import Watermark
from diarynotes.store.database import begin

_READ = text("""
select sweep_key, turn from watermarks where source = :source
""")

_READ_NEWEST = text("""
select folder, key from newest_names where source = :source
""")

# Another run may have moved the sweep meanwhile, even round its end: then it stays where that one put it.
_MOVE = text("""
insert into watermarks (source, sweep_key, turn, swept_at)
values (:source, :sweep, :turn, case when :sweep = '' then clock_timestamp() end)
on conflict (source) do update
set sweep_key = excluded.sweep_key, turn = excluded.turn, listed_at = clock_timestamp(),
    swept_at = coalesce(excluded.swept_at, watermarks.swept_at)
where watermarks.sweep_key = :swept_before
returning source
""")

# Both have registered all that lies before the names that they saw, so the later name holds.
_MOVE_NEWEST = text("""
insert into newest_names (source, folder, key)
select :source, folder, key
from unnest(cast(:folders as text[]), cast(:keys as text[])) as seen (folder, key)
order by folder
on conflict (source, folder) do update set key = greatest(newest_names.key, excluded.key)
""")

_FORGET = text("""
with names as (delete from newest_names where source = :source)
delete from watermarks where source = :source
""")

_SWEPT = text("""
select swept_at from watermarks where source = :source
""")


class Watermarks:
    """Every method is one transaction; StorageFailed where Postgres fails."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def read(self, source: str) -> Watermark:
        """How far this source was listed; for one that never was, from the beginning."""
        with begin(self._engine) as connection:
            row = connection.execute(_READ, {"source": source}).one_or_none()
            newest = connection.execute(_READ_NEWEST, {"source": source}).all()
        sweep, turn = (row.sweep_key, row.turn) if row else ("", "")
        return Watermark({name.folder: name.key for name in newest}, sweep, turn)

    def move(self, source: str, before: Watermark, after: Watermark) -> bool:
        """What lies up to `after` is registered; `before` is what was read, or moved to, last.

        False where another run has moved the sweep meanwhile: it goes on from there, and this run had better stop.
        """
        moved = {folder: key for folder, key in after.newest.items() if before.newest.get(folder) != key}
        sweep = {"source": source, "sweep": after.sweep, "turn": after.turn, "swept_before": before.sweep}
        with begin(self._engine) as connection:
            if moved:
                names = {"source": source, "folders": list(moved), "keys": list(moved.values())}
                connection.execute(_MOVE_NEWEST, names)
            return connection.execute(_MOVE, sweep).one_or_none() is not None

    def forget(self, source: str) -> None:
        """The next run lists this source from the beginning, as if it were new."""
        with begin(self._engine) as connection:
            connection.execute(_FORGET, {"source": source})

    def swept_at(self, source: str) -> datetime | None:
        """When the sweep last came round to the end of this source; None for never."""
        with begin(self._engine) as connection:
            moment: datetime | None = connection.scalar(_SWEPT, {"source": source})
            return moment
