"""Calls of what channels offer: kept until they have a result, however often they are sent.

A call is open until its result, its time limit, or the end of its run; whichever comes first wins, in one
transaction. Whom it was sent to is not kept: whoever serves the channel may answer it, once.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, bindparam, insert, select, update

from rlmd.errors import NotFound, PreconditionFailed

from .clock import from_micros, to_micros
from .database import ring
from .records import Agent, CallState, Channel, ChannelCall, Function, Run, User
from .tables import agents, channel_calls, channels

_OPEN = CallState.OPEN.value
_mine: Select[Any] = (
    select(channel_calls, agents.c.name.label("agent_name"), channels.c.name.label("channel_name"))
    .join(agents, channel_calls.c.agent_id == agents.c.id)
    .join(channels, channel_calls.c.channel_id == channels.c.id)
)
_end = (
    update(channel_calls)
    .where(channel_calls.c.id == bindparam("number"), channel_calls.c.state == _OPEN)
    .values(
        state=bindparam("to"), result=bindparam("value"), error=bindparam("why"), end_time=bindparam("time")
    )
    .returning(channel_calls.c.channel_id)
)


class ChannelCalls:
    """The calls that one user's agents have made of channels, over one connection."""

    def __init__(self, connection: Connection, now: datetime, user: User) -> None:
        self._connection = connection
        self._now = now
        self._user = user

    def open(
        self,
        agent: Agent,
        run: Run,
        call: int,
        *,
        channel: Channel,
        function: Function,
        arguments: str,
        expire_time: datetime,
    ) -> ChannelCall:
        """An open call; its arguments have been checked."""
        row = {
            "channel_id": channel.id,
            "agent_id": agent.id,
            "run_id": run.id,
            "root_id": run.root,
            "call": call,
            "function": function.name,
            "arguments": arguments,
            "result_schema": function.result,
            "trusted": function.trusted and not channel.external,
            "state": _OPEN,
            "error": "",
            "create_time": to_micros(self._now),
            "expire_time": to_micros(expire_time),
        }
        added = self._connection.execute(insert(channel_calls).returning(channel_calls.c.id), row)
        ring(self._connection, channel.id)
        return self.get(added.scalar_one())

    def get(self, number: int, *, channel: Channel | None = None) -> ChannelCall:
        """Raises NotFound, also for a call of another user or channel."""
        found = self._several(_mine.where(channel_calls.c.id == number))
        if not found or (channel is not None and found[0].channel != channel.name):
            raise NotFound(
                f"there is no call {number}", field="call", remedy="Answer with the id of the Invoke."
            )
        return found[0]

    def of_call(self, run: Run, call: int) -> ChannelCall | None:
        """What a call of a run has called."""
        found = self._several(_mine.where(channel_calls.c.run_id == run.id, channel_calls.c.call == call))
        return found[0] if found else None

    def waiting(self, channel: Channel, *, after: int = 0, most: int = 100) -> list[int]:
        """Numbers of open calls whose time is not over, oldest first, behind the one of number `after`."""
        statement = self._still_open().where(
            channel_calls.c.channel_id == channel.id, channel_calls.c.id > after
        )
        return list(self._connection.scalars(statement.order_by(channel_calls.c.id).limit(most)))

    def still_open(self, numbers: Collection[int]) -> set[int]:
        """Those of these calls that are open, and whose time is not over."""
        return set(self._connection.scalars(self._still_open().where(channel_calls.c.id.in_(numbers))))

    def _still_open(self) -> Select[Any]:
        return (
            select(channel_calls.c.id)
            .join(channels, channel_calls.c.channel_id == channels.c.id)
            .where(
                channels.c.user_id == self._user.id,
                channel_calls.c.state == _OPEN,
                channel_calls.c.expire_time > to_micros(self._now),
            )
        )

    def answer(self, called: ChannelCall, state: CallState, *, result: str | None, error: str) -> ChannelCall:
        """A client says what a call came to. Said again, that is what it came to first.

        Raises:
            PreconditionFailed: it is over without a result.
        """
        if not self.end(called, state, result=result, error=error):
            now = self.get(called.id)
            if not now.state.has_outcome:
                why = "took too long" if now.state is CallState.EXPIRED else "is no longer wanted"
                raise PreconditionFailed(f"the call {why}", field="call", remedy="Forget it.")
        return self.get(called.id)

    def end(
        self, called: ChannelCall, state: CallState, *, result: str | None = None, error: str = ""
    ) -> bool:
        """End an open call; tells whether it was still open."""
        given = {
            "number": called.id,
            "to": state.value,
            "value": result,
            "why": error,
            "time": to_micros(self._now),
        }
        channel_id = self._connection.execute(_end, given).scalar()
        if channel_id is None:
            return False
        ring(self._connection, channel_id)
        return True

    def withdraw(self, run: Run, call: int | None = None) -> None:
        """A run no longer waits for what it has called, or for what one of its calls has."""
        mine = (channel_calls.c.run_id == run.id) & (channel_calls.c.state == _OPEN)
        statement = _mine.where(mine if call is None else mine & (channel_calls.c.call == call))
        for called in self._several(statement):
            self.end(called, CallState.CANCELLED)

    def key(self, called: ChannelCall) -> str:
        """The same whenever the call is sent."""
        return f"{self._user.name}-{called.run}-{called.call}"

    def _several(self, statement: Select[Any]) -> list[ChannelCall]:
        mine = statement.where(agents.c.user_id == self._user.id)
        return [_call(row) for row in self._connection.execute(mine)]


def _call(row: Any) -> ChannelCall:
    return ChannelCall(
        id=row.id,
        channel=row.channel_name,
        agent=row.agent_name,
        run=row.run_id,
        root=row.root_id,
        call=row.call,
        function=row.function,
        arguments=row.arguments,
        result_schema=row.result_schema,
        state=CallState(row.state),
        result=row.result,
        error=row.error,
        trusted=row.trusted,
        expire_time=from_micros(row.expire_time),
    )
