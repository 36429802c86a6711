"""The parts of `diarynotes up` in order: what starts when, what is looked after, and how it all ends.

Says what happens by `tell(event, facts)`; how that looks is the command line's business.
"""

from __future__ import annotations

import fcntl
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diarynotes.buckets.places import local_path
from diarynotes.errors import BadSettings, StorageFailed
from diarynotes.settings import Settings, make_home
from diarynotes.store import open_store
from diarynotes.telemetry import forbid_telemetry
from diarynotes.up.children import Child
from diarynotes.up.database import Database
from diarynotes.up.keeping import Keeper, Part
from diarynotes.up.keys import load_keys
from diarynotes.up.news import Newsreader
from diarynotes.up.registering import Api, clear_dead_runs, deploy_all, is_deployed, register_pools, start_run
from diarynotes.up.rescue import Rescuer
from diarynotes.up.server import client_environment, make_database, server_environment

if TYPE_CHECKING:
    from diarynotes.store.store import Store

Tell = Callable[[str, dict[str, Any]], None]

_TICK_S = 0.1
_SERVER_START_S = 600.0
_SWEEP = "pick-up/sweep"
_RESCUE = "pick-up/rescue"


def run_up(settings: Settings, port: int, tell: Tell, stopping: threading.Event) -> None:
    """Starts everything, keeps it running until `stopping` is set, stops it all.

    Raises: BadSettings where a port is taken, StorageFailed where something does not start or another `up` runs.
    """
    make_home(settings)
    forbid_telemetry()
    with ExitStack() as opened:
        lock = opened.enter_context(_alone(settings.home))
        started_at = datetime.now(UTC)
        folder = settings.home / "prefect"
        stamp = folder / "deployed"
        known = is_deployed(stamp)  # what a person changes in the UI stays until the flows change
        keys = load_keys(folder)
        port = _check_port(port) if port else _usual_port(folder)
        folders = list(local_buckets(settings))
        tell("starting", {"first": not known})
        database = Database(settings.home / "postgres")
        database.start()
        opened.callback(database.stop)
        make_database(database.url)
        as_client = {**client_environment(port, keys, folder), "DIARYNOTES_HOME": str(settings.home)}
        slots = {"cpu": settings.run_slots, "gpu": 1}
        as_server = server_environment(database.url, keys, folder, register_blocks=not known)
        server = Child("server", ["server", str(port)], as_server, folder / "server.log")
        worker = Child(
            "worker",
            ["worker", *(f"{pool}={limit}" for pool, limit in slots.items())],
            as_client,
            folder / "worker.log",
        )
        watcher = Child("watcher", ["watcher", *folders], as_client, folder / "watcher.log")
        children = [server, worker, *([watcher] if folders else [])]
        parts: list[Part] = [database, *children]
        opened.callback(_stop, server, [child for child in children if child is not server])
        _empty_logs(children)
        server.start()
        worker.start()  # its flows are imported while the server starts
        store = opened.enter_context(open_store(settings.database_url, settings.home, zone=settings.zone))
        api = Api(f"http://127.0.0.1:{port}/api", keys.auth_string)
        opened.callback(api.close)
        _wait_for(api, server, stopping)
        if stopping.is_set():
            return
        clear_dead_runs(api, started_at)
        register_pools(api, slots)
        if not known:
            deploy_all(as_client, stamp, stopping)
        for child in children[2:]:
            child.start()
        lock.write_text(f"{os.getpid()} http://127.0.0.1:{port}\n")
        facts = {"ui": f"http://127.0.0.1:{port}", "auth_file": str(keys.auth_file), "drop_into": folders}
        tell("up", {**facts, "owner": settings.owner, "pids": {part.name: part.pid for part in parts}})
        start_run(api, _SWEEP)
        rescuer = Rescuer(lambda: _is_work_left(store, settings), lambda: start_run(api, _RESCUE))
        _look_after([Keeper(part) for part in parts], Newsreader(store.engine), rescuer, tell, stopping)
        tell("stopping", {})


