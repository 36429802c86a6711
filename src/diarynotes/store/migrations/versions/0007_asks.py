"""Runs of other pools that were asked for, so that nobody asks twice."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"

_TABLE = """
create table asks (
    recording_id text constraint asks_pkey primary key,
    attempt integer not null,
    run text not null,
    asked_at timestamptz not null default clock_timestamp()
);
create index asks_run_idx on asks (run);
"""


def upgrade() -> None:
    op.execute(_TABLE)


def downgrade() -> None:
    op.execute("drop table asks")
