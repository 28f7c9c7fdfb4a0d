"""The tick: what is due becomes runs.

Of each schedule that is due, its occurrences, their runs and the next due instant commit in one transaction.
So it does not matter who calls for a tick, when, and how often: the bell, a start after a crash, a look
once a minute that finds what a clock that was set has hidden.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from rlmd.daemon.loop.equipment import Equipment
from rlmd.errors import Exhausted, InternalError, NotFound, RlmdError, Unavailable
from rlmd.memory.catching_up import plan
from rlmd.memory.records import Origin, Run, Schedule, User
from rlmd.memory.store import House, Store, Transaction

log = logging.getLogger(__name__)

LOOK_SECONDS = 60.0
"""Between two looks, at most: the system's clock may be set meanwhile, or the machine have slept."""
AT_ONCE = 256
"""Schedules that share a commit at most."""


@dataclass(frozen=True, kw_only=True)
class Fired:
    """What one schedule has made."""

    runs: list[Run]
    next_time: datetime | None


class Ticker:
    """Makes runs of what is due. `start` before use, `stop` at the end."""

    def __init__(self, house: House, equipment: Equipment, enqueue: Callable[[Store, Run], None]) -> None:
        self._house = house
        self._equipment = equipment
        self._enqueue = enqueue
        self._rang = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._work(), name="ticker")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def ring(self) -> None:
        """Something may be due."""
        self._rang.set()

    async def tick(self) -> int:
        """Make runs of all that is due now; tells how many schedules were."""
        now, count = self._house.clock.now(), 0
        while found := self._house.due(now, AT_ONCE):
            done = await asyncio.gather(*(self._fire(user, schedule) for user, schedule in found))
            count += sum(done)
            if not all(done):
                break
        return count

    async def _work(self) -> None:
        while True:
            self._rang.clear()
            try:
                await self.tick()
            except RlmdError:
                log.exception("what is due cannot be read")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._rang.wait()

    async def _fire(self, user: User, schedule_id: int) -> bool:
        """Deal with one that is due; tells whether that was written down. It must not hold up others."""
        store = self._house.store(user)
        try:
            fired = await store.write(lambda tx: fire(tx, self._equipment, schedule_id))
        except NotFound:
            return True
        except (Unavailable, Exhausted, InternalError):
            # The disk, not the schedule: it stays due.
            log.exception("schedule %s is due and cannot be written down", schedule_id)
            return False
        except Exception as error:
            log.exception("schedule %s is set aside", schedule_id)
            return await self._set_aside(store, schedule_id, error)
        for run in fired.runs:
            self._enqueue(store, run)
        self._equipment.alarm.set(schedule_id, fired.next_time)
        return True

    async def _set_aside(self, store: Store, schedule_id: int, error: Exception) -> bool:
        try:
            await store.write(lambda tx: set_aside(tx, schedule_id, f"{type(error).__name__}: {error}"))
        except RlmdError:
            log.exception("schedule %s cannot be set aside", schedule_id)
            return False
        return True


def fire(tx: Transaction, equipment: Equipment, schedule_id: int) -> Fired:
    """Write down what becomes of a schedule's due instants, with the runs of those that run.

    Raises:
        NotFound: it is gone.
    """
    schedule = tx.schedules.get(schedule_id)
    if schedule.next_time is None or schedule.next_time > tx.now:
        return Fired(runs=[], next_time=schedule.next_time)
    made = plan(schedule, tx.now, busy=tx.schedules.busy(schedule))
    runs = []
    for each in made.instants:
        run = _run(tx, equipment, schedule) if each.runs else None
        tx.schedules.record(schedule, each, run)
        if run is not None:
            runs.append(run)
    return Fired(runs=runs, next_time=tx.schedules.advance(schedule, made.following))


def set_aside(tx: Transaction, schedule_id: int, reason: str) -> None:
    """A schedule failed by itself: it stops, and its channel is told."""
    schedule = tx.schedules.set_aside(tx.schedules.get(schedule_id), reason)
    tx.log(schedule.agent).add(
        channel=schedule.channel,
        sender=schedule.agent,
        text=f"Schedule {schedule.label} was set aside, because it failed by itself: {reason}",
        origin=Origin.AGENT,
        from_agent=True,
    )


def run_now(tx: Transaction, equipment: Equipment, schedule: Schedule) -> Run:
    """Make a run of a schedule at once, as if it were due, and leave what is due next as it is.

    Raises:
        PreconditionFailed: it is deleted.
    """
    run = _run(tx, equipment, schedule)
    tx.schedules.by_hand(schedule, run)
    return run


def _run(tx: Transaction, equipment: Equipment, schedule: Schedule) -> Run:
    agent = tx.agents.get(schedule.agent)
    return tx.runs.create(
        agent,
        kind="schedule",
        text=schedule.text,
        limits=equipment.limits(agent.limits),
        channel=schedule.channel,
        sender=f"schedule {schedule.label}",
    )
