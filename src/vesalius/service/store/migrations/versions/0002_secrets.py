"""A table of secrets, with the salt of owners' hashes, which is laid over those that are there."""

from __future__ import annotations

import hashlib
import hmac
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
    salt = secrets.token_bytes(32)
    table = sa.table("secrets", sa.column("name"), sa.column("value"))
    op.bulk_insert(table, [{"name": "owners", "value": salt.hex()}])
    for name in ("images", "conversations"):
        _salt_owners(sa.table(name, sa.column("owner")), salt)


def _salt_owners(table: sa.TableClause, salt: bytes) -> None:
    bind = op.get_bind()
    for owner in bind.scalars(sa.select(table.c.owner).distinct()).all():
        salted = "own_" + hmac.new(salt, owner.encode(), hashlib.sha256).hexdigest()[:40]
        bind.execute(sa.update(table).where(table.c.owner == owner).values(owner=salted))


def downgrade() -> None:
    """Drop the table: the owners of what is stored are not found again."""
    op.drop_table("secrets")
