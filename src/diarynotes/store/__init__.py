"""Where everything is kept: Postgres as the truth, Delta tables and a DuckDB snapshot derived from it.

`open_store` is the way in. Importing this package costs nothing; the libraries come when a store is opened.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from diarynotes.store.facts import (
    SET_ASIDE,
    Drop,
    DropLine,
    Experience,
    Fruitless,
    HeardWindows,
    JobLine,
    KnownSource,
    Landing,
    NoteVersion,
    Registered,
    SourceFacts,
    StaleDay,
    StoredEntry,
    StoredNote,
    in_order,
)

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from diarynotes.models import Finding
    from diarynotes.store.store import Store

__all__ = [
    "SET_ASIDE",
    "Drop",
    "DropLine",
    "Experience",
    "Fruitless",
    "HeardWindows",
    "JobLine",
    "KnownSource",
    "Landing",
    "NoteVersion",
    "Registered",
    "SourceFacts",
    "StaleDay",
    "StoredEntry",
    "StoredNote",
    "in_order",
    "open_store",
    "rebuild",
    "start_embedded",
    "stop_embedded",
    "verify",
]


def open_store(
    database_url: str | None, home: Path, *, lease_s: float | None = None, zone: ZoneInfo | None = None
) -> Store:
    """The store of `home` on the Postgres at `database_url`, or on an embedded one under `home` where that is None.

    The schema is brought up to date. `lease_s` is how long a claim outlives its worker's last sign of life.
    Budgets count the days and months of `zone`, None is UTC. Raises StorageFailed where the disk or the server fails,
    BadSettings for a URL of no Postgres.
    """
    from diarynotes.store.store import Store

    return Store.open(database_url, home, lease_s=lease_s, zone=zone)


def start_embedded(folder: Path) -> str:
    """The URL of the Postgres in `folder`, made and started where it is not yet."""
    from diarynotes.store.embedded import start_embedded

    return start_embedded(folder)


def stop_embedded(folder: Path) -> None:
    """Give the Postgres in `folder` back; the last of its users stops it."""
    from diarynotes.store.embedded import stop_embedded

    stop_embedded(folder)


def verify(store: Store, warehouse: Path) -> tuple[Finding, ...]:
    """Where the warehouse in a folder differs from what `store` says has landed; empty when they agree."""
    from diarynotes.store.repair import verify
    from diarynotes.store.warehouse import Warehouse

    return verify(store.engine, Warehouse(warehouse))


def rebuild(store: Store, warehouse: Path) -> None:
    """Make the warehouse in a folder anew from what `store` says has landed."""
    from diarynotes.store.repair import rebuild
    from diarynotes.store.warehouse import Warehouse

    rebuild(store.engine, Warehouse(warehouse))
