"""What is killed: a few recordings of two owners on their whole way, and how things stand at the end of it.

One owner's notes are written by a cloud's model, the other's may not leave the machine; one file is no recording. It is
the work of `diarynotes run` without Prefect and, since that changes nothing in what is stored, without child processes.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy import text

import diarynotes.store.database as database
import diarynotes.store.entries as store_entries
import flows.workshop
from diarynotes.buckets import list_objects
from diarynotes.errors import DiarynotesError
from diarynotes.settings import Settings, load_settings
from diarynotes.store.land import TABLES
from diarynotes.store.store import Store
from diarynotes.testing import ScriptedEngine
from flows import entries, stages, transcription
from flows.workshop import Wishes, Workshop, open_workshop
from tests.integration.vendor_wire import KEY

WISHES = Wishes("scripted", "", "", ())
CLOUD, HOME = "anna", "ben"
"""Whose notes a cloud's model writes, and whose stay here."""

_PATIENCE_S = 250.0

_PASSING: dict[str, tuple[str, ...]] = {
    "recordings": ("registered_at",),
    "sources": ("first_seen_at", "last_seen_at"),
    "jobs": ("attempt", "landed_attempt", "last_worker", "updated_at"),
    "transcripts": ("heard_at",),
    "notes": ("written_at",),
    "findings": (),
    "usages": ("id", "at"),
    "entries": ("written_at",),
    "answers": ("uses", "unbilled", "kept_at", "used_at"),
    "heard_windows": ("id", "heard_at"),
    "drops": ("at",),
    "breakers": (),
}
"""What is compared in Postgres, and columns that may differ: times, numbers that count, how often it was tried, and
what was used by a call that a frozen worker made in vain."""

_LANDED: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(TABLES, ("attempt",)),
    "notes": ("attempt",),
    "jobs": ("attempt", "updated_at"),
    "entries": ("written_at",),
}
"""The same in the warehouse and in the snapshot."""


@dataclass(frozen=True)
class Place:
    """One try's own home and database (None: a server in that home); the bucket and the vendor are the same for all."""

    home: Path
    database_url: str | None
    bucket: Path
    vendor_url: str
    lease_s: float = 60.0

    @property
    def settings(self) -> Settings:
        keys = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": f"{self.vendor_url}/v1"}
        found = load_settings(keys, home=self.home, database_url=self.database_url, timezone="Europe/Berlin")
        owners = {HOME: {"cloud": False}}
        return replace(found, writers=("openai",), writer_concurrency=1, workers=1, owners=owners, lease_s=self.lease_s)


class InProcess:
    """Takes the place of the sandbox: the same work in the same order."""

    def __init__(self, **_: Any) -> None:
        pass

    def __enter__(self) -> InProcess:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def map(self, function: Callable[[Any], Any], items: Iterable[Any], *, wall_s: Any, drop: Any) -> Iterator[Any]:
        for item in items:
            try:
                outcome = function(item)
            except DiarynotesError as error:
                outcome = error
            yield outcome


def work(place: Place) -> dict[str, Any]:
    """Everything in the bucket on its whole way, as far as it is not there yet.

    Tells how things `stand` then, how many recordings a dead worker `held`, and from when on (`free_at`, by the
    monotonic clock) they could be claimed.
    """
    flows.workshop.Sandbox = InProcess  # type: ignore[assignment,misc]
    place.home.mkdir(exist_ok=True)
    _let_time_pass(place.home)
    database.LONGEST_PAUSE_S = min(database.LONGEST_PAUSE_S, place.lease_s)
    store_entries.TURN_S = min(store_entries.TURN_S, place.lease_s)
    with open_workshop(place.settings) as shop:
        shop.engine_for = lambda *_: nullcontext(ScriptedEngine())  # type: ignore[method-assign]
        held = _count_held(shop.store)
        free_at = _wait_until_free(shop.store)
        ids = [recording_id for owner in (CLOUD, HOME) for recording_id in _register(shop, place.bucket / owner)]
        give_up_at = time.monotonic() + _PATIENCE_S
        while open_ids := shop.store.jobs.claimable(ids):
            moved = stages.validate_recordings(shop, open_ids)
            moved += transcription.transcribe_claimed(shop, open_ids, wishes=WISHES)
            moved += stages.write_notes(shop, open_ids, wishes=WISHES)
            moved += stages.land_notes(shop, open_ids).count
            if not moved:  # a frozen worker may hold it, until the server takes it back
                assert time.monotonic() < give_up_at, "nothing moves though something is free"
                time.sleep(0.1)
        entries.write_entries(shop, ids, wishes=WISHES)
        shop.store.snapshot()
        return {"stand": describe(shop.store), "held": held, "free_at": free_at}


def _let_time_pass(home: Path) -> None:
    """What a killed process left half-built is taken for left over after an hour."""
    two_hours_ago = time.time() - 7200
    for path in home.glob(".*"):
        os.utime(path, (two_hours_ago, two_hours_ago))


def _count_held(store: Store) -> int:
    with store.engine.begin() as connection:
        return int(connection.execute(text("select count(*) from jobs where worker is not null")).scalar_one())


def _wait_until_free(store: Store) -> float:
    """The server needs a moment to see that a process is dead."""
    give_up_at = time.monotonic() + _PATIENCE_S
    while len(store.jobs.claimable()) < len(store.jobs.pending()):
        assert time.monotonic() < give_up_at, "what a dead worker held is not free"
        time.sleep(0.01)
    return time.monotonic()


def _register(shop: Workshop, folder: Path) -> tuple[str, ...]:
    found = stages.register_objects(shop, list(list_objects(str(folder))), owner=folder.name, priority="normal")
    assert not found.problems
    return found.ids


def describe(store: Store) -> dict[str, Any]:
    """All rows everywhere, without what may differ, and what `verify` finds; made of lists and texts alone."""
    stand: dict[str, Any] = {"verify": [finding.message for finding in store.verify()]}
    with store.engine.begin() as connection:
        for table, passing in _PASSING.items():
            rows = connection.scalars(
                text(f"select to_jsonb(t) - cast(:passing as text[]) from {table} t"),
                {"passing": list(passing)},
            )
            stand[f"Postgres {table}"] = _sort(rows)
    for table, passing in _LANDED.items():
        if table in TABLES:
            stand[f"Delta {table}"] = _sort(store.warehouse.read(table).drop(passing).collect().iter_rows())
        columns = ", ".join(passing)
        stand[f"DuckDB {table}"] = _sort(store.query(f"select * exclude ({columns}) from {table}")[1])
    left = [*store.home.glob(".*"), *store.home.rglob("*.pcm")]
    stand["left over"] = sorted(str(path.relative_to(store.home)) for path in left)
    return stand


def _sort(rows: Iterable[Any]) -> list[str]:
    return sorted(json.dumps(row, sort_keys=True, default=str) for row in rows)
