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
from sqlalchemy import Connection, bindparam, select
from sqlalchemy.dialects import postgresql, sqlite

from rlmd.errors import InternalError

from .tables import pieces

LEAF = 64 * 1024
"""Most bytes of a leaf, before compression."""
LEAST = 16 * 1024
"""Least bytes of a leaf that is not the last, where lines allow."""
FAN = 64
"""Most children of a node."""
AHEAD = 32
"""Pieces that are fetched together where all are read."""
WATCHED = "rlmd_watched"
"""Under this name, a connection's `info` has the users of whom is noted what is stored: see sweeping.py."""
_CUT_ONE_IN = 32
"""One line in so many ends a leaf."""
_CHILD = struct.Struct(">20sQQ")
_LEAF, _PACKED, _NODE = b"l", b"z", b"n"

_get = select(pieces.c.data).where(pieces.c.user_id == bindparam("u"), pieces.c.hash == bindparam("h"))
_several = select(pieces.c.hash, pieces.c.data).where(
    pieces.c.user_id == bindparam("u"), pieces.c.hash.in_(bindparam("h", expanding=True))
)
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


@dataclass(frozen=True)
class Packed:
    """A piece with what is stored of it. Made without a database, so on any thread."""

    piece: Piece
    data: bytes


def pack(content: bytes, *, text: bool) -> Packed:
    """A leaf. Raises UnicodeDecodeError: it is said to be text, and is not UTF-8."""
    piece = _measure(_address(_LEAF, content), content, text)
    packed = _codec().compress(content)
    return Packed(piece, _PACKED + packed if len(packed) < len(content) else _LEAF + content)


class Ropes:
    """The pieces of one user, over one connection."""

    def __init__(self, connection: Connection, user_id: int, *, text: bool) -> None:
        self._connection = connection
        self._user = user_id
        self._text = text

    def build(self, chunks: Iterable[bytes]) -> bytes:
        """Store the content that the chunks make together; returns the root's address."""
        return self.join([self._leaf(data) for data in _cut(chunks, self._text)])

    def store(self, packed: Sequence[Packed]) -> None:
        """Store leaves; those that are there already are left alone."""
        rows = [{"user_id": self._user, "hash": one.piece.hash, "data": one.data} for one in packed]
        if rows:
            self._connection.execute(_put[self._connection.dialect.name], rows)
        watched: dict[int, set[bytes]] = self._connection.info.get(WATCHED, {})
        if (noted := watched.get(self._user)) is not None:
            noted.update(one.piece.hash for one in packed)

    def join(self, leaves: Sequence[Piece], *, after: bytes | None = None) -> bytes:
        """The content of stored leaves, one or more, behind that of the root `after`; gives the root."""
        if after is not None:
            return self._grow(self._right_edge(after), list(leaves))
        while len(leaves) > 1:
            leaves = [self._node(leaves[i : i + FAN]) for i in range(0, len(leaves), FAN)]
        return leaves[0].hash

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
        children = _children(content)
        for start in range(0, len(children), AHEAD):
            hashes = [child.hash for child in children[start : start + AHEAD]]
            stored = {
                row.hash: row.data
                for row in self._connection.execute(_several, {"u": self._user, "h": hashes})
            }
            for address in hashes:
                tag, content = _unpacked(address, stored.get(address))
                if tag == _NODE:
                    yield from self.leaves(address)
                else:
                    yield content

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
                    path.append([_measure(address, content, self._text)])
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
        return self.join(fresh)

    def _leaf(self, content: bytes) -> Piece:
        packed = pack(content, text=self._text)
        self.store([packed])
        return packed.piece

    def _node(self, children: Sequence[Piece]) -> Piece:
        content = b"".join(_CHILD.pack(child.hash, child.size, child.characters) for child in children)
        size, characters = sum(child.size for child in children), sum(child.characters for child in children)
        piece = Piece(_address(_NODE, content), size, characters)
        self.store([Packed(piece, _NODE + content)])
        return piece

    def _content(self, address: bytes) -> bytes:
        return self._load(address)[1]

    def _load(self, address: bytes) -> tuple[bytes, bytes]:
        return _unpacked(address, self._connection.execute(_get, {"u": self._user, "h": address}).scalar())


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


def _unpacked(address: bytes, data: bytes | None) -> tuple[bytes, bytes]:
    """Tag and content of a piece, from what is stored of it."""
    if data is None:
        raise InternalError(f"piece {address.hex()} is missing from the database", remedy="Restore a backup.")
    tag, content = data[:1], data[1:]
    return (_LEAF, _codec().decompress(content)) if tag == _PACKED else (tag, content)


def _address(tag: bytes, content: bytes) -> bytes:
    return blake2b(content, digest_size=20, person=tag).digest()


def _children(content: bytes) -> list[Piece]:
    return [Piece(*fields) for fields in _CHILD.iter_unpack(content)]


def _measure(address: bytes, content: bytes, text: bool) -> Piece:
    characters = len(content) if content.isascii() or not text else len(content.decode())
    return Piece(address, len(content), characters if text else 0)


class Cutter:
    """Cuts a stream into leaves: the same ones, whatever parts it comes in."""

    def __init__(self, *, text: bool) -> None:
        self._text = text
        self.rest = b""
        """What follows the last leaf that was given out; at the stream's end it is a leaf too."""

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The leaves that end in what has come until now."""
        buffer, offset = self.rest + chunk, 0
        while len(buffer) - offset > LEAF:
            end = _cut_at(buffer, offset, self._text)
            yield buffer[offset:end]
            offset = end
        self.rest = buffer[offset:]


def _cut(chunks: Iterable[bytes], text: bool) -> Iterator[bytes]:
    """The leaves of a whole; at least one, which may be empty."""
    cutter = Cutter(text=text)
    some = False
    for chunk in chunks:
        for leaf in cutter.feed(chunk):
            some = True
            yield leaf
    if cutter.rest or not some:
        yield cutter.rest


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
