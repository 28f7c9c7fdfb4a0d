"""The mailbox and who empties it: events in the database become runs, runs become tasks.

Events of one channel of an agent are taken one after another, so that a conversation keeps its
order; channels do not wait for each other. The mailbox is the table of runs that are queued: what
is here in memory is only who is at work.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any, TypeVar

from rlmd.daemon.feed import Feed
from rlmd.daemon.router import Router
from rlmd.daemon.schedules import tick
from rlmd.daemon.schedules.bell import Alarm
from rlmd.daemon.schedules.tick import Ticker
from rlmd.errors import NotFound, RlmdError, Unavailable
from rlmd.memory.costs import Measure, Period
from rlmd.memory.records import (
    Agent,
    Channel,
    ChannelCall,
    EntryKind,
    Origin,
    Question,
    Run,
    RunState,
    User,
)
from rlmd.memory.runs import parked
from rlmd.memory.settling import woken_by_agent
from rlmd.memory.store import House, Store, Transaction, digest_of

from . import asking, budgets, calling
from .equipment import Equipment, Tree
from .fork import MISSING, fork
from .halt import CANCEL_SECONDS, Halt, Halting
from .mailbox import Accepted, Letter, receive
from .program import Ending
from .recover import end_in, recover
from .rehearse import Rehearsal, rehearse
from .run import FAULT, Runner, RunParked
from .strokes import kept, line, place, put_back, whole, with_agent
from .tidy import tidy

log = logging.getLogger(__name__)

T = TypeVar("T")

RUNS_AT_ONCE = 64
"""Root runs at work in the whole daemon."""
AGAIN_SECONDS = 1.0
"""Until a write is tried again that must be done."""
LOOK_SECONDS = 60.0
"""Between two looks at what is to wake, at most: the system's clock may be set meanwhile."""

Lane = tuple[int, str, str]
"""User, agent and channel, or schedule."""


@dataclass
class _Active:
    """A run that has a task."""

    task: asyncio.Task[None]
    tree: Tree
    store: Store
    worker: asyncio.Task[Any] | None
    """What carries out its lane."""
    reason: str = field(default="")
    """Why it is being cancelled; empty if nobody asked."""
    parked: RunParked | None = None
    """Set if it ended by being parked."""


