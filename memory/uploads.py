"""Large values on their way in: pieces first, in transactions of bounded size, and the version at last.

A value that comes in parts is cut, checked and compressed outside of the database. Its leaves are stored
in batches, so that other writers get their turn between them, and one last transaction makes the version.
Nothing shows before that.

Leaves that wait for their version are reached by nothing, as garbage is. So an upload has a row from its
first batch to its end; while a user has one, nothing of theirs is swept. A row that nobody has touched
for an hour is what a broken upload or a killed daemon has left: it counts as word that there is something to
sweep (see sweeping.py).
"""

from __future__ import annotations

from datetime import datetime
from hashlib import blake2b

from sqlalchemy import Connection, delete, insert, update

from rlmd.errors import DeadlineExceeded, InvalidInput, TooLarge

from .clock import to_micros
from .content import Contents
from .pieces import LEAF, Cutter, Packed, Piece, pack
from .records import Kind
from .tables import uploads
from .values import MAX_BYTES

BATCH_BYTES = 2 * 1024 * 1024
"""Bytes of content, before compression, that one transaction stores."""
SMALL = LEAF
"""Bytes up to which a value is better written as a whole: at the edge, small leaves are joined."""


class Draft:
    """Content that comes in parts of any size. Touches no database; not for two threads at once."""

    def __init__(self, kind: Kind) -> None:
        self._text = kind is Kind.TEXT
        self._cutter = Cutter(text=self._text)
        self._digest = blake2b(digest_size=16)
        self._packed_bytes = 0
        self._waiting_bytes = 0
        self._waiting: list[Packed] = []
        self.leaves: list[Piece] = []
        self.size = 0
        """Bytes that have come."""

    @property
    def digest(self) -> bytes:
        """Stands for the content that has come."""
        return self._digest.digest()

    @property
    def small(self) -> bytes | None:
        """All of the content, if it is so little that it is to be written as a whole."""
        return self._cutter.rest if not self.leaves and self.size <= SMALL else None

    def add(self, data: bytes) -> None:
        """Raises InvalidInput: not UTF-8, and said to be text. TooLarge: over 1 GiB."""
        self.size += len(data)
        if self.size > MAX_BYTES:
            raise TooLarge("the value is over 1 GiB", field="value", remedy="Keep it in several variables.")
        self._digest.update(data)
        for leaf in self._cutter.feed(data):
            self._pack(leaf)

    def end(self) -> None:
        """All has come. Raises InvalidInput: it is not UTF-8, and said to be text."""
        rest = self._cutter.rest
        if self.small is not None:
            self._decoded(rest)
        elif rest:
            self._pack(rest)

    def take(self, least: int) -> list[Packed]:
        """The leaves that are not stored yet, if they have at least so many bytes; now the caller's."""
        if self._waiting_bytes < least:
            return []
        waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
        return waiting

    def value(self, data: bytes) -> str | bytes:
        return self._decoded(data) if self._text else data

    def _pack(self, content: bytes) -> None:
        try:
            packed = pack(content, text=self._text)
        except UnicodeDecodeError as error:
            raise _not_text(self._packed_bytes, content, error) from None
        self.leaves.append(packed.piece)
        self._waiting.append(packed)
        self._packed_bytes += len(content)
        self._waiting_bytes += len(content)

    def _decoded(self, data: bytes) -> str:
        try:
            return data.decode() if self._text else ""
        except UnicodeDecodeError as error:
            raise _not_text(self._packed_bytes, data, error) from None


class Uploads:
    """The rows of one user's uploads, over one connection."""

    def __init__(self, connection: Connection, now: datetime, user_id: int) -> None:
        self._connection = connection
        self._now = now
        self._user = user_id

    def begin(self) -> int:
        """A new upload's id."""
        row = {"user_id": self._user, "time": to_micros(self._now)}
        return int(self._connection.execute(insert(uploads).returning(uploads.c.id), row).scalar_one())

    def store(self, packed: list[Packed]) -> None:
        Contents(self._connection, self._user).store(packed)

    def touch(self, id: int) -> None:
        """It goes on. Raises DeadlineExceeded: it was given up, and its pieces may be gone."""
        mine = (uploads.c.id == id) & (uploads.c.user_id == self._user) & (uploads.c.time > 0)
        changed = update(uploads).where(mine).values(time=to_micros(self._now))
        if not self._connection.execute(changed).rowcount:
            raise DeadlineExceeded(
                "the upload has rested for over an hour, and was given up",
                remedy="Send the value again, without long pauses.",
            )

    def end(self, id: int) -> None:
        """Its pieces have their version."""
        self._connection.execute(delete(uploads).where(uploads.c.id == id, uploads.c.user_id == self._user))

    def abandon(self, id: int) -> None:
        """It broke; the next sweep takes its pieces."""
        mine = (uploads.c.id == id) & (uploads.c.user_id == self._user)
        self._connection.execute(update(uploads).where(mine).values(time=0))


def _not_text(offset: int, content: bytes, error: UnicodeDecodeError) -> InvalidInput:
    place = offset + error.start
    return InvalidInput(
        f"not UTF-8 text: byte {place:,} is 0x{content[error.start]:02x}",
        field="value",
        remedy="Decode it with its own encoding first, or send it as bytes.",
    )
