"""What is kept for a while only, and goes when its time is over: kept answers, and what was heard of unfinished ones.

Knows the tables and for how long their rows are of use. Rows go in chunks, so that nobody waits long for a lock.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Engine, text

from diarynotes.calls import ANSWER_DAYS
from diarynotes.store.database import begin

HEARD_DAYS = 30
"""What was heard of a recording without becoming its transcript is heard again after so many days."""

_CHUNK = 1_000

_ANSWERS = text("""
delete from answers where key in (
    select key from answers where kept_at <= clock_timestamp() - make_interval(days => :days)
    order by kept_at limit :limit for update skip locked
)
""")

# Nobody goes on with a recording that landed or was given up; `retry` begins those anew.
_HEARD = text("""
delete from heard_windows where id in (
    select w.id from heard_windows w join jobs j on j.recording_id = w.recording_id
    where w.heard_at <= clock_timestamp() - make_interval(days => :days)
       or j.state in ('landed', 'quarantined', 'discarded', 'erased')
    order by w.id limit :limit for update of w skip locked
)
""")


def prune_answers(engine: Engine) -> int:
    """Forget answers of models that are too old to be given again; how many."""
    return _delete(engine, _ANSWERS, {"days": ANSWER_DAYS})


def prune_heard(engine: Engine) -> int:
    """Forget windows that nobody will go on from; how many."""
    return _delete(engine, _HEARD, {"days": HEARD_DAYS})


def _delete(engine: Engine, statement: Any, values: Mapping[str, int]) -> int:
    deleted = 0
    while True:
        with begin(engine) as connection:
            count = connection.execute(statement, {**values, "limit": _CHUNK}).rowcount
        deleted += count
        if count < _CHUNK:
            return deleted
