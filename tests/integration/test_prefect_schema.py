"""`deployments/docker/schema.py` beside a database of Prefect's that is empty, older, as it should be, and newer."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).parents[2] / "deployments" / "docker" / "schema.py"


LOOKS_S, ENDS_S = 15.0, 180.0
"""How long one that is to wait is watched, and how long one that is to end may take on a busy machine."""


def ends(environment: Mapping[str, str], within_s: float) -> bool:
    try:
        subprocess.run([sys.executable, SCRIPT], env=environment, timeout=within_s, check=True)
    except subprocess.TimeoutExpired:
        return False
    return True


def stamp(database: Path, revision: str) -> None:
    with sqlite3.connect(database) as connection:
        connection.execute("update alembic_version set version_num = ?", [revision])
    connection.close()


def test_servers_start_when_the_schema_is_there(tmp_path: Path) -> None:
    database = tmp_path / "prefect.db"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    url = f"sqlite+aiosqlite:///{database}"
    environment = {**inherited, "PREFECT_HOME": str(tmp_path), "PREFECT_SERVER_DATABASE_CONNECTION_URL": url}
    assert not ends(environment, LOOKS_S)
    migrate = [sys.executable, "-m", "prefect", "server", "database", "upgrade", "--yes"]
    subprocess.run(migrate, env=environment, check=True, capture_output=True)
    assert ends(environment, ENDS_S)
    stamp(database, "9725c1cbee35")  # Prefect's first
    assert not ends(environment, LOOKS_S)
    stamp(database, "f" * 12)  # which a version to come has left, and this one is to go on with
    assert ends(environment, ENDS_S)
