"""LanceDB as the index uses it: a folder of tables, opened sparingly, whose every failure is `Damaged`.

LanceDB does not fsync on a local disk, so after a power cut a table may be unreadable, or older than SQLite
thinks. Whatever is amiss with one is `Damaged`, and it is made anew.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

# Read when the libraries are loaded. Lance reports what it does on stderr. Arrow's own allocator and a thread
# for each of many files keep memory that a daemon at rest has no use for.
for _name, _value in {
    "LANCE_LOG": "off",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "LANCE_CPU_THREADS": "2",
    "LANCE_IO_THREADS": "2",
}.items():
    os.environ.setdefault(_name, _value)

INDEX_CACHE = 32 << 20
FILE_CACHE = 8 << 20
"""Bytes that LanceDB may keep of indexes, and of what it knows about files; its defaults are gigabytes."""
READ = 1_024
"""Rows that are read together: bounds the memory that reading a whole table takes."""
_KEEP_OLD = timedelta(seconds=30)
"""Old files are kept for the searches that still read them."""


class Damaged(Exception):
    """The table cannot be used. Build it anew."""


class Altered(Damaged):
    """It can be read, but does not hold what was written."""


class Tables:
    """A folder of LanceDB tables."""

    def __init__(self, folder: Path) -> None:
        # Two seconds and 100 MB: not at the daemon's start.
        import lancedb

        folder.mkdir(parents=True, exist_ok=True)
        session = lancedb.Session(index_cache_size_bytes=INDEX_CACHE, metadata_cache_size_bytes=FILE_CACHE)
        # Its type is that of the base class, which lacks half of the arguments.
        self._connection: Any = lancedb.connect(str(folder), session=session)

    def create(self, name: str, schema: Any) -> Any:
        """An empty table, in the place of one that may be there."""
        with damage():
            self.drop(name)
            return self._connection.create_table(name, schema=schema)

    def open(self, name: str) -> Any:
        with damage():
            return self._connection.open_table(name)

    def drop(self, name: str) -> None:
        with damage():
            self._connection.drop_table(name, ignore_missing=True)

    def names(self) -> list[str]:
        names: list[str] = []
        with damage():
            page = self._connection.list_tables()
            while True:
                names += page.tables
                if not page.page_token:
                    return names
                page = self._connection.list_tables(page_token=page.page_token)


def optimize(table: Any) -> None:
    """Join small fragments, take new rows into the indexes, and give back the space of old files."""
    table.optimize(cleanup_older_than=_KEEP_OLD)


@contextmanager
def damage() -> Iterator[None]:
    """LanceDB raises whatever its layers raise; for us it all means one thing: not usable as it is."""
    try:
        yield
    except Damaged:
        raise
    except Exception as error:
        raise Damaged(
            f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        ) from error


def _libc(name: str) -> Callable[..., int] | None:
    try:
        return getattr(ctypes.CDLL(None), name)  # type: ignore[no-any-return]
    except (AttributeError, OSError):
        return None  # Not the GNU library: it has ways of its own.


def spare_memory() -> None:
    """Have the allocator give large blocks back to the system when they are freed, and keep few pools.

    A batch of passages passes through dozens of threads, each of which would keep a pool of its own.
    """
    if mallopt := _libc("mallopt"):
        largest_kept, top_kept, pools = -3, -1, -8  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, M_ARENA_MAX
        mallopt(largest_kept, 128 << 10)
        mallopt(top_kept, 128 << 10)
        mallopt(pools, 2)


def release_memory() -> None:
    """Give back to the system what is free, after much work and before a rest."""
    import pyarrow

    pyarrow.default_memory_pool().release_unused()
    if trim := _libc("malloc_trim"):
        trim(0)
