"""One shelf on disk: a LanceDB table with the passages, their words and their vectors.

LanceDB does not fsync on a local disk, so after a power cut a table may be unreadable, or older than SQLite
thinks. Therefore each batch leaves a *mark*, a row that holds how far in the queue the batch came, and
opening a table reads all that a search depends on. Whatever is amiss is `Damaged`, and the shelf is built
anew from SQLite.

There is no vector index: within one shelf an exact scan is quick enough (some 70 ms for 100,000 passages),
and it finds under every filter what an approximate one loses.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from .embedders import Vectors
from .ranking import Candidate, Row, Statistics

# Lance reports what it does on stderr; read when its library is loaded.
os.environ.setdefault("LANCE_LOG", "off")

DEPTH = 100
"""Candidates taken from full text, and again from the vectors."""
COMPACT_AFTER = 64
"""Batches between two compactions: each leaves fragments, and many fragments slow a search down."""
_KEEP_OLD = timedelta(seconds=30)
"""Old files are kept for the searches that still read them."""
_MARK = -1
"""The `id` of marks; their `version` is the sequence number."""
_COLUMNS = ["id", "key", "version", "start", "text", "words", "time", "origin"]


class Damaged(Exception):
    """The table cannot be used. Build it anew."""


@dataclass(frozen=True, kw_only=True)
class Filter:
    """What a hit must be: times in microseconds, `after` <= time < `before`."""

    prefix: str = ""
    after: int | None = None
    before: int | None = None
    exclude: Collection[str] = ()

    def allows(self, row: Row) -> bool:
        return (
            row.key.startswith(self.prefix)
            and (self.after is None or row.time >= self.after)
            and (self.before is None or row.time < self.before)
            and row.key not in self.exclude
        )

    def sql(self, hidden: Iterable[int]) -> str:
        """The same as LanceDB's condition, which also leaves out marks and the ids of `hidden`."""
        parts = ["id >= 0"]
        if self.prefix:
            parts.append(f"starts_with(key, {_quoted(self.prefix)})")
        if self.after is not None:
            parts.append(f"time >= {self.after}")
        if self.before is not None:
            parts.append(f"time < {self.before}")
        if self.exclude:
            parts.append(f"key NOT IN ({', '.join(map(_quoted, sorted(self.exclude)))})")
        if ids := sorted(hidden):
            parts.append(f"id NOT IN ({', '.join(map(str, ids))})")
        return " AND ".join(parts)


class Tables:
    """A folder of LanceDB tables."""

    def __init__(self, folder: Path) -> None:
        # Two seconds and 160 MB: only who searches pays, and not at the daemon's start.
        import lancedb

        folder.mkdir(parents=True, exist_ok=True)
        # Its type is that of the base class, which lacks half of the arguments.
        self._connection: Any = lancedb.connect(str(folder))

    def create(self, name: str, dimension: int) -> Shelved:
        """An empty table, in the place of one that may be there."""
        with _damage():
            self.drop(name)
            return Shelved(self._connection.create_table(name, schema=_schema(dimension)), dimension)

    def open(self, name: str, dimension: int) -> Shelved:
        """The table of that name, read through. Raises `Damaged`."""
        with _damage():
            shelved = Shelved(self._connection.open_table(name), dimension)
            shelved.load()
            return shelved

    def drop(self, name: str) -> None:
        with _damage():
            self._connection.drop_table(name, ignore_missing=True)


