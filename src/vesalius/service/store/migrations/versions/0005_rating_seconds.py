"""How long an answer under review was looked at."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("ratings", sa.Column("seconds", sa.Float(), nullable=True))


def downgrade() -> None:
    """Drop it."""
    op.drop_column("ratings", "seconds")
