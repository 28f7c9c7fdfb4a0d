"""Budgets, prices and what was spent.

Why: a call of a model is paid from budgets that hold also over a kill; so what it may cost is reserved before
it, its cost is entered with it, and sums run along instead of being made anew for each call.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
AMOUNTS = ("money", "tokens", "model_calls", "steps", "micros")


def upgrade() -> None:
    with op.batch_alter_table("model_calls", schema=None) as batch_op:
        batch_op.add_column(sa.Column("cost", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("day", sa.Text(), nullable=False, server_default=""))
    op.execute("UPDATE model_calls SET day = date(time / 1000000, 'unixepoch')")
    op.create_table(
        "reservations",
        sa.Column("id", BIG, nullable=False),
        sa.Column("user_id", BIG, nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("agent_id", "run_id", "root_id")),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in ("step", "call")),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("model", "day")),
        sa.Column("input_tokens", sa.BigInteger(), nullable=False),
        sa.Column("output_tokens", sa.BigInteger(), nullable=False),
        sa.Column("money", sa.BigInteger(), nullable=True),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_reservations_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reservations")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("reservations", schema=None) as batch_op:
        batch_op.create_index("ix_reservations_user_id", ["user_id"], unique=False)
    op.create_table(
        "spending",
        sa.Column("user_id", BIG, nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("scope_id", sa.BigInteger(), nullable=False),
        sa.Column("day", sa.Text(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in AMOUNTS),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_spending_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", "scope", "scope_id", "day", name=op.f("pk_spending")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "budgets",
        sa.Column("id", BIG, nullable=False),
        sa.Column("user_id", BIG, nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("scope_id", sa.BigInteger(), nullable=False),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("measure", sa.Text(), nullable=False),
        sa.Column("most", sa.BigInteger(), nullable=True),
        sa.Column("by_default", sa.Boolean(), nullable=False),
        sa.Column("warned", sa.Text(), nullable=False),
        sa.Column("stopped", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_budgets_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_budgets")),
        sa.UniqueConstraint(
            "user_id",
            "scope",
            "scope_id",
            "period",
            "measure",
            name=op.f("uq_budgets_user_id_scope_scope_id_period_measure"),
        ),
    )
    op.create_table(
        "prices",
        sa.Column("user_id", BIG, nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("input", "cached", "output")),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_prices_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", "model", name=op.f("pk_prices")),
        sqlite_with_rowid=False,
    )
