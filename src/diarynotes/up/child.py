"""What the processes of `up` run: the server, the worker or the watcher. Each ends when its parent does.

Its standard input is a pipe that closes when the parent ends, however that happens.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

_LEAVE_S = 8.0


def main(what: str, *arguments: str) -> None:
    """Runs the `server` on a port, the `worker` of pools with their slots (cpu=2), or the `watcher` of folders."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for our parent, who tells us
    threading.Thread(target=_end_with_parent, daemon=True).start()
    parts: dict[str, Callable[..., None]] = {"server": _serve, "worker": _work, "watcher": _watch}
    parts[what](*arguments)
    os._exit(0)  # an ordinary exit waits for every thread


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(_LEAVE_S)
    os._exit(1)


def _serve(port: str) -> None:
    import uvicorn

    _leave_out_trigrams()
    uvicorn.run(
        "prefect.server.api.server:create_app",
        factory=True,
        host="127.0.0.1",
        port=int(port),
        log_level="warning",
        lifespan="on",
        timeout_graceful_shutdown=2,
    )


def _leave_out_trigrams() -> None:
    """Prefect's migrations ask for the extension pg_trgm, which the embedded Postgres does not have.

    It serves six indexes that make searching for parts of names faster; searching works without them.
    """
    import alembic.op

    op: Any = alembic.op
    execute = op.execute

    def execute_others(statement: Any, **options: Any) -> None:
        if "trgm" not in str(statement):
            execute(statement, **options)

    op.execute = execute_others


def _work(*pools: str) -> None:
    import anyio

    from flows.resident import serve

    anyio.run(serve, [(name, int(slots)) for name, _, slots in (pool.partition("=") for pool in pools)])


def _watch(*folders: str) -> None:
    from diarynotes.cli.watch import watch_folders
    from diarynotes.settings import load_settings
    from diarynotes.watch import make_folder

    settings = load_settings()
    watch_folders(settings, [make_folder(folder, settings.owner) for folder in folders])


if __name__ == "__main__":
    main(*sys.argv[1:])
