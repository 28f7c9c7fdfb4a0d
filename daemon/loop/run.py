"""One run, from its event to its end, and the children that its program makes.

A run that was cut off, by a crash or because it was parked, goes on where it was (replay.py). Limits end a
run as failed, with the limit's name; what it did until then is kept.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from rlmd.daemon.repl.api import Call, Host, Limits, Parked, World
from rlmd.daemon.repl.frozen import Frozen
from rlmd.daemon.repl.session import Session
from rlmd.daemon.schedules import background
from rlmd.errors import RlmdError, SandboxError
from rlmd.memory.records import Agent, EntryKind, Run, RunLimits, RunState
from rlmd.memory.store import Store, Transaction

from . import past as pasts
from .asking import withdraw_all
from .budgets import Spent
from .equipment import Equipment, Tree
from .host import ChildFailed, RunHost
from .past import Past
from .program import BLOCKS, Ending, Program, RunFailed
from .prompt import Prompt
from .recover import end_in
from .replay import Diverged, Replay, Thawed
from .scribe import Row, Scribe, finish
from .snapshots import Standing
from .thinking import Thinking

log = logging.getLogger(__name__)

PARENT_STOPPED = "its parent stopped"
FAULT = "a fault of rlmd; the daemon's log has the trace"


class RunParked(Exception):
    """The run waits: only its rows are left, and whoever wakes it carries it on."""

    def __init__(self, until: datetime | None, mark: int, reason: str = "") -> None:
        super().__init__("the run waits")
        self.until = until
        """When it goes on in any case; None if only an answer wakes it."""
        self.mark = mark
        """How often it had been woken when it decided to wait: if more often since, it goes on at once."""
        self.reason = reason
        """Which budget is used up; empty if it waits for something else."""


class ChildParked(Exception):
    """A child waits, and with it the call that made it."""

    def __init__(self, child: int, parked: RunParked) -> None:
        super().__init__("the child waits")
        self.child = child
        self.until = parked.until
        self.mark = parked.mark
        self.reason = parked.reason


class Runner:
    """Carries out one run. Make it, then await `run()` once."""

    def __init__(
        self,
        equipment: Equipment,
        store: Store,
        agent: Agent,
        run: Run,
        tree: Tree,
        *,
        context: Sequence[Any] = (),
        model: str | None = None,
    ) -> None:
        self._equipment = equipment
        self._store = store
        self._agent = agent
        self._run = run
        self._tree = tree
        self._context = list(context)
        self._model = model or agent.model or equipment.settings.model or equipment.model.default
        self._deadline = 0.0
        self._scribe = Scribe(store, agent, run, equipment.feed, equipment.clock, equipment.till)
        self.host = RunHost(equipment, store, agent, run, tree, self._scribe, self)
        self._thinking = Thinking(equipment, store, agent, run, tree, self._scribe)

    async def run(self) -> Ending:
        """Start the run, or go on with it, carry it to its end and record that.

        Raises:
            RunParked: it waits for something that takes long; that is on disk.
            asyncio.CancelledError: it was stopped from outside; its end is then the stopper's to record.
            RlmdError: the store or the sandbox failed; the run stands unfinished.
        """
        past = self._past()
        seconds = max((self._run.limits.seconds or 0) - past.worked, 1.0)
        self._deadline = time.monotonic() + seconds
        deadline = asyncio.timeout(seconds)
        try:
            async with deadline:
                ending = await self._to_the_end(past)
        except TimeoutError:
            if not deadline.expired():
                raise
            ending = _failed(f"limit: seconds ({self._run.limits.seconds} s of wall time)")
        except (RunFailed, Diverged) as failure:
            ending = _failed(str(failure))
        except Parked as parked:
            place = await self._park(self.host.wake_time, self.host.wait_reason)
            self._freeze(parked.frozen, place)
            raise RunParked(self.host.wake_time, self.host.mark, self.host.wait_reason) from None
        except Spent as spent:
            # Between two steps: nothing of the run is open.
            await self._park(spent.until, spent.reason)
            raise RunParked(spent.until, spent.mark, spent.reason) from None
        finally:
            await self._scribe.close()
        await self.end(ending)
        return ending

    def _freeze(self, frozen: Frozen | None, place: int) -> None:
        """Keep a snapshot, if the step could be frozen, and it is the first block of it."""
        snapshots = self._equipment.snapshots
        if snapshots is not None and frozen is not None and frozen.turn % BLOCKS == 0:
            snapshots.take(self._run.id, place, frozen, self.host.standing())

    async def _park(self, until: datetime | None, reason: str) -> int:
        """Gives the place of the row by which it was parked."""
        data: dict[str, Any] = {"until": None if until is None else until.isoformat(), "reason": reason}
        if self.host.passing and not reason:
            data["passing"] = True

        def work(tx: Transaction) -> tuple[int, Row]:
            tx.runs.park(self._run, until, reason)
            self._count_work(tx)
            place = tx.journal(self._run.id).length() + 1
            return place, Row(kind=EntryKind.WAITING, data=data, step=self.host.step)

        place = await self._scribe.commit(work)
        assert place is not None, "parking gives a place"
        return place

    async def end(self, ending: Ending) -> None:
        """Record the end, after all that waits: the journal's last row. No effect on a run that has ended."""
        data = {"state": ending.state.value, "reason": ending.reason, "result": ending.result}

        def work(tx: Transaction) -> tuple[None, Row | None]:
            if tx.runs.state(self._run.id).ended:
                return None, None
            tx.runs.end(
                self._run,
                ending.state,
                reason=ending.reason,
                result=ending.result,
                origin=self.host.origin,
            )
            withdraw_all(tx, self._run)
            background.ended(tx, self._run, ending.state, ending.reason)
            self._count_work(tx)
            if self._run.parent is None and self._run.start_time is not None:
                # Of a run that was cut off, a child may be left that its program did not come to again.
                for child in tx.runs.below(self._run):
                    end_in(tx, child, RunState.CANCELLED, PARENT_STOPPED)
            return None, Row(kind=EntryKind.ENDED, data=data, step=self.host.step)

        await self._scribe.commit(work)

    def _count_work(self, tx: Transaction) -> None:
        """The time since the last call of a model belongs to the budgets too; a child's is its root's."""
        if self._run.parent is None:
            tx.ledger.work(self._agent.id, self._equipment.today(), self._tree.worked(), self._run.id)

    def _past(self) -> Past:
        if self._run.start_time is None:
            return Past()
        return self._store.read(lambda tx: pasts.read(tx.journal(self._run.id).entries()))

    async def _to_the_end(self, past: Past) -> Ending:
        # A worker takes as long to start as all that the first call of the model needs.
        opening = asyncio.create_task(self._open(past))
        try:
            starting = self._scribe.commit(lambda tx: self._start(tx, past))
            opened = Prompt.open(self._equipment, self._store, self._agent, self._run, self._context)
            _, prompt = await asyncio.gather(starting, opened)
            session, standing = await opening
            gate: Host = self.host
            if standing is not None:
                gate = Thawed(self.host, self._store, past)
            elif past.steps:
                gate = Replay(self.host, self._store, past)
            program = Program(
                self._run,
                self._model,
                host=self.host,
                gate=gate,
                scribe=self._scribe,
                thinking=self._thinking,
                feed=self._equipment.feed,
                standing=standing,
            )
            return await program.carry_out(past, prompt, session)
        finally:
            await _close(opening)

    async def _open(self, past: Past) -> tuple[Session, Standing | None]:
        """A session: in the middle of the step that waited, if there is a snapshot of it; else a new one."""
        sandbox, snapshots = self._equipment.sandbox, self._equipment.snapshots
        limits = Limits(step_seconds=self._equipment.settings.max_step_seconds)
        if snapshots is not None and past.parked_at:
            found = snapshots.use(self._run.id, past.parked_at)
            if found is not None:
                codes = {
                    step.number * BLOCKS + at: code
                    for step in past.steps
                    for at, code in enumerate(step.blocks)
                }
                try:
                    return await sandbox.thaw(self.world(), limits, found[0], codes), found[1]
                except SandboxError as error:
                    log.info("run %s is replayed: %s", self._run.id, error)
        return await sandbox.open(self.world(), limits), None

    def _start(self, tx: Transaction, past: Past) -> tuple[None, Row | None]:
        """Count the attempt before anything of it happens: an event may be poison."""
        run = tx.runs.start(self._run)
        if past.started:
            return None, None if run.parent is None else _going_on(past)
        data = {"model": self._model, "context": self._context, "attempt": run.attempts}
        return None, Row(kind=EntryKind.STARTED, data=data)

    def world(self) -> World:
        """What the run's program finds."""
        return World(
            event=self._event(),
            now=self._equipment.local_now(),
            seed=self._run.seed,
            depth=self._run.limits.depth or 0,
        )

    def _event(self) -> dict[str, Any]:
        event = self._run.event
        fields = {
            "kind": event.kind,
            "channel": event.channel,
            "sender": event.sender,
            "text": event.text,
            "time": event.time.astimezone(self._equipment.zone),
            "attachments": list(event.attachments),
        }
        return fields if self._run.parent is None else {**fields, "context": self._context}

    # -- models: what the host asks for on behalf of the program ----------------------------------

    async def ask_model(self, call: Call, text: str, model: str | None) -> str:
        """`llm` in programs; see `Thinking.ask`. Where a budget is used up it waits until there is more."""
        while True:
            try:
                return await self._thinking.ask(
                    text, self._below(model), step=self.host.step, call=call.number
                )
            except Spent as spent:
                me, mark = self._run.id, spent.mark
                with self.host.resting(call, spent.until, spent.reason, run=me, mark=mark):
                    await self._tree.woken(me, mark, self._equipment.seconds_until(spent.until))

    async def spawn(
        self, call: Call, task: str, context: tuple[Any, ...], max_steps: int | None, model: str | None
    ) -> tuple[Any, int]:
        """A child run with its own REPL; `rlm` in programs. Gives its value and its number.

        If the run had made this child before the daemon stopped, that one goes on, or gives what it came to.

        Raises:
            ChildFailed: says which and why.
        """
        while True:
            try:
                return await self._spawned(call, task, context, max_steps, model)
            except ChildParked as parked:
                child, mark = parked.child, parked.mark
                with self.host.resting(call, parked.until, parked.reason, run=child, mark=mark):
                    await self._tree.woken(child, mark, self._equipment.seconds_until(parked.until))

    async def _spawned(
        self, call: Call, task: str, context: tuple[Any, ...], max_steps: int | None, model: str | None
    ) -> tuple[Any, int]:
        """Carry out the child of a call, as far as it comes. Raises ChildParked, and as `spawn` does."""
        async with self._equipment.child_slots[self._run.depth]:
            # A cancel must not leave a child in the database that nobody carries out.
            child, cancelled = await finish(
                self._store.write(lambda tx: self._child(tx, call, task, self._limits_below(max_steps)))
            )
            runner = Runner(
                self._equipment,
                self._store,
                self._agent,
                child,
                self._tree,
                context=context,
                model=self._below(model),
            )
            if cancelled and not self._tree.suspended:
                await runner.end(Ending(state=RunState.CANCELLED, reason=PARENT_STOPPED))
            if cancelled:
                raise asyncio.CancelledError
            if child.state.ended:
                return _value(child.id, Ending(state=child.state, reason=child.reason, result=child.result))
            working = asyncio.create_task(self._carry_out(runner, child.id), name=f"run {child.id}")
            try:
                with self._tree.child(child.id, working):
                    ending = await working
            except RunParked as parked:
                raise ChildParked(child.id, parked) from None
        return _value(child.id, ending)

    def _child(self, tx: Transaction, call: Call, task: str, limits: RunLimits) -> Run:
        found = tx.runs.child(self._run, call.number)
        if found is not None:
            return found
        return tx.runs.create(
            self._agent,
            kind="rlm",
            text=task,
            limits=limits,
            # What it is passed may be of anything that this run has read.
            origin=self.host.origin,
            parent=self._run,
            parent_call=call.number,
        )

    def _limits_below(self, max_steps: int | None) -> RunLimits:
        own = self._run.limits
        # The step that asks is not over yet: a child of the last step still has one.
        left = (own.steps or 1) - self.host.step + 1
        return RunLimits(
            steps=min(max_steps or left, left),
            depth=(own.depth or 0) - 1,
            seconds=max(int(self._deadline - time.monotonic()), 1),
            model_calls=own.model_calls,
            tokens=own.tokens,
            money=own.money,
        )

    async def _carry_out(self, runner: Runner, child_id: int) -> Ending:
        """Carry out a child; whatever happens, its end is on disk when this is over."""
        try:
            return await runner.run()
        except RunParked:
            raise
        except asyncio.CancelledError:
            if self._tree.suspended:
                raise
            reason = self._tree.stopped(child_id)
            ending = Ending(state=RunState.CANCELLED, reason=reason or PARENT_STOPPED)
            await runner.end(ending)
            if not reason:
                raise
            return ending
        except RlmdError as error:
            await runner.end(_failed(str(error)))
            raise
        except Exception:
            await runner.end(_failed(FAULT))
            raise

    def _below(self, model: str | None) -> str:
        """The model of a sub-call or child."""
        return model or self._agent.sub_model or self._equipment.settings.sub_model or self._model


def _going_on(past: Past) -> Row:
    """A child goes on with its parent: the time between is not its own. A root has been told already."""
    if past.waits:
        return Row(kind=EntryKind.WOKEN, data={}, step=len(past.steps))
    reason = "the daemon stopped; it goes on there"
    return Row(kind=EntryKind.RESTARTED, data={"reason": reason}, step=len(past.steps))


def _failed(reason: str) -> Ending:
    return Ending(state=RunState.FAILED, reason=reason)


def _value(child_id: int, ending: Ending) -> tuple[Any, int]:
    """What a child gives to its parent."""
    if ending.state is not RunState.DONE:
        raise ChildFailed(f"child run {child_id} {ending.state.value}: {ending.reason}")
    return ending.result, child_id


async def _close(opening: asyncio.Task[tuple[Session, Standing | None]]) -> None:
    """Close the session that was opened, if it was."""
    if not opening.done():
        opening.cancel()
        await asyncio.wait([opening])
    if not opening.cancelled() and opening.exception() is None:
        session, _ = opening.result()
        await session.close()
