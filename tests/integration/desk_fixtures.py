"""The desk in Postgres as its tests see it: one database a session, and processes that work at it side by side."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from diarynotes.store.store import Store
from tests.integration.desk_samples import open_desk_store
from tests.integration.desk_work import WorkerProcess

_ROOT = Path(__file__).parents[2]
_SERVE = "import sys; sys.path.insert(0, sys.argv[1]); from tests.integration.desk_work import serve; serve()"


@pytest.fixture(scope="session")
def desk_store(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with open_desk_store(postgres_url, tmp_path_factory.mktemp("desk")) as store:
        yield store


@pytest.fixture(scope="session")
def workers(desk_store: Store) -> Iterator[list[WorkerProcess]]:
    """Three processes beside this one, ready for work."""
    with _start(desk_store, 3) as started:
        yield started


@pytest.fixture
def dying_worker(desk_store: Store) -> Iterator[WorkerProcess]:
    """One that may be killed."""
    with _start(desk_store, 1) as (started,):
        yield started


@contextmanager
def _start(store: Store, count: int) -> Iterator[list[WorkerProcess]]:
    url = store.engine.url.render_as_string(hide_password=False)
    command = [sys.executable, "-c", _SERVE, str(_ROOT), url, str(store.home)]
    started = [
        WorkerProcess(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        for _ in range(count)
    ]
    try:
        assert [worker.result() for worker in started] == ["ready"] * count
        yield started
    finally:
        for worker in started:
            worker.process.kill()
            worker.process.communicate()
