"""What the store's tests share: one embedded Postgres a session, a fresh database a test."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from diarynotes.store import open_store
from diarynotes.store.database import open_database
from diarynotes.store.embedded import start_embedded, stop_embedded
from diarynotes.store.store import Store

_numbers = itertools.count()


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One server for the session, with a migrated database `template_ready` to copy."""
    folder = tmp_path_factory.mktemp("server")
    url = start_embedded(folder)
    _administer(url, "create database template_ready")
    open_database(_with_database(url, "template_ready")).dispose()
    yield url
    stop_embedded(folder)


@pytest.fixture
def empty_database(postgres_url: str) -> str:
    """The URL of a database without any table."""
    name = f"empty_{next(_numbers)}"
    _administer(postgres_url, f"create database {name}")
    return _with_database(postgres_url, name)


@pytest.fixture(scope="session")
def make_database(postgres_url: str) -> Callable[[], str]:
    """Makes one more up-to-date database without any row, and tells its URL."""

    def make() -> str:
        name = f"test_{next(_numbers)}"
        _administer(postgres_url, f"create database {name} template template_ready")
        return _with_database(postgres_url, name)

    return make


@pytest.fixture
def database_url(make_database: Callable[[], str]) -> str:
    """The URL of an up-to-date database without any row."""
    return make_database()


@pytest.fixture
def store(database_url: str, tmp_path: Path) -> Iterator[Store]:
    with open_store(database_url, tmp_path / "home") as opened:
        yield opened


@pytest.fixture
def other(database_url: str, tmp_path: Path) -> Iterator[Store]:
    """A second worker on the same database and home."""
    with open_store(database_url, tmp_path / "home") as opened:
        yield opened


@pytest.fixture
def child() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts Python code in a process of its own, with arguments; its output is read line by line."""
    started: list[subprocess.Popen[str]] = []

    def start(code: str, *arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", code, *map(str, arguments)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def _administer(url: str, statement: str) -> None:
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()


def _with_database(url: str, name: str) -> str:
    return make_url(url).set(database=name).render_as_string(hide_password=False)
