"""The embedded Postgres as a part of `up`: Prefect's history is in it, and the diary where no other database is named.

Prefect's server and the warm processes find it again by themselves, because it comes back at the same place.
"""

from __future__ import annotations

from pathlib import Path

from diarynotes.store.embedded import find_server, start_embedded, stop_embedded


class Database:
    """The server in `folder`. Whoever else uses it may start it, too."""

    def __init__(self, folder: Path) -> None:
        self.name = "database"
        self.log = folder / "data" / "server.log"
        self._folder = folder
        self._url = ""

    @property
    def url(self) -> str:
        """As SQLAlchemy takes it, once it was started."""
        return self._url

    @property
    def pid(self) -> int | None:
        return find_server(self._folder)

    @property
    def is_running(self) -> bool:
        try:
            return self.pid is not None
        except OSError:  # nobody can tell now, and a start could not either
            return True

    def start(self) -> None:
        """Raises: StorageFailed."""
        held, self._url = bool(self._url), start_embedded(self._folder)
        if held:  # it was ours before it ended; one `stop` is to be enough all the same
            stop_embedded(self._folder)

    def stop(self) -> None:
        stop_embedded(self._folder)
