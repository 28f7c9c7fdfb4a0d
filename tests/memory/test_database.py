"""The database under failures: of a request, of the disk, of another program; and its end."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import pytest
from sqlalchemy import Connection, event

from rlmd.errors import Exhausted, InvalidInput, PreconditionFailed, Unavailable
from rlmd.memory import database
from rlmd.memory.clock import ManualClock
from rlmd.memory.database import Database
from rlmd.memory.store import House

from .host import START, Home, opened, writing

HOLDER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def plain(tmp_path: Path) -> Database:
    """A database with one small table."""
    opened = Database(tmp_path / "plain.db")
    opened.write(lambda c: c.exec_driver_sql("CREATE TABLE t (x BLOB NOT NULL)")).result()
    return opened


def add(value: object) -> Callable[[Connection], None]:
    def work(connection: Connection) -> None:
        connection.exec_driver_sql("INSERT INTO t VALUES (?)", (value,))

    return work


def rows(opened: Database) -> list[object]:
    with opened.reading() as connection:
        return list(connection.exec_driver_sql("SELECT x FROM t ORDER BY rowid").scalars())


def together(opened: Database, *works: Callable[[Connection], None]) -> list[Future[None]]:
    """All in one batch: the writer is held until they are queued."""
    gate, begun = threading.Event(), threading.Event()

    def hold(_: Connection) -> None:
        begun.set()
        gate.wait(10)

    held = opened.write(hold)
    assert begun.wait(10)
    futures = [opened.write(work) for work in works]
    gate.set()
    held.result(10)
    return futures


def test_a_failing_request_takes_only_itself_back(plain: Database) -> None:
    commits: list[int] = []
    plain.on_commit(lambda: commits.append(1))

    def fails(connection: Connection) -> None:
        add("half done")(connection)
        raise InvalidInput("no")

    def stops(connection: Connection) -> None:
        add("half done")(connection)
        raise SystemExit

    with plain:
        first, second, third, fourth, fifth = together(plain, add("a"), fails, add(None), stops, add("b"))
        first.result(10)
        with pytest.raises(InvalidInput):
            second.result(10)
        with pytest.raises(Exception, match="NOT NULL"):
            third.result(10)
        with pytest.raises(SystemExit):
            fourth.result(10)
        fifth.result(10)
        assert rows(plain) == ["a", "b"]
        assert len(commits) == 2, "one for the request that held the writer, one for the batch"


def test_a_listener_that_fails_stops_nothing(plain: Database) -> None:
    def fails() -> None:
        raise RuntimeError("a bad listener")

    plain.on_commit(fails)
    with plain:
        plain.write(add("a")).result(10)
        plain.write(add("b")).result(10)
        assert rows(plain) == ["a", "b"]


def test_a_reader_sees_one_state(plain: Database) -> None:
    with plain, plain.reading() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM t").scalar() == 0
        plain.write(add("a")).result(10)
        assert connection.exec_driver_sql("SELECT count(*) FROM t").scalar() == 0
        assert rows(plain) == ["a"]


def test_closing_finishes_what_is_queued_and_refuses_the_rest(plain: Database) -> None:
    futures = together(plain, *[add(number) for number in range(600)])
    plain.close()
    plain.close()
    for future in futures:
        future.result(0)
    with pytest.raises(Unavailable):
        plain.write(add("late")).result(0)
    with pytest.raises(Unavailable), plain.reading():
        pass
    assert not plain.path.with_name("plain.db-wal").exists()
    with Database(plain.path) as again:
        assert rows(again) == list(range(600))


def test_a_close_amid_writers_leaves_no_future_open(plain: Database) -> None:
    futures: list[Future[None]] = []

    def writer() -> None:
        futures.extend(plain.write(add(number)) for number in range(300))

    threads = [threading.Thread(target=writer) for _ in range(4)]
    for thread in threads:
        thread.start()
    plain.close()
    for thread in threads:
        thread.join()
    written = 0
    for future in futures:
        error = future.exception(timeout=10)
        assert error is None or isinstance(error, Unavailable)
        written += error is None
    with Database(plain.path) as again:
        assert len(rows(again)) == written


def test_a_cancelled_request_is_not_run(plain: Database) -> None:
    gate = threading.Event()
    with plain:
        plain.write(lambda _: gate.wait(10))
        time.sleep(0.05)
        cancelled = plain.write(add("cancelled"))
        assert cancelled.cancel()
        gate.set()
        plain.write(add("a")).result(10)
        assert rows(plain) == ["a"]


def test_another_program_holds_the_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.2)
    path = tmp_path / "rlmd.db"
    with opened(path) as home:
        home.edit(lambda space: space.set("plan", "a", writing()))
        with subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as holder:
            assert holder.stdin
            assert holder.stdout
            assert holder.stdout.readline() == b"held\n"
            with pytest.raises(Unavailable, match="locked"):
                home.edit(lambda space: space.set("plan", "b", writing()))
            assert home.look(lambda space: space.get("plan")).value == "a"
            holder.stdin.close()
        assert home.edit(lambda space: space.set("plan", "c", writing())).version.number == 2


def test_a_full_disk_passes(home: Home) -> None:
    """SQLite's own limit of pages gives the error of a full disk."""
    home.edit(lambda space: space.set("plan", "a", writing()))

    def limit(pages: int | None) -> None:
        def work(connection: Connection) -> None:
            most = pages or connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {most}")

        home.house.database.write(work).result(10)

    limit(None)
    noise = bytes(range(256)) * 8

    def fill() -> None:
        for number in range(200):
            home.edit(lambda space, n=number: space.set(f"big/{n}", noise[n:], writing()))  # type: ignore[misc]

    with pytest.raises(Exhausted, match="full"):
        fill()
    kept = home.look(lambda space: space.names("big/"))
    for name in kept:
        assert home.look(lambda space, name=name: space.history(name))[0].number == 1  # type: ignore[misc]
    assert home.house.database.failure is None
    limit(1 << 30)
    home.edit(lambda space: space.set("plan", noise, writing(expect=1)))
    home.edit(lambda space: space.set(f"big/{len(kept)}", noise, writing(expect=0)))
    assert home.look(lambda space: space.get("plan")).value == noise


