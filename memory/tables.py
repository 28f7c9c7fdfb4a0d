"""The tables of SQLite (or PostgreSQL), the truth of rlmd. Migrations in migrations/ build the same.

Times are integers, microseconds since 1970 in UTC. Nothing in `versions`, `pieces`, `messages` and
`journal` is ever changed after it was written.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
metadata = MetaData(naming_convention=NAMING)

BigId = BigInteger().with_variant(Integer, "sqlite")
"""SQLite gives row ids only to columns typed INTEGER."""

users = Table(
    "users",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("administrator", Boolean, nullable=False),
    Column("create_time", BigInteger, nullable=False),
)

tokens = Table(
    "tokens",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("hash", LargeBinary, nullable=False, unique=True),
    Column("label", Text, nullable=False),
    Column("create_time", BigInteger, nullable=False),
    Column("expire_time", BigInteger),
    Column("revoke_time", BigInteger),
)

spaces = Table(
    "spaces",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("name", Text, nullable=False),
    UniqueConstraint("user_id", "name"),
    # A dropped space's number names folders of the index; it must not come back as another's.
    sqlite_autoincrement=True,
)

agents = Table(
    "agents",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("space_id", ForeignKey("spaces.id", ondelete="CASCADE"), nullable=False),
    Column("name", Text, nullable=False),
    Column("instructions", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("sub_model", Text, nullable=False),
    Column("limits", Text, nullable=False),
    # When it does not disturb (see quiet.py); empty for never.
    Column("quiet", Text, nullable=False, server_default=""),
    Column("create_time", BigInteger, nullable=False),
    Column("update_time", BigInteger, nullable=False),
    UniqueConstraint("user_id", "name"),
    sqlite_autoincrement=True,
)

variables = Table(
    "variables",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("space_id", ForeignKey("spaces.id", ondelete="CASCADE"), nullable=False),
    Column("name", Text, nullable=False),
    Column("head", BigInteger, nullable=False),
    Column("deleted", Boolean, nullable=False),
    UniqueConstraint("space_id", "name"),
    sqlite_autoincrement=True,
)

versions = Table(
    "versions",
    metadata,
    Column("variable_id", ForeignKey("variables.id", ondelete="CASCADE"), primary_key=True),
    Column("number", BigInteger, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("characters", BigInteger, nullable=False),
    # Content is here if it is small, else in the rope of pieces below `root` (see pieces.py).
    Column("inline", LargeBinary),
    Column("root", LargeBinary),
    Column("author_user", Text, nullable=False),
    Column("author_agent", Text, nullable=False),
    # No foreign keys: a version outlives the run that wrote it.
    Column("author_run", BigInteger),
    Column("author_step", Integer, nullable=False),
    Column("author_call", Integer, nullable=False),
    Column("origin", Integer, nullable=False),
    Column("note", Text, nullable=False),
    Column("write_time", BigInteger, nullable=False),
    Column("source_time", BigInteger),
    # What a run has written is found by it; most versions have no run.
    Index(
        "ix_versions_author_run",
        "author_run",
        sqlite_where=text("author_run IS NOT NULL"),
        postgresql_where=text("author_run IS NOT NULL"),
    ),
    sqlite_with_rowid=False,
)

pieces = Table(
    "pieces",
    metadata,
    # The user is part of the key: content of two users never meets, not even as a shared piece.
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("hash", LargeBinary, primary_key=True),
    Column("data", LargeBinary, nullable=False),
)

uploads = Table(
    "uploads",
    metadata,
    # A row says that there may be pieces that no version reaches; `time` is when the last ones came.
    Column("id", BigId, primary_key=True),
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("time", BigInteger, nullable=False),
)

messages = Table(
    "messages",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("agent_id", ForeignKey("agents.id", ondelete="CASCADE"), nullable=False),
    Column("channel", Text, nullable=False),
    Column("sender", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("time", BigInteger, nullable=False),
    Column("origin", Integer, nullable=False),
    Column("from_agent", Boolean, nullable=False),
    Column("run_id", BigInteger),
    Index("ix_messages_agent_id_time", "agent_id", "time"),
    Index("ix_messages_agent_id_channel", "agent_id", "channel"),
    sqlite_autoincrement=True,
)

events = Table(
    "events",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("agent_id", ForeignKey("agents.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("kind", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("sender", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("message_id", BigInteger),
    Column("attachments", Text, nullable=False),
    Column("time", BigInteger, nullable=False),
)

runs = Table(
    "runs",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("agent_id", ForeignKey("agents.id", ondelete="CASCADE"), nullable=False),
    Column("event_id", ForeignKey("events.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("parent_id", BigInteger, index=True),
    # The call of the parent that made it: the parent finds it there again after a restart.
    Column("parent_call", Integer, nullable=False, server_default="0"),
    Column("root_id", BigInteger, index=True),
    Column("depth", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("limits", Text, nullable=False),
    Column("seed", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    # The lowest origin of what it was given and has read; 3, the owner, for those from before it was kept.
    Column("origin", Integer, nullable=False, server_default="3"),
    Column("result", Text),
    Column("create_time", BigInteger, nullable=False),
    Column("start_time", BigInteger),
    Column("end_time", BigInteger),
    # When a run that waits goes on in any case; only a root has it, for its whole tree.
    Column("wake_time", BigInteger, index=True),
    Index("ix_runs_agent_id_state", "agent_id", "state"),
    Index("ix_runs_state", "state"),
    sqlite_autoincrement=True,
)

questions = Table(
    "questions",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("agent_id", ForeignKey("agents.id", ondelete="CASCADE"), nullable=False),
    # The call that asks; a run that is taken up again finds its question there.
    Column("run_id", BigInteger, nullable=False),
    Column("root_id", BigInteger, nullable=False, index=True),
    Column("call", Integer, nullable=False),
    # Counts the questions of a call that asks several people for an answer each.
    Column("part", Integer, nullable=False, server_default="0"),
    Column("channel", Text, nullable=False),
    Column("text", Text, nullable=False),
    # What an answer must be, as JSON (see questions.py).
    Column("form", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("answer", Text),
    Column("answered_by", Text, nullable=False),
    Column("answered_on", Text, nullable=False),
    Column("ask_time", BigInteger, nullable=False),
    Column("expire_time", BigInteger),
    Column("end_time", BigInteger),
    UniqueConstraint("run_id", "call", "part"),
    Index("ix_questions_agent_id_state", "agent_id", "state"),
    sqlite_autoincrement=True,
)

question_channels = Table(
    "question_channels",
    metadata,
    # Where a question is put besides its first channel, and from when on.
    Column("question_id", ForeignKey("questions.id", ondelete="CASCADE"), primary_key=True),
    Column("channel", Text, primary_key=True),
    Column("due_time", BigInteger, nullable=False),
    Column("told", Boolean, nullable=False),
    sqlite_with_rowid=False,
)

permits = Table(
    "permits",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("agent_id", ForeignKey("agents.id", ondelete="CASCADE"), nullable=False),
    # A consequence that needs no approval any more, such as `home.lights`.
    Column("what", Text, nullable=False),
    Column("create_time", BigInteger, nullable=False),
    UniqueConstraint("agent_id", "what"),
    sqlite_autoincrement=True,
)

channels = Table(
    "channels",
    metadata,
    # A row is there from the first connection on.
    Column("id", BigId, primary_key=True),
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("name", Text, nullable=False),
    # What it offers, as JSON (see channels.py).
    Column("functions", Text, nullable=False),
    # Whether what it says comes from outside.
    Column("external", Boolean, nullable=False, server_default=false()),
    # The last sequence number that was given in its outbox, and the last that a client has acknowledged.
    Column("sent", BigInteger, nullable=False),
    Column("acknowledged", BigInteger, nullable=False),
    Column("create_time", BigInteger, nullable=False),
    Column("seen_time", BigInteger, nullable=False),
    UniqueConstraint("user_id", "name"),
    sqlite_autoincrement=True,
)

outbox = Table(
    "outbox",
    metadata,
    Column("channel_id", ForeignKey("channels.id", ondelete="CASCADE"), primary_key=True),
    Column("sequence", BigInteger, primary_key=True),
    Column("agent_id", ForeignKey("agents.id", ondelete="CASCADE"), nullable=False, index=True),
    # What is to be told: a message, a question, or that a question is no longer open.
    Column("kind", Text, nullable=False),
    Column("item_id", BigInteger, nullable=False),
    Column("time", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

channel_calls = Table(
    "channel_calls",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("channel_id", ForeignKey("channels.id", ondelete="CASCADE"), nullable=False),
    Column("agent_id", ForeignKey("agents.id", ondelete="CASCADE"), nullable=False, index=True),
    # The call of the program; a run that is taken up again finds what it waits for there.
    Column("run_id", BigInteger, nullable=False),
    Column("root_id", BigInteger, nullable=False, index=True),
    Column("call", Integer, nullable=False),
    Column("function", Text, nullable=False),
    Column("arguments", Text, nullable=False),
    # JSON Schema that the result must fit; empty if it may be anything.
    Column("result_schema", Text, nullable=False),
    # Whether what it gives is the owner's own, and no text from outside.
    Column("trusted", Boolean, nullable=False, server_default=false()),
    Column("state", Text, nullable=False),
    # JSON text of the value, or why there is none.
    Column("result", Text),
    Column("error", Text, nullable=False),
    Column("create_time", BigInteger, nullable=False),
    Column("expire_time", BigInteger, nullable=False),
    Column("end_time", BigInteger),
    UniqueConstraint("run_id", "call"),
    Index("ix_channel_calls_channel_id_state", "channel_id", "state"),
    sqlite_autoincrement=True,
)

schedules = Table(
    "schedules",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("agent_id", ForeignKey("agents.id", ondelete="CASCADE"), nullable=False),
    # A label, of which only one schedule of an agent that is not over has the same; empty for none.
    Column("name", Text, nullable=False),
    # The rule (see instants.py).
    Column("kind", Text, nullable=False),
    Column("spec", Text, nullable=False),
    Column("timezone", Text, nullable=False),
    Column("anchor", BigInteger, nullable=False),
    Column("start_time", BigInteger),
    Column("end_time", BigInteger),
    Column("jitter", BigInteger, nullable=False),
    # What it makes: the event's text, and the channel on which the outcome is told.
    Column("text", Text, nullable=False),
    Column("channel", Text, nullable=False),
    # Code that tells at each instant whether it is to act; empty for always. It acts when that becomes true.
    Column("condition", Text, nullable=False, server_default=""),
    Column("truth", Boolean, nullable=False, server_default="0"),
    # What becomes of instants that went by unseen.
    Column("missed", Text, nullable=False),
    Column("most", Integer, nullable=False),
    Column("grace", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    # The next due instant, and when it fires: later by the jitter. Empty where nothing is to come.
    Column("due_time", BigInteger),
    Column("next_time", BigInteger, index=True),
    Column("author_user", Text, nullable=False),
    Column("author_run", BigInteger),
    Column("author_call", Integer, nullable=False),
    Column("origin", Integer, nullable=False),
    Column("create_time", BigInteger, nullable=False),
    Column("update_time", BigInteger, nullable=False),
    Index("ix_schedules_agent_id_name", "agent_id", "name"),
    Index("ix_schedules_kind", "kind"),
    sqlite_autoincrement=True,
)

occurrences = Table(
    "occurrences",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("schedule_id", ForeignKey("schedules.id", ondelete="CASCADE"), nullable=False),
    Column("due_time", BigInteger, nullable=False),
    Column("run_id", BigInteger, index=True),
    # What it is; while its run is under way `pending`, and `timing` is what it will be if all goes well.
    Column("fate", Text, nullable=False),
    Column("timing", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("create_time", BigInteger, nullable=False),
    Column("end_time", BigInteger),
    # Whatever crashes, sleeps or jumps: never twice.
    UniqueConstraint("schedule_id", "due_time"),
    sqlite_autoincrement=True,
)

deliveries = Table(
    "deliveries",
    metadata,
    # What a run of a schedule said while its agent must not disturb: a message that is held back.
    Column("id", BigId, primary_key=True),
    Column("agent_id", ForeignKey("agents.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("run_id", BigInteger, nullable=False, index=True),
    Column("channel", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("origin", Integer, nullable=False),
    # When it is told, and when it was.
    Column("due_time", BigInteger, nullable=False, index=True),
    Column("end_time", BigInteger),
    sqlite_autoincrement=True,
)

journal = Table(
    "journal",
    metadata,
    Column("run_id", ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("step", Integer, nullable=False),
    Column("call", Integer, nullable=False),
    Column("name", Text, nullable=False),
    Column("inline", LargeBinary),
    Column("root", LargeBinary),
    Column("time", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

model_calls = Table(
    "model_calls",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("agent_id", ForeignKey("agents.id", ondelete="CASCADE"), nullable=False),
    Column("run_id", BigInteger, nullable=False, index=True),
    Column("root_id", BigInteger, nullable=False, index=True),
    Column("step", Integer, nullable=False),
    Column("call", Integer, nullable=False),
    Column("model", Text, nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("cached_tokens", BigInteger, nullable=False),
    Column("estimated", Boolean, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("note", Text, nullable=False),
    Column("seconds", Float, nullable=False),
    # Micro-dollars; NULL where nobody knew the price.
    Column("cost", BigInteger),
    # The day in the owner's zone, by which it is summed.
    Column("day", Text, nullable=False, server_default=""),
    Column("time", BigInteger, nullable=False),
    Index("ix_model_calls_agent_id_time", "agent_id", "time"),
)

stops = Table(
    "stops",
    metadata,
    # Whose runs stand still; NULL: everybody's. At most one row each.
    Column("id", BigId, primary_key=True),
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), unique=True),
    Column("stopped_by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("time", BigInteger, nullable=False),
)

reservations = Table(
    "reservations",
    metadata,
    # A call of a model that is under way: what it may cost is counted already. Settling deletes the row.
    Column("id", BigId, primary_key=True),
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("agent_id", BigInteger, nullable=False),
    # The schedule whose run it is, if it is of one.
    Column("schedule_id", BigInteger),
    Column("run_id", BigInteger, nullable=False),
    Column("root_id", BigInteger, nullable=False),
    Column("step", Integer, nullable=False),
    Column("call", Integer, nullable=False),
    Column("model", Text, nullable=False),
    Column("day", Text, nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("money", BigInteger),
    Column("time", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)

spending = Table(
    "spending",
    metadata,
    # Running sums, reservations included: a row for each day on which something was used, and one without
    # a day for all of them. They outlive the agent, whose calls its deletion takes out of the ledger.
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("scope", Text, primary_key=True),
    Column("scope_id", BigInteger, primary_key=True),
    Column("day", Text, primary_key=True),
    Column("money", BigInteger, nullable=False),
    Column("tokens", BigInteger, nullable=False),
    Column("model_calls", BigInteger, nullable=False),
    Column("steps", BigInteger, nullable=False),
    Column("micros", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

budgets = Table(
    "budgets",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("scope", Text, nullable=False),
    # The number of the agent or schedule; 0 for the user.
    Column("scope_id", BigInteger, nullable=False),
    Column("period", Text, nullable=False),
    Column("measure", Text, nullable=False),
    # NULL: the default of the settings was taken away, and must not come back.
    Column("most", BigInteger),
    Column("by_default", Boolean, nullable=False),
    # The day of the last warning, and of the last stop: one of each in a period.
    Column("warned", Text, nullable=False),
    Column("stopped", Text, nullable=False),
    UniqueConstraint("user_id", "scope", "scope_id", "period", "measure"),
)

prices = Table(
    "prices",
    metadata,
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("model", Text, primary_key=True),
    Column("input", BigInteger, nullable=False),
    Column("cached", BigInteger, nullable=False),
    Column("output", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

purges = Table(
    "purges",
    metadata,
    # That something was erased, and how much; nothing of what.
    Column("id", BigId, primary_key=True),
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("space", Text, nullable=False),
    Column("variables", BigInteger, nullable=False),
    Column("versions", BigInteger, nullable=False),
    Column("runs", BigInteger, nullable=False),
    Column("messages", BigInteger, nullable=False),
    Column("note", Text, nullable=False),
    Column("time", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)

retentions = Table(
    "retentions",
    metadata,
    # How long variables are kept whose names begin so; of a pinned one it is the whole name.
    Column("space_id", ForeignKey("spaces.id", ondelete="CASCADE"), primary_key=True),
    Column("prefix", Text, primary_key=True),
    Column("seconds", BigInteger),
    Column("versions", BigInteger),
    Column("pinned", Boolean, nullable=False),
    sqlite_with_rowid=False,
)

requests = Table(
    "requests",
    metadata,
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("request_id", Text, primary_key=True),
    Column("digest", LargeBinary, nullable=False),
    Column("response", LargeBinary, nullable=False),
    Column("time", BigInteger, nullable=False, index=True),
    sqlite_with_rowid=False,
)

index_queue = Table(
    "index_queue",
    metadata,
    Column("seq", BigId, primary_key=True),
    # A row names a variable of a space, or a message of an agent; numbers only, so that it outlives both.
    Column("space_id", BigInteger),
    Column("variable_id", BigInteger),
    Column("agent_id", BigInteger),
    Column("message_id", BigInteger),
    Index("ix_index_queue_space_id", "space_id"),
    Index("ix_index_queue_agent_id", "agent_id"),
    # Numbers are never given twice: the index says how far it has come by the last one it applied.
    sqlite_autoincrement=True,
)

index_shelves = Table(
    "index_shelves",
    metadata,
    # A shelf is one LanceDB table: `space-7` or `log-3`.
    Column("name", Text, primary_key=True),
    Column("embedder", Text, nullable=False),
    Column("applied", BigInteger, nullable=False),
)
