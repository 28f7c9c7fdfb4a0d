"""Origins of runs, and what owners have permitted.

Why: a run that has read text from outside does nothing of consequence without its owner's approval; and what
the owner has approved for good is remembered.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("runs", sa.Column("origin", sa.Integer(), nullable=False, server_default="3"))
    op.add_column("channels", sa.Column("external", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column(
        "channel_calls", sa.Column("trusted", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    op.create_table(
        "permits",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("agent_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["agent_id"], ["agents.id"], name=op.f("fk_permits_agent_id_agents"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_permits")),
        sa.UniqueConstraint("agent_id", "what", name=op.f("uq_permits_agent_id_what")),
        sqlite_autoincrement=True,
    )