def test_a_full_disk_takes_the_batch_back(plain: Database) -> None:
    """SQLite may end the whole transaction when the disk is full: then nobody is told that it is written."""
    with plain:
        plain.write(add("a")).result(10)
        plain.write(
            lambda c: c.exec_driver_sql(
                f"PRAGMA max_page_count = {c.exec_driver_sql('PRAGMA page_count').scalar_one() + 2}"
            )
        ).result(10)
        futures = together(plain, add("b"), add(b"x" * 100_000), add("c"))
        outcomes = [future.exception(timeout=10) for future in futures]
        assert isinstance(outcomes[1], Exhausted)
        acknowledged = [value for value, error in zip(("b", "", "c"), outcomes, strict=True) if error is None]
        assert rows(plain) == ["a", *acknowledged]
        plain.write(lambda c: c.exec_driver_sql("PRAGMA max_page_count = 1000000")).result(10)
        plain.write(add("d")).result(10)
        assert rows(plain)[-1] == "d"


def test_a_commit_that_fails_is_the_last(plain: Database) -> None:
    """After an error of the disk nobody knows what is on it; only a restart does."""
    engine = plain._engine

    def fails(_: Connection) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    with plain:
        plain.write(add("a")).result(10)
        event.listen(engine, "commit", fails)
        futures = [plain.write(add("b")), plain.write(add("c"))]
        for future in futures:
            with pytest.raises(Unavailable, match="disk I/O error"):
                future.result(10)
        event.remove(engine, "commit", fails)
        assert plain.failure is not None
        with pytest.raises(Unavailable, match="restart"):
            plain.write(add("d")).result(10)
        assert rows(plain) == ["a"]
    with Database(plain.path) as again:
        again.write(add("e")).result(10)
        assert rows(again) == ["a", "e"]


def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rlmd.db"
    path.write_bytes(b"a letter to my aunt, which is not a database at all\n" * 100)
    with pytest.raises(PreconditionFailed, match="database"):
        House.open(path, ManualClock(START))
    assert path.read_bytes().startswith(b"a letter")


@pytest.mark.parametrize("folder", ["with ? and # and %20", "dots..and.ünïcödé", "file:x"])
def test_any_folder_will_do(tmp_path: Path, folder: str) -> None:
    path = tmp_path / folder / "rlmd.db"
    path.parent.mkdir()
    with opened(path) as home:
        home.edit(lambda space: space.set("plan", "a", writing()))
    assert path.exists()
    with opened(path) as home:
        assert home.look(lambda space: space.get("plan")).value == "a"


def test_numbers_and_texts_that_no_database_takes(home: Home) -> None:
    home.edit(lambda space: space.set("plan", "a", writing()))
    for work in (
        lambda: home.look(lambda space: space.get("plan", version=1 << 80)),
        lambda: home.look(lambda space: space.names("\ud800")),
        lambda: home.look(lambda space: space.get("\ud800")),
        lambda: home.edit(lambda space: space.set("plan", [10**6000], writing())),
        lambda: home.edit(lambda space: space.set("plan", {"a": ["\ud800"]}, writing())),
        lambda: home.store.read(lambda tx: tx.runs.get(1 << 80)),
        lambda: home.house.read(lambda accounts: accounts.user("\ud800")),
    ):
        with pytest.raises(InvalidInput) as caught:
            work()
        assert caught.value.remedy
    assert home.look(lambda space: space.get("plan")).version.number == 1
