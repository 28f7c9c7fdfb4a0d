"""The passages of one shelf on disk, found by their words.

Each batch leaves a *mark*, a row that holds how far in the queue the batch came, and opening the table reads
all that a search depends on.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .filter import Filter
from .ranking import Row, Statistics
from .tables import READ, Altered, Tables, damage, optimize

Stamps = NDArray[np.int64]

DEPTH = 100
"""Candidates taken from full text where vectors are weighed against it, and again from the vectors."""
COMPACT_BATCHES = 64
"""Batches between two compactions: each leaves a fragment, and many fragments slow a search down."""
COMPACT_ROWS = 2_048
"""Rows between two compactions: full text looks through new rows one by one."""
_CLOSE = 1.05
"""Scores of LanceDB whose ratio is below this are as good as equal: it counts words by parts of the table."""
_DEEPEST = 2_560
_MARK = -1
"""The `id` of marks; their `version` is the sequence number."""
_COLUMNS = ["id", "key", "version", "start", "text", "words", "time", "origin", "stamp"]
_TEXTS = {"key", "text", "words"}


class Shelved:
    """An open table. One thread writes, others search beside it. Methods raise `Damaged` if they cannot."""

    def __init__(self, table: Any) -> None:
        self._table = table
        self._batches = 0
        self._rows = 0
        self.statistics = Statistics()
        self.applied = 0
        """The last mark."""

    @classmethod
    def create(cls, tables: Tables, name: str) -> Shelved:
        """An empty one, in the place of one that may be there."""
        return cls(tables.create(name, _schema()))

    @classmethod
    def open(cls, tables: Tables, name: str) -> Shelved:
        """The one of that name, read through."""
        shelved = cls(tables.open(name))
        with damage():
            query = shelved._table.search().select(["id", "version", "words"])
            for batch in query.to_batches(READ):
                ids, versions = batch["id"].to_numpy(), batch["version"].to_numpy()
                marks = ids == _MARK
                shelved.applied = max(shelved.applied, int(versions[marks].max(initial=0)))
                texts = zip(batch["words"].to_pylist(), marks, strict=True)
                shelved.statistics.add(text for text, mark in texts if not mark)
            # A search must work, and find something, before anybody relies on it.
            if word := next(iter(shelved.statistics.holding), ""):
                shelved.candidates([word], Filter(), (), 1, 1)
        return shelved

    def index(self) -> None:
        """Make the full-text index; once, when the first rows are in."""
        from lancedb.index import FTS

        with damage():
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

    def index_stamps(self) -> None:
        """Make rows quick to find by their stamps; worth it in a large table, and only once."""
        from lancedb.index import BTree

        with damage():
            if all(index.columns != ["stamp"] for index in self._table.list_indices()):
                self._table.create_index("stamp", config=BTree())

    def remove(self, ids: Collection[int]) -> None:
        """Delete all rows of these variables or messages."""
        if not ids:
            return
        condition = _among("id", ids)
        with damage():
            old = self._table.search().where(condition).select(["words"]).to_arrow()
            if len(old):
                self._table.delete(condition)
                self.statistics.remove(old["words"].to_pylist())

    def add(self, rows: Sequence[Row], *, mark: int | None = None) -> None:
        """Add rows; with `mark`, note in the same commit that the index has come as far as that number."""
        import pyarrow

        with damage():
            records = [[getattr(row, column) for column in _COLUMNS] for row in rows]
            if mark is not None:
                records.append([_MARK, "", mark, 0, "", "", 0, 0, 0])
            columns = [list(column) for column in zip(*records, strict=True)]
            schema = _schema()
            self._table.add(pyarrow.table(dict(zip(schema.names, columns, strict=True)), schema=schema))
            self.statistics.add(row.words for row in rows)
            self.applied = max(self.applied, mark or 0)
            self._batches += 1
            self._rows += len(rows)

    def compact(self, *, batches: int = COMPACT_BATCHES, rows: int = COMPACT_ROWS) -> None:
        """Join small fragments and give back the space of old ones, if there were as many since last time."""
        if self._batches < batches and self._rows < rows:
            return
        with damage():
            self._table.delete(f"id = {_MARK} AND version < {self.applied}")
            optimize(self._table)
            self._batches = self._rows = 0

    def candidates(
        self, words: Iterable[str], filter: Filter, hidden: Collection[int], k: int, depth: int
    ) -> list[Row]:
        """The best by their words, without the rows whose id is in `hidden`.

        As many as `depth`, and more while the `k`th is hardly better than the last: which ones come first of
        many that are as good is then for the ranking to say, and not for the order in the table.
        """
        query, limit = " ".join(words), depth
        with damage():
            while True:
                rows, scores = self._found(query, filter.sql(), limit)
                # Most of what is hidden is new, and not here at all: it is not worth a filter.
                kept = [at for at, row in enumerate(rows) if row.id not in hidden]
                close = len(kept) < k or scores[kept[k - 1]] <= _CLOSE * scores[-1]
                if len(rows) < limit or not close:
                    return [rows[at] for at in kept]
                if limit == _DEEPEST:
                    break
                limit = min(4 * limit, _DEEPEST)
            if len(kept) < k:  # Long texts are hidden, of many passages.
                return self._found(query, filter.sql(hidden), depth)[0]
            return [rows[at] for at in kept]

    def stamps(self) -> Stamps:
        """The stamps of all rows."""
        with damage():
            answer = self._table.search().where("id >= 0").select(["stamp"]).to_arrow()
            return np.asarray(answer["stamp"].to_numpy(), dtype=np.int64)

    def stamped(self, stamps: Collection[int]) -> list[Row]:
        """The rows with these stamps."""
        with damage():
            query = self._table.search().where(_among("stamp", stamps)).select(_COLUMNS)
            return _rows(query.to_arrow()) if stamps else []

    def _found(self, query: str, condition: str, limit: int) -> tuple[list[Row], list[float]]:
        search = self._table.search(query, query_type="fts", fts_columns="words")
        if condition:
            search = search.where(condition, prefilter=True)
        answer = search.limit(limit).select([*_COLUMNS, "_score"]).to_arrow()
        return _rows(answer), answer["_score"].to_pylist()


def _rows(answer: Any) -> list[Row]:
    columns = [answer[column].to_pylist() for column in _COLUMNS]
    found = []
    for *values, stamp in zip(*columns, strict=True):
        row = Row.stamped(**dict(zip(_COLUMNS, values, strict=False)))
        if row.stamp != stamp:
            raise Altered(f"a passage of {row.key!r} is not what was written")
        found.append(row)
    return found


def _among(column: str, numbers: Collection[int]) -> str:
    return f"{column} IN ({', '.join(map(str, sorted(numbers)))})"


def _schema() -> Any:
    import pyarrow as pa

    return pa.schema(
        [pa.field(name, pa.large_string() if name in _TEXTS else pa.int64()) for name in _COLUMNS]
    )
