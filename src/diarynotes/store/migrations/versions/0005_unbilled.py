"""What a kept answer used, until a note or an entry that rests on it has that on its bill."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.execute("alter table answers add column unbilled jsonb not null default '[]'")


def downgrade() -> None:
    op.execute("alter table answers drop column unbilled")
