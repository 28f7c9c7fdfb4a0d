"""The outbox of each channel: what is to be told to its clients, by reference, in order, until they have it.

A row commits with what it tells of. Its sequence number counts along the channel. Only channels that have
connected have an outbox: what is said on others is read in the log.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from .clock import to_micros
from .database import ring
from .prepared import Prepared
from .records import Channel, Parcel, ParcelKind
from .tables import agents, channels, outbox

KEPT = 7 * 24 * 3600 * 1_000_000
"""Microseconds for which a row that was acknowledged is kept, for clients of the channel that are behind."""

# Each message of an agent asks this.
_next = Prepared(
    select(channels.c.id, channels.c.sent).where(
        channels.c.user_id == bindparam("user"), channels.c.name == bindparam("name")
    )
)
_count = Prepared(
    update(channels).where(channels.c.id == bindparam("channel")).values(sent=bindparam("last"))
)
_add = Prepared(insert(outbox))
_after = (
    select(outbox, agents.c.name.label("agent_name"))
    .join(agents, outbox.c.agent_id == agents.c.id)
    .join(channels, outbox.c.channel_id == channels.c.id)
    .where(
        channels.c.user_id == bindparam("user"),
        outbox.c.channel_id == bindparam("channel"),
        outbox.c.sequence > bindparam("after"),
    )
    .order_by(outbox.c.sequence)
    .limit(bindparam("most"))
)


class Outbox:
    """The outboxes of one user's channels, over one connection."""

    def __init__(self, connection: Connection, now: datetime, user_id: int) -> None:
        self._connection = connection
        self._now = now
        self._user = user_id

    def post(self, channel: str, kind: ParcelKind, agent_id: int, item: int) -> None:
        """Something is to be told on a channel. No effect if it has never connected."""
        found = _next.first(self._connection, {"user": self._user, "name": channel})
        if found is None:
            return
        sequence = found.sent + 1
        _count.run(self._connection, {"channel": found.id, "last": sequence})
        row = {"channel_id": found.id, "sequence": sequence, "agent_id": agent_id}
        values = {**row, "kind": kind.value, "item_id": item, "time": to_micros(self._now)}
        _add.run(self._connection, values)
        ring(self._connection, found.id)

    def after(self, channel: Channel, sequence: int, most: int) -> list[Parcel]:
        """What comes next behind a place, in order."""
        given = {"user": self._user, "channel": channel.id, "after": sequence, "most": most}
        return [
            Parcel(sequence=row.sequence, kind=ParcelKind(row.kind), agent=row.agent_name, item=row.item_id)
            for row in self._connection.execute(_after, given)
        ]


def forget(connection: Connection, now: datetime) -> int:
    """Delete what was acknowledged and is old; gives how many rows."""
    acknowledged = select(channels.c.acknowledged).where(channels.c.id == outbox.c.channel_id)
    past = outbox.c.sequence <= acknowledged.scalar_subquery()
    old = outbox.c.time < to_micros(now) - KEPT
    return connection.execute(delete(outbox).where(past, old)).rowcount
