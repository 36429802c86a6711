"""Who looked for an answer that was stored, and did not find it: the one thing by which anything is paid for twice.

Two tables and a trigger in the database of chaos, of which the product knows nothing. Stored is what Postgres shows to
a transaction that begins then: no clock is asked, and what a dead worker was still committing does not count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from sqlalchemy import Engine, text

from diarynotes.calls import KeptAnswer
from diarynotes.store.database import begin
from diarynotes.store.desk import Desk

Find: TypeAlias = Callable[..., KeptAnswer | None]

_TABLES = """
create table kept (key text not null, transaction xid8 not null);
create table missed (key text not null, snapshot pg_snapshot not null);
create function note_kept() returns trigger language plpgsql as $$
begin
    insert into kept values (new.key, pg_current_xact_id());
    return null;
end $$;
create trigger note_kept after insert or update of kept_at on answers for each row execute function note_kept();
"""
_LOOK = text("select cast(pg_current_snapshot() as text)")
_MISS = text("insert into missed values (:key, cast(:snapshot as pg_snapshot))")
_FAULTS = text("""
select missed.key, count(distinct missed.ctid) as times
from missed join kept on kept.key = missed.key and pg_visible_in_snapshot(kept.transaction, missed.snapshot)
group by missed.key
order by missed.key
""")


def install(engine: Engine) -> None:
    """Before the first answer is kept."""
    with begin(engine) as connection:
        connection.execute(text(_TABLES))


def watched(find: Find) -> Find:
    """`Desk.find_answer`, which writes down what was stored just before it found nothing."""

    def find_answer(desk: Desk, key: str, **whose: Any) -> KeptAnswer | None:
        with begin(desk._engine) as connection:
            snapshot = connection.scalar(_LOOK)
        found = find(desk, key, **whose)
        if found is None:
            with begin(desk._engine) as connection:
                connection.execute(_MISS, {"key": key, "snapshot": snapshot})
        return found

    return find_answer


def find_faults(engine: Engine) -> Iterator[str]:
    """Each answer that was stored and yet not found; who does not find it pays."""
    with begin(engine) as connection:
        if not connection.scalar(text("select count(*) from missed")):
            yield "nobody was watched"
        for row in connection.execute(_FAULTS):
            yield f"the answer {row.key[:8]} was stored, and {row.times} times not found by who asked again"
