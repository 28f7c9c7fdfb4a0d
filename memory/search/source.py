"""What the index reads: the texts behind the shelves, and the queue that names what has changed.

A shelf is what one search looks through: the variables of a space, or the messages of an agent.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import ColumnElement, Connection, delete, func, select

from rlmd.memory.tables import index_queue, index_shelves, messages, variables

from .passages import cut
from .ranking import Row
from .words import words

Seen = tuple[int, int]
"""A row of the queue: its sequence number, and the id of the variable or message."""


@dataclass(frozen=True, kw_only=True)
class Shelf:
    """The variables of the space `space_id`, or the messages of the agent `agent_id`: one of the two."""

    space_id: int | None = None
    agent_id: int | None = None

    def __post_init__(self) -> None:
        if (self.space_id is None) == (self.agent_id is None):
            raise RuntimeError("a shelf is of a space or of an agent")

    @property
    def name(self) -> str:
        return f"log-{self.agent_id}" if self.space_id is None else f"space-{self.space_id}"

    @classmethod
    def named(cls, name: str) -> Shelf | None:
        """The shelf of that name; None if it is not one of a shelf."""
        match name.partition("-"):
            case ("space", _, number) if number.isdecimal():
                return cls(space_id=int(number))
            case ("log", _, number) if number.isdecimal():
                return cls(agent_id=int(number))
        return None


@dataclass(frozen=True, kw_only=True)
class Document:
    """A text to be indexed: the latest version of a variable, or a message."""

    key: str
    """What a hit is called by: the variable's name, the message's id."""
    version: int
    title: str
    """Counts for the match, but is not in a passage: the variable's name, the message's sender."""
    time: int
    """Microseconds since 1970: the source time if known, else the write time."""
    origin: int
    chunks: Iterable[str]
    """The text, in parts of any size. Read at most once, before the connection is closed."""


class Source(Protocol):
    """Reads texts from the database, in pieces. Called on threads of the index."""

    def variable(self, connection: Connection, variable_id: int) -> Document | None:
        """The variable's latest version; None if it is deleted, gone, or not readable as text."""
        ...

    def message(self, connection: Connection, message_id: int) -> Document | None:
        """The message; None if it is gone."""
        ...


def readable(data: Any) -> str:
    """JSON data as the text that is indexed; places of hits count its characters."""
    # JSON can name halves of a character, which no encoding can hold; each becomes one question mark.
    return json.dumps(data, ensure_ascii=False).encode(errors="replace").decode()


def rows(connection: Connection, source: Source, shelf: Shelf, id: int) -> Iterator[Row]:
    """The passages of a variable or a message, one at a time; none if there is nothing to index."""
    document = (source.message if shelf.space_id is None else source.variable)(connection, id)
    if document is None:
        return
    title = words(document.title)
    for piece in cut(document.chunks):
        yield Row.stamped(
            id=id,
            key=document.key,
            version=document.version,
            start=piece.start,
            text=piece.text,
            words=" ".join(title + words(piece.text)),
            time=document.time,
            origin=document.origin,
        )


def members(
    connection: Connection, shelf: Shelf, after: str | int | None, limit: int
) -> list[tuple[int, str | int]]:
    """The next ids of a shelf in the order of their keys, each with the `after` to go on with."""
    if shelf.space_id is None:
        query = select(messages.c.id, messages.c.id).where(messages.c.agent_id == shelf.agent_id)
        order: Any = messages.c.id
    else:
        query = select(variables.c.id, variables.c.name).where(variables.c.space_id == shelf.space_id)
        order = variables.c.name
    if after is not None:
        query = query.where(order > after)
    return [(id, key) for id, key in connection.execute(query.order_by(order).limit(limit))]


def waiting(connection: Connection, shelf: Shelf, after: int) -> list[Seen]:
    """What of a shelf has changed after the number `after` and is not applied, oldest first."""
    item = index_queue.c.message_id if shelf.space_id is None else index_queue.c.variable_id
    query = select(index_queue.c.seq, item).where(_of(shelf), index_queue.c.seq > after)
    query = query.order_by(index_queue.c.seq)
    return [(seq, id) for seq, id in connection.execute(query)]


def waiting_shelves(connection: Connection) -> list[Shelf]:
    """The shelves with something in the queue."""
    query = select(index_queue.c.space_id, index_queue.c.agent_id).distinct()
    return [
        Shelf(space_id=space_id) if space_id is not None else Shelf(agent_id=agent_id)
        for space_id, agent_id in connection.execute(query)
    ]


def gone(connection: Connection) -> list[Shelf]:
    """The shelves whose space or agent was deleted: a row that names nothing in them says so."""
    query = select(index_queue.c.space_id, index_queue.c.agent_id).where(
        index_queue.c.variable_id.is_(None), index_queue.c.message_id.is_(None)
    )
    return [
        Shelf(space_id=space_id) if space_id is not None else Shelf(agent_id=agent_id)
        for space_id, agent_id in connection.execute(query)
    ]


def count_waiting(connection: Connection) -> int:
    return connection.execute(select(func.count()).select_from(index_queue)).scalar_one()


def newest(connection: Connection, shelf: Shelf) -> int:
    """The last sequence number in the queue of a shelf; 0 if nothing waits."""
    return connection.execute(select(func.max(index_queue.c.seq)).where(_of(shelf))).scalar_one() or 0


def settle(connection: Connection, shelf: Shelf, embedder: str, applied: int) -> None:
    """Note that the index holds all of the shelf up to `applied`, and forget that part of the queue."""
    connection.execute(delete(index_queue).where(_of(shelf), index_queue.c.seq <= applied))
    connection.execute(delete(index_shelves).where(index_shelves.c.name == shelf.name))
    connection.execute(index_shelves.insert().values(name=shelf.name, embedder=embedder, applied=applied))


def shelves(connection: Connection) -> list[Shelf]:
    """The shelves that have been built."""
    names = connection.scalars(select(index_shelves.c.name))
    return [shelf for name in names if (shelf := Shelf.named(name)) is not None]


def noted(connection: Connection, shelf: Shelf) -> tuple[str, int] | None:
    """Embedder and last applied number of a shelf, as `settle` noted them."""
    query = select(index_shelves.c.embedder, index_shelves.c.applied).where(
        index_shelves.c.name == shelf.name
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else (row.embedder, row.applied)


def forget(connection: Connection, shelf: Shelf, *, queue: bool) -> None:
    """Note that the index does not hold the shelf; with `queue`, that it need not either."""
    connection.execute(delete(index_shelves).where(index_shelves.c.name == shelf.name))
    if queue:
        connection.execute(delete(index_queue).where(_of(shelf)))


def _of(shelf: Shelf) -> ColumnElement[bool]:
    if shelf.space_id is None:
        return index_queue.c.agent_id == shelf.agent_id
    return index_queue.c.space_id == shelf.space_id
