"""Who registered a recording or worked on it last, so that what it has not got on with is seen once it has died."""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.execute("alter table jobs add column last_worker bigint")


def downgrade() -> None:
    op.execute("alter table jobs drop column last_worker")
