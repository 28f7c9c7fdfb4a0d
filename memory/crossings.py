"""What goes from one user to another, written down on both sides, in the transaction in which it goes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select

from .clock import from_micros, to_micros
from .hive_records import Crossing
from .hive_tables import crossings
from .prepared import Prepared
from .records import User

SHOWN = 200
"""Characters of what was said that are kept here; the whole is in the logs of the two."""
_add = Prepared(insert(crossings))


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of the two between whom something goes."""

    user: int
    name: str
    run: int | None = None


def cross(
    connection: Connection, now: datetime, hive: str, doer: Side, other: Side, verb: str, target: str
) -> None:
    """Write down that one side did something to the other. No effect if both are one user's."""
    if doer.user == other.user:
        return
    for side, peer in ((doer, other), (other, doer)):
        row = {
            "user_id": side.user,
            "hive": hive,
            "time": to_micros(now),
            "member": side.name,
            "peer": peer.name,
            "outward": side is doer,
            "verb": verb,
            "target": target[:SHOWN],
            "run_id": side.run,
        }
        _add.run(connection, row)


class Crossings:
    """What crossed to and from one user, over one connection."""

    def __init__(self, connection: Connection, user: User) -> None:
        self._connection = connection
        self._user = user

    def page(self, hive: str = "", *, before: int | None = None, most: int = 100) -> list[Crossing]:
        """Newest first; `before` is the number at which the last page ended."""
        statement = (
            select(crossings)
            .where(crossings.c.user_id == self._user.id)
            .order_by(crossings.c.id.desc())
            .limit(most)
        )
        if hive:
            statement = statement.where(crossings.c.hive == hive)
        if before is not None:
            statement = statement.where(crossings.c.id < before)
        return [_crossing(row) for row in self._connection.execute(statement)]


def _crossing(row: Any) -> Crossing:
    return Crossing(
        id=row.id,
        hive=row.hive,
        time=from_micros(row.time),
        member=row.member,
        peer=row.peer,
        outward=row.outward,
        verb=row.verb,
        target=row.target,
        run=row.run_id,
    )
