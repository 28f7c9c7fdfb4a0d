"""Content in pieces: ropes of compressed, content-addressed leaves below nodes that count.

A leaf holds up to 64 KiB, cut after a line where the line's checksum says so: the same lines are cut
at the same places whatever stands before them, so a text that changed in one place shares all its
other leaves with the version before. A node lists its children with their lengths in bytes and in
characters, which makes a slice at any character a walk down one path.

Appending touches the right edge alone. Leaves at the edge are joined like the digits of a binary
counter, so that many small appends rewrite each byte a few times, never the whole.

A piece's address is the hash of its content, and belongs to one user.
"""

from __future__ import annotations

import struct
import threading
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import zstandard
from sqlalchemy import Connection, bindparam, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from rlmd.errors import InternalError

from .tables import agents, journal, pieces, runs, spaces, variables, versions

LEAF = 64 * 1024
"""Most bytes of a leaf, before compression."""
LEAST = 16 * 1024
"""Least bytes of a leaf that is not the last, where lines allow."""
FAN = 64
"""Most children of a node."""
_CUT_ONE_IN = 32
"""One line in so many ends a leaf."""
_CHILD = struct.Struct(">20sQQ")
_LEAF, _PACKED, _NODE = b"l", b"z", b"n"

_get = select(pieces.c.data).where(pieces.c.user_id == bindparam("u"), pieces.c.hash == bindparam("h"))
_put = {
    "sqlite": sqlite.insert(pieces).on_conflict_do_nothing(),
    "postgresql": postgresql.insert(pieces).on_conflict_do_nothing(),
}


@dataclass(frozen=True)
class Piece:
    """A subtree: its address, and how much text it holds."""

    hash: bytes
    size: int
    """Bytes."""
    characters: int
    """Characters, if it is text."""


class Ropes:
    """The pieces of one user, over one connection."""

    def __init__(self, connection: Connection, user_id: int, *, text: bool) -> None:
        self._connection = connection
        self._user = user_id
        self._text = text

    def build(self, chunks: Iterable[bytes]) -> bytes:
        """Store the content that the chunks make together; returns the root's address."""
        return self._stack([self._leaf(data) for data in _cut(chunks, self._text)])

    def append(self, root: bytes, data: bytes, *, before: bytes = b"") -> bytes:
        """The content of `root` with `data` added, in front of `before` if it ends so (the `]` of a list)."""
        path = self._right_edge(root)
        edge = path[-1]
        kept: list[bytes] = []
        if before:
            tail = self._content(edge.pop().hash)
            if not tail.endswith(before):
                raise InternalError("the content does not end as it should")
            if body := tail[: -len(before)]:
                kept = [body]
        while kept and len(kept[0]) <= len(data) and len(kept[0]) + len(data) <= LEAF:
            data = kept.pop() + data
        while not kept and edge and edge[-1].size <= len(data) and edge[-1].size + len(data) <= LEAF:
            data = self._content(edge.pop().hash) + data
        fresh = [*kept, *_cut([data], self._text), *([before] if before else [])]
        return self._grow(path, [self._leaf(part) for part in fresh])

    def read(self, root: bytes) -> bytes:
        """The whole content."""
        return b"".join(self.leaves(root))

    def leaves(self, root: bytes) -> Iterator[bytes]:
        """The content in order, a leaf at a time; each leaf of a text is whole characters."""
        tag, content = self._load(root)
        if tag != _NODE:
            yield content
            return
        for child in _children(content):
            yield from self.leaves(child.hash)

    def slice(self, root: bytes, start: int, end: int) -> bytes:
        """Characters [start, end) of a text, bytes [start, end) otherwise; cut at the content's end."""
        parts: list[bytes] = []
        self._slice(root, start, end, parts)
        return b"".join(parts)

    def _slice(self, root: bytes, start: int, end: int, parts: list[bytes]) -> None:
        tag, content = self._load(root)
        if tag != _NODE:
            parts.append(content.decode()[start:end].encode() if self._text else content[start:end])
            return
        for child in _children(content):
            length = child.characters if self._text else child.size
            if end <= 0:
                return
            if start < length:
                self._slice(child.hash, max(start, 0), min(end, length), parts)
            start, end = start - length, end - length

    def reachable(self, root: bytes, seen: set[bytes]) -> None:
        """Add the addresses of all pieces of the content to `seen`."""
        if root in seen:
            return
        seen.add(root)
        tag, content = self._load(root)
        if tag != _NODE:
            return
        children = _children(content)
        if self._load(children[0].hash)[0] != _NODE:
            seen.update(child.hash for child in children)
        else:
            for child in children:
                self.reachable(child.hash, seen)

    def _right_edge(self, root: bytes) -> list[list[Piece]]:
        """Children of each node down the right edge; the last list holds leaves."""
        path: list[list[Piece]] = []
        address = root
        while True:
            tag, content = self._load(address)
            if tag != _NODE:
                if not path:
                    path.append([self._measure(address, content)])
                return path
            path.append(list(_children(content)))
            address = path[-1][-1].hash

    def _grow(self, path: list[list[Piece]], fresh: list[Piece]) -> bytes:
        """Put new pieces at the end of the lowest level and renew the nodes above."""
        for level, edge in enumerate(reversed(path)):
            if level:
                edge.pop()
            fresh = [*edge, *fresh]
            if level + 1 < len(path) or len(fresh) > 1:
                fresh = [self._node(fresh[i : i + FAN]) for i in range(0, len(fresh), FAN)]
        return self._stack(fresh)

    def _stack(self, level: Sequence[Piece]) -> bytes:
        """Nodes upon nodes until one is left."""
        while len(level) > 1:
            level = [self._node(level[i : i + FAN]) for i in range(0, len(level), FAN)]
        return level[0].hash

    def _measure(self, address: bytes, content: bytes) -> Piece:
        return Piece(address, len(content), _characters(content) if self._text else 0)

    def _leaf(self, content: bytes) -> Piece:
        piece = self._measure(_address(_LEAF, content), content)
        packed = _codec().compress(content)
        self._store(piece.hash, _PACKED + packed if len(packed) < len(content) else _LEAF + content)
        return piece

    def _node(self, children: Sequence[Piece]) -> Piece:
        content = b"".join(_CHILD.pack(child.hash, child.size, child.characters) for child in children)
        address = _address(_NODE, content)
        self._store(address, _NODE + content)
        return Piece(address, sum(c.size for c in children), sum(c.characters for c in children))

    def _store(self, address: bytes, data: bytes) -> None:
        statement = _put[self._connection.dialect.name]
        self._connection.execute(statement, {"user_id": self._user, "hash": address, "data": data})

    def _content(self, address: bytes) -> bytes:
        return self._load(address)[1]

    def _load(self, address: bytes) -> tuple[bytes, bytes]:
        data = self._connection.execute(_get, {"u": self._user, "h": address}).scalar()
        if data is None:
            raise InternalError(
                f"piece {address.hex()} is missing from the database", remedy="Restore a backup."
            )
        tag, content = data[:1], data[1:]
        return (_LEAF, _codec().decompress(content)) if tag == _PACKED else (tag, content)


