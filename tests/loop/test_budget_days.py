"""Budgets and the time: what waits goes on when the day turns, and an agent that is idle costs nothing.

The clock is moved by hand; the engine looks at it when a run of anybody has ended.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from rlmd.daemon.tidying import Tidying
from rlmd.proto.rlmd.v1 import budgets_pb2, runs_pb2
from tests.daemon.rpc.host import Client, Daemon, daemon

STEP_A_DAY = budgets_pb2.Budget(
    period=budgets_pb2.BUDGET_PERIOD_DAY, measure=budgets_pb2.BUDGET_MEASURE_STEPS, limit=1
)


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Daemon]:
    async with daemon(tmp_path) as served:
        await served.engine.start()
        yield served


async def reach(client: Client, run: str, state: runs_pb2.RunState.ValueType) -> Any:
    end = time.monotonic() + 30
    while True:
        found = await client.call("GetRun", name=run)
        if found.state == state:
            return found
        assert time.monotonic() < end, found
        await asyncio.sleep(0.02)


async def test_a_run_goes_on_when_the_day_turns(served: Daemon) -> None:
    alice, bob = served.alice, served.bob
    await alice.call("SetBudget", budget=STEP_A_DAY)
    await alice.call("Chat", agent="agents/main", text="Ann lives in Bern")
    runs = [(await alice.call("Send", agent="agents/main", text=f"/py reply({n})")).run for n in range(2)]
    for run in runs:
        waiting = await reach(alice, run, runs_pb2.RUN_STATE_WAITING)
        assert "1 steps a day is used up. It goes on at 2026-11-21 00:00" in waiting.reason
    said = (await alice.call("ListMessages", parent="agents/main")).messages
    assert len([message for message in said if "I have stopped" in message.text]) == 1
    for done, run in enumerate(runs, 1):
        served.clock.move(timedelta(days=1))
        await bob.call("Chat", agent="agents/main", text="list")
        end = time.monotonic() + 30
        while (states := [(await alice.call("GetRun", name=run)).state for run in runs]).count(
            runs_pb2.RUN_STATE_DONE
        ) < done:
            assert time.monotonic() < end, states
            await asyncio.sleep(0.02)
        assert (await alice.call("GetRun", name=run)).reason == ""
    budgets = (await alice.call("ListBudgets")).budgets
    assert [each.spent for each in budgets if each.measure == STEP_A_DAY.measure] == [1]


async def test_raising_wakes_and_a_budget_of_an_agent_is_no_matter_of_another(served: Daemon) -> None:
    alice = served.alice
    await alice.call("CreateAgent", agent_id="other")
    none = budgets_pb2.Budget(
        agent="agents/main",
        period=budgets_pb2.BUDGET_PERIOD_TOTAL,
        measure=budgets_pb2.BUDGET_MEASURE_MODEL_CALLS,
        limit=0,
    )
    await alice.call("SetBudget", budget=none)
    run = (await alice.call("Send", agent="agents/main", text="list")).run
    waiting = await reach(alice, run, runs_pb2.RUN_STATE_WAITING)
    assert "LIMIT --agent main" in waiting.reason
    await alice.call("Chat", agent="agents/other", text="list")
    none.limit = 5
    await alice.call("SetBudget", budget=none)
    await reach(alice, run, runs_pb2.RUN_STATE_DONE)


async def test_a_week_of_an_idle_agent_costs_nothing(served: Daemon) -> None:
    """Others work, the clock runs, and who is idle is looked for: nobody asks a model for alice."""
    async with Tidying(served.house, served.engine, timedelta()) as tidying:
        for _ in range(28):
            served.clock.move(timedelta(hours=6))
            await tidying.look()
            await served.bob.call("Chat", agent="agents/main", text="list")
    assert (await served.alice.call("GetUsage")).rows == []
    assert (await served.bob.call("GetUsage")).rows[0].usage.model_calls >= 28
