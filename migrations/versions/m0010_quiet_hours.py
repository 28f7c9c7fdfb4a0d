"""Hours in which an agent does not disturb, and schedules that act if something is true or changes.

Why: what schedules have to say in those hours is held back, over restarts, and told once when they end; and a
condition acts when it becomes true, so what it was before is kept. Who waits for changes is asked often.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "deliveries",
        sa.Column("id", _ID, nullable=False),
        sa.Column("agent_id", _ID, nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("origin", sa.Integer(), nullable=False),
        sa.Column("due_time", sa.BigInteger(), nullable=False),
        sa.Column("end_time", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["agent_id"], ["agents.id"], name=op.f("fk_deliveries_agent_id_agents"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("deliveries", schema=None) as batch_op:
        for column in ("agent_id", "due_time", "run_id"):
            batch_op.create_index(f"ix_deliveries_{column}", [column], unique=False)
    with op.batch_alter_table("agents", schema=None) as batch_op:
        batch_op.add_column(sa.Column("quiet", sa.Text(), nullable=False, server_default=""))
    with op.batch_alter_table("schedules", schema=None) as batch_op:
        batch_op.add_column(sa.Column("condition", sa.Text(), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("truth", sa.Boolean(), nullable=False, server_default="0"))
        batch_op.create_index("ix_schedules_kind", ["kind"], unique=False)
