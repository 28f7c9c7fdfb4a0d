"""The bell rings when the time has come; its file may be lost, damaged or old at any time."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rlmd.daemon.schedules.bell import Bell, Times
from rlmd.memory.clock import ManualClock, SystemClock

FAR = timedelta(days=300)


def kept(times: dict[int, datetime]) -> Times:
    """As the tables have them."""
    return lambda until: {schedule: time for schedule, time in times.items() if time <= until}


async def rings(path: Path, times: dict[int, datetime], *, seconds: float = 10.0) -> float:
    """Seconds until a bell that is opened on these times rings."""
    heard = asyncio.Event()
    loop = asyncio.get_running_loop()
    bell = Bell(path, SystemClock())
    began = asyncio.get_running_loop().time()
    bell.start(lambda: loop.call_soon_threadsafe(heard.set), kept(times))
    try:
        await asyncio.wait_for(heard.wait(), seconds)
    finally:
        bell.stop()
    return asyncio.get_running_loop().time() - began


def soon(seconds: float = 0.3) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


async def test_it_rings_when_the_time_has_come(tmp_path: Path) -> None:
    assert 0.25 < await rings(tmp_path / "bell.db", {1: soon(0.3), 2: soon() + FAR}) < 5


async def test_it_rings_for_what_it_is_told_later(tmp_path: Path) -> None:
    heard = asyncio.Event()
    loop = asyncio.get_running_loop()
    bell = Bell(tmp_path / "bell.db", SystemClock())
    bell.start(lambda: loop.call_soon_threadsafe(heard.set), kept({1: soon() + FAR}))
    bell.set(1, soon(0.2))
    await asyncio.wait_for(heard.wait(), 10)
    heard.clear()
    bell.set(2, soon(0.5))
    bell.set(2, None)
    bell.set(3, soon() + FAR)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(heard.wait(), 1)
    bell.stop()


async def test_what_is_far_away_has_no_job_until_it_has_come_near(tmp_path: Path) -> None:
    clock = ManualClock(datetime.now(UTC) - FAR)
    heard = asyncio.Event()
    loop = asyncio.get_running_loop()
    bell = Bell(tmp_path / "bell.db", clock)
    times = kept({1: soon(0.5)})
    bell.start(lambda: loop.call_soon_threadsafe(heard.set), times)
    bell.fill(times)
    bell.set(2, soon(0.5))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(heard.wait(), 1)
    clock.move(FAR)
    bell.fill(times)
    await asyncio.wait_for(heard.wait(), 10)
    bell.stop()


async def test_what_went_by_while_it_was_closed_is_rung_for(tmp_path: Path) -> None:
    """And what is in its file, but in no table any more, is not."""
    path = tmp_path / "bell.db"
    first = Bell(path, SystemClock())
    first.start(lambda: None, kept({1: soon(0.5), 2: soon(0.5)}))
    first.stop()
    await asyncio.sleep(0.6)
    with pytest.raises(TimeoutError):
        await rings(path, {3: soon() + FAR}, seconds=1)
    assert await rings(path, {2: soon(-60)}) < 5


@pytest.mark.parametrize("content", [b"", b"not a database at all", b"SQLite format 3\0" + b"\xff" * 5_000])
async def test_a_file_that_is_damaged_is_made_anew(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bell.db"
    path.write_bytes(content)
    assert await rings(path, {1: soon()}) < 5


async def test_where_there_can_be_no_file_it_is_silent_and_does_no_harm(tmp_path: Path) -> None:
    bell = Bell(tmp_path / "no such folder" / "bell.db", SystemClock())
    bell.start(lambda: None, kept({1: soon()}))
    bell.set(1, soon())
    bell.stop()
