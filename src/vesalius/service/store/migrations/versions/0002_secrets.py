"""A table of secrets, with the salt of owners' hashes."""

from __future__ import annotations

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table and draw the salt."""
    op.create_table(
        "secrets",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_secrets")),
    )
    table = sa.table("secrets", sa.column("name"), sa.column("value"))
    op.bulk_insert(table, [{"name": "owners", "value": secrets.token_hex(32)}])


def downgrade() -> None:
    """Drop the table: the owners of what is stored are not found again."""
    op.drop_table("secrets")
