"""A caller who leaves while what it asked for is being written: it is on disk, and so it is also done."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from rlmd.memory.records import Run, RunState
from tests.daemon.rpc.host import Daemon, daemon


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Daemon]:
    async with daemon(tmp_path) as served:
        yield served


async def left(call: Awaitable[Any]) -> None:
    """Make a call and leave at once: what it writes is at the writer by then."""
    task = asyncio.ensure_future(call)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def until(served: Daemon, state: RunState, ready: Callable[[list[Run]], bool]) -> None:
    async with asyncio.timeout(10):
        while True:
            runs = served.store("alice").read(lambda tx: tx.runs.page())
            if ready(runs) and all(run.state is state for run in runs):
                return
            await asyncio.sleep(0.01)


async def test_a_message_is_answered_and_a_question_wakes_its_run(served: Daemon) -> None:
    store, engine = served.store("alice"), served.engine
    given: dict[str, Any] = {"channel": "chat", "sender": "alice", "request_id": "one"}
    await left(engine.accept(store, "main", text="/py reply(await ask('Well?'))", **given))
    await until(served, RunState.WAITING, lambda runs: len(runs) == 1)
    # The client tries again, as it does, and is told of the same run.
    again = await engine.accept(store, "main", text="/py reply(await ask('Well?'))", **given)
    assert not again.fresh
    await left(engine.answer(store, 1, "yes", by="alice"))
    await until(served, RunState.DONE, lambda runs: len(runs) == 1)
    await left(engine.fork(store, again.run.id, 1, "no", "two"))
    await until(served, RunState.DONE, lambda runs: len(runs) == 2)
