"""Vectors follow passages: made as soon as the embedder can, anew when it is another, never waited for."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import islice

import numpy as np

from rlmd.errors import RlmdError, Unavailable

from .embedders import Patient, Vector, Vectors
from .kept import Kept
from .meanings import COMPARED, Meanings, table_name
from .ranking import Row
from .source import Shelf
from .tables import Damaged, Tables
from .tail import Taken, Waiting

log = logging.getLogger(__name__)

PAGE = 64
"""Passages that are embedded and added together."""
AT_ONCE = PAGE
"""Passages of the tail that a search has embedded; if there are more, it finds them by their words."""
MOST_AHEAD = 1_024
"""Passages that get their vectors before they are written; of more, they follow."""
RETRY_SECONDS = 1.0
LONGEST_RETRY_SECONDS = 60.0


class Vectorist:
    """Makes vectors on the keeper's thread. Searches ask it for those of their query and of the tail."""

    def __init__(self, patient: Patient) -> None:
        self.patient = patient
        self._delay = RETRY_SECONDS
        self._due = 0.0
        self._identity: tuple[str, int] | None = None

    @property
    def known(self) -> bool:
        """Whether the embedder has said what it is, so that its vectors can be looked for."""
        return self._identity is not None

    def due_in(self, shelves: Iterable[Kept]) -> float | None:
        """Seconds until the next try; None if there is nothing to be tried."""
        if self._identity and all(kept.meanings is not None and not kept.missing for kept in shelves):
            return None
        return max(self._due - time.monotonic(), 0.05)

    def advance(
        self, tables: Tables, shelves: Iterable[Kept], doubt: Callable[[Shelf, Damaged], None]
    ) -> bool:
        """Make the next vectors of each shelf; whether there were any to be made.

        `doubt` is told of shelves whose passages cannot be read.
        """
        if time.monotonic() < self._due:
            return False
        busy = False
        try:
            self._identity = self._identity or self.patient.identity()
            for kept in shelves:
                try:
                    busy = self._next(tables, kept, *self._identity) or busy
                except Damaged as error:
                    self._wait()
                    doubt(kept.shelf, error)
        except Unavailable:
            self._due = time.monotonic() + RETRY_SECONDS
        except RlmdError as error:
            log.warning("vectors are tried again in %g s: %s", self._delay, error)
            self._wait()
        else:
            if busy:
                self._delay = RETRY_SECONDS
        return busy

    def _wait(self) -> None:
        self._due = time.monotonic() + self._delay
        self._delay = min(2 * self._delay, LONGEST_RETRY_SECONDS)

    def _next(self, tables: Tables, kept: Kept, embedder: str, dimension: int) -> bool:
        name = table_name(kept.shelf.name, embedder)
        if kept.meanings is None:
            self._open(tables, kept, name, dimension)
            return True
        if not kept.missing:
            self._compact(kept)
            return False
        page = set(islice(kept.missing, PAGE))
        rows = kept.shelved.stamped(page)  # Fewer, if some were replaced since.
        vectors = self.patient.embed([embedded(row) for row in rows])
        try:
            kept.meanings.add(rows, vectors)
            kept.missing -= page
            if not kept.missing:
                kept.meanings.compact(now=True)
                if kept.meanings.count > COMPARED:
                    kept.shelved.index_stamps()
                self._drop_others(tables, kept, name)
        except Damaged as error:
            self.lost(kept, error)
        return True

    def prepared(self, kept: Kept, taken: Taken) -> Vectors | None:
        """The vectors of what is to be written, if they can be had now; else they follow later."""
        if kept.meanings is None or kept.missing or taken.long or len(taken.passages) > MOST_AHEAD:
            return None
        try:
            self.embed_waiting(taken.passages)
        except RlmdError as error:
            log.warning("vectors of %s follow later: %s", kept.shelf.name, error)
            return None
        vectors = [passage.vector for passage in taken.passages if passage.vector is not None]
        return np.stack(vectors) if vectors else np.zeros((0, 1), dtype=np.float32)

    def ahead(self, kept: Kept) -> None:
        """Give vectors to what gathers in the tail, so that few are left for a search to wait for."""
        if kept.meanings is not None and not kept.missing and self.patient.failure is None:
            with contextlib.suppress(RlmdError):
                self.embed_waiting(kept.tail.glance().passages[:MOST_AHEAD])

    def query(self, text: str, passages: Sequence[Waiting]) -> Vector:
        """The vector of a query; the passages of the tail get theirs with it. Raises `RlmdError`."""
        bare = [passage for passage in passages if passage.vector is None]
        if len(bare) > AT_ONCE:
            bare = []
        vector, others = self.patient.query(text, [embedded(passage.row) for passage in bare])
        for passage, other in zip(bare, others, strict=True):
            passage.vector = other
        return vector

    def embed_waiting(self, passages: Sequence[Waiting]) -> None:
        """Give each its vector. Raises `RlmdError`."""
        bare = [passage for passage in passages if passage.vector is None]
        for at in range(0, len(bare), PAGE):
            part = bare[at : at + PAGE]
            vectors = self.patient.embed([embedded(passage.row) for passage in part])
            for passage, vector in zip(part, vectors, strict=True):
                passage.vector = vector

    def replace(self, kept: Kept, ids: Collection[int], rows: Sequence[Row], vectors: Vectors | None) -> None:
        """Put the vectors of `rows` in the place of those of `ids`; without vectors, note what is missing."""
        if kept.meanings is not None:
            try:
                kept.meanings.remove(ids)
                if vectors is not None:
                    kept.meanings.add(rows, vectors)
                    return
            except Damaged as error:
                self.lost(kept, error)
        kept.missing.update(row.stamp for row in rows)

    def lost(self, kept: Kept, reason: Damaged) -> None:
        """The vectors cannot be used: they are opened again, and made again if that fails."""
        log.warning("the vectors of %s are checked: %s", kept.shelf.name, reason)
        kept.meanings = None

    def _open(self, tables: Tables, kept: Kept, name: str, dimension: int) -> None:
        there = kept.shelved.stamps()
        try:
            meanings, stamps = Meanings.open(tables, name, dimension)
            meanings.remove_stamps(np.setdiff1d(stamps, there).tolist())
        except Damaged as error:
            log.info("the vectors of %s are made anew: %s", kept.shelf.name, error)
            meanings, stamps = Meanings.create(tables, name, dimension), np.zeros(0, dtype=np.int64)
        kept.missing = set(np.setdiff1d(there, stamps).tolist())
        kept.meanings = meanings

    def _compact(self, kept: Kept) -> None:
        try:
            if kept.meanings is not None:
                kept.meanings.compact()
        except Damaged as error:
            self.lost(kept, error)

    def _drop_others(self, tables: Tables, kept: Kept, mine: str) -> None:
        """Vectors of embedders that were there before; until now they could have been returned to."""
        for name in tables.names():
            if name.startswith(f"{kept.shelf.name}.") and name != mine:
                tables.drop(name)


def embedded(row: Row) -> str:
    """What the embedder sees of a passage: which variable it stands in, and the passage."""
    return f"{row.key}\n{row.text}"
