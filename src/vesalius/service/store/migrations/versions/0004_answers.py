"""Answers whole: boxes, concepts and scores beside the text, evidence of every kind."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TURNS = sa.table("turns", sa.column("answer_id", sa.Text()), sa.column("evidence", sa.JSON()))


def upgrade() -> None:
    """Add the columns; similar cases, all the evidence until now, are evidence of one kind."""
    op.add_column("turns", sa.Column("content", sa.JSON(), nullable=True))
    op.add_column("turns", sa.Column("scores", sa.JSON(), nullable=True))
    op.execute("ALTER TABLE turns RENAME COLUMN neighbours TO evidence")


def downgrade() -> None:
    """Drop the columns, and the evidence that the version before cannot read."""
    bind = op.get_bind()
    for answer_id, evidence in bind.execute(sa.select(TURNS)).all():
        cases = [one for one in evidence or () if "case" in one]
        if cases != (evidence or []):
            row = sa.update(TURNS).where(TURNS.c.answer_id == answer_id)
            bind.execute(row.values(evidence=cases))
    op.execute("ALTER TABLE turns RENAME COLUMN evidence TO neighbours")
    op.drop_column("turns", "scores")
    op.drop_column("turns", "content")
