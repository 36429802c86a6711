"""When what has landed did so, for who looks for days that were left without their entry."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.execute("create index jobs_landed_idx on jobs (updated_at) where state = 'landed'")


def downgrade() -> None:
    op.execute("drop index jobs_landed_idx")
