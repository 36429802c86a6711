"""The connection to Postgres: the engine, the schema's version, and the one place where its errors become ours.

Knows no tables. Messages name the server (never its password) and what Postgres complained of (never a row).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, CompileError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from diarynotes.errors import BadSettings, StorageFailed

HEAD = "0008"
"""The newest migration under `migrations/versions`."""

APPLICATION = "diarynotes"
"""What our connections call themselves; `cluster` tells foreign clients by it."""

LONGEST_PAUSE_S = 30.0
"""A transaction whose worker has done nothing for so long is undone by the server, else a frozen one keeps its locks.

Shorter than a lease: when that has run out, nothing of what it covered is locked.
"""

_MIGRATION_LOCK = 0x6469617279
"""Key of the advisory lock under which the schema is changed ("diary" in ASCII)."""


def open_database(url: str) -> Engine:
    """An engine on an up-to-date schema. Raises BadSettings for a URL that is none, StorageFailed for no answer."""
    engine = _engine(url)
    try:
        if _version(engine) != HEAD:
            _migrate(engine)
    except BaseException:
        engine.dispose()
        raise
    return engine


@contextmanager
def begin(engine: Engine) -> Iterator[Connection]:
    """One transaction. What goes wrong inside it comes out as StorageFailed."""
    try:
        with engine.begin() as connection:
            yield connection
    except DBAPIError as failure:
        # from None: the cause's own text may quote the row that was refused
        raise StorageFailed(_name(engine), _complaint(failure)) from None
    except CompileError as failure:  # its text names columns and parameters, never their values
        raise StorageFailed(_name(engine), f"a statement cannot be put together: {failure.args[0]}") from failure
    except SQLAlchemyError as failure:
        raise StorageFailed(_name(engine), type(failure).__name__) from failure


def _engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() in ("postgresql", "postgres"):
            parsed = parsed.set(drivername="postgresql+psycopg")
        if parsed.drivername != "postgresql+psycopg":
            raise BadSettings("database_url", "Name a Postgres server: postgresql://user:password@host/database")
        # a row that Postgres refuses must not show up in a message
        ours = {"application_name": APPLICATION}
        engine = create_engine(
            parsed, connect_args=ours, pool_pre_ping=True, hide_parameters=True, pool_size=8, max_overflow=24
        )
    except (ArgumentError, NoSuchModuleError, ValueError):
        raise BadSettings("database_url", "This is no URL of a Postgres server.") from None
    event.listen(engine, "connect", _limit_pauses)
    return engine


def _limit_pauses(connection: Any, _record: object) -> None:
    # not as an option of the connection, which poolers refuse
    connection.execute("select set_config('idle_in_transaction_session_timeout', %s, false)", [f"{LONGEST_PAUSE_S}s"])
    connection.commit()


def _version(engine: Engine) -> str | None:
    """The schema's version; None for an empty database."""
    with begin(engine) as connection:
        if connection.scalar(text("select to_regclass('alembic_version')")) is None:
            return None
        return str(connection.scalar(text("select version_num from alembic_version")))


def _migrate(engine: Engine) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.util.exc import CommandError

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    with begin(engine) as connection:
        # whoever comes second waits here, and then finds nothing to do
        connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as failure:
            raise BadSettings("database_url", "A newer diarynotes made this database; upgrade this one.") from failure


def _name(engine: Engine) -> str:
    return unquote(engine.url.render_as_string(hide_password=True))


def _complaint(failure: DBAPIError) -> str:
    state = getattr(failure.orig, "sqlstate", None)
    if state:
        return f"Postgres says {type(failure.orig).__name__} ({state})"
    return "no connection: " + (str(failure.orig).strip().splitlines() or ["no reason given"])[-1][:200]
