"""What must hold when all faults are gone and the queue is drained. Each check returns what is wrong, in sentences."""

from __future__ import annotations

import hashlib
import os
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import text

from diarynotes.audio import sweep_spool
from diarynotes.buckets import sweep_copies
from diarynotes.store.land import TABLES
from diarynotes.store.repair import rebuild
from diarynotes.store.store import Store
from diarynotes.store.warehouse import Warehouse
from tests.acceptance.chaos.clouds import Paid
from tests.acceptance.chaos.plan import Drop
from tests.acceptance.chaos.sounds import is_damaged
from tests.acceptance.chaos.witness import find_faults
from tests.acceptance.chaos.world import ZONE, Happening

_FAREWELL_S = 60.0
"""How long a process may take to end, s."""


def check_recordings(store: Store, contents: Sequence[bytes], drops: Sequence[Drop]) -> Iterator[str]:
    """None is lost, none doubled, each is where it belongs."""
    wanted = {(drop.owner, hashlib.sha256(contents[drop.content]).hexdigest()): drop.content for drop in drops}
    rows = _read(store, "select id, owner, sha256, state, error_code from recordings join jobs on recording_id = id")
    counts = Counter((row.owner, row.sha256) for row in rows)
    for key, content in wanted.items():
        if counts[key] != 1:
            yield f"content {content} is known {counts[key]} times"
    for row in rows:
        content = wanted.get((row.owner, row.sha256))
        if content is None:
            yield f"recording {row.id} was never dropped"
        elif is_damaged(content) and (row.state != "quarantined" or not row.error_code):
            yield f"damaged content {content} is {row.state} ({row.error_code})"
        elif not is_damaged(content) and row.state != "landed":
            yield f"content {content} is {row.state} ({row.error_code})"


def check_notes(store: Store) -> Iterator[str]:
    """A recording that landed has one current note, one transcript, one booking of the engine."""
    statement = """
        select recording_id,
            (select count(*) from notes n where n.recording_id = j.recording_id and is_current) as notes,
            (select count(*) from transcripts t where t.recording_id = j.recording_id) as transcripts,
            (select count(*) from usages u where u.recording_id = j.recording_id and stage = 'engine') as engine
        from jobs j where state = 'landed'
    """
    for row in _read(store, statement):
        if (row.notes, row.transcripts, row.engine) != (1, 1, 1):
            yield f"{row.recording_id} has {row.notes} notes, {row.transcripts} transcripts, {row.engine} bookings"


def check_agreement(store: Store, scratch: Path) -> Iterator[str]:
    """Postgres, Delta and DuckDB hold the same rows."""
    for finding in store.verify():
        yield finding.message
    fresh = Warehouse(scratch / "fresh")
    rebuild(store.engine, fresh)
    store.snapshot()
    for table in TABLES:
        columns = store.warehouse.read(table).collect_schema().names()
        live = _rows(store.warehouse, table)
        if live != _rows(fresh, table):
            yield f"{table}: Delta differs from Postgres"
        names, rows = store.query(f"select {', '.join(columns)} from {table}", limit=1_000_000)
        if names != columns or sorted(map(_tell, rows)) != live:
            yield f"{table}: DuckDB differs from Delta"


def check_nothing_is_held(store: Store) -> Iterator[str]:
    """No claim, no drop, no day is left over."""
    for row in _read(store, "select recording_id, state from jobs where worker is not null or lease_until is not null"):
        yield f"{row.recording_id} ({row.state}) is held"
    for drop in store.drops.list():
        yield f"drop {drop.drop.uri} is left ({drop.error_code})"
    for day in store.stale_days():
        yield f"the entry of {day.day} for {day.owner} is stale"
    for row in _read(
        store, "select owner, day, count(*) from entries where is_current group by 1, 2 having count(*) > 1"
    ):
        yield f"{row.owner} has {row.count} entries of {row.day}"


