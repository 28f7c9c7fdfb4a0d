"""Budgets of schedules.

Why: what a call under way may cost is counted for the schedule too whose run it is.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    with op.batch_alter_table("reservations", schema=None) as batch_op:
        batch_op.add_column(sa.Column("schedule_id", sa.BigInteger(), nullable=True))
