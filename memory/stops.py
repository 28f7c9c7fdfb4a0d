"""What stands still: a row says that no run of a user, or of anybody, is set to work until it is taken away.

A stop is above the runs: it changes none of them. Which are parked, queued or cut off stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select

from .clock import from_micros, to_micros
from .names import MAX_NOTE, check_text
from .records import User
from .tables import stops


@dataclass(frozen=True, kw_only=True)
class Stop:
    """Somebody has stopped everything of a user, or of everybody."""

    user: int | None
    """Number of the user; None: of everybody."""
    by: str
    """Name of the user who said so."""
    reason: str
    """Why, in their words; may be empty."""
    time: datetime


class Stops:
    """All that is stopped, over one connection."""

    def __init__(self, connection: Connection, now: datetime) -> None:
        self._connection = connection
        self._now = now

    def standing(self) -> list[Stop]:
        """All of them."""
        return [
            Stop(user=row.user_id, by=row.stopped_by, reason=row.reason, time=from_micros(row.time))
            for row in self._connection.execute(select(stops))
        ]

    def put(self, user: User | None, *, by: str, reason: str) -> Stop:
        """Stop a user, or with None everybody. A stop that stands already stays as it is.

        Raises:
            InvalidInput: the reason is no such text.
        """
        wanted = None if user is None else user.id
        for standing in self.standing():
            if standing.user == wanted:
                return standing
        made = Stop(user=wanted, by=by, reason=check_text(reason, "reason", limit=MAX_NOTE), time=self._now)
        values = {"user_id": wanted, "stopped_by": by, "reason": made.reason, "time": to_micros(self._now)}
        self._connection.execute(insert(stops).values(values))
        return made

    def lift(self, user: User | None) -> None:
        """Take away the stop of a user, or with None that of everybody, if there is one."""
        mine = stops.c.user_id.is_(None) if user is None else stops.c.user_id == user.id
        self._connection.execute(delete(stops).where(mine))
