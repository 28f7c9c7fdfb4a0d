"""The tables of hives: members, what they may do there, whom they have called, and what crossed to others.

A hive belongs to the user who made it, and so does its space. Its members may be agents of other users; what
lets them in is here and nowhere else.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, LargeBinary, Table, Text
from sqlalchemy import UniqueConstraint as Unique

from .tables import BigId, metadata

hives = Table(
    "hives",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("space_id", ForeignKey("spaces.id", ondelete="CASCADE"), nullable=False),
    Column("name", Text, nullable=False),
    # Whether an agent of another user has ever been in it: what is in the space may be theirs for good.
    Column("mixed", Boolean, nullable=False),
    Column("create_time", BigInteger, nullable=False),
    # Each owner's names are their own: a name that was taken by all would tell that there is such a hive.
    Unique("user_id", "name"),
    sqlite_autoincrement=True,
)

hive_members = Table(
    "hive_members",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("hive_id", ForeignKey("hives.id", ondelete="CASCADE"), nullable=False),
    Column("agent_id", ForeignKey("agents.id", ondelete="CASCADE"), nullable=False, index=True),
    # What the others call it: agents of two users may have the same name.
    Column("name", Text, nullable=False),
    Column("about", Text, nullable=False),
    Column("create_time", BigInteger, nullable=False),
    Unique("hive_id", "name"),
    Unique("hive_id", "agent_id"),
    sqlite_autoincrement=True,
)

hive_invites = Table(
    "hive_invites",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("hive_id", ForeignKey("hives.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("hash", LargeBinary, nullable=False, unique=True),
    Column("create_time", BigInteger, nullable=False),
    Column("expire_time", BigInteger, nullable=False),
    Column("use_time", BigInteger),
)

hive_grants = Table(
    "hive_grants",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("hive_id", ForeignKey("hives.id", ondelete="CASCADE"), nullable=False, index=True),
    # Null: every member, those who come later too.
    Column("member_id", ForeignKey("hive_members.id", ondelete="CASCADE"), index=True),
    Column("pattern", Text, nullable=False),
    # Words with spaces between.
    Column("verbs", Text, nullable=False),
    Column("rate", Integer),
    Column("create_time", BigInteger, nullable=False),
    Column("expire_time", BigInteger),
    Column("revoke_time", BigInteger),
    sqlite_autoincrement=True,
)

hive_calls = Table(
    "hive_calls",
    metadata,
    Column("id", BigId, primary_key=True),
    # No foreign keys but the caller's: what was answered stays so, whatever becomes of hive and callee.
    Column("hive_id", BigInteger, nullable=False),
    Column("hive", Text, nullable=False),
    Column("agent_id", ForeignKey("agents.id", ondelete="CASCADE"), nullable=False),
    Column("user_id", BigInteger, nullable=False),
    # The call of the caller's program; a run that is taken up again finds what it waits for there.
    Column("run_id", BigInteger, nullable=False),
    Column("root_id", BigInteger, nullable=False, index=True),
    Column("call", Integer, nullable=False),
    Column("caller", Text, nullable=False),
    Column("callee", Text, nullable=False),
    Column("callee_agent_id", BigInteger, nullable=False),
    Column("callee_user_id", BigInteger, nullable=False),
    Column("callee_run_id", BigInteger, nullable=False, unique=True),
    # Who called whom until here, as JSON.
    Column("chain", Text, nullable=False),
    Column("waits", Boolean, nullable=False),
    Column("state", Text, nullable=False),
    Column("result", Text),
    Column("error", Text, nullable=False),
    # What its answer has taken of models, and the lowest origin of what it comes from; once it is there.
    Column("model_calls", Integer, nullable=False),
    Column("tokens", BigInteger, nullable=False),
    Column("money", BigInteger, nullable=False),
    Column("origin", Integer, nullable=False),
    Column("create_time", BigInteger, nullable=False),
    Column("expire_time", BigInteger),
    Column("end_time", BigInteger),
    Unique("run_id", "call", "callee_agent_id"),
    Index("ix_hive_calls_agent_id_callee_agent_id", "agent_id", "callee_agent_id", "create_time"),
    Index("ix_hive_calls_callee_agent_id_state", "callee_agent_id", "state"),
    sqlite_autoincrement=True,
)

crossings = Table(
    "crossings",
    metadata,
    # A row for each of the two users between whom something crossed.
    Column("id", BigId, primary_key=True),
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("hive", Text, nullable=False),
    Column("time", BigInteger, nullable=False),
    Column("member", Text, nullable=False),
    Column("peer", Text, nullable=False),
    Column("outward", Boolean, nullable=False),
    Column("verb", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("run_id", BigInteger),
    Index("ix_crossings_user_id_id", "user_id", "id"),
    sqlite_autoincrement=True,
)
