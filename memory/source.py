"""What the search index reads: the texts of variables and messages, in pieces."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, bindparam, select

from .content import Content, Contents
from .records import Kind
from .search import Document, readable
from .tables import messages, spaces, variables, versions

MAX_JSON = 16 * 1024 * 1024
"""Largest JSON value, in bytes, that is indexed: it must be read as a whole."""


_latest = (
    select(versions, variables.c.name, spaces.c.user_id)
    .join(variables, (versions.c.variable_id == variables.c.id) & (versions.c.number == variables.c.head))
    .join(spaces, variables.c.space_id == spaces.c.id)
    .where(variables.c.id == bindparam("variable"))
)
_message = select(messages).where(messages.c.id == bindparam("message"))


class Texts:
    """The `Source` of the index."""

    def variable(self, connection: Connection, variable_id: int) -> Document | None:
        row = connection.execute(_latest, {"variable": variable_id}).first()
        if row is None:
            return None
        chunks = self._chunks(connection, row)
        if chunks is None:
            return None
        return Document(
            key=row.name,
            version=row.number,
            title=row.name,
            time=row.write_time if row.source_time is None else row.source_time,
            origin=row.origin,
            chunks=chunks,
        )

    def _chunks(self, connection: Connection, row: Any) -> Iterator[str] | None:
        contents = Contents(connection, row.user_id, text=row.kind == Kind.TEXT)
        content = Content(row.inline, row.root)
        if row.kind == Kind.TEXT:
            return codecs.iterdecode(contents.chunks(content), "utf-8")
        if row.kind == Kind.JSON and row.size <= MAX_JSON:
            return iter([readable(json.loads(contents.read(content)))])
        return None

    def message(self, connection: Connection, message_id: int) -> Document | None:
        row = connection.execute(_message, {"message": message_id}).first()
        if row is None:
            return None
        return Document(
            key=str(row.id),
            version=1,
            title=row.sender,
            time=row.time,
            origin=row.origin,
            chunks=iter([row.text]),
        )
