"""Studies; questions about several pictures, asked again, and what answers are worth."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

COLUMNS = (
    ("images", "series_place", sa.JSON),
    ("turns", "image_ids", sa.JSON),
    ("turns", "assessment", sa.JSON),
    ("turns", "replaced_by", sa.Text),
)


def upgrade() -> None:
    """Make the tables and add the columns."""
    for table, name, kind in COLUMNS:
        op.add_column(table, sa.Column(name, kind(), nullable=True))
    op.create_table(
        "studies",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("files", sa.Integer(), nullable=False),
        sa.Column("repeats", sa.Integer(), nullable=False),
        sa.Column("current", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_studies")),
    )
    op.create_index(op.f("ix_studies_owner_expires_at"), "studies", ["owner", "expires_at"])
    op.create_index(op.f("ix_studies_expires_at"), "studies", ["expires_at"])
    op.create_table(
        "study_images",
        sa.Column("study_id", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("image_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("study_id", "position", name=op.f("pk_study_images")),
        sa.ForeignKeyConstraint(
            ["study_id"], ["studies.id"], name=op.f("fk_study_images_study_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["image_id"], ["images.id"], name=op.f("fk_study_images_image_id"), ondelete="CASCADE"
        ),
    )
    op.create_index(op.f("ix_study_images_image_id"), "study_images", ["image_id"])


def downgrade() -> None:
    """Drop both."""
    op.drop_table("study_images")
    op.drop_table("studies")
    for table, name, _ in COLUMNS:
        op.drop_column(table, name)
