"""The keeper: one thread that keeps the tables of all shelves up, and builds anew what cannot be used.

Every write puts a row into `index_queue` in its own transaction. The keeper lets what comes gather in the
shelf's tail, writes it to the table when no more comes or enough has, and then notes in SQLite how far it has
come. A shelf that cannot be used (missing, damaged, or not as far as SQLite says) is built anew from SQLite,
a page of variables at a time, while other shelves are kept up.

Vectors follow by themselves (see meanings.py): words are never kept back by an embedder.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path

from sqlalchemy import Connection

from rlmd.memory import crash
from rlmd.memory.database import Database

from . import source as queue
from .embedders import Patient
from .kept import Kept
from .shelved import Shelved
from .source import Shelf, Source
from .tables import Altered, Damaged, Tables, release_memory, spare_memory
from .tail import Tail, Taken
from .vectors import Vectorist

log = logging.getLogger(__name__)

FORMAT = "2:words"
"""Change it when words, passages or columns change: all shelves are then built anew."""
GATHER_SECONDS = 0.05
"""The queue is looked at this often; when nothing new has come, what has gathered is written."""
FLUSH = 512
FLUSH_SECONDS = 2.0
"""Passages, and time, after which it is written though more keeps coming: each batch costs as much as 50
passages, and takes the processor from those who write."""
PAGE = 256
"""Variables of a shelf that are read together while it is built."""
ADDED = 512
"""Passages that are added together; bounds the memory that a text of any size takes."""
WARM = 16
"""Shelves that are opened at the start."""
REST_SECONDS = 2.0
"""Of quiet, after which memory is given back."""
COMPACT_AT_REST = 256
"""Rows from which a shelf is compacted in the quiet; see `COMPACT_ROWS` for when it must be."""
RETRY_SECONDS = 1.0
LONGEST_RETRY_SECONDS = 60.0


class Keeper:
    def __init__(self, folder: Path, database: Database, patient: Patient | None, source: Source) -> None:
        self._folder = folder
        self._database = database
        self._source = source
        self._tables: Tables | None = None
        self._kept: dict[Shelf, Kept] = {}
        self._tails: dict[Shelf, Tail] = {}
        self._builds: dict[Shelf, Iterator[None]] = {}
        self._doubted: set[Shelf] = set()
        self._lock = threading.RLock()
        """Over what is known of shelves, and their opening."""
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self.vectorist = None if patient is None else Vectorist(patient)
        self.closing = False
        self.failure = ""
        database.on_commit(self._wake.set)

    @property
    def running(self) -> bool:
        return self._thread is not None and not self.closing

    @property
    def building(self) -> list[str]:
        """Names of the shelves that are being built."""
        return sorted(shelf.name for shelf in list(self._builds))

    @property
    def unseen(self) -> tuple[int, int]:
        """Passages of the open shelves that have no vector yet, and all."""
        kept = list(self._kept.values())
        return sum(each.unseen for each in kept), sum(each.shelved.statistics.passages for each in kept)

    def start(self) -> None:
        self._thread = threading.Thread(target=self._serve, name="rlmd-index", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Finish the batch in hand and stop. What is still in the queue waits for the next start."""
        self.closing = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join()

    def open(self, shelf: Shelf) -> Kept | None:
        """The shelf ready to be searched, or None while it is built."""
        with self._lock:
            if self._tables is None or shelf in self._builds or shelf in self._doubted:
                return None
            if shelf in self._kept:
                return self._kept[shelf]
            try:
                self._keep(shelf, self._checked(self._tables, shelf))
                return self._kept[shelf]
            except Damaged as error:
                self._rebuild(shelf, str(error))
            return None

    def doubt(self, shelf: Shelf, reason: Damaged) -> None:
        """A search failed: the keeper opens the shelf again, which shows whether it is damaged."""
        log.warning("the shelf %s is checked: %s", shelf.name, reason)
        if isinstance(reason, Altered):
            self._rebuild(shelf, str(reason))
            return
        with self._lock:
            self._doubted.add(shelf)
        self._wake.set()

    def _keep(self, shelf: Shelf, shelved: Shelved) -> None:
        tail = self._tails.setdefault(shelf, Tail(self._source, shelf))
        self._kept[shelf] = Kept(shelf, shelved, tail)

    def _checked(self, tables: Tables, shelf: Shelf) -> Shelved:
        """Open a shelf, and see that it is what SQLite says it is."""
        with self._database.reading() as connection:
            note, last = queue.noted(connection, shelf), queue.newest(connection, shelf)
        if note is None:
            raise Damaged("not built yet")
        format, applied = note
        if format != FORMAT:
            raise Damaged(f"of the format {format}")
        shelved = Shelved.open(tables, shelf.name)
        # A batch may be in the table and not yet noted; then it is still in the queue, and is applied again.
        if not applied <= shelved.applied <= max(applied, last):
            raise Damaged(f"the table is at {shelved.applied}, SQLite at {applied}")
        return shelved

    def _rebuild(self, shelf: Shelf, reason: str) -> None:
        with self._lock:
            if shelf in self._builds:
                return
            log.info("building the shelf %s: %s", shelf.name, reason)
            self._kept.pop(shelf, None)
            self._builds[shelf] = self._build(shelf)
        self._wake.set()

    # What follows runs on the keeper's thread.

    def _serve(self) -> None:
        delay = RETRY_SECONDS
        while not self.closing:
            try:
                if self._tables is None:
                    spare_memory()
                    self._tables = Tables(self._folder)
                    self._warm()
                self._work()
                self.failure, delay = "", RETRY_SECONDS
            except Exception as error:
                # Whatever it is, writes and searches go on without the index, and the queue keeps what it
                # missed.
                log.exception("the search index failed; trying again in %g s", delay)
                self.failure = str(error)
                self._pause(delay)
                delay = min(2 * delay, LONGEST_RETRY_SECONDS)

    def _warm(self) -> None:
        """Open what is there, so that the first searches after a start need not."""
        with self._database.reading() as connection:
            shelves = queue.shelves(connection)
        # Vectors of all shelves are looked after, and it is done where they are open.
        for shelf in shelves if self.vectorist else shelves[:WARM]:
            self.open(shelf)

    def _work(self) -> None:
        """Write what has gathered, go on with what is being built, and sleep when there is neither."""
        self._wake.clear()
        self._check_doubted()
        gathering = self._apply()
        with self._lock:
            builds = list(self._builds.items())
        for shelf, build in builds:
            self._guarded(shelf, partial(next, build, None))
        busy = self._follow() or bool(builds)
        if not busy and not gathering and not self.closing:
            self._sleep()
        if not busy:
            self._pause(GATHER_SECONDS)

    def _sleep(self) -> None:
        due = None if self.vectorist is None else self.vectorist.due_in(self._kept.values())
        quiet = REST_SECONDS if due is None else min(due, REST_SECONDS)
        if not self._wake.wait(quiet) and quiet == REST_SECONDS:
            for kept in list(self._kept.values()):
                self._guarded(kept.shelf, partial(kept.shelved.compact, rows=COMPACT_AT_REST))
            release_memory()
            self._wake.wait(None if due is None else due - quiet)

    def _pause(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not self.closing and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, 0.05))

    def _apply(self) -> bool:
        """Write what is due of each shelf that has changes; whether something goes on gathering."""
        with self._database.reading() as connection:
            gone = queue.gone(connection)
            shelves = [shelf for shelf in queue.waiting_shelves(connection) if shelf not in gone]
        for shelf in gone:
            self._drop(shelf)
        gathering = False
        for shelf in shelves:
            kept = self.open(shelf)
            if kept is None or self.closing:
                continue
            with self._database.reading() as connection:
                came = kept.tail.refresh(connection)
            now = time.monotonic()
            kept.since = kept.since or now
            if came and len(kept.tail) < FLUSH and now - kept.since < FLUSH_SECONDS:
                gathering = True
                if self.vectorist is not None:
                    self.vectorist.ahead(kept)
                continue
            kept.since = 0.0
            if taken := kept.tail.take():
                self._guarded(shelf, partial(self._write, kept, taken))
                gathering = True
        return gathering

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

    def _write(self, kept: Kept, taken: Taken) -> None:
        crash.reached("before index")
        rows = [passage.row for passage in taken.passages]
        vectors = None if self.vectorist is None else self.vectorist.prepared(kept, taken)
        kept.shelved.remove(taken.ids)
        for id in taken.long:
            with self._database.reading() as connection:
                read = queue.rows(connection, self._source, kept.shelf, id)
                while part := list(islice(read, ADDED)):
                    if self.closing:
                        return  # A long text takes its time; all of it is still in the queue.
                    kept.shelved.add(part)
                    kept.missing.update(row.stamp for row in part)
        # The mark comes with the last rows: a commit fewer, and never before all of them.
        kept.shelved.add(rows, mark=taken.mark)
        if self.vectorist is not None:
            self.vectorist.replace(kept, taken.ids, rows, vectors)
        crash.reached("amid index")
        self._settle(kept.shelf, taken.mark)
        kept.tail.drop(taken.mark)
        kept.shelved.compact()

    def _settle(self, shelf: Shelf, mark: int) -> None:
        self._database.write(lambda connection: queue.settle(connection, shelf, FORMAT, mark)).result()

    def _build(self, shelf: Shelf) -> Iterator[None]:
        """Build a shelf anew in the order of its keys, in steps."""
        assert self._tables is not None
        self._database.write(lambda connection: queue.forget(connection, shelf, queue=False)).result()
        shelved = Shelved.create(self._tables, shelf.name)
        with self._database.reading() as connection:
            # What is in the queue now is read below; what comes later is applied afterwards.
            last = queue.newest(connection, shelf)
        after: str | int | None = None
        while True:
            with self._database.reading() as connection:
                page = queue.members(connection, shelf, after, PAGE)
                rows = (row for id, _ in page for row in queue.rows(connection, self._source, shelf, id))
                while part := list(islice(rows, ADDED)):
                    if self.closing:
                        return
                    shelved.add(part)
            if not page:
                break
            after = page[-1][1]
            yield
        shelved.add([], mark=last)
        shelved.index()
        shelved.compact(rows=0)
        self._settle(shelf, last)
        with self._lock:
            self._keep(shelf, shelved)
            self._tails[shelf].drop(last)
            del self._builds[shelf]
        log.info("built the shelf %s: %d passages", shelf.name, shelved.statistics.passages)

    def _follow(self) -> bool:
        """Have the next vectors made; whether there were any to be made."""
        if self.vectorist is None or self._tables is None:
            return False
        with self._lock:
            shelves = list(self._kept.values())
        return self.vectorist.advance(self._tables, shelves, self.doubt)

    def _check_doubted(self) -> None:
        with self._lock:
            doubted, self._doubted = self._doubted, set()
            for shelf in doubted:
                self._kept.pop(shelf, None)
                self.open(shelf)

    def _drop(self, shelf: Shelf) -> None:
        assert self._tables is not None
        with self._lock:
            self._kept.pop(shelf, None)
            self._builds.pop(shelf, None)
            self._tails.pop(shelf, None)
        for name in self._tables.names():
            if name == shelf.name or name.startswith(f"{shelf.name}."):
                self._tables.drop(name)
        self._database.write(lambda connection: queue.forget(connection, shelf, queue=True)).result()


def ids(connection: Connection, shelf: Shelf) -> Iterator[int]:
    """All ids of a shelf, in the order of their keys."""
    after: str | int | None = None
    while page := queue.members(connection, shelf, after, PAGE):
        yield from (id for id, _ in page)
        after = page[-1][1]
