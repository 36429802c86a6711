"""The parts of `diarynotes up` in order: what starts when, what is looked after, and how it all ends.

Says what happens by `tell(event, facts)`; how that looks is the command line's business.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diarynotes.errors import StorageFailed
from diarynotes.settings import Settings, make_home
from diarynotes.store import open_store
from diarynotes.telemetry import forbid_telemetry
from diarynotes.up.api import Api
from diarynotes.up.children import Child
from diarynotes.up.database import Database
from diarynotes.up.deploying import deploy, find_missing, was_deployed
from diarynotes.up.keeping import Keeper, Part
from diarynotes.up.news import Newsreader
from diarynotes.up.plan import Plan, make_plan
from diarynotes.up.registering import ask_for_run, clear_dead_runs, register_pools
from diarynotes.up.rescue import Rescuer
from diarynotes.up.server import make_database, server_environment

if TYPE_CHECKING:
    from diarynotes.store.store import Store

Tell = Callable[[str, dict[str, Any]], None]

_TICK_S = 0.1
_SERVER_START_S = 600.0
_DROPS_LIE_S = 10.0
"""A run that was told of a drop takes it within seconds, unless all are at work or it was lost."""
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
        plan = make_plan(settings, port)
        is_known = was_deployed(plan.deployments, plan.folder)
        tell("starting", {"first": not is_known})
        database = Database(settings.home / "postgres")
        database.start()
        opened.callback(database.stop)
        is_new = make_database(database.url)
        server, worker, *watchers = _make_children(plan, database.url, register_blocks=is_new or not is_known)
        opened.callback(_stop, server, [worker, *watchers])
        server.start()
        worker.start()  # its flows are imported while the server starts
        store = opened.enter_context(open_store(settings.database_url, settings.home, zone=settings.zone))
        api = Api(f"{plan.url}/api", plan.keys.auth_string)
        opened.callback(api.close)
        _wait_for(api, server, stopping)
        if stopping.is_set():
            return
        clear_dead_runs(api, plan.slots, started_at)
        register_pools(api, plan.slots)
        deploy(plan.deployments, find_missing(api, plan.deployments), plan.folder, plan.as_client, stopping)
        if stopping.is_set():
            return
        for watcher in watchers:
            watcher.start()
        lock.write_text(f"{os.getpid()} {plan.url}\n")
        parts: list[Part] = [database, server, worker, *watchers]
        facts = {"ui": plan.url, "auth_file": str(plan.keys.auth_file), "drop_into": plan.watched}
        tell("up", {**facts, "owner": settings.owner, "pids": {part.name: part.pid for part in parts}})
        ask_for_run(api, _SWEEP)
        rescuer = Rescuer(lambda: _is_work_left(store, settings), lambda: ask_for_run(api, _RESCUE))
        _look_after([Keeper(part) for part in parts], Newsreader(store.engine), rescuer, tell, stopping)
        tell("stopping", {})


def _make_children(plan: Plan, database_url: str, *, register_blocks: bool) -> Iterator[Child]:
    """The server, the worker, and the watcher where there is a folder to watch; their logs begin anew."""
    as_server = server_environment(database_url, plan.keys, plan.folder, register_blocks=register_blocks)
    pools = [f"{pool}={limit}" for pool, limit in plan.slots.items()]
    yield Child("server", [str(plan.port)], {**as_server, **plan.direct}, _empty_log(plan, "server"))
    yield Child("worker", pools, plan.as_client, _empty_log(plan, "worker"))
    if plan.watched:
        yield Child("watcher", plan.watched, plan.as_client, _empty_log(plan, "watcher"))


def _empty_log(plan: Plan, name: str) -> Path:
    log = plan.folder / f"{name}.log"
    with suppress(OSError):
        log.write_bytes(b"")
        log.chmod(0o600)
    return log


def _is_work_left(store: Store, settings: Settings) -> bool:
    idle_s = settings.left_behind_s
    return bool(
        store.jobs.stranded(idle_s=idle_s, unasked=True, limit=1)
        or store.drops.lie(_DROPS_LIE_S)
        or (settings.daily_entries and store.left_days(idle_s=idle_s))
    )


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
