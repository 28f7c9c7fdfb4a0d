"""Programs that would harm: each is stopped in bounded time, and nobody else notices."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from typing import Any

import psutil
import pytest

from rlmd.daemon.repl.api import Call
from rlmd.daemon.repl.sandbox import Sandbox
from rlmd.errors import InvalidInput

from .conftest import QUICK, Steps, world


def _workers() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


@pytest.mark.parametrize(
    ("code", "limit"),
    [
        ("x = []\nwhile True:\n    x.append('a' * 1000)", "memory_bytes"),
        ("x = 'a' * 10**12", "memory_bytes"),
        ("while True:\n    pass", "step_seconds"),
        ("try:\n    while True:\n        pass\nexcept BaseException:\n    pass", "step_seconds"),
        ("while True:\n    print('x' * 1000)", "step_seconds"),
        ("import time\ntime.sleep(10**9)", "sleep_seconds"),
        ("import asyncio\nawait asyncio.sleep(10**9)", "sleep_seconds"),
    ],
)
async def test_limits_stop_a_step_and_the_next_is_fresh(sandbox: Sandbox, code: str, limit: str) -> None:
    other = Steps(await sandbox.open(world(), QUICK))
    await other("kept = 1")
    run = Steps(await sandbox.open(world(), QUICK))
    await run("mine = 1")
    started = time.monotonic()
    result, beside = await asyncio.gather(run(code), other("kept + 1"))
    assert time.monotonic() - started < 4
    assert result.fault is not None
    assert (result.fault.kind, result.fault.type) == ("limit", limit)
    assert result.session_lost
    assert len(result.output) < QUICK.output_chars + 100
    assert beside.value == 2
    gone = await run("mine")
    assert gone.fault is not None
    assert "mine" in gone.fault.message
    assert (await run("memory.names()\nevent.text")).value == "hello"
    assert (await other("kept")).value == 1
    await run.session.close()
    await other.session.close()


async def test_much_output_keeps_head_and_tail(run: Steps) -> None:
    result = await run("for i in range(20000):\n    print(i)\n'end'")
    assert result.fault is None
    assert result.value == "end"
    assert result.output.startswith("0\n1\n2\n")
    assert result.output.endswith("19998\n19999\n")
    assert result.cut_chars > 90_000


async def test_a_long_message_is_cut(run: Steps) -> None:
    result = await run("raise ValueError('x' * 1_000_000)")
    assert result.fault is not None
    assert len(result.fault.message) < 5000


async def test_deep_recursion_is_an_ordinary_error(run: Steps) -> None:
    result = await run("def f(n):\n    return f(n + 1)\nf(0)")
    assert result.fault is not None
    assert (result.fault.kind, result.fault.type) == ("raised", "RecursionError")
    assert not result.session_lost


async def test_a_killed_worker_is_a_fault_and_the_run_goes_on(run: Steps) -> None:
    await run("x = 1")
    assert run.session.pid is not None
    os.kill(run.session.pid, signal.SIGKILL)
    result = await run("x")
    assert result.fault is not None
    assert result.fault.kind == "crashed"
    assert result.session_lost
    assert (await run("2")).value == 2


async def test_a_worker_killed_in_the_middle_of_a_call(run: Steps) -> None:
    async def kill(_call: Call) -> Any:
        for process in _workers():
            process.kill()
        return 1

    run.host.answers = {"memory.get": kill}
    result = await run("memory.get('a')")
    assert result.fault is not None
    assert result.fault.kind == "crashed"
    run.host.answers = {}
    assert (await run("3")).value == 3


@pytest.mark.parametrize("code", ["while True:\n    pass", "await llm('x')", "memory.get('x')"])
async def test_cancelling_leaves_nothing_behind(run: Steps, code: str) -> None:
    async def endless(_call: Call) -> Any:
        await asyncio.sleep(60)

    run.host.answers = {"llm": endless, "memory.get": endless}
    await run("x = 1")
    pid = run.session.pid
    assert pid is not None
    task = asyncio.create_task(run(code))
    await asyncio.sleep(0.2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0.05)
    assert not psutil.pid_exists(pid)
    assert [t for t in asyncio.all_tasks() if t.get_name().startswith("call ")] == []
    assert run.host.abandoned == ([1] if "llm" in code else [])
    run.host.answers = {}
    assert (await run("4")).value == 4


async def test_closing_leaves_no_process() -> None:
    async with Sandbox(max_processes=8) as sandbox:
        sessions = [await sandbox.open(world(), QUICK) for _ in range(5)]
        await Steps(sessions[0])("1")
        await sessions[1].close()
        await sessions[1].close()
    assert _workers() == []


async def test_at_most_one_worker_stands_ready() -> None:
    async with Sandbox() as pool:

        async def use(seconds: float) -> None:
            await asyncio.sleep(seconds)
            run = Steps(await pool.open(world(), QUICK))
            await run("x = 1")
            await run.session.close()

        # At all distances: some come while a worker is being made ready, and some just after.
        distances = random.Random(7)
        for _ in range(8):
            await asyncio.gather(*(use(distances.uniform(0, 0.6)) for _ in range(20)))
        await asyncio.sleep(0.5)
        # One that stands ready, and one of the pool's own.
        assert len(_workers()) <= 2


async def test_a_run_that_is_cancelled_while_it_gets_its_worker_leaves_none() -> None:
    async with Sandbox() as pool:
        for number in range(40):
            opening = asyncio.create_task(pool.open(world(), QUICK))
            await asyncio.sleep(number * 0.001)
            opening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await (await opening).close()
        await asyncio.sleep(0.5)
        assert len(_workers()) <= 3


async def test_opening_takes_milliseconds(sandbox: Sandbox) -> None:
    started = time.monotonic()
    for _ in range(10):
        await (await sandbox.open(world(), QUICK)).close()
    assert (time.monotonic() - started) / 10 < 0.1


async def test_limits_out_of_range_are_refused(sandbox: Sandbox) -> None:
    with pytest.raises(InvalidInput, match="step_seconds"):
        await sandbox.open(world(), type(QUICK)(step_seconds=10_000))


_SCRIPT = """
import asyncio
from tests.daemon.repl.conftest import QUICK, Steps, world
from rlmd.daemon.repl.sandbox import Sandbox

async def main():
    async with Sandbox(max_processes=4) as sandbox:
        session = await sandbox.open(world(), QUICK)
        assert (await Steps(session)("await llm('x')\\n1 + 1")).value == 2
        await session.close()

asyncio.run(main())
"""


@pytest.mark.slow
def test_a_process_that_used_the_sandbox_exits_cleanly() -> None:
    codes = [subprocess.run([sys.executable, "-c", _SCRIPT], timeout=30).returncode for _ in range(20)]
    assert codes == [0] * 20
