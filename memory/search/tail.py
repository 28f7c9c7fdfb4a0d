"""The tail of a shelf: what is committed and not yet in its table, read once and held in memory until it is.

Searches and the keeper read the queue through it, so that no text is read, cut or embedded twice, and the
keeper can let many changes gather before it writes them.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from sqlalchemy import Connection

from . import source as queue
from .embedders import Vector
from .ranking import Row
from .source import Shelf, Source

MOST_PASSAGES = 4_000
"""Passages that are held. Of more, the rest waits until the keeper has written some."""


@dataclass(eq=False)
class Waiting:
    """A passage in the tail."""

    row: Row
    words: frozenset[str]
    vector: Vector | None = None


@dataclass(eq=False)
class _Change:
    seq: int
    """The last row of the queue that names it."""
    passages: list[Waiting] | None = None
    """None until read."""
    long: bool = False
    """Too long to be held: only the keeper reads it, a part at a time."""


@dataclass(frozen=True, kw_only=True)
class Glance:
    """The tail at one moment."""

    ids: frozenset[int]
    """Of all variables or messages in it: what the table says of them is outdated."""
    passages: list[Waiting]
    whole: bool
    """Whether these are all passages of the `ids`."""


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What the keeper writes next. With it the table is as far as `mark`."""

    passages: list[Waiting]
    ids: set[int]
    long: list[int] = field(default_factory=list)
    """Ids, also among `ids`, whose passages are to be read from the database."""
    mark: int = 0


class Tail:
    def __init__(self, source: Source, shelf: Shelf) -> None:
        self._source = source
        self._shelf = shelf
        self._changes: dict[int, _Change] = {}
        self._held = 0
        self._last = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Passages that are held."""
        return self._held

    def refresh(self, connection: Connection) -> int:
        """Read what has come since the last time, as far as there is room; how many changes it was."""
        with self._lock:
            came = queue.waiting(connection, self._shelf, self._last)
            for seq, id in came:
                old = self._changes.pop(id, None)
                self._held -= len(old.passages or ()) if old else 0
                self._changes[id] = _Change(seq)
                self._last = seq
            for id, change in self._changes.items():
                if change.passages is None and not change.long and not self._read(connection, id, change):
                    break
            return len(came)

    def glance(self) -> Glance:
        with self._lock:
            changes = list(self._changes.values())
            return Glance(
                ids=frozenset(self._changes),
                passages=[passage for change in changes for passage in change.passages or ()],
                whole=all(change.passages is not None for change in changes),
            )

    def take(self) -> Taken | None:
        """What can be written now; it stays until `drop`. None if nothing waits."""
        with self._lock:
            if not self._changes:
                return None
            ready = {id: each for id, each in self._changes.items() if each.passages is not None or each.long}
            unread = [each.seq for id, each in self._changes.items() if id not in ready]
            return Taken(
                passages=[passage for change in ready.values() for passage in change.passages or ()],
                ids=set(ready),
                long=[id for id, change in ready.items() if change.long],
                mark=min(unread) - 1 if unread else self._last,
            )

    def drop(self, mark: int) -> None:
        """Forget what the table holds: all as far as `mark`."""
        with self._lock:
            self._last = max(self._last, mark)
            self._changes = {id: change for id, change in self._changes.items() if change.seq > mark}
            self._held = sum(len(change.passages or ()) for change in self._changes.values())

    def _read(self, connection: Connection, id: int, change: _Change) -> bool:
        """Read the passages of a change; False if there is no room now."""
        room = MOST_PASSAGES - self._held
        passages = list(islice(self._waiting(connection, id), room + 1))
        if len(passages) <= room:
            change.passages = passages
            self._held += len(passages)
            return True
        change.long = room == MOST_PASSAGES
        return change.long

    def _waiting(self, connection: Connection, id: int) -> Iterator[Waiting]:
        for row in queue.rows(connection, self._source, self._shelf, id):
            yield Waiting(row, frozenset(row.words.split()))
