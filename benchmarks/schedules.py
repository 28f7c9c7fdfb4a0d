"""Schedules: adding thousands, finding what is due among them, and how late that fires.

    python -m benchmarks.schedules [--schedules 10000] [--seconds 5]

A real daemon with the built-in model; each occurrence makes a run, which replies. The lateness of one
is from the instant at which it was due to its row.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import rlmd
from rlmd.clients import aio
from rlmd.daemon.feed import Feed
from rlmd.daemon.loop.equipment import Equipment
from rlmd.daemon.models.builtin import BuiltinModel
from rlmd.daemon.repl.sandbox import Sandbox
from rlmd.daemon.schedules.tick import Ticker
from rlmd.memory.clock import ManualClock
from rlmd.memory.search import Index
from rlmd.memory.source import Texts
from rlmd.memory.store import House
from rlmd.settings import Settings
from tests.daemon_process import DaemonProcess

from .figures import Cpu, percentile, report

AT_ONCE = 64
"""Calls that are under way together while schedules are added."""
EACH_SECOND = 100


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--schedules", type=int, default=10_000)
    options.add_argument("--seconds", type=int, default=5)
    given = options.parse_args()
    count: int = given.schedules
    with tempfile.TemporaryDirectory() as folder, DaemonProcess(Path(folder) / "data") as daemon:
        cpu = Cpu(daemon.pid)
        used: list[float] = []
        began = time.monotonic()
        with cpu.per(count, used):
            asyncio.run(_add(daemon.data, [(f"every {20 + n % 40}d", "later") for n in range(count)]))
        report("schedules.add_all", [time.monotonic() - began], "s", most=20, schedules=count, cpu_ms=used[0])
        daemon.stop()
        began = time.monotonic()
        daemon.start()
        report("schedules.cold_start", [time.monotonic() - began], "s", most=5, schedules=count)
        _fires(daemon.data, given.seconds, count)
        daemon.stop()
        _ticks(daemon.data, count)


async def _add(data: Path, wanted: list[tuple[str, str]]) -> None:
    left = iter(wanted)
    async with aio.connect(data=data) as client:

        async def work() -> None:
            for when, text in left:
                await client.schedules.add(when, text)

        await asyncio.gather(*(work() for _ in range(AT_ONCE)))


def _fires(data: Path, seconds: int, count: int) -> None:
    """`EACH_SECOND` schedules are due in each second, beside all the others."""
    first = datetime.now(UTC) + timedelta(seconds=8)
    instants = [first + timedelta(seconds=n / EACH_SECOND) for n in range(seconds * EACH_SECOND)]
    asyncio.run(_add(data, [(each.isoformat(), "now") for each in instants]))
    ahead = (first - datetime.now(UTC)).total_seconds()
    assert ahead > 0, "they were due before all were added: the machine is too busy"
    time.sleep(ahead + seconds)
    with rlmd.connect(data=data) as client:
        while len(found := client.schedules.occurrences(n=len(instants))) < len(instants):
            time.sleep(0.1)
        late = [(each.create_time - each.due_time).total_seconds() for each in found]
        report(
            "schedules.lateness",
            [max(late)],
            "s",
            most=1,
            each_second=EACH_SECOND,
            p50=round(percentile(late, 0.5), 4),
            p95=round(percentile(late, 0.95), 4),
            schedules=count,
        )
        while any(each.end_time is None for each in client.schedules.occurrences(n=len(instants))):
            time.sleep(0.1)
        found = client.schedules.occurrences(n=len(instants))
        done = [(each.end_time - each.due_time).total_seconds() for each in found if each.end_time]
        report("schedules.due_to_done", done, "s", each_second=EACH_SECOND, p95=percentile(done, 0.95))


def _ticks(data: Path, count: int) -> None:
    """A tick in this process, over a copy of all that is kept: where one is due, and where none is."""
    with _copy(data) as path:
        clock = ManualClock(datetime.now(UTC))
        with House.open(path, clock) as house:
            equipment = Equipment(
                clock=clock,
                zone=UTC,
                settings=Settings(data=path.parent),
                model=BuiltinModel(),
                sandbox=Sandbox(),
                searcher=Index(path.parent / "index", house.database, None, Texts()),
                feed=Feed(),
            )
            ticker = Ticker(house, equipment, lambda store, run: None)
            none, one = [_timed(ticker, 0) for _ in range(50)], []
            times = sorted(house.times(clock.now() + timedelta(days=90)).values())[:50]
            for due in times:
                clock.move(due - clock.now())
                one.append(_timed(ticker, 1))
    report("schedules.tick_none_due", none, "ms", most=50, schedules=count)
    report("schedules.tick_one_due", one, "ms", most=50, schedules=count, p95=percentile(one, 0.95))


def _timed(ticker: Ticker, expected: int) -> float:
    began = time.perf_counter()
    fired = ticker.tick(lambda store, run: None)
    taken = (time.perf_counter() - began) * 1000
    assert fired >= expected, fired
    return taken


@contextlib.contextmanager
def _copy(data: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rlmd.db"
        source, target = sqlite3.connect(data / "rlmd.db"), sqlite3.connect(path)
        with contextlib.closing(source), contextlib.closing(target):
            source.backup(target)
        yield path


if __name__ == "__main__":
    main()