def _is_work_left(store: Store, settings: Settings) -> bool:
    stranded = store.jobs.stranded(idle_s=settings.left_behind_s, unasked=True, limit=1)
    return bool(stranded or (settings.daily_entries and store.left_days()))


def local_buckets(settings: Settings) -> Iterator[str]:
    """The buckets that are folders on this machine; the one under the home is made where there is none.

    Raises: BadSettings where one that is named is not there.
    """
    if not settings.buckets:
        bucket = settings.home / "bucket"
        (bucket / settings.owner).mkdir(mode=0o700, parents=True, exist_ok=True)
        yield str(bucket)
    for bucket_name in settings.buckets:
        if "://" not in bucket_name or bucket_name.startswith("file://"):
            folder = local_path(bucket_name)
            if not folder.is_dir():
                raise BadSettings("buckets", f"there is no folder {folder}")
            yield str(folder)


def _look_after(
    keepers: list[Keeper], news: Newsreader, rescuer: Rescuer, tell: Tell, stopping: threading.Event
) -> None:
    while not stopping.wait(_TICK_S):
        for keeper in keepers:
            if setback := keeper.look_after():
                part = {"what": keeper.part.name, "log": str(keeper.part.log)}
                tell("ended", {**part, "again_in_s": setback.again_in_s, "why": setback.why})
        with suppress(StorageFailed):  # the database or Prefect's server may be away for a moment
            rescuer.look()
        with suppress(StorageFailed):  # its news is not lost
            for one in news.read():
                tell(
                    one.state if one.state in ("landed", "known") else "set_aside",
                    {
                        "recording_id": one.recording_id,
                        "file": one.file,
                        "owner": one.owner,
                        "day": one.day.isoformat() if one.day else None,
                        "seconds": round(one.seconds, 1),
                        "code": one.code,
                        "message": one.message,
                        "same_as": one.same_as,
                    },
                )


def _stop(server: Child, others: list[Child]) -> None:
    """The server last, so that the others can tell it how their work ended."""
    for child in others:
        child.tell_to_stop()
    for child in others:
        child.stop(patience_s=10.0)
    server.stop(patience_s=4.0)


def _wait_for(api: Api, server: Child, stopping: threading.Event) -> None:
    def may_come() -> bool:
        return server.is_running and not stopping.is_set()

    if not api.wait(_SERVER_START_S, may_come) and not stopping.is_set():
        raise StorageFailed(str(server.log), "Prefect's server did not start; its log is there")


@contextmanager
def _alone(home: Path) -> Iterator[Path]:
    """Holds the home's lock while the block runs; yields the file. Raises: StorageFailed where another has it."""
    path = home / "up.lock"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StorageFailed(str(path), error.strerror or str(error)) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        number, _, where = path.read_text().strip().partition(" ")
        os.close(descriptor)
        raise AlreadyUp(str(home), number or "?", where) from None
    try:
        path.write_text(f"{os.getpid()}\n")
        yield path
    finally:
        os.close(descriptor)


class AlreadyUp(StorageFailed):
    """Another `up` runs on this home."""

    code = "already_up"
    retryable = False

    def __init__(self, home: str, process: str, where: str) -> None:
        super().__init__(home, where)
        self.args = (home, process, where)
        self.process = process

    def __str__(self) -> str:
        where = f", with its UI at {self.why}" if self.why else ""
        return f"`diarynotes up` runs already on {self.where} (process {self.process}){where}."


def _check_port(port: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise BadSettings("port", f"{port} cannot be used ({error.strerror})") from error
    return port


def _usual_port(folder: Path) -> int:
    """The one of last time, so that bookmarks and the login of a browser stay good; where it is taken, another one."""
    remembered = folder / "port"
    try:
        return _check_port(int(remembered.read_text()))
    except (OSError, ValueError, OverflowError, BadSettings):
        port = _free_port()
    with suppress(OSError):
        remembered.write_text(f"{port}\n")
    return port


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _empty_logs(children: list[Child]) -> None:
    for child in children:
        with suppress(OSError):
            child.log.write_bytes(b"")
            child.log.chmod(0o600)