class Shelved:
    """An open table. One thread writes, others search beside it. Methods raise `Damaged` if they cannot."""

    def __init__(self, table: Any, dimension: int) -> None:
        self._table = table
        self._dimension = dimension
        self._batches = 0
        self.statistics = Statistics()
        self.applied = 0
        """The last mark."""

    def load(self) -> None:
        """Read the marks and the statistics, and see that every vector is one."""
        with _damage():
            query = self._table.search().select(["id", "version", "words", "vector"])
            for batch in query.to_batches():
                ids, versions = batch["id"].to_numpy(), batch["version"].to_numpy()
                marks = ids == _MARK
                lengths = np.linalg.norm(_matrix(batch["vector"], self._dimension), axis=1)
                if not np.allclose(lengths[~marks], 1.0, atol=1e-2):
                    raise Damaged("vectors are not of unit length")
                self.applied = max(self.applied, int(versions[marks].max(initial=0)))
                self.statistics.add(
                    text for text, mark in zip(batch["words"].to_pylist(), marks, strict=True) if not mark
                )
            # Both kinds of search must work before anybody relies on them.
            self.candidates(["a"], np.ones(self._dimension, dtype=np.float32), Filter(), ())

    def index(self) -> None:
        """Make the full-text index; once, when the first rows are in."""
        from lancedb.index import FTS

        with _damage():
            # The words are ready-made (see words.py): LanceDB only has to part them at the spaces.
            plain = FTS(
                base_tokenizer="whitespace",
                max_token_length=None,
                lower_case=False,
                stem=False,
                remove_stop_words=False,
                ascii_folding=False,
            )
            self._table.create_index("words", config=plain)

    def remove(self, ids: Collection[int]) -> None:
        """Delete all rows of these variables or messages."""
        if not ids:
            return
        condition = f"id IN ({', '.join(map(str, sorted(ids)))})"
        with _damage():
            old = self._table.search().where(condition).select(["words"]).to_arrow()
            if len(old):
                self._table.delete(condition)
                self.statistics.remove(old["words"].to_pylist())

    def add(self, rows: Sequence[Row], vectors: Vectors, *, mark: int | None = None) -> None:
        """Add rows; with `mark`, note in the same commit that the index has come as far as that number."""
        import pyarrow

        with _damage():
            records = [[getattr(row, column) for column in _COLUMNS] for row in rows]
            if mark is not None:
                records.append([_MARK, "", mark, 0, "", "", 0, 0])
                vectors = np.concatenate([vectors, np.zeros((1, self._dimension), dtype=np.float32)])
            columns: list[Any] = [list(column) for column in zip(*records, strict=True)]
            flat = pyarrow.array(vectors.ravel())
            columns.append(pyarrow.FixedSizeListArray.from_arrays(flat, self._dimension))
            schema = _schema(self._dimension)
            self._table.add(pyarrow.table(dict(zip(schema.names, columns, strict=True)), schema=schema))
            self.statistics.add(row.words for row in rows)
            self.applied = max(self.applied, mark or 0)
            self._batches += 1

    def compact(self, *, now: bool = False) -> None:
        """Join small fragments and give back the space of old ones, if it is time to."""
        if self._batches < COMPACT_AFTER and not now:
            return
        with _damage():
            self._table.delete(f"id = {_MARK} AND version < {self.applied}")
            self._table.optimize(cleanup_older_than=_KEEP_OLD)
            self._batches = 0

    def candidates(
        self, query: Sequence[str], vector: Vectors | None, filter: Filter, hidden: Collection[int]
    ) -> list[Candidate]:
        """The best by words and the best by vector, together, without the rows whose id is in `hidden`."""
        condition = filter.sql(hidden)
        found: dict[tuple[int, int], Candidate] = {}
        with _damage():
            if query:
                search = self._table.search(" ".join(query), query_type="fts", fts_columns="words")
                search = search.where(condition, prefilter=True)
                answer = search.limit(DEPTH).select([*_COLUMNS, "vector", "_score"]).to_arrow()
                self._collect(answer, vector, found)
            if vector is not None:
                search = self._table.search(vector).distance_type("dot").where(condition, prefilter=True)
                answer = search.limit(DEPTH).select([*_COLUMNS, "vector", "_distance"]).to_arrow()
                self._collect(answer, vector, found)
        return list(found.values())

    def _collect(self, answer: Any, vector: Vectors | None, found: dict[tuple[int, int], Candidate]) -> None:
        columns = [answer[column].to_pylist() for column in _COLUMNS]
        if vector is None:
            closeness = [0.0] * len(answer)
        else:
            closeness = (_matrix(answer["vector"].combine_chunks(), self._dimension) @ vector).tolist()
        for *values, near in zip(*columns, closeness, strict=True):
            row = Row(**dict(zip(_COLUMNS, values, strict=True)))
            found[row.id, row.start] = Candidate(row, near)


def _schema(dimension: int) -> Any:
    import pyarrow as pa

    numbers = {"id", "version", "start", "time", "origin"}
    fields = [pa.field(name, pa.int64() if name in numbers else pa.large_string()) for name in _COLUMNS]
    return pa.schema([*fields, pa.field("vector", pa.list_(pa.float32(), dimension))])


def _matrix(column: Any, dimension: int) -> Vectors:
    return np.asarray(column.flatten().to_numpy(zero_copy_only=False), dtype=np.float32).reshape(
        -1, dimension
    )


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


@contextmanager
def _damage() -> Iterator[None]:
    """LanceDB raises whatever its layers raise; for us it all means one thing: not usable as it is."""
    try:
        yield
    except Damaged:
        raise
    except Exception as error:
        raise Damaged(
            f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        ) from error