def check_payments(
    store: Store, paid: Sequence[Paid], happenings: Sequence[Happening], began_s: float
) -> Iterator[str]:
    """No answer that was stored was paid for again, and others not more often than something happened.

    Not counted is what is asked in the same words for several recordings: the vendors cannot tell them apart.
    """
    yield from find_faults(store.engine)
    alike = _said_twice(store)
    by_question: dict[str, list[Paid]] = defaultdict(list)
    for answer in paid:
        by_question[answer.question].append(answer)
    repeated = [
        answers
        for question, answers in by_question.items()
        if len(answers) > 1
        and not any(day in question and all(word in question for word in words) for day, words in alike)
    ]
    count = sum(len(answers) - 1 for answers in repeated)
    if count > len(happenings):
        yield f"{count} calls were paid again, for {len(happenings)} deeds"
        for answers in repeated:
            yield ", ".join(f"paid by worker {each.worker} at {each.at_s - began_s:.2f} s" for each in answers)


def check_books(store: Store) -> Iterator[str]:
    """What was spent and what is set aside is what the ledger says, for everybody together and each owner."""
    statement = """
        select s.owner, s.period, s.begins, s.spent_usd, s.reserved_usd,
            sum(coalesce(c.usd, c.reserved_usd)) filter (where c.outcome is not null) as spent,
            sum(c.reserved_usd) filter (where c.outcome is null) as reserved
        from spend s join calls c on (s.owner = '' or c.owner = s.owner) and not c.local
            and date_trunc(s.period, c.begun_at at time zone '{zone}')::date = s.begins
        group by 1, 2, 3, 4, 5
    """
    for row in _read(store, statement.format(zone=ZONE)):
        if (row.spent_usd, row.reserved_usd) != (row.spent or 0, row.reserved or 0):
            yield f"account {row.owner!r} of the {row.period}: {row}"


def check_home(store: Store) -> Iterator[str]:
    """No process is left, and no file that the next start and the next snapshot do not clear away."""
    home = store.home
    give_up_at = time.monotonic() + _FAREWELL_S
    while _find_processes(home) and time.monotonic() < give_up_at:
        time.sleep(0.1)
    for process in _find_processes(home):
        with suppress(psutil.Error):
            yield f"process {process.pid} ({process.name()}) is left over"
    sweep_spool(home / "spool")
    sweep_copies(home / "spool")
    for path in home.glob(f".{store.snapshot_path.name}-*"):
        os.utime(path, (0, 0))  # a builder on another machine might still be at it; after an hour none is
    store.snapshot_path.unlink()
    store.snapshot()
    for path in [*home.glob("spool/*"), *home.glob(".*")]:
        yield f"{path.relative_to(home)} is left over"


def _find_processes(home: Path) -> list[psutil.Process]:
    """All that were started for this home, by whomever."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("DIARYNOTES_HOME") == str(home):
                found.append(process)
    return found


def _said_twice(store: Store) -> list[tuple[str, list[str]]]:
    """Days on which two recordings say the same, and what; without names, which are masked."""
    statement = """
        select n.day, t.segments::jsonb -> 0 ->> 'text' as said
        from notes n join transcripts t on t.id = n.transcript_id
        where n.is_current group by 1, 2 having count(*) > 1
    """
    rows = _read(store, statement)
    return [(row.day.isoformat(), [word for word in row.said.split() if word.islower()]) for row in rows]


def _read(store: Store, statement: str) -> Sequence[Any]:
    with store.engine.begin() as connection:
        return connection.execute(text(statement)).all()


def _rows(warehouse: Warehouse, table: str) -> list[str]:
    return sorted(map(_tell, warehouse.read(table).collect().rows()))


def _tell(value: Any) -> str:
    """A value in words that do not depend on who read it."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{name}: {_tell(part)}' for name, part in value.items())}}}"
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(map(_tell, value))}]"
    return repr(value)
