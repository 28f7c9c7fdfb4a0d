"""Questions to several people.

Why: a question may be put to several at once, of whom the first answers for all, or to one after another
while nobody does; and one call may ask several people, each for an answer of their own.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.create_table(
        "question_channels",
        sa.Column("question_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("due_time", sa.BigInteger(), nullable=False),
        sa.Column("told", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["question_id"],
            ["questions.id"],
            name=op.f("fk_question_channels_question_id_questions"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("question_id", "channel", name=op.f("pk_question_channels")),
        sqlite_with_rowid=False,
    )
    # SQLite makes the table anew, and must be told again that its numbers are never used twice.
    with op.batch_alter_table(
        "questions", schema=None, table_kwargs={"sqlite_autoincrement": True}
    ) as batch_op:
        batch_op.add_column(sa.Column("part", sa.Integer(), nullable=False, server_default="0"))
        batch_op.drop_constraint("uq_questions_run_id_call", type_="unique")
        batch_op.create_unique_constraint("uq_questions_run_id_call_part", ["run_id", "call", "part"])
