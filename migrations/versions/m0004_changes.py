"""What a run has written is found by the run.

Why: all that a run changed in memory can be looked at and taken back as one.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    with op.batch_alter_table("versions", schema=None) as batch_op:
        batch_op.create_index(
            "ix_versions_author_run",
            ["author_run"],
            unique=False,
            sqlite_where=sa.text("author_run IS NOT NULL"),
            postgresql_where=sa.text("author_run IS NOT NULL"),
        )
