"""How Prefect's server is to be for one machine: on Postgres, loopback, with secrets of its own, and quick to react.

Only settings; what they cost and gain was measured (docs/running.md).
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import psycopg

from diarynotes.errors import StorageFailed
from diarynotes.up.keys import Keys

DATABASE = "prefect"
_SERVICES = {
    "TASK_RUN_RECORDER_BATCH_SIZE": "100",
    "TASK_RUN_RECORDER_READ_BATCH_SIZE": "100",
    "TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
    "EVENT_PERSISTER_BATCH_SIZE": "200",
    "EVENT_PERSISTER_READ_BATCH_SIZE": "100",
    "EVENT_PERSISTER_FLUSH_INTERVAL": "1",
    "TRIGGERS_READ_BATCH_SIZE": "100",
    # what only a server for many has to look at every few seconds
    "CANCELLATION_CLEANUP_LOOP_SECONDS": "60",
    "FOREMAN_LOOP_SECONDS": "60",
    "LATE_RUNS_LOOP_SECONDS": "30",
    "PAUSE_EXPIRATIONS_LOOP_SECONDS": "60",
    "SCHEDULER_RECENT_DEPLOYMENTS_LOOP_SECONDS": "30",
}
QUERY_S = "1"
"""How often a worker looks for runs. Looking oftener costs more of an idle machine than it gains."""


def server_environment(database_url: str, keys: Keys, folder: Path, *, register_blocks: bool = True) -> dict[str, str]:
    """What the server is started with. `database_url` is the embedded Postgres's, as SQLAlchemy takes it.

    To register the types of blocks, it imports every integration; once is enough.
    """
    return {
        **{f"PREFECT_SERVER_SERVICES_{name}": value for name, value in _SERVICES.items()},
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": _prefect_url(database_url),
        "PREFECT_SERVER_API_AUTH_STRING": keys.auth_string,
        "PREFECT_SERVER_ENCRYPTION_KEY": keys.encryption_key,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_ENABLED": "true",
        "PREFECT_SERVER_UI_API_URL": "/api",  # else the page asks port 4200, whichever port served it
        "PREFECT_API_BLOCKS_REGISTER_ON_START": str(register_blocks).lower(),
        # runs are forgotten after 90 days, as events are
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        # a run that found another at work is looked at again after so long, not after 30 s
        "PREFECT_SERVER_DEPLOYMENTS_CONCURRENCY_SLOT_WAIT_SECONDS": "2",
        "PREFECT_HOME": str(folder),
        "DO_NOT_TRACK": "1",
    }


def client_environment(port: int, keys: Keys, folder: Path) -> dict[str, str]:
    """What those are started with who talk to the server."""
    return {
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_API_AUTH_STRING": keys.auth_string,
        "PREFECT_HOME": str(folder),
        "PREFECT_WORKER_QUERY_SECONDS": QUERY_S,
        # looking ahead, a worker would ask again and again for runs that wait until another has ended
        "PREFECT_WORKER_PREFETCH_SECONDS": "0",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }


def make_database(database_url: str) -> bool:
    """Makes Prefect's database in the embedded Postgres where there is none; whether it did. Raises: StorageFailed."""
    try:
        with psycopg.connect(host=_socket_folder(database_url), user="postgres", autocommit=True) as connection:
            if connection.execute("select 1 from pg_database where datname = %s", [DATABASE]).fetchone():
                return False
            connection.execute(f"create database {DATABASE}")
            return True
    except psycopg.Error as error:
        raise StorageFailed(
            _socket_folder(database_url), f"no database for Prefect ({type(error).__name__})"
        ) from error


def _prefect_url(database_url: str) -> str:
    host = quote(_socket_folder(database_url), safe="/")
    return f"postgresql+asyncpg://postgres@/{DATABASE}?host={host}"


def _socket_folder(database_url: str) -> str:
    return parse_qs(urlsplit(database_url).query)["host"][0]
