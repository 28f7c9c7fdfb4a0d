"""The database: one writing connection on a thread of its own, and readers beside it.

SQLite lets one connection write at a time, and an fsync costs more than everything else in a small
transaction. So all writers queue up at one thread, which takes what has gathered, runs each request
in a savepoint of its own, and commits them together: concurrent requests share one fsync, and a
request that fails takes only itself back. A request is answered after the commit; what is acknowledged
is on disk (WAL, synchronous=FULL). Those who wait on an event loop are woken together, once for each
commit. The writer owns the checkpoints too, which also keeps clear of the WAL-reset race of SQLite
before 3.51.3.

If the disk itself fails (a commit raises), nothing in that batch is acknowledged, and the database
refuses further writes: after a failed fsync nobody knows what is on disk, only a restart does.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event, exc
from sqlalchemy.pool import QueuePool

from rlmd.errors import Exhausted, InternalError, InvalidInput, PreconditionFailed, RlmdError, Unavailable

from .prepared import driver

log = logging.getLogger(__name__)

T = TypeVar("T")

BATCH = 256
"""Requests that share one commit at most."""
COMPANY = 4
"""After a commit of so many requests, their callers are likely to come again at about the same time ..."""
LINGER_SECONDS = 0.002
"""... and are waited for so long, because a larger commit costs less for each."""
BUSY_SECONDS = 10.0
"""How long a locked database is waited for before an error."""


class Database:
    """A SQLite file, opened for one process. `close` it, or use it in a `with` statement."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._engine = _engine(path)
        self._queue: queue.SimpleQueue[_Request | None] = queue.SimpleQueue()
        self._failure: BaseException | None = None
        self._closed = False
        self._gate = threading.Lock()
        self._on_commit: list[Callable[[], None]] = []
        self._rung: set[int] = set()
        self.commits = 0
        """How often what readers see has changed. Counted before the commit's requests are answered."""
        self._connection = self._engine.connect().execution_options(rlmd_writer=True)
        self._connection.info[_RUNG] = self._rung
        self._thread = threading.Thread(target=self._serve, name="rlmd-writer", daemon=True)
        self._thread.start()

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def failure(self) -> BaseException | None:
        """Why the database no longer accepts writes, or None."""
        return self._failure

    def on_commit(self, listener: Callable[[], None]) -> None:
        """Call `listener` on the writer's thread after every commit. It must be quick."""
        self._on_commit.append(listener)

    def take_rung(self) -> frozenset[int]:
        """The channels that were rung since the last time. For listeners of `on_commit`."""
        rung = frozenset(self._rung)
        self._rung.clear()
        return rung

    def write(self, work: Callable[[Connection], T]) -> Future[T]:
        """Run `work` in a transaction on the writer's thread; the future resolves once it is on disk.

        What `work` raises is the future's exception, and all that it wrote is taken back.
        """
        future: Future[T] = Future()
        try:
            self._put(_Request(work, future))
        except Unavailable as error:
            future.set_exception(error)
        return future

    async def commit(self, work: Callable[[Connection], T]) -> T:
        """As `write`, for a caller on an event loop. It may commit after a cancel."""
        waiter: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._put(_Request(work, waiter))
        return await waiter

    def rewrite(self) -> Future[None]:
        """Write the whole file anew, so that no byte of what was deleted is left in it, or beside it.

        It takes as long as it takes to read and write the file, as much disk again, and writers wait.
        """
        future: Future[None] = Future()
        try:
            self._put(_Request(_rewrite, future, alone=True))
        except Unavailable as error:
            future.set_exception(error)
        return future

    def _put(self, request: _Request) -> None:
        with self._gate:
            if self._closed:
                raise _closed()
            self._queue.put(request)

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection that sees one consistent state of what is committed. Cheap; fit for the event loop."""
        if self._closed:
            raise _closed()
        with translated(), self._engine.connect() as connection, connection.begin():
            yield connection

    def close(self) -> None:
        """Finish what is queued, checkpoint, and let go of the file."""
        with self._gate:
            if self._closed:
                return
            self._closed = True
            self._queue.put(None)
        self._thread.join()
        with contextlib.suppress(sqlite3.Error):
            driver(self._connection).execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._connection.close()
        self._engine.dispose()

    def _serve(self) -> None:
        size = 0
        while (request := self._queue.get()) is not None:
            if size >= COMPANY:
                time.sleep(LINGER_SECONDS)
            batch, alone, last = [request], None, False
            while len(batch) < BATCH and not batch[-1].alone:
                try:
                    more = self._queue.get_nowait()
                except queue.Empty:
                    break
                if more is None:
                    last = True
                    break
                batch.append(more)
            if batch[-1].alone:
                alone = batch.pop()
            size = len(batch)
            self._commit(batch)
            if alone is not None:
                self._do_alone(alone)
            if last:
                return

    def _commit(self, batch: list[_Request]) -> None:
        batch = [request for request in batch if request.begin()]
        if not batch:
            return
        if self._failure is not None:
            _fail(batch, _refused(self._failure))
            return
        try:
            with self._connection.begin():
                outcomes = [self._attempt(request) for request in batch]
        except BaseException as error:
            _fail(batch, self._translate_commit(error))
            return
        self.commits += 1
        _answer(batch, outcomes)
        for listener in self._on_commit:
            try:
                listener()
            except Exception:
                log.exception("a listener failed after a commit")

    def _do_alone(self, request: _Request) -> None:
        """What SQLite does in no transaction."""
        if not request.begin():
            return
        try:
            with translated():
                outcome: _Outcome = request.work(self._connection), None
        except BaseException as error:
            outcome = None, error
        _answer([request], [outcome])

    def _attempt(self, request: _Request) -> _Outcome:
        # Savepoints go straight to the driver: two statements less through SQLAlchemy for each request.
        below = driver(self._connection)
        below.execute("SAVEPOINT request")
        try:
            with translated():
                result = request.work(self._connection)
        except BaseException as error:
            if not below.in_transaction:
                # SQLite took back the whole batch by itself, as it may when the disk is full or fails.
                raise
            below.execute("ROLLBACK TO request")
            below.execute("RELEASE request")
            return None, error
        below.execute("RELEASE request")
        return result, None

    def _translate_commit(self, error: BaseException) -> RlmdError:
        """A full disk or a lock passes; anything else at a commit means the disk cannot be trusted."""
        known = error if isinstance(error, RlmdError) else _translate(error)
        if isinstance(known, (Exhausted, Unavailable)):
            return known
        log.critical("commit failed; no more writes are accepted", exc_info=error)
        self._failure = error
        return _refused(error)


_RUNG = "rlmd_rung"


def ring(connection: Connection, channel_id: int) -> None:
    """Once this transaction is on disk, there may be something for the clients of a channel.

    It is no promise: if the transaction fails, they look in vain.
    """
    connection.info.setdefault(_RUNG, set()).add(channel_id)


_Waiter: TypeAlias = "Future[Any] | asyncio.Future[Any]"
_Outcome: TypeAlias = tuple[Any, BaseException | None]
"""A result, or what was raised instead."""


class _Request:
    """What is to be done, and who waits for it: a thread, or a task on an event loop."""

    __slots__ = ("alone", "waiter", "work")

    def __init__(self, work: Callable[[Connection], Any], waiter: _Waiter, *, alone: bool = False) -> None:
        self.work = work
        self.waiter = waiter
        self.alone = alone
        """Whether it shares no transaction, and has none."""

    def begin(self) -> bool:
        """Whether it is still wanted; from now on it cannot be cancelled."""
        if isinstance(self.waiter, Future):
            return self.waiter.set_running_or_notify_cancel()
        return not self.waiter.cancelled()


def _rewrite(connection: Connection) -> None:
    below = driver(connection)
    below.execute("VACUUM")
    end = time.monotonic() + BUSY_SECONDS
    # The log has pages from before, and readers may still need them.
    while below.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
        if time.monotonic() > end:
            raise Unavailable(
                "readers kept the write-ahead log from being emptied", remedy="Purge again, without a name."
            )
        time.sleep(0.02)


def _fail(batch: list[_Request], error: Exception) -> None:
    _answer(batch, [(None, error)] * len(batch))


def _answer(batch: list[_Request], outcomes: list[_Outcome]) -> None:
    """Wake who waits; those on an event loop with one call, because each one costs a system call."""
    loops: dict[asyncio.AbstractEventLoop, list[tuple[_Waiter, _Outcome]]] = {}
    for request, outcome in zip(batch, outcomes, strict=True):
        waiter = request.waiter
        if isinstance(waiter, Future):
            _settle([(waiter, outcome)])
        else:
            loops.setdefault(waiter.get_loop(), []).append((waiter, outcome))
    for loop, settled in loops.items():
        # A loop that was closed has nobody left who waits.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_settle, settled)


def _settle(settled: list[tuple[_Waiter, _Outcome]]) -> None:
    for waiter, (result, failure) in settled:
        if waiter.cancelled():
            continue
        if failure is None:
            waiter.set_result(result)
        else:
            waiter.set_exception(failure)


def _closed() -> Unavailable:
    return Unavailable("the store is closed", remedy="The daemon is stopping; try again.")


def _refused(error: BaseException) -> Unavailable:
    return Unavailable(
        f"the database failed and accepts no writes until the daemon is restarted ({error})",
        remedy="Look at the disk, then restart the daemon: `rlmd down`, `rlmd up`.",
    )


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Errors of the database become errors of rlmd; those of rlmd pass."""
    try:
        yield
    except RlmdError:
        raise
    except (exc.DBAPIError, sqlite3.Error) as error:
        known = _translate(error)
        raise known or InternalError(f"the database says: {getattr(error, 'orig', error)}") from error
    except exc.TimeoutError as error:
        raise Unavailable("too many readers at once", remedy="Try again in a moment.") from error
    except OverflowError as error:
        raise InvalidInput(
            "a number is too large for the database", remedy="Numbers go up to 2**63 - 1."
        ) from error
    except UnicodeEncodeError as error:
        raise InvalidInput(
            "half of a surrogate pair is not text", remedy="Decode the text as UTF-8 before you send it."
        ) from error


def _translate(error: BaseException) -> RlmdError | None:
    original = getattr(error, "orig", error)
    if not isinstance(original, sqlite3.Error):
        return None
    code = getattr(original, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return Exhausted("the disk is full; nothing was written", remedy="Free some space and try again.")
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Unavailable(
            f"the database was locked by another process for {BUSY_SECONDS:g} s; nothing was written",
            remedy="End the other program that writes to it, then try again.",
        )
    if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
        return PreconditionFailed(
            f"the database is damaged, or is none ({original})",
            remedy="Restore a backup, or use another data directory.",
        )
    return None


def _engine(path: Path) -> Engine:
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        poolclass=QueuePool,
        pool_size=8,
        max_overflow=56,
        connect_args={"check_same_thread": False, "timeout": BUSY_SECONDS},
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, _: object) -> None:
        # Without this the driver sends no BEGIN before a SAVEPOINT, and a RELEASE would commit.
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "mmap_size=0",
            "wal_autocheckpoint=1000",
            "temp_store=MEMORY",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writer = connection.get_execution_options().get("rlmd_writer", False)
        driver(connection).execute("BEGIN IMMEDIATE" if writer else "BEGIN")

    return engine
