"""The log: every message of an agent, on all channels. Messages never change."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select

from rlmd.errors import InvalidInput

from .clock import from_micros, to_micros
from .names import check_channel, check_text
from .outbox import Outbox
from .prepared import Prepared
from .records import Agent, Message, Origin, ParcelKind
from .tables import index_queue, messages

MAX_TEXT = 1_000_000
_add = Prepared(insert(messages).returning(messages))
_enqueue = Prepared(insert(index_queue), ["agent_id", "message_id"])


class Log:
    """The messages of one agent, over one connection."""

    def __init__(self, connection: Connection, now: datetime, agent: Agent, outbox: Outbox) -> None:
        self._connection = connection
        self._now = now
        self._agent = agent
        self._outbox = outbox

    def add(
        self,
        *,
        channel: str,
        sender: str,
        text: str,
        origin: Origin,
        from_agent: bool,
        run: int | None = None,
        post: bool = True,
    ) -> Message:
        """Write a message down. What an agent says goes to the clients of its channel too, unless not `post`.

        Raises:
            InvalidInput: no text, too long, or a bad channel.
        """
        check_channel(channel)
        check_text(sender, "sender", limit=100)
        check_text(text, "text", limit=MAX_TEXT)
        if not text.strip():
            raise InvalidInput("the message has no text", field="text", remedy="Say something.")
        row = {
            "agent_id": self._agent.id,
            "channel": channel,
            "sender": sender,
            "text": text,
            "time": to_micros(self._now),
            "origin": int(origin),
            "from_agent": from_agent,
            "run_id": run,
        }
        added = _add.first(self._connection, row)
        _enqueue.run(self._connection, {"agent_id": self._agent.id, "message_id": added.id})
        if from_agent and post:
            self._outbox.post(channel, ParcelKind.MESSAGE, self._agent.id, added.id)
        return self._message(added)

    def recent(
        self,
        most: int = 100,
        *,
        before: int | None = None,
        channel: str = "",
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> list[Message]:
        """Messages, newest first, from `since` on, before `until`; `before`: id of the last page's end."""
        conditions = [messages.c.agent_id == self._agent.id]
        if before is not None:
            conditions.append(messages.c.id < before)
        if channel:
            conditions.append(messages.c.channel == channel)
        if since is not None:
            conditions.append(messages.c.time >= to_micros(since))
        if until is not None:
            conditions.append(messages.c.time < to_micros(until))
        statement = select(messages).where(*conditions).order_by(messages.c.id.desc()).limit(most)
        return [self._message(row) for row in self._connection.execute(statement)]

    def several(self, ids: Sequence[int]) -> dict[int, Message]:
        """Messages by their ids; those that do not exist are left out."""
        statement = select(messages).where(messages.c.agent_id == self._agent.id, messages.c.id.in_(ids))
        return {row.id: self._message(row) for row in self._connection.execute(statement)}

    def _message(self, row: Any) -> Message:
        return Message(
            id=row.id,
            agent=self._agent.name,
            channel=row.channel,
            sender=row.sender,
            text=row.text,
            time=from_micros(row.time),
            origin=Origin(row.origin),
            from_agent=bool(row.from_agent),
            run=row.run_id,
        )
