"""What a viewer writes beside a DICOM picture."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("images", sa.Column("display", sa.JSON(), nullable=True))


def downgrade() -> None:
    """Drop it."""
    op.drop_column("images", "display")
