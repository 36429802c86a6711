"""Waits until Prefect's database has the schema that this version of Prefect works with, then exits 0.

One that this version does not know is a newer one's, which it works with as well. A server that started sooner would
answer with errors. PREFECT_SERVER_DATABASE_CONNECTION_URL names the database.
"""

import asyncio
from pathlib import Path

import prefect.server.database._migrations as migrations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from prefect.server.database.dependencies import provide_database_interface
from prefect.server.database.interface import PrefectDBInterface
from sqlalchemy.exc import SQLAlchemyError

LOOK_EVERY_S = 2.0


async def wait() -> None:
    database = provide_database_interface()
    folder = Path(next(iter(migrations.__path__)))
    scripts = ScriptDirectory(str(folder), version_locations=[str(database.orm.versions_dir)])
    known = {script.revision for script in scripts.walk_revisions()} - {scripts.get_current_head()}
    while (revision := await read_revision(database)) is None or revision in known:
        await asyncio.sleep(LOOK_EVERY_S)


async def read_revision(database: PrefectDBInterface) -> str | None:
    """What the database was migrated to last; None where it never was, or does not answer."""
    engine = await database.engine()
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(lambda sync: MigrationContext.configure(sync).get_current_revision())
    except (SQLAlchemyError, OSError):
        return None


if __name__ == "__main__":
    asyncio.run(wait())
