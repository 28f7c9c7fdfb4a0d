"""Alembic's entry: runs the migrations on the connection that `rlmd.memory.migrate` hands over."""

from __future__ import annotations

from alembic import context

from rlmd.memory.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite changes tables by copying them.
    render_as_batch=True,
    transactional_ddl=True,
)
context.run_migrations()
