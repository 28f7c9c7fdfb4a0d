"""A run that is over, done again from its journal without any effect: is it the same?

Every step is fed to a new sandbox, every call answered as it was, and what each step showed is compared with
what the journal says that it showed. What is found is the first difference, or none.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from rlmd.daemon.repl.api import Call, Limits, Outcome, StepResult
from rlmd.daemon.repl.session import Session
from rlmd.errors import PreconditionFailed
from rlmd.memory.blanking import refuse_purged
from rlmd.memory.records import Agent, Run, RunLimits
from rlmd.memory.store import Store

from . import past as pasts
from .equipment import Equipment, Tree
from .host import RunHost
from .observe import observe
from .past import Past, PastStep
from .program import BLOCKS
from .replay import Diverged, Replay
from .run import Runner


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """What a replay found."""

    difference: str
    """The first one, in words with both sides; empty if the program did the same again."""
    steps: int
    """Steps that were done again."""
    calls: int
    """Calls that were answered from the journal."""
    seconds: float


class Closed(Replay):
    """A host that answers from the journal alone: nothing that a program does gets out."""

    def __init__(self, live: RunHost, store: Store, past: Past) -> None:
        super().__init__(live, store, past, first=1)
        self.answered = 0

    async def call(self, call: Call) -> Outcome:
        if not self.has_outcome(call.number):
            raise Diverged(
                f"diverged: at call {call.number} of step {self._live.step} the program calls {call.name}, "
                "but its journal has no outcome of that"
            )
        self.answered += 1
        return await super().call(call)

    def rests(self, calls: Collection[int]) -> bool:
        return False


async def rehearse(equipment: Equipment, store: Store, agent: Agent, run: Run) -> Rehearsal:
    """Do a run again, without effects.

    Raises:
        PreconditionFailed: it is not over.
    """
    if not run.state.ended:
        raise PreconditionFailed(
            f"run {run.id} is {run.state.value}",
            field="name",
            remedy="Wait until it has ended, or cancel it.",
        )
    began = time.monotonic()
    entries = store.read(lambda tx: tx.journal(run.id).entries())
    refuse_purged(run, entries)
    past = pasts.read(entries)
    runner = Runner(equipment, store, agent, run, Tree(RunLimits()), context=pasts.context(entries))
    runner.host.count = 0
    closed = Closed(runner.host, store, past)
    session = await equipment.sandbox.open(
        runner.world(), Limits(step_seconds=equipment.settings.max_step_seconds)
    )
    done = 0
    difference = ""
    try:
        for step in past.steps:
            if step.observation is None:
                continue
            if step.lost:
                # A limit had stopped it, or the sandbox had died: what it came to is not the program's doing.
                await session.close()
                closed.skip(step.number)
                continue
            difference = await _again(step, runner.host, closed, session)
            done += 1
            if difference:
                break
    except Diverged as found:
        difference = str(found)
    finally:
        await session.close()
    return Rehearsal(
        difference=difference, steps=done, calls=closed.answered, seconds=time.monotonic() - began
    )


async def _again(step: PastStep, host: RunHost, closed: Closed, session: Session) -> str:
    """Do a step again; gives what differs from what it showed."""
    assert step.observation is not None
    host.begin(step.number)
    results: list[StepResult] = []
    for at, code in enumerate(step.blocks[: step.ran]):
        turn = step.number * BLOCKS + at
        results.append(
            await session.run_step(code, closed, host.count + 1, turn=turn, checked=True, there=step.there)
        )
    made = closed.made_in(step.number)
    if host.count < made:
        return f"in step {step.number} the program made {host.count} calls, but its journal has {made}"
    if not results or step.ran < len(step.blocks):
        return ""
    shown = observe(step.number, results, blocks=len(step.blocks), effects=host.effects)
    return _difference(step.number, shown.full, step.observation.full)


def _difference(number: int, now: str, then: str) -> str:
    lines: Sequence[tuple[str, str]] = list(zip(now.splitlines(), then.splitlines(), strict=False))
    for here, there in lines:
        if here != there:
            return f"step {number} shows {here[:200]!r}, but its journal has {there[:200]!r}"
    if len(now) < len(then):
        return f"step {number} shows less than its journal has: {then[len(now) :][:200]!r} is missing"
    return ""