class Engine(Halting):
    """Takes messages, runs what they ask for, and stops it. `start` before use, `stop` at the end."""

    def __init__(self, house: House, equipment: Equipment) -> None:
        self._house = house
        self._equipment = equipment
        equipment.router.listen(house.database)
        equipment.arrivals.listener = self._take_up
        self._lanes: defaultdict[Lane, deque[tuple[Store, int]]] = defaultdict(deque)
        self._workers: dict[Lane, asyncio.Task[None]] = {}
        self._active: dict[int, _Active] = {}
        self._slots = asyncio.Semaphore(RUNS_AT_ONCE)
        self._stopping = False
        self._halt = Halt(house)
        self._alarm: asyncio.Task[None] | None = None
        self._rang = asyncio.Event()
        self.ticker = Ticker(house, equipment, self._enqueue)
        """Makes runs of what schedules have due."""

    @property
    def feed(self) -> Feed:
        return self._equipment.feed

    @property
    def router(self) -> Router:
        return self._equipment.router

    @property
    def timezone(self) -> str:
        """Name of the owner's time zone."""
        return self._equipment.settings.timezone

    @property
    def alarm(self) -> Alarm:
        return self._equipment.alarm

    async def start(self) -> None:
        """Find what the last daemon left unfinished: end it honestly, or take it up again."""
        self._halt.load()
        if self._equipment.snapshots is not None:
            with self._house.database.reading() as connection:
                self._equipment.snapshots.sweep(parked(connection))
        await asyncio.wrap_future(self._house.for_all(lambda tx: tx.budgets.defaults(self.default_budgets)))
        # Before anything is at work: a call under way has a reservation too.
        left = await asyncio.wrap_future(self._house.for_all(lambda tx: tx.ledger.settle_left()))
        if any(left):
            log.info("%d model calls were cut off; they are settled at their estimates", sum(left))
        for user, run_id in self._house.unfinished():
            store = self._house.store(user)
            try:
                run = await recover(store, run_id)
            except RlmdError:
                # It stands as it is for the next start: one run must not keep the house closed.
                log.exception("run %s cannot be recovered", run_id)
                continue
            if run is not None:
                self._enqueue(store, run)
        for user, run_id in self._house.answered():
            await self._rouse(user, run_id)
        await self._wake_held_up()
        self._alarm = asyncio.create_task(self._wake_in_time(), name="alarm")
        self.ticker.start()

    async def stop(self, grace: float) -> None:
        """Take nothing new, give runs `grace` seconds to end, then stop them where they are.

        What is stopped is in the mailbox again, and goes on at the next start. A run whose model has not
        answered once gets no grace: it has lost nothing.
        """
        self._stopping = True
        await self.ticker.stop()
        if self._alarm is not None:
            self._alarm.cancel()
            await asyncio.wait([self._alarm])
        active = dict(self._active)
        tasks = [each.task for each in active.values()]
        for run_id, each in active.items():
            with contextlib.suppress(RlmdError):
                if each.store.read(lambda tx, id=run_id: tx.runs.get(id)).steps == 0:  # type: ignore[misc]
                    each.tree.suspended = True
                    each.task.cancel()
        try:
            if tasks:
                await asyncio.wait(tasks, timeout=grace)
        finally:
            # Also when the grace is cut short: whatever they use is closed next.
            for each in active.values():
                each.tree.suspended = True
            for task in [*tasks, *self._workers.values()]:
                task.cancel()
            await asyncio.gather(*tasks, *self._workers.values(), return_exceptions=True)
            for run_id, each in active.items():
                with contextlib.suppress(RlmdError):
                    await each.store.write(lambda tx, id=run_id: put_back(tx, id))  # type: ignore[misc]

    async def accept(
        self,
        store: Store,
        agent: str,
        *,
        text: str,
        channel: str,
        sender: str,
        request_id: str = "",
        origin: Origin = Origin.OWNER,
    ) -> Accepted:
        """Write a message down with the run that it wakes or goes on with; on disk when this returns.

        The same `request_id` again gives the same message and run.

        Raises:
            NotFound: no such agent.
            InvalidInput: no text, or a bad channel or sender.
        """
        letter = Letter(agent=agent, channel=channel, sender=sender, text=text, origin=origin)

        async def take() -> Accepted:
            accepted = await kept(
                store, "message", lambda tx: receive(tx, self._equipment, letter, request_id)
            )
            if accepted.fresh:
                self._enqueue(store, accepted.run)
            if accepted.answered is not None:
                await self._wake(store, accepted.answered)
            return accepted

        return await whole(take())

    def drop_snapshots(self) -> None:
        """Forget what runs that wait hold in their names; they are replayed when they go on."""
        if self._equipment.snapshots is not None:
            self._equipment.snapshots.sweep(())

    async def tidy(self, store: Store, agent: str, request_id: str = "") -> Run:
        """Let an agent go over what is new in its memory; the same `request_id` again gives the same run.

        Raises:
            NotFound: no such agent.
        """
        fresh: list[Run] = []
        digest = digest_of("tidy", agent.encode(errors="replace"))

        def work(tx: Transaction) -> Run:
            def make() -> bytes:
                fresh.append(tidy(tx, self._equipment, agent))
                return str(fresh[0].id).encode()

            return tx.runs.get(int(tx.once(request_id, digest, make)))

        async def take() -> Run:
            run = await store.write(work)
            if fresh:
                self._enqueue(store, run)
            return run

        return await whole(take())

    async def answer(self, store: Store, question_id: int, given: Any, *, by: str, on: str = "") -> Question:
        """Answer a question, and let its run go on; on disk when this returns.

        Raises:
            NotFound: no such question.
            InvalidInput: the answer is not what it asks for.
            PreconditionFailed: it is no longer open.
        """

        async def take() -> Question:
            answered = await kept(
                store, "answer", lambda tx: asking.answer(tx, question_id, given, by=by, on=on)
            )
            await self._wake(store, answered)
            return answered

        return await whole(take())

    async def settle(
        self, store: Store, channel: Channel, number: int, value: str | None, error: str | None
    ) -> str:
        """A client says what a call came to, as JSON or as an error; the run that has called goes on.

        Gives what is wrong with what it said; the program then gets an error.

        Raises:
            NotFound: there is no such call of the channel.
            PreconditionFailed: it is over without a result.
        """
        called = store.read(lambda tx: tx.channel_calls.get(number, channel=channel))
        result = await calling.judge(called, value, error)

        async def take() -> None:
            await store.write(lambda tx: calling.answer(tx, channel, number, result))
            self.router.done(channel.id, number)
            await self._wake(store, called)

        await whole(take())
        return result.fault

    async def run_schedule(self, store: Store, schedule_id: int, request_id: str = "") -> Run:
        """Make a run of a schedule at once, beside what it has due. The same `request_id` gives the same run.

        Raises:
            NotFound: no such schedule.
            PreconditionFailed: it is deleted.
        """
        fresh: list[Run] = []

        def work(tx: Transaction) -> Run:
            def make() -> bytes:
                fresh.append(tick.run_now(tx, self._equipment, tx.schedules.get(schedule_id)))
                return str(fresh[0].id).encode()

            digest = digest_of("run_schedule", str(schedule_id).encode())
            return tx.runs.get(int(tx.once(request_id, digest, make)))

        async def take() -> Run:
            run = await store.write(work)
            if fresh:
                self._enqueue(store, run)
            return run

        return await whole(take())

    async def replay(self, store: Store, run_id: int) -> Rehearsal:
        """Do a run that is over again from its journal, without effects, and compare.

        Raises:
            NotFound: no such run.
            PreconditionFailed: it is not over.
        """
        run, agent = store.read(lambda tx: with_agent(tx, run_id))
        async with self._slots:
            return await rehearse(self._equipment, store, agent, run)

    async def fork(
        self, store: Store, run_id: int, at: int, answer: Any = MISSING, request_id: str = ""
    ) -> Run:
        """Begin a run that shares the past of another up to a call, and differs from there.

        The same `request_id` again gives the same run.

        Raises:
            NotFound: no such run or call.
            InvalidInput: the answer does not fit.
            PreconditionFailed: it is a child.
        """
        given = [] if answer is MISSING else [answer]
        digest = digest_of("fork", json.dumps([run_id, at, given]).encode(errors="replace"))
        fresh: list[Run] = []

        def work(tx: Transaction) -> Run:
            def make() -> bytes:
                fresh.append(fork(tx, tx.runs.get(run_id), at, answer))
                return str(fresh[0].id).encode()

            return tx.runs.get(int(tx.once(request_id, digest, make)))

        async def take() -> Run:
            run = await store.write(work)
            if fresh:
                self._enqueue(store, run)
            return run

        return await whole(take())

    async def cancel(self, store: Store, run_id: int, reason: str) -> Run:
        """Stop a run and those below it; returns when it has stopped. No effect on one that has ended.

        In the program of its parent, if it has one, the call that began it raises.

        Raises:
            NotFound: no such run.
        """
        run = store.read(lambda tx: tx.runs.get(run_id))
        if run.state.ended:
            return run
        reason = reason or "somebody stopped it"
        active = self._active.get(run.root)
        task: asyncio.Task[Any] | None = None
        if active is not None and run.parent is None:
            active.reason, task = reason, active.task
            task.cancel()
        elif active is not None:
            task = active.tree.stop(run.id, reason)
        if task is not None:
            await asyncio.wait([task], timeout=CANCEL_SECONDS)
        else:
            # It is queued, or parked: then its parent, if it has one, waits for it.
            await whole(self._end(store, run, Ending(state=RunState.CANCELLED, reason=reason)))
        return store.read(lambda tx: tx.runs.get(run_id))

    async def cancel_agent(self, store: Store, agent: str, reason: str) -> None:
        """Stop all active runs of an agent."""
        states = [state for state in RunState if not state.ended]
        runs = store.read(lambda tx: tx.runs.page(agent=agent, states=states, most=1000))
        for run in runs:
            await self.cancel(store, run.id, reason)

    # -- budgets ----------------------------------------------------------------------------------

    @property
    def zone(self) -> tzinfo:
        """The owner's."""
        return self._equipment.zone

    def today(self) -> str:
        """The day in the owner's zone, like 2026-11-01."""
        return self._equipment.today()

    @property
    def default_budgets(self) -> Mapping[tuple[Period, Measure], int]:
        """What each user may use, unless they have set it otherwise."""
        return budgets.defaults(self._equipment.settings)

    async def budgets_changed(self, store: Store) -> None:
        """Let the user's runs that wait for a budget look whether there is more."""
        for active in tuple(self._active.values()):
            if active.store.user.id == store.user.id:
                active.tree.wake_all()
        await self._wake_held_up()

    async def _wake_held_up(self) -> None:
        for user, run_id in self._house.held_up(self.today()):
            await self._rouse(user, run_id)

    # -- waking -----------------------------------------------------------------------------------

    async def _wake(self, store: Store, told: Question | ChannelCall | Run) -> None:
        """Something has happened that a run waits for: an answer, a result, or the end of a parked child."""
        active = self._active.get(told.root)
        if active is None:
            await self._go_on(store, told.root)
        else:
            run_id = told.id if isinstance(told, Run) else told.run
            active.tree.wake(store.read(lambda tx: line(tx, run_id)))

    def _take_up(self, run_id: int) -> None:
        """A program has made a run for another agent."""
        user = self._house.user_of(run_id)
        if user is not None:
            store = self._house.store(user)
            self._enqueue(store, store.read(lambda tx: tx.runs.get(run_id)))

    async def _tell_caller(self, run: Run) -> None:
        """A run is over: if another agent has called for it, that one goes on."""
        called = self._house.caller_of(run.id) if woken_by_agent(run) else None
        if called is not None:
            user, waiting = called
            store = self._house.store(user)
            with contextlib.suppress(NotFound):
                await self._wake(store, store.read(lambda tx: tx.runs.get(waiting)))

    async def _rouse(self, user: User, run_id: int) -> None:
        """Let a run go on; one that cannot must not hold up the others, and is tried again later."""
        try:
            await self._go_on(self._house.store(user), run_id)
        except NotFound:
            return
        except RlmdError:
            log.exception("run %s cannot be woken", run_id)

    async def _go_on(self, store: Store, run_id: int) -> None:
        """Put a run that was parked back into the mailbox."""

        def work(tx: Transaction) -> Run | None:
            run = tx.runs.get(run_id)
            if run.state is not RunState.WAITING:
                return None
            tx.journal(run_id).add(EntryKind.WOKEN, {}, step=run.steps)
            tx.runs.requeue(run, attempts=run.attempts)
            return tx.runs.get(run_id)

        run = await kept(store, "woken", work)
        if run is not None:
            self.feed.push(run_id)
            self._enqueue(store, run)

    async def _wake_in_time(self) -> None:
        """Wake the runs whose time has come, and sleep until the next one's."""
        while True:
            self._rang.clear()
            now = self._equipment.clock.now()
            due, after = self._house.waking(now)
            for user, run_id in due:
                await self._rouse(user, run_id)
            seconds = LOOK_SECONDS if after is None else min((after - now).total_seconds(), LOOK_SECONDS)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(seconds, 0.0)):
                    await self._rang.wait()

    # -- at work ----------------------------------------------------------------------------------

    def _enqueue(self, store: Store, run: Run) -> None:
        lane = (store.user.id, run.agent, place(run.event))
        self._lanes[lane].append((store, run.id))
        self._set_to_work(lane)

    def _set_to_work(self, lane: Lane) -> None:
        """Carry out what waits on a lane, if nobody does and nothing stands against it."""
        if lane not in self._workers and self._goes(lane):
            self._workers[lane] = asyncio.create_task(self._work(lane), name=f"lane {lane}")

    def _goes(self, lane: Lane) -> bool:
        return not self._stopping and self._halt.of(lane[0]) is None

    async def _work(self, lane: Lane) -> None:
        """Carry out what waits on a lane, one after another."""
        try:
            while self._lanes[lane] and self._goes(lane):
                async with self._slots:
                    if not self._goes(lane):
                        break
                    store, run_id = self._lanes[lane].popleft()
                    if await self._carry_out(store, run_id):
                        self._lanes[lane].appendleft((store, run_id))
        finally:
            # Between the last look at the lane and this, nothing awaits: no message is left behind.
            self._workers.pop(lane, None)
            if not self._lanes[lane]:
                self._lanes.pop(lane, None)

    async def _carry_out(self, store: Store, run_id: int) -> bool:
        """Carry out a run as far as it comes; tells whether it is to be taken up again, as the next."""
        with contextlib.suppress(NotFound):
            run, agent = store.read(lambda tx: with_agent(tx, run_id))
            if run.state is not RunState.QUEUED:
                return False
            tree = Tree(run.limits, used=run.usage)
            tree.elsewhere = store.read(lambda tx: tx.hive_calls.used(run_id))
            task = asyncio.create_task(self._run(store, agent, run, tree), name=f"run {run_id}")
            active = self._active[run_id] = _Active(task, tree, store, asyncio.current_task())
            try:
                await asyncio.wait([task])
            finally:
                self._active.pop(run_id, None)
            if active.parked is not None and tree.wakes(run_id) > active.parked.mark:
                # While it was being parked, something happened that it may wait for.
                await self._go_on(store, run_id)
            if active.parked is None:
                await self._tell_caller(run)
            self._rang.set()
            if tree.suspended and not self._stopping:
                return await self._halted(store, run_id)
        return False

    async def _halted(self, store: Store, run_id: int) -> bool:
        """A run that was stopped with all others: back in the mailbox, unless it had ended or was parked."""
        while True:
            try:
                return await store.write(lambda tx: put_back(tx, run_id))
            except Unavailable:
                # The database is not there for now: that must not make a run of one that has failed.
                await asyncio.sleep(AGAIN_SECONDS)

    async def _run(self, store: Store, agent: Agent, run: Run, tree: Tree) -> None:
        runner = Runner(self._equipment, store, agent, run, tree)
        try:
            await runner.run()
            return
        except RunParked as parked:
            self._active[run.id].parked = parked
            return
        except asyncio.CancelledError:
            active = self._active.get(run.id)
            if active is None or not active.reason:
                raise
            ending = Ending(state=RunState.CANCELLED, reason=active.reason)
        except RlmdError as error:
            log.exception("run %s failed", run.id)
            ending = Ending(state=RunState.FAILED, reason=str(error))
        except Exception:
            log.exception("run %s failed by a fault of rlmd", run.id)
            ending = Ending(state=RunState.FAILED, reason=FAULT)
        # If not even that can be written, the run stands unfinished, and the next start deals with it.
        with contextlib.suppress(RlmdError):
            await runner.end(ending)

    async def _end(self, store: Store, run: Run, ending: Ending) -> None:
        """Record the end of a run that was not at work."""

        def work(tx: Transaction) -> None:
            current = tx.runs.get(run.id)
            if current.state.ended:
                return
            for member in [*tx.runs.below(current), current]:
                end_in(tx, member, ending.state, ending.reason)

        await store.write(work)
        if self._equipment.snapshots is not None:
            self._equipment.snapshots.drop(run.id)
        # Who watches reads the last row in the journal.
        self.feed.push(run.id)
        if run.parent is not None:
            await self._wake(store, run)
        await self._tell_caller(run)
