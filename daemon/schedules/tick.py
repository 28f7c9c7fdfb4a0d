"""The tick: what is due becomes runs.

Of each schedule that is due, its occurrences, their runs and the next due instant commit in one transaction.
So it does not matter who calls for a tick, when, and how often: the bell, a start after a crash, a look
once a minute that finds what a clock that was set has hidden.

It has a thread of its own: what is due is written down in time, however busy the event loop is with runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime

from rlmd.daemon.loop.equipment import Equipment
from rlmd.errors import Exhausted, InternalError, NotFound, RlmdError, Unavailable
from rlmd.memory.catching_up import plan
from rlmd.memory.records import Origin, Run, Schedule
from rlmd.memory.store import House, Store, Transaction

from . import background

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
    """Makes runs of what is due. `start` it on the event loop of those who carry them out, and `stop` it."""

    def __init__(self, house: House, equipment: Equipment, enqueue: Callable[[Store, Run], None]) -> None:
        self._house = house
        self._equipment = equipment
        self._enqueue = enqueue
        self._rang = threading.Event()
        self._stopped = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        loop = asyncio.get_running_loop()

        def hand_over(store: Store, run: Run) -> None:
            # A loop that is closed stops with the daemon: the run is in the mailbox for the next one.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._enqueue, store, run)

        self._thread = threading.Thread(target=self._work, args=(hand_over,), name="ticker", daemon=True)
        self._thread.start()

    async def stop(self) -> None:
        self._stopped = True
        self._rang.set()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)

    def ring(self) -> None:
        """Something may be due. From any thread."""
        self._rang.set()

    def _work(self, hand_over: Callable[[Store, Run], None]) -> None:
        filled = time.monotonic()
        while not self._stopped:
            self._rang.clear()
            try:
                self.tick(hand_over)
                if time.monotonic() - filled >= LOOK_SECONDS:
                    self._equipment.alarm.fill(self._house.times)
                    filled = time.monotonic()
            except RlmdError:
                log.exception("what is due cannot be read")
            self._rang.wait(LOOK_SECONDS)

    def tick(self, hand_over: Callable[[Store, Run], None]) -> int:
        """Make runs of all that is due now, and hand them over; tells how many schedules were."""
        count = 0
        while found := self._house.due(self._house.clock.now(), AT_ONCE):
            stores = [(self._house.store(user), schedule) for user, schedule in found]
            # Together: they share a commit.
            waiting = [store.submit(self._firing(schedule)) for store, schedule in stores]
            done = [
                self._fired(store, schedule, fired, hand_over)
                for (store, schedule), fired in zip(stores, waiting, strict=True)
            ]
            count += sum(done)
            if not all(done):
                break
        self._deliver()
        return count

    def _deliver(self) -> None:
        """Tell what was held back and may be told now."""
        for user, delivery in self._house.held(self._house.clock.now(), AT_ONCE):
            try:
                self._house.store(user).submit(_delivering(delivery)).result()
            except RlmdError:
                log.exception("delivery %s cannot be made", delivery)

    def _firing(self, schedule_id: int) -> Callable[[Transaction], Fired]:
        return lambda tx: fire(tx, self._equipment, schedule_id)

    def _fired(
        self,
        store: Store,
        schedule_id: int,
        waiting: Future[Fired],
        hand_over: Callable[[Store, Run], None],
    ) -> bool:
        """See to one that was due; tells whether it is dealt with. It must not hold up others."""
        try:
            fired = waiting.result()
        except NotFound:
            return True
        except (Unavailable, Exhausted, InternalError):
            # The disk, not the schedule: it stays due.
            log.exception("schedule %s is due and cannot be written down", schedule_id)
            return False
        except Exception as error:
            log.exception("schedule %s is set aside", schedule_id)
            return self._set_aside(store, schedule_id, f"{type(error).__name__}: {error}")
        for run in fired.runs:
            hand_over(store, run)
        self._equipment.alarm.set(schedule_id, fired.next_time)
        return True

    def _set_aside(self, store: Store, schedule_id: int, reason: str) -> bool:
        try:
            store.submit(lambda tx: set_aside(tx, schedule_id, reason)).result()
        except RlmdError:
            log.exception("schedule %s cannot be set aside", schedule_id)
            return False
        return True


def _delivering(delivery: int) -> Callable[[Transaction], None]:
    return lambda tx: background.deliver(tx, delivery)


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
        # What was planned by a run that had read text from outside is such text itself.
        origin=schedule.origin,
    )
