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
from dataclasses import dataclass, replace
from datetime import datetime

from rlmd.daemon.loop.equipment import Equipment
from rlmd.errors import Exhausted, InternalError, NotFound, RlmdError, Unavailable
from rlmd.memory.catching_up import Planned, plan
from rlmd.memory.records import Fate, Origin, Run, Schedule, ScheduleState
from rlmd.memory.store import House, Store, Transaction

from . import background
from .watching import ConditionFailed, holds

log = logging.getLogger(__name__)

LOOK_SECONDS = 60.0
"""Between two looks, at most: the system's clock may be set meanwhile, or the machine have slept."""
SHOWN = 20
"""Names of changed variables that an event tells."""
CHANGES_SECONDS = 0.2
"""Between two looks for changes that schedules wait for, at least: not each write is to be asked about."""
AT_ONCE = 256
"""Schedules that share a commit at most."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """A condition that is to be looked at."""

    schedule: Schedule
    due: datetime


@dataclass(frozen=True, kw_only=True)
class Fired:
    """What one schedule has made."""

    runs: list[Run]
    next_time: datetime | None
    look: Look | None = None
    """What is to be looked at before anything is made."""


class Ticker:
    """Makes runs of what is due. `start` it on the event loop of those who carry them out, and `stop` it."""

    def __init__(self, house: House, equipment: Equipment, enqueue: Callable[[Store, Run], None]) -> None:
        self._house = house
        self._equipment = equipment
        self._enqueue = enqueue
        self._rang = threading.Event()
        self._touched = True
        """Whether something was written since the last look for changes."""
        self._stopped = False
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._looking: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        loop = asyncio.get_running_loop()

        def hand_over(store: Store, run: Run) -> None:
            # A loop that is closed stops with the daemon: the run is in the mailbox for the next one.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._enqueue, store, run)

        self._loop = loop
        self._house.database.on_commit(self._committed)
        self._thread = threading.Thread(target=self._work, args=(hand_over,), name="ticker", daemon=True)
        self._thread.start()

    async def stop(self) -> None:
        self._stopped = True
        self._rang.set()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)
        for task in self._looking:
            task.cancel()
        await asyncio.gather(*self._looking, return_exceptions=True)

    def ring(self) -> None:
        """Something may be due. From any thread."""
        self._rang.set()

    def _committed(self) -> None:
        """Something was written: perhaps what a schedule waits for. On the writer's thread."""
        if not self._touched:
            self._touched = True
            self._rang.set()

    def _work(self, hand_over: Callable[[Store, Run], None]) -> None:
        filled = looked = time.monotonic()
        while not self._stopped:
            self._rang.clear()
            try:
                self.tick(hand_over)
                if self._touched and time.monotonic() - looked >= CHANGES_SECONDS:
                    self._touched = False
                    self.see_changes(hand_over)
                    looked = time.monotonic()
                if time.monotonic() - filled >= LOOK_SECONDS:
                    self._equipment.alarm.fill(self._house.times)
                    filled = time.monotonic()
            except RlmdError:
                log.exception("what is due cannot be read")
            self._rang.wait(CHANGES_SECONDS if self._touched else LOOK_SECONDS)

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

    def see_changes(self, hand_over: Callable[[Store, Run], None]) -> None:
        """Make runs of what waits for changes, where there are some."""
        for user, schedule in self._house.waiting():
            store = self._house.store(user)
            try:
                run = store.submit(self._changing(schedule)).result()
            except NotFound:
                continue
            except RlmdError:
                log.exception("schedule %s cannot see what has changed", schedule)
                continue
            if run is not None:
                hand_over(store, run)

    def _changing(self, schedule_id: int) -> Callable[[Transaction], Run | None]:
        return lambda tx: changed(tx, self._equipment, schedule_id)

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
        if fired.look is not None:
            self._watch(store, fired.look)
        self._equipment.alarm.set(schedule_id, fired.next_time)
        return True

    def _watch(self, store: Store, look: Look) -> None:
        """Have a condition looked at, on the event loop, where the sandbox is."""

        def begin() -> None:
            task = asyncio.get_running_loop().create_task(self.look(store, look), name="watch")
            self._looking.add(task)
            task.add_done_callback(self._looking.discard)

        if self._loop is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(begin)

    async def look(self, store: Store, look: Look) -> None:
        """Look at a condition, and act if it has become true. One that fails is set aside, with its fault."""
        try:
            truth = await holds(self._equipment, store, look.schedule)
            run = await store.write(lambda tx: judge(tx, self._equipment, look, truth))
        except ConditionFailed as fault:
            await asyncio.to_thread(self._set_aside, store, look.schedule.id, str(fault))
        except NotFound:
            return
        except RlmdError:
            log.exception("the condition of schedule %s cannot be looked at", look.schedule.id)
        else:
            if run is not None:
                self._enqueue(store, run)

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
    if schedule.condition:
        # A look that is lost is not made up for: the next one sees the same.
        following = tx.schedules.advance(schedule, made.following)
        look = Look(schedule=schedule, due=made.instants[-1].due)
        return Fired(runs=[], next_time=following, look=look)
    runs = []
    for each in made.instants:
        run = _run(tx, equipment, schedule) if each.runs else None
        tx.schedules.record(schedule, each, run)
        if run is not None:
            runs.append(run)
    return Fired(runs=runs, next_time=tx.schedules.advance(schedule, made.following))


def changed(tx: Transaction, equipment: Equipment, schedule_id: int) -> Run | None:
    """Make a run of what has changed that a schedule waits for; None if nothing has, or it is still at work.

    Raises:
        NotFound: the schedule is gone.
    """
    schedule = tx.schedules.get(schedule_id)
    if schedule.state is not ScheduleState.ACTIVE or tx.schedules.busy(schedule):
        return None
    found = tx.schedules.changes(schedule)
    if found is None:
        return None
    names = ", ".join(found.names[:SHOWN]) + (" ..." if len(found.names) > SHOWN else "")
    run = _run(tx, equipment, replace(schedule, text=f"{schedule.text}\n\n# Changed: {names}"))
    tx.schedules.record(schedule, Planned(due=found.time, fate=Fate.RAN, runs=True, reason=names), run)
    tx.schedules.seen(schedule, found)
    return run


def judge(tx: Transaction, equipment: Equipment, look: Look, truth: bool) -> Run | None:
    """A condition was looked at: it acts when it has become true.

    Raises:
        NotFound: the schedule is gone.
    """
    schedule = tx.schedules.get(look.schedule.id)
    if schedule.condition != look.schedule.condition or truth == schedule.truth:
        return None
    tx.schedules.judged(schedule, truth)
    if not truth or schedule.state not in (ScheduleState.ACTIVE, ScheduleState.ENDED):
        return None
    run = _run(tx, equipment, schedule)
    tx.schedules.record(
        schedule, Planned(due=look.due, fate=Fate.RAN, runs=True, reason="it became true"), run
    )
    return run


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
