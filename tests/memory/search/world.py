"""A small memory for the tests of the index: variables, messages and their queue, in SQLite."""

from __future__ import annotations

import asyncio
import json
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Connection, delete, insert, select, update

from rlmd.memory.clock import to_micros
from rlmd.memory.database import Database
from rlmd.memory.search import Document, Embedder, Index, IndexState, Shelf, readable
from rlmd.memory.search.embedders import Vectors, normalized
from rlmd.memory.search.words import raw_words
from rlmd.memory.tables import agents, index_queue, messages, metadata, spaces, users, variables, versions

SPACE = Shelf(space_id=1)
LOG = Shelf(agent_id=1)
START = datetime(2026, 1, 1, tzinfo=UTC)


class Letters:
    """A small embedder: runs of three letters, hashed. It sees what two words have in common inside."""

    weight = 0.3
    floor = 0.2

    def __init__(self, dimension: int = 256) -> None:
        self.dimension = dimension
        self.name = self.label = f"letters-{dimension}"
        self.texts = 0
        """That it has been given."""

    def embed(self, texts: Sequence[str]) -> Vectors:
        self.texts += len(texts)
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for row, text in enumerate(texts):
            for word in raw_words(text):
                for at in range(len(word) - 2):
                    vectors[row, zlib.crc32(word[at : at + 3].encode()) % self.dimension] += 1
        return normalized(vectors)

    def close(self) -> None:
        pass


class SmallSource:
    """Reads whole values; a text comes in parts of 1,000 characters."""

    def variable(self, connection: Connection, variable_id: int) -> Document | None:
        found = connection.execute(
            select(variables.c.name, variables.c.deleted, versions)
            .join_from(variables, versions, versions.c.variable_id == variables.c.id)
            .where(variables.c.id == variable_id, versions.c.number == variables.c.head)
        ).one_or_none()
        if found is None or found.deleted or found.kind == "bytes":
            return None
        text = found.inline.decode()
        if found.kind == "json":
            text = readable(json.loads(text))
        return Document(
            key=found.name,
            version=found.number,
            title=found.name,
            time=found.source_time or found.write_time,
            origin=found.origin,
            chunks=(text[at : at + 1000] for at in range(0, len(text), 1000)),
        )

    def message(self, connection: Connection, message_id: int) -> Document | None:
        found = connection.execute(select(messages).where(messages.c.id == message_id)).one_or_none()
        if found is None:
            return None
        return Document(
            key=str(found.id),
            version=1,
            title=found.sender,
            time=found.time,
            origin=found.origin,
            chunks=[found.text],
        )


class World:
    """A database with one user, one space and one agent, and an index over it."""

    def __init__(self, folder: Path, embedder: Embedder | None = None) -> None:
        self.folder = folder / "index"
        self.database = Database(folder / "rlmd.sqlite")
        self.database.write(_prepare).result()
        self.index = Index(self.folder, self.database, embedder, SmallSource())

    def set(self, name: str, value: Any, *, when: datetime = START) -> None:
        self.set_many({name: value}, when=when)

    def set_many(self, values: dict[str, Any], *, when: datetime = START) -> None:
        def work(connection: Connection) -> None:
            for name, value in values.items():
                _write(connection, name, value, to_micros(when))

        self.database.write(work).result()

    def delete(self, name: str) -> None:
        def work(connection: Connection) -> None:
            query = update(variables).where(variables.c.name == name).values(deleted=True)
            id = connection.execute(query.returning(variables.c.id)).scalar_one()
            connection.execute(insert(index_queue).values(space_id=1, variable_id=id))

        self.database.write(work).result()

    def delete_space(self) -> None:
        """As the deletion of an agent leaves it: a row in the queue that names nothing in the space."""
        self.database.write(
            lambda connection: connection.execute(index_queue.insert().values(space_id=SPACE.space_id))
        ).result()

    def say(self, sender: str, text: str) -> None:
        def work(connection: Connection) -> None:
            row = {"agent_id": 1, "channel": "chat", "sender": sender, "text": text, "time": to_micros(START)}
            query = insert(messages).values(**row, origin=3, from_agent=False).returning(messages.c.id)
            id = connection.execute(query).scalar_one()
            connection.execute(insert(index_queue).values(agent_id=1, message_id=id))

        self.database.write(work).result()

    async def keys(self, query: str, k: int = 10, shelf: Shelf = SPACE, **options: Any) -> list[str]:
        return [passage.key for passage in await self.index.search(shelf, query, k, **options)]

    async def settled(self, seconds: float = 30.0) -> None:
        """Wait until the index has applied everything and builds nothing."""
        end = time.monotonic() + seconds
        while (status := self.index.status()).pending or status.state is not IndexState.READY:
            assert time.monotonic() < end, status
            await asyncio.sleep(0.01)


@contextmanager
def world(folder: Path, embedder: Embedder | None = None) -> Iterator[World]:
    """Open or re-open the world in `folder`, with its index running."""
    made = World(folder, embedder)
    made.index.start()
    try:
        yield made
    finally:
        made.index.close()
        made.database.close()


def _prepare(connection: Connection) -> None:
    metadata.create_all(connection)
    if connection.execute(select(users.c.id)).first() is None:
        connection.execute(insert(users).values(id=1, name="alice", administrator=True, create_time=0))
        connection.execute(insert(spaces).values(id=1, user_id=1, name="home"))
        agent = {"user_id": 1, "space_id": 1, "name": "mind"}
        texts = dict.fromkeys(("instructions", "model", "sub_model", "limits"), "")
        connection.execute(insert(agents).values(id=1, **agent, **texts, create_time=0, update_time=0))


def _write(connection: Connection, name: str, value: Any, when: int) -> None:
    found = connection.execute(select(variables).where(variables.c.name == name)).one_or_none()
    number = 1 if found is None else found.head + 1
    if found is None:
        query = insert(variables).values(space_id=1, name=name, head=1, deleted=False)
        id = connection.execute(query.returning(variables.c.id)).scalar_one()
    else:
        id = found.id
        connection.execute(update(variables).where(variables.c.id == id).values(head=number, deleted=False))
    match value:
        case str():
            kind, data = "text", value.encode()
        case bytes():
            kind, data = "bytes", value
        case _:
            kind, data = "json", json.dumps(value).encode()
    connection.execute(delete(versions).where(versions.c.variable_id == id, versions.c.number == number))
    connection.execute(
        insert(versions).values(
            variable_id=id, number=number, kind=kind, size=len(data), characters=len(data), inline=data,
            author_user="alice", author_agent="", author_step=0, author_call=0, origin=3, note="",
            write_time=when,
        )
    )  # fmt: skip
    connection.execute(insert(index_queue).values(space_id=1, variable_id=id))
