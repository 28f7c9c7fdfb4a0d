"""Hives.

Why: agents share a space and call each other. Who is in a hive, what members may do there, whom they wait for
and what crossed to another user outlive any process, and are checked in the transaction of the use.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "crossings",
        sa.Column("id", _ID, nullable=False),
        sa.Column("user_id", _ID, nullable=False),
        sa.Column("hive", sa.Text(), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("member", sa.Text(), nullable=False),
        sa.Column("peer", sa.Text(), nullable=False),
        sa.Column("outward", sa.Boolean(), nullable=False),
        sa.Column("verb", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_crossings_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_crossings")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("crossings") as batch_op:
        batch_op.create_index("ix_crossings_user_id_id", ["user_id", "id"], unique=False)

    op.create_table(
        "hives",
        sa.Column("id", _ID, nullable=False),
        sa.Column("user_id", _ID, nullable=False),
        sa.Column("space_id", _ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("mixed", sa.Boolean(), nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["space_id"], ["spaces.id"], name=op.f("fk_hives_space_id_spaces"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_hives_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hives")),
        sa.UniqueConstraint("user_id", "name", name=op.f("uq_hives_user_id_name")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "hive_calls",
        sa.Column("id", _ID, nullable=False),
        sa.Column("hive_id", sa.BigInteger(), nullable=False),
        sa.Column("hive", sa.Text(), nullable=False),
        sa.Column("agent_id", _ID, nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("root_id", sa.BigInteger(), nullable=False),
        sa.Column("call", sa.Integer(), nullable=False),
        sa.Column("caller", sa.Text(), nullable=False),
        sa.Column("callee", sa.Text(), nullable=False),
        sa.Column("callee_agent_id", sa.BigInteger(), nullable=False),
        sa.Column("callee_user_id", sa.BigInteger(), nullable=False),
        sa.Column("callee_run_id", sa.BigInteger(), nullable=False),
        sa.Column("chain", sa.Text(), nullable=False),
        sa.Column("waits", sa.Boolean(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("result", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("model_calls", sa.Integer(), nullable=False),
        sa.Column("tokens", sa.BigInteger(), nullable=False),
        sa.Column("money", sa.BigInteger(), nullable=False),
        sa.Column("origin", sa.Integer(), nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.Column("expire_time", sa.BigInteger(), nullable=True),
        sa.Column("end_time", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["agent_id"], ["agents.id"], name=op.f("fk_hive_calls_agent_id_agents"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hive_calls")),
        sa.UniqueConstraint("callee_run_id", name=op.f("uq_hive_calls_callee_run_id")),
        sa.UniqueConstraint(
            "run_id", "call", "callee_agent_id", name=op.f("uq_hive_calls_run_id_call_callee_agent_id")
        ),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("hive_calls") as batch_op:
        batch_op.create_index(
            "ix_hive_calls_agent_id_callee_agent_id",
            ["agent_id", "callee_agent_id", "create_time"],
            unique=False,
        )
        batch_op.create_index(
            "ix_hive_calls_callee_agent_id_state", ["callee_agent_id", "state"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_hive_calls_root_id"), ["root_id"], unique=False)

    op.create_table(
        "hive_invites",
        sa.Column("id", _ID, nullable=False),
        sa.Column("hive_id", _ID, nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.Column("expire_time", sa.BigInteger(), nullable=False),
        sa.Column("use_time", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["hive_id"], ["hives.id"], name=op.f("fk_hive_invites_hive_id_hives"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hive_invites")),
        sa.UniqueConstraint("hash", name=op.f("uq_hive_invites_hash")),
    )
    with op.batch_alter_table("hive_invites") as batch_op:
        batch_op.create_index(batch_op.f("ix_hive_invites_hive_id"), ["hive_id"], unique=False)

    op.create_table(
        "hive_members",
        sa.Column("id", _ID, nullable=False),
        sa.Column("hive_id", _ID, nullable=False),
        sa.Column("agent_id", _ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("about", sa.Text(), nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["agent_id"], ["agents.id"], name=op.f("fk_hive_members_agent_id_agents"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["hive_id"], ["hives.id"], name=op.f("fk_hive_members_hive_id_hives"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hive_members")),
        sa.UniqueConstraint("hive_id", "agent_id", name=op.f("uq_hive_members_hive_id_agent_id")),
        sa.UniqueConstraint("hive_id", "name", name=op.f("uq_hive_members_hive_id_name")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("hive_members") as batch_op:
        batch_op.create_index(batch_op.f("ix_hive_members_agent_id"), ["agent_id"], unique=False)

    op.create_table(
        "hive_grants",
        sa.Column("id", _ID, nullable=False),
        sa.Column("hive_id", _ID, nullable=False),
        sa.Column("member_id", _ID, nullable=True),
        sa.Column("pattern", sa.Text(), nullable=False),
        sa.Column("verbs", sa.Text(), nullable=False),
        sa.Column("rate", sa.Integer(), nullable=True),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.Column("expire_time", sa.BigInteger(), nullable=True),
        sa.Column("revoke_time", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["hive_id"], ["hives.id"], name=op.f("fk_hive_grants_hive_id_hives"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["member_id"],
            ["hive_members.id"],
            name=op.f("fk_hive_grants_member_id_hive_members"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hive_grants")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("hive_grants") as batch_op:
        batch_op.create_index(batch_op.f("ix_hive_grants_hive_id"), ["hive_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_hive_grants_member_id"), ["member_id"], unique=False)
