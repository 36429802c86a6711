"""Puts what is dropped into folders into the inbox: heard of by the system's notices, and found by listings.

A listing finds what came while nobody watched, and what no notice was given of. Knows no audio and no flow.
"""

from __future__ import annotations

import logging
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from diarynotes.buckets import list_objects, owner_of
from diarynotes.errors import BadSettings, SourceUnavailable, StorageFailed
from diarynotes.models import BucketObject
from diarynotes.receive.names import is_dropped
from diarynotes.store.facts import Drop, KnownSource
from diarynotes.watch.settling import Settling

_log = logging.getLogger("diarynotes.watch")

_TICK_MS = 100
_PUT_EVERY_S = 0.5
_MOST_AT_ONCE = 2_000
_LIST_EVERY_S = 60.0
_LIST_SHARE = 0.02
"""A listing may take so much of the time: large folders are listed less often."""
_AGAIN_S = 0.5
_PATIENCE_S = 5.0
"""How long to wait before the database is asked again after it failed."""

KnownSources = Callable[[Sequence[str], str], dict[str, KnownSource]]
"""What is registered already of these uris of an owner."""


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that is watched; without an `owner` what lies in it belongs to the first folder below it."""

    path: str
    default_owner: str
    owner: str | None = None

    def drop(self, obj: BucketObject) -> Drop:
        """The drop of a file below it."""
        owner = self.owner or owner_of(obj.uri, self.path, self.default_owner)
        return Drop(owner, obj.uri, obj.version)


def make_folder(path: str, default_owner: str, owner: str | None = None) -> Folder:
    """Raises: BadSettings where there is no such folder."""
    absolute = os.path.abspath(os.path.expanduser(path))
    if not os.path.isdir(absolute):
        raise BadSettings(path, "there is no such folder")
    return Folder(absolute, default_owner, owner)


@dataclass(slots=True)
class Watch:
    """Folders, the inbox that their drops go to, and what tells which files are registered already."""

    folders: Sequence[Folder]
    put: Callable[[Sequence[Drop]], int]
    known: KnownSources
    settling: Settling = field(default_factory=Settling)
    list_every_s: float = _LIST_EVERY_S
    _passed: dict[str, str] = field(default_factory=dict)
    """The version of every file that is in the inbox or was before, by its uri."""
    _pending: list[Drop] = field(default_factory=list)
    _failing: bool = False
    _put_at: float = 0.0
    _list_at: float = 0.0

    def run(self, stopping: threading.Event, *, poll: bool = False, on_ready: Callable[[], None] | None = None) -> None:
        """Watches until `stopping` is set; `on_ready` is called when nothing can be missed any more.

        With `poll` the folders are looked through again and again, for file systems that give no notice.
        Raises: StorageFailed where the system refuses to watch so many folders.
        """
        while not stopping.is_set():
            standing = {folder.path: _identify(folder.path) for folder in self.folders}
            present = [path for path, identity in standing.items() if identity]
            self._list_at = 0.0
            for changed in _changes(present, stopping, poll=poll):
                self._take(changed)
                if time.monotonic() >= self._list_at:
                    self._list_all()
                if on_ready is not None:
                    on_ready()
                    on_ready = None
                self.flush()
                if any(_identify(path) != identity for path, identity in standing.items()):
                    break  # a folder was removed, or came back: it has to be watched anew
        self.flush(last=True)

    def flush(self, *, last: bool = False) -> None:
        """Puts what has settled into the inbox, at most twice a second, so that a burst becomes a few batches."""
        now = time.monotonic()
        if now < self._put_at and not last:
            return
        self._pending += self._make_drops(self.settling.take_ready())
        while self._pending:
            batch = self._pending[:_MOST_AT_ONCE]
            try:
                self.put(self._drop_known(batch))
            except StorageFailed as error:
                if not self._failing:
                    _log.warning("drops cannot be kept just now, and are put in later: %s", error)
                self._failing = True
                self._put_at = now + _PATIENCE_S
                return
            self._failing = False
            self._passed |= {drop.uri: drop.version for drop in batch}
            del self._pending[: len(batch)]
            self._put_at = now + _PUT_EVERY_S

    def _make_drops(self, paths: Sequence[str]) -> Iterator[Drop]:
        for path in paths:
            folder = self._folder_of(path)
            for obj in self._list(path):
                if folder is not None and self._passed.get(obj.uri) != obj.version:
                    yield folder.drop(obj)

    def _drop_known(self, drops: Sequence[Drop]) -> list[Drop]:
        """Those of `drops` that are not registered as they are."""
        known: dict[tuple[str, str], str] = {}
        for owner in {drop.owner for drop in drops}:
            uris = [drop.uri for drop in drops if drop.owner == owner]
            known |= {(owner, uri): source.etag for uri, source in self.known(uris, owner).items()}
        return [drop for drop in drops if known.get((drop.owner, drop.uri)) != drop.version]

    def _take(self, paths: Sequence[str]) -> None:
        for path in paths:
            folder = self._folder_of(path)
            if folder is None or not is_dropped(os.path.relpath(path, folder.path)):
                continue
            if os.path.isdir(path):  # what was in it before it was watched, or moved here, is not told of
                self._add_listed(folder, path)
            else:
                self.settling.add(path)

    def _list_all(self) -> None:
        begun = time.monotonic()
        for folder in self.folders:
            if os.path.isdir(folder.path):
                self._add_listed(folder, folder.path)
        ended = time.monotonic()
        self._list_at = ended + max(self.list_every_s, (ended - begun) / _LIST_SHARE)

    def _add_listed(self, folder: Folder, path: str) -> None:
        for obj in self._list(path):
            local = _local_path(obj.uri)
            fresh = self._passed.get(obj.uri) != obj.version
            if fresh and is_dropped(os.path.relpath(local, folder.path)):
                self.settling.add(local)

    def _list(self, path: str) -> Iterator[BucketObject]:
        def report(problem: SourceUnavailable) -> None:
            self.settling.tell(problem.uri, problem.why)

        try:
            yield from list_objects(path, on_problem=report)
        except BadSettings:  # it has gone meanwhile
            return

    def _folder_of(self, path: str) -> Folder | None:
        above = [folder for folder in self.folders if path.startswith(folder.path.rstrip("/") + "/")]
        return max(above, key=lambda folder: len(folder.path), default=None)


def _changes(paths: Sequence[str], stopping: threading.Event, *, poll: bool) -> Iterator[list[str]]:
    """What changed below `paths`, again and again; nothing, several times a second, while nothing does."""
    import watchfiles

    if not paths:
        stopping.wait(1.0)
        yield []
        return
    notices = watchfiles.watch(
        *paths,
        watch_filter=None,
        debounce=2 * _TICK_MS,
        step=20,
        rust_timeout=_TICK_MS,
        yield_on_timeout=True,
        stop_event=stopping,
        raise_interrupt=False,
        force_polling=poll or None,
        ignore_permission_denied=True,
    )
    try:
        for changes in notices:
            gone = {path for change, path in changes if change == watchfiles.Change.deleted}
            yield [path for _, path in changes if path not in gone or os.path.lexists(path)]
            if not gone.isdisjoint(paths):
                return  # what comes back under this name has to be watched anew
    except FileNotFoundError:  # a folder went while it was about to be watched
        return
    except RuntimeError as error:  # a name that is no UTF-8 ends it; the listing that comes next finds such a file
        _log.info("watching begins anew: %s", type(error).__name__)
        stopping.wait(_AGAIN_S)
    except OSError as error:
        remedy = "raise fs.inotify.max_user_watches, or watch with --poll"
        raise StorageFailed(paths[0], f"cannot be watched ({error}); {remedy}") from error


def _identify(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return (status.st_dev, status.st_ino) if stat.S_ISDIR(status.st_mode) else None


def _local_path(uri: str) -> str:
    if uri.startswith("file://"):
        return os.fsdecode(unquote_to_bytes(uri.removeprefix("file://")))
    return uri
