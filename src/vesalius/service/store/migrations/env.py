"""What alembic runs: the steps, over the connection (and in the transaction) it is given."""

from __future__ import annotations

from alembic import context

from vesalius.service.store.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,  # SQLite changes a table by making it anew
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
