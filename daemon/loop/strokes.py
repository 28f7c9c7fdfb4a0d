"""Small things that the engine does to runs, each in a transaction or around one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from rlmd.memory import crash
from rlmd.memory.records import Agent, Event, Run, RunState
from rlmd.memory.store import Store, Transaction

from .scribe import finish

T = TypeVar("T")


async def whole(work: Coroutine[Any, Any, T]) -> T:
    """Do work to its end although the caller may leave: what is on disk must also be set to work."""
    result, cancelled = await finish(work)
    if cancelled:
        raise asyncio.CancelledError
    return result


async def kept(store: Store, what: str, work: Callable[[Transaction], T]) -> T:
    """Write something, in sight of the crash suite."""

    def reaching(tx: Transaction) -> T:
        result = work(tx)
        crash.reached(f"before {what}")
        return result

    result = await store.write(reaching)
    crash.reached(f"after {what}")
    return result


def place(event: Event) -> str:
    """Who waits for whom: what is said on a channel keeps its order, and a schedule holds up nobody else."""
    return f"{event.channel} {event.sender}" if event.kind == "schedule" else event.channel


def put_back(tx: Transaction, run_id: int) -> bool:
    """A run that was stopped where it was: that is no attempt that counts against its event."""
    run = tx.runs.get(run_id)
    if run.state is RunState.RUNNING:
        tx.runs.requeue(run, attempts=run.attempts - 1)
    return run.state in (RunState.RUNNING, RunState.QUEUED)


def line(tx: Transaction, run_id: int) -> list[int]:
    """A run and those above it."""
    found = [run_id]
    while (parent := tx.runs.get(found[-1]).parent) is not None:
        found.append(parent)
    return found


def with_agent(tx: Transaction, run_id: int) -> tuple[Run, Agent]:
    run = tx.runs.get(run_id)
    return run, tx.agents.get(run.agent)
