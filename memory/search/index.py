"""The search index: kept up by a thread, asked by anybody, and never the only place where something stands.

Every write puts a row into `index_queue` in its own transaction. The index's thread takes the rows in order,
embeds the texts, replaces their passages in LanceDB, and then notes in SQLite how far it has come. A search
looks through the index *and* through what is still in the queue, so it sees everything that was committed
before it.

A shelf that cannot be used (missing, damaged, of another embedder, or not as far as SQLite says) is built
anew from SQLite, a page of variables at a time, while other shelves are kept up. Until then its texts are
scanned.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import partial
from itertools import islice
from pathlib import Path

from sqlalchemy import Connection

from rlmd.errors import RlmdError, Unavailable
from rlmd.memory.clock import to_micros
from rlmd.memory.database import Database
from rlmd.memory.records import Passage

from . import source as queue
from .embedders import Embedder, Vectors
from .ranking import Candidate, Row, Statistics, rank
from .source import Shelf, Source
from .table import Damaged, Filter, Shelved, Tables
from .words import query_words

log = logging.getLogger(__name__)

FORMAT = 1
"""Raise it when words, passages or columns change: all shelves are then built anew."""
SEARCHES = 3
"""Searches at a time: one keeps all cores busy."""
GATHER_SECONDS = 0.05
BATCH = 256
"""Rows of the queue that are applied together."""
EMBED = 256
"""Passages that are embedded and added together; bounds the memory that a text of any size takes."""
PENDING = 128
"""Rows of the queue that a search takes in itself; of more, it waits for the thread to apply some."""
PENDING_PASSAGES = 2_000
SCANNED_PASSAGES = 20_000
"""Passages that a search reads of a shelf that is being built, and of the queue, at most."""
PATIENCE_SECONDS = 5.0
"""How long a search waits for a long queue to shrink."""
WARM = 16
"""Shelves that are opened at the start."""
RETRY_SECONDS = 1.0
LONGEST_RETRY_SECONDS = 60.0


class IndexState(StrEnum):
    READY = "ready"
    REBUILDING = "rebuilding"
    FAILING = "failing"
    """It will try again by itself; searches work by words, on what is indexed and what is not."""
    STOPPED = "stopped"


@dataclass(frozen=True, kw_only=True)
class IndexStatus:
    state: IndexState
    pending: int
    """Changes that are not applied yet."""
    detail: str
    """For people: what is being built, or why it fails. Else empty."""


class Index:
    """The search over all shelves. `start` it, and `close` it before the database."""

    def __init__(self, folder: Path, database: Database, embedder: Embedder, source: Source) -> None:
        self._folder = folder
        self._database = database
        self._embedder = embedder
        self._source = source
        self._tables: Tables | None = None
        self._shelves: dict[Shelf, Shelved] = {}
        self._builds: dict[Shelf, Iterator[None]] = {}
        self._doubted: set[Shelf] = set()
        self._failure = ""
        self._lock = threading.RLock()
        """Over what is known of shelves, and their opening."""
        self._wake = threading.Event()
        self._closing = False
        self._thread: threading.Thread | None = None
        self._searchers = ThreadPoolExecutor(SEARCHES, thread_name_prefix="rlmd-search")
        database.on_commit(self._wake.set)

    def start(self) -> None:
        """Begin to keep the index up. Returns at once; what takes time happens on the index's thread."""
        self._thread = threading.Thread(target=self._serve, name="rlmd-index", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Finish the batch in hand and stop. What is still in the queue waits for the next start."""
        self._closing = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
        self._searchers.shutdown(wait=True, cancel_futures=True)

    def status(self) -> IndexStatus:
        with self._database.reading() as connection:
            pending = queue.count_waiting(connection)
        building = ", ".join(sorted(shelf.name for shelf in list(self._builds)))
        if self._thread is None or self._closing:
            return IndexStatus(state=IndexState.STOPPED, pending=pending, detail="")
        if self._failure:
            return IndexStatus(state=IndexState.FAILING, pending=pending, detail=self._failure)
        if building:
            return IndexStatus(state=IndexState.REBUILDING, pending=pending, detail=f"building {building}")
        return IndexStatus(state=IndexState.READY, pending=pending, detail="")

    async def search(
        self,
        shelf: Shelf,
        query: str,
        k: int,
        *,
        prefix: str = "",
        after: datetime | None = None,
        before: datetime | None = None,
        exclude: Collection[str] = (),
    ) -> list[Passage]:
        """The `k` passages that fit `query` best, best first; fewer if no more have anything to do with it.

        `prefix` is one of the key, `exclude` holds whole keys, and `after` <= time < `before`. Everything
        that was committed before the call is seen. While the embedder fails, passages are found by their
        words alone.

        Raises:
            Unavailable: the index is not started, or closed.
        """
        if self._thread is None or self._closing:
            raise Unavailable(
                "the search index is not running", remedy="The daemon is starting or stopping; try again."
            )
        filter = Filter(
            prefix=prefix,
            after=None if after is None else to_micros(after),
            before=None if before is None else to_micros(before),
            exclude=frozenset(exclude),
        )
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._searchers, self._search, shelf, query, k, filter)

    # Searching, on the searchers' threads.

    def _search(self, shelf: Shelf, query: str, k: int, filter: Filter) -> list[Passage]:
        terms = query_words(query)
        if k <= 0 or not terms:
            return []
        end = time.monotonic() + PATIENCE_SECONDS
        self._await_queue(shelf, end)
        try:
            shelved = self._open(shelf)
        except RlmdError as error:
            log.warning("the shelf %s is scanned, since it cannot be opened: %s", shelf.name, error)
            shelved = None
        if shelved is not None:
            # The queue is read before the table: what leaves it in between is hidden there, and found here.
            hidden, pending = self._pending(shelf, filter)
            while len(pending) == PENDING_PASSAGES and not self._closing and time.monotonic() < end:
                time.sleep(0.1)  # A text too long to be looked through is soon indexed.
                hidden, pending = self._pending(shelf, filter)
            vector, near = self._closeness(query, pending)
            try:
                found = shelved.candidates(terms, vector, filter, hidden)
            except Damaged as error:
                self._doubt(shelf, str(error))
            else:
                found += [Candidate(row, near[at]) for at, row in enumerate(pending)]
                return self._rank(found, terms, shelved.statistics, k)
        rows = self._scan(shelf)
        allowed = [row for row in rows if filter.allows(row)]
        _, near = self._closeness(query, allowed)
        found = [Candidate(row, near[at]) for at, row in enumerate(allowed)]
        return self._rank(found, terms, Statistics(row.words for row in rows), k)

    def _rank(
        self, found: list[Candidate], terms: list[str], statistics: Statistics, k: int
    ) -> list[Passage]:
        try:
            floor = self._embedder.floor
        except RlmdError:
            floor = 0.0  # There are no vectors then, either.
        return rank(found, terms, statistics, weight=self._embedder.weight, floor=floor, k=k)

    def _await_queue(self, shelf: Shelf, end: float) -> None:
        """Wait, but not beyond `end`, until few enough changes are left to be looked through."""
        while (
            shelf not in self._builds and not self._closing and not self._failure and time.monotonic() < end
        ):
            with self._database.reading() as connection:
                if len(queue.waiting(connection, shelf, PENDING + 1)) <= PENDING:
                    return
            time.sleep(0.02)

    def _pending(self, shelf: Shelf, filter: Filter) -> tuple[set[int], list[Row]]:
        """Ids of what waits in the queue, and the passages of it that the filter allows."""
        with self._database.reading() as connection:
            ids = dict.fromkeys(id for _, id in reversed(queue.waiting(connection, shelf, PENDING_PASSAGES)))
            # The latest changes first: if there are too many passages, the oldest are left to the index.
            rows = (row for id in ids for row in queue.rows(connection, self._source, shelf, id))
            return set(ids), list(islice((row for row in rows if filter.allows(row)), PENDING_PASSAGES))

    def _scan(self, shelf: Shelf) -> list[Row]:
        found: list[Row] = []
        with self._database.reading() as connection:
            for id in _ids(connection, shelf):
                found.extend(
                    islice(queue.rows(connection, self._source, shelf, id), SCANNED_PASSAGES - len(found))
                )
                if len(found) >= SCANNED_PASSAGES:
                    break
        return found

    def _closeness(self, query: str, rows: list[Row]) -> tuple[Vectors | None, list[float]]:
        """The query's vector and how near the rows are to it; None and zeros while the embedder fails."""
        try:
            vectors = self._embedder.embed([query, *(_embedded(row) for row in rows)])
        except RlmdError as error:
            log.warning("searching by words alone: %s", error)
            return None, [0.0] * len(rows)
        return vectors[0], (vectors[1:] @ vectors[0]).tolist()

    def _open(self, shelf: Shelf) -> Shelved | None:
        """The shelf ready to be searched, or None while it is built. Raises `ModelError`."""
        with self._lock:
            if self._tables is None or shelf in self._builds or shelf in self._doubted:
                return None
            if shelf in self._shelves:
                return self._shelves[shelf]
            try:
                self._shelves[shelf] = self._checked(self._tables, shelf)
                return self._shelves[shelf]
            except Damaged as error:
                self._rebuild(shelf, str(error))
            return None

    def _checked(self, tables: Tables, shelf: Shelf) -> Shelved:
        """Open a shelf, and see that it is what SQLite says it is."""
        with self._database.reading() as connection:
            note, last = queue.noted(connection, shelf), queue.newest(connection, shelf)
        if note is None:
            raise Damaged("not built yet")
        embedder, applied = note
        if embedder != self._embedder_name():
            raise Damaged(f"built with {embedder}")
        shelved = tables.open(shelf.name, self._embedder.dimension)
        # A batch may be in the table and not yet noted; then it is still in the queue, and is applied again.
        if not applied <= shelved.applied <= max(applied, last):
            raise Damaged(f"the table is at {shelved.applied}, SQLite at {applied}")
        return shelved

    def _doubt(self, shelf: Shelf, reason: str) -> None:
        """A search failed: the index's thread opens the shelf again, which shows whether it is damaged."""
        log.warning("the shelf %s is checked: %s", shelf.name, reason)
        with self._lock:
            self._doubted.add(shelf)
        self._wake.set()

    def _rebuild(self, shelf: Shelf, reason: str) -> None:
        with self._lock:
            if shelf in self._builds:
                return
            log.info("building the shelf %s: %s", shelf.name, reason)
            self._shelves.pop(shelf, None)
            self._builds[shelf] = self._build(shelf)
        self._wake.set()

    def _embedder_name(self) -> str:
        return f"{FORMAT}:{self._embedder.name}"

    # Keeping up, on the index's own thread.

    def _serve(self) -> None:
        delay = RETRY_SECONDS
        while not self._closing:
            try:
                if self._tables is None:
                    self._tables = Tables(self._folder)
                    self._warm()
                self._work()
                self._failure, delay = "", RETRY_SECONDS
            except Exception as error:
                # Whatever it is, writes and searches go on without the index, and the queue keeps what it
                # missed.
                log.exception("the search index failed; trying again in %g s", delay)
                self._failure = str(error)
                self._pause(delay)
                delay = min(2 * delay, LONGEST_RETRY_SECONDS)

    def _warm(self) -> None:
        """Open what is there, so that the first searches after a start need not."""
        with self._database.reading() as connection:
            shelves = queue.shelves(connection)
        for shelf in shelves[:WARM]:
            self._open(shelf)

    def _work(self) -> None:
        """Apply what waits, go on with what is being built, and sleep when there is neither."""
        self._wake.clear()
        self._check_doubted()
        busy = self._apply()
        with self._lock:
            builds = list(self._builds.items())
        for shelf, build in builds:
            self._guarded(shelf, partial(next, build, None))
        if not busy and not builds and not self._closing:
            self._wake.wait()
        if not builds:
            # Each batch is a version of the table: many writes in a row shall share one.
            self._pause(GATHER_SECONDS)

    def _pause(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not self._closing and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, 0.05))

    def _apply(self) -> bool:
        """Apply a batch of each shelf that has changes; whether there was one."""
        with self._database.reading() as connection:
            gone = queue.gone(connection)
            shelves = [shelf for shelf in queue.waiting_shelves(connection) if shelf not in gone]
        for shelf in gone:
            self._drop(shelf)
        busy = False
        for shelf in shelves:
            shelved = self._open(shelf)
            if shelved is not None and not self._closing:
                self._guarded(shelf, partial(self._apply_batch, shelf, shelved))
                busy = True
        return busy

    def _guarded(self, shelf: Shelf, work: Callable[[], None]) -> None:
        try:
            work()
        except Damaged as error:
            with self._lock:
                failed_build = self._builds.pop(shelf, None)
                self._rebuild(shelf, str(error))
            if failed_build is not None:
                raise  # The disk, then, and not the table: wait before the next try.
        except Exception:
            with self._lock:
                if shelf in self._builds:  # A generator that has raised is at its end.
                    self._builds[shelf] = self._build(shelf)
            raise

    def _apply_batch(self, shelf: Shelf, shelved: Shelved) -> None:
        with self._database.reading() as connection:
            seen = queue.waiting(connection, shelf, BATCH)
            if not seen:
                return
            last = seen[-1][0]
            ids = {id for _, id in seen}
            texts = (row for id in sorted(ids) for row in queue.rows(connection, self._source, shelf, id))
            batch = self._embed(texts)  # Before anything is removed: the embedder may fail.
            shelved.remove(ids)
            while len(batch[0]) == EMBED:
                shelved.add(*batch)
                batch = self._embed(texts)
        # The mark comes with the last rows: a commit fewer, and never before all of them.
        shelved.add(*batch, mark=last)
        name = self._embedder_name()
        self._database.write(lambda connection: queue.settle(connection, shelf, name, last)).result()
        shelved.compact()

    def _embed(self, rows: Iterator[Row]) -> tuple[list[Row], Vectors]:
        """Take the next rows, at most `EMBED`, with their vectors."""
        taken = list(islice(rows, EMBED))
        return taken, self._embedder.embed([_embedded(row) for row in taken])

    def _build(self, shelf: Shelf) -> Iterator[None]:
        """Build a shelf anew in the order of its keys, in steps."""
        assert self._tables is not None
        self._database.write(lambda connection: queue.forget(connection, shelf, queue=False)).result()
        shelved = self._tables.create(shelf.name, self._embedder.dimension)
        with self._database.reading() as connection:
            # What is in the queue now is read below; what comes later is applied afterwards.
            last = queue.newest(connection, shelf)
        after: str | int | None = None
        while True:
            with self._database.reading() as connection:
                page = queue.members(connection, shelf, after, BATCH)
                texts = (row for id, _ in page for row in queue.rows(connection, self._source, shelf, id))
                while (batch := self._embed(texts))[0]:
                    shelved.add(*batch)
            if not page:
                break
            after = page[-1][1]
            yield
        shelved.add([], self._embedder.embed([]), mark=last)
        shelved.index()
        shelved.compact(now=True)
        name = self._embedder_name()
        self._database.write(lambda connection: queue.settle(connection, shelf, name, last)).result()
        with self._lock:
            self._shelves[shelf] = shelved
            del self._builds[shelf]
        log.info("built the shelf %s: %d passages", shelf.name, shelved.statistics.passages)

    def _check_doubted(self) -> None:
        with self._lock:
            doubted, self._doubted = self._doubted, set()
            for shelf in doubted:
                self._shelves.pop(shelf, None)
                self._open(shelf)

    def _drop(self, shelf: Shelf) -> None:
        assert self._tables is not None
        with self._lock:
            self._shelves.pop(shelf, None)
            self._builds.pop(shelf, None)
        self._tables.drop(shelf.name)
        self._database.write(lambda connection: queue.forget(connection, shelf, queue=True)).result()


def _embedded(row: Row) -> str:
    """What the embedder sees of a passage: which variable it stands in, and the passage."""
    return f"{row.key}\n{row.text}"


def _ids(connection: Connection, shelf: Shelf) -> Iterator[int]:
    """All ids of a shelf, in the order of their keys."""
    after: str | int | None = None
    while page := queue.members(connection, shelf, after, BATCH):
        yield from (id for id, _ in page)
        after = page[-1][1]
