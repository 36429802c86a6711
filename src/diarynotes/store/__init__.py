"""Where everything is kept: Postgres as the truth, Delta tables and a DuckDB snapshot derived from it.

`open_store` is the way in. Importing this package costs nothing; the libraries come when a store is opened.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from diarynotes.store.facts import JobLine, KnownSource, Landing, Registered, SourceFacts, StoredNote

if TYPE_CHECKING:
    from diarynotes.store.store import Store

__all__ = ["JobLine", "KnownSource", "Landing", "Registered", "SourceFacts", "StoredNote", "open_store"]


def open_store(database_url: str | None, home: Path, *, lease_s: float | None = None) -> Store:
    """The store of `home` on the Postgres at `database_url`, or on an embedded one under `home` where that is None.

    The schema is brought up to date. `lease_s` is how long a claim outlives its worker's last sign of life. Raises
    StorageFailed where the disk or the server fails, BadSettings for a URL of no Postgres.
    """
    from diarynotes.store.store import Store

    return Store.open(database_url, home, lease_s=lease_s)
