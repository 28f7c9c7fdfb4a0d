"""What a schedule began, at its end: it is told on its channel, and its fate is known.

What a run has to say goes to the channel at once, or, in hours in which its agent must not disturb, when
those end, once. Its fate commits with the last of both: the end of the run, and what it had to say.
"""

from __future__ import annotations

from collections.abc import Mapping

from rlmd.memory.quiet import quiet_until
from rlmd.memory.records import Agent, Origin, Run, RunState
from rlmd.memory.settling import woken_by_agent
from rlmd.memory.store import Transaction


def say(tx: Transaction, agent: Agent, run: Run, text: str, origin: Origin) -> Mapping[str, int]:
    """Say something for a run, now or when that does not disturb; gives what the journal keeps of it."""
    until = quiet_until(agent.quiet, tx.now) if _began(run) else None
    if until is not None:
        return {"held": tx.deliveries.hold(agent, run, text, origin=origin, until=until)}
    message = tx.log(agent.name).add(
        channel=run.event.channel,
        sender=agent.name,
        text=text,
        origin=origin,
        from_agent=True,
        run=run.id,
        # Another agent is told by the end of the run; a channel of its name is somebody else.
        post=not woken_by_agent(run),
    )
    return {"message": message.id}


def ended(tx: Transaction, run: Run, state: RunState, reason: str) -> None:
    """A run is over. No effect if no schedule began it."""
    if not _began(run):
        return
    if state is RunState.FAILED:
        text = f"What {run.event.sender} began has failed (run {run.id}): {reason}"
        say(tx, tx.agents.get(run.agent), run, text, Origin.AGENT)
    until = tx.deliveries.until(run.id)
    if until is None:
        tx.schedules.ended(run, state, reason)


def deliver(tx: Transaction, delivery: int) -> None:
    """Tell what was held back. No effect if it was told."""
    held = tx.deliveries.take(delivery)
    if held is None:
        return
    tx.log(held.agent).add(
        channel=held.channel,
        sender=held.agent,
        text=held.text,
        origin=held.origin,
        from_agent=True,
        run=held.run,
    )
    run = tx.runs.get(held.run)
    if run.state.ended and tx.deliveries.until(run.id) is None:
        tx.schedules.ended(run, run.state, run.reason)


def _began(run: Run) -> bool:
    return run.event.kind == "schedule" and run.parent is None
