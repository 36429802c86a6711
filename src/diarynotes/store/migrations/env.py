"""What Alembic runs for every migration: over the connection that `store.database` (or the command line) gives it."""

from __future__ import annotations

from alembic import context

from diarynotes.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
