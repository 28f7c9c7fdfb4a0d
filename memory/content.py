"""Content of versions and journal rows: in the row while it is small, in pieces beyond that."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from .pieces import Packed, Piece, Ropes

INLINE = 2048
"""Bytes that stay in the row."""


@dataclass(frozen=True)
class Content:
    """Where bytes are: `inline`, or below `root`. Both None: there are none."""

    inline: bytes | None
    root: bytes | None


class Contents:
    """Stores and reads the content of one user. `text` says that offsets count characters."""

    def __init__(self, connection: Connection, user_id: int, *, text: bool = False) -> None:
        self._ropes = Ropes(connection, user_id, text=text)
        self._text = text

    def put(self, data: bytes) -> Content:
        return Content(data, None) if len(data) <= INLINE else Content(None, self._ropes.build([data]))

    def append(self, content: Content, data: bytes, *, before: bytes = b"") -> Content:
        """`content` with `data` added, in front of `before`, in which it ends."""
        if content.root is not None:
            return Content(None, self._ropes.append(content.root, data, before=before))
        head = content.inline or b""
        return self.put(head[: len(head) - len(before)] + data + before)

    def store(self, packed: Sequence[Packed]) -> None:
        """Store leaves that are joined later."""
        self._ropes.store(packed)

    def join(self, leaves: Sequence[Piece], *, after: Content | None = None) -> Content:
        """The content of stored leaves, one or more, behind that of `after`."""
        if after is None:
            return Content(None, self._ropes.join(leaves))
        root = after.root if after.root is not None else self._ropes.build([after.inline or b""])
        return Content(None, self._ropes.join(leaves, after=root))

    def read(self, content: Content) -> bytes:
        return (content.inline or b"") if content.root is None else self._ropes.read(content.root)

    def chunks(self, content: Content) -> Iterator[bytes]:
        """The content in order, a piece at a time."""
        if content.root is None:
            yield content.inline or b""
        else:
            yield from self._ropes.leaves(content.root)

    def slice(self, content: Content, start: int, end: int) -> bytes:
        """Characters [start, end) of a text, bytes otherwise."""
        if content.root is not None:
            return self._ropes.slice(content.root, start, end)
        data = content.inline or b""
        return data.decode()[start:end].encode() if self._text else data[start:end]
