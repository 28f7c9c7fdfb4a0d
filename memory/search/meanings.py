"""The vectors of one shelf's passages on disk, found by meaning.

They lie in a table of their own beside the passages', because they come later, from an embedder that may be
slow, away or changed. A passage and its vector carry the same stamp. A passage whose stamp is not here has no
vector yet, and a vector whose stamp no passage has is not looked at: so nothing here can make a search wrong,
and neither table has to wait for the other.

Up to some size all vectors are compared, which finds exactly the nearest. Above, an IVF_RQ index (RaBitQ, Gao
and Long, 2024) does, refined by the vectors themselves; but not under a filter, where it would lose some.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from .embedders import Vector, Vectors
from .filter import Filter
from .ranking import Row
from .shelved import COMPACT_BATCHES, COMPACT_ROWS, DEPTH, Stamps
from .tables import READ, Altered, Tables, damage, optimize

log = logging.getLogger(__name__)

COMPARED = 20_000
"""Vectors up to which all are compared."""
_REFINE = 5
_FEW = 1_000
"""Hidden ids that are sifted from the answer; more are left to LanceDB's filter, which forgoes the index."""
_COLUMNS = ["id", "key", "time", "stamp"]


def table_name(shelf: str, embedder: str) -> str:
    """Of the table with the vectors that the embedder of that name made for a shelf."""
    return f"{shelf}.{hashlib.blake2b(embedder.encode(), digest_size=8).hexdigest()}"


class Meanings:
    """An open table. One thread writes, others search beside it. Methods raise `Damaged` if they cannot."""

    def __init__(self, table: Any, dimension: int) -> None:
        self._table = table
        self._dimension = dimension
        self._batches = 0
        self._rows = 0
        self._indexed = False
        self.count = 0

    @classmethod
    def create(cls, tables: Tables, name: str, dimension: int) -> Meanings:
        """An empty one, in the place of one that may be there."""
        return cls(tables.create(name, _schema(dimension)), dimension)

    @classmethod
    def open(cls, tables: Tables, name: str, dimension: int) -> tuple[Meanings, Stamps]:
        """The one of that name, read through, and the stamps in it."""
        meanings = cls(tables.open(name), dimension)
        stamps: list[Stamps] = []
        with damage():
            for batch in meanings._table.search().select(["stamp", "vector"]).to_batches(READ):
                lengths = np.linalg.norm(_matrix(batch["vector"], dimension), axis=1)
                if not np.allclose(lengths, 1.0, atol=1e-2):
                    raise Altered("vectors are not of unit length")
                stamps.append(batch["stamp"].to_numpy())
            meanings._indexed = bool(meanings._table.list_indices())
            meanings.nearest(np.ones(dimension, dtype=np.float32), Filter(), ())
        found = np.concatenate(stamps) if stamps else np.zeros(0, dtype=np.int64)
        meanings.count = len(found)
        return meanings, found

    def add(self, rows: Sequence[Row], vectors: Vectors) -> None:
        import pyarrow

        if not rows:
            return
        with damage():
            columns: list[Any] = [[getattr(row, column) for row in rows] for column in _COLUMNS]
            flat = pyarrow.array(np.ascontiguousarray(vectors, dtype=np.float32).ravel())
            columns.append(pyarrow.FixedSizeListArray.from_arrays(flat, self._dimension))
            schema = _schema(self._dimension)
            self._table.add(pyarrow.table(dict(zip(schema.names, columns, strict=True)), schema=schema))
            self.count += len(rows)
            self._rows += len(rows)
            self._batches += 1

    def remove(self, ids: Collection[int]) -> None:
        """Delete the vectors of these variables or messages."""
        self._delete("id", ids)

    def remove_stamps(self, stamps: Collection[int]) -> None:
        self._delete("stamp", stamps)

    def compact(self, *, now: bool = False) -> None:
        """Join small fragments, and index what is much, if it is time to."""
        if self._batches < COMPACT_BATCHES and self._rows < COMPACT_ROWS and not now:
            return
        from lancedb.index import BTree, IvfRq

        with damage():
            optimize(self._table)
            self.count = self._table.count_rows()
            self._batches = self._rows = 0
            if self.count > COMPARED and not self._indexed and self._dimension % 8 == 0:
                log.info("indexing %d vectors", self.count)
                self._table.create_index("vector", config=IvfRq(distance_type="dot"))
                self._table.create_index("stamp", config=BTree())
                self._indexed = True

    def nearest(self, vector: Vector, filter: Filter, hidden: Collection[int]) -> dict[int, float]:
        """Stamps of the nearest, with how near they are, without those whose id is in `hidden`."""
        few = len(hidden) <= _FEW
        condition = filter.sql(() if few else hidden)
        limit = DEPTH + (len(hidden) if few else 0)
        with damage():
            search = self._table.search(vector).distance_type("dot")
            if condition:
                search = search.where(condition, prefilter=True).bypass_vector_index()
            elif self._indexed:
                search = search.refine_factor(_REFINE)
            answer = search.limit(limit).select(["id", "stamp", "_distance"]).to_arrow()
            columns = (answer[column].to_pylist() for column in ("id", "stamp", "_distance"))
            near = [(stamp, 1.0 - far) for id, stamp, far in zip(*columns, strict=True) if id not in hidden]
            return dict(near[:DEPTH])

    def closeness(self, vector: Vector, stamps: Collection[int]) -> dict[int, float]:
        """How near these are, as far as they are here."""
        if not stamps:
            return {}
        with damage():
            condition = f"stamp IN ({', '.join(map(str, sorted(stamps)))})"
            answer = self._table.search().where(condition).select(["stamp", "vector"]).to_arrow()
            near = _matrix(answer["vector"].combine_chunks(), self._dimension) @ vector
            return dict(zip(answer["stamp"].to_pylist(), near.tolist(), strict=True))

    def _delete(self, column: str, numbers: Collection[int]) -> None:
        ordered = sorted(numbers)
        with damage():
            for at in range(0, len(ordered), READ):
                part = ", ".join(map(str, ordered[at : at + READ]))
                self._table.delete(f"{column} IN ({part})")


def _schema(dimension: int) -> Any:
    import pyarrow as pa

    fields = [pa.field(name, pa.large_string() if name == "key" else pa.int64()) for name in _COLUMNS]
    return pa.schema([*fields, pa.field("vector", pa.list_(pa.float32(), dimension))])


def _matrix(column: Any, dimension: int) -> Vectors:
    flat = column.flatten().to_numpy(zero_copy_only=False)
    return np.asarray(flat, dtype=np.float32).reshape(-1, dimension)