def sweep(connection: Connection, user_id: int) -> int:
    """Delete the user's pieces that no version and no journal row reaches any more; returns how many."""
    kept: set[bytes] = set()
    ropes = Ropes(connection, user_id, text=False)
    of_versions = (
        select(versions.c.root)
        .join(variables, versions.c.variable_id == variables.c.id)
        .join(spaces, variables.c.space_id == spaces.c.id)
        .where(spaces.c.user_id == user_id, versions.c.root.is_not(None))
    )
    of_journal = (
        select(journal.c.root)
        .join(runs, journal.c.run_id == runs.c.id)
        .join(agents, runs.c.agent_id == agents.c.id)
        .where(agents.c.user_id == user_id, journal.c.root.is_not(None))
    )
    for statement in (of_versions, of_journal):
        for root in connection.execute(statement).scalars().all():
            ropes.reachable(root, kept)
    present = connection.execute(select(pieces.c.hash).where(pieces.c.user_id == user_id)).scalars().all()
    gone = [{"u": user_id, "h": address} for address in present if address not in kept]
    if gone:
        unreached = delete(pieces).where(pieces.c.user_id == bindparam("u"), pieces.c.hash == bindparam("h"))
        connection.execute(unreached, gone)
    return len(gone)


class _Codec(threading.local):
    """zstd contexts must not be used by two threads at once."""

    def __init__(self) -> None:
        self.compress = zstandard.ZstdCompressor(level=3).compress
        self._decompressor = zstandard.ZstdDecompressor()

    def decompress(self, data: bytes) -> bytes:
        return self._decompressor.decompress(data, max_output_size=LEAF)


_codecs = _Codec()


def _codec() -> _Codec:
    return _codecs


def _address(tag: bytes, content: bytes) -> bytes:
    return blake2b(content, digest_size=20, person=tag).digest()


def _children(content: bytes) -> list[Piece]:
    return [Piece(*fields) for fields in _CHILD.iter_unpack(content)]


def _characters(content: bytes) -> int:
    return len(content) if content.isascii() else len(content.decode())


def _cut(chunks: Iterable[bytes], text: bool) -> Iterator[bytes]:
    """Cut a stream into leaves; at least one, which may be empty."""
    buffer = b""
    some = False
    for chunk in chunks:
        buffer += chunk
        offset = 0
        while len(buffer) - offset > LEAF:
            end = _cut_at(buffer, offset, text)
            yield buffer[offset:end]
            some, offset = True, end
        buffer = buffer[offset:]
    if buffer or not some:
        yield buffer


def _cut_at(buffer: bytes, start: int, text: bool) -> int:
    """Where the leaf that begins at `start` ends: after a line that says so, at the latest after 64 KiB."""
    limit = start + LEAF
    line = buffer.rfind(b"\n", start, start + LEAST) + 1 or start + LEAST
    last = 0
    while (end := buffer.find(b"\n", line, limit) + 1) > 0:
        if zlib.crc32(buffer[max(line, end - 256) : end]) % _CUT_ONE_IN == 0:
            return end
        line = last = end
    if last > start + LEAF // 2:
        return last
    while text and limit > start + 1 and buffer[limit] & 0xC0 == 0x80:
        limit -= 1
    return limit
