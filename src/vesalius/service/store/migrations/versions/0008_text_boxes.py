"""Where writing stands in a picture."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("images", sa.Column("text_boxes", sa.JSON(), nullable=True))


def downgrade() -> None:
    """Drop it."""
    op.drop_column("images", "text_boxes")
