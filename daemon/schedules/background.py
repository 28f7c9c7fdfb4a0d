"""The end of what a schedule began: its fate, and what its channel is told.

Both commit with the end of the run. What the run itself said is on the channel already: each reply committed
when it was made.
"""

from __future__ import annotations

from rlmd.memory.records import Origin, Run, RunState
from rlmd.memory.store import Transaction


def ended(tx: Transaction, run: Run, state: RunState, reason: str) -> None:
    """A run is over. No effect if no schedule began it."""
    if run.event.kind != "schedule" or run.parent is not None:
        return
    tx.schedules.ended(run, state, reason)
    if state is RunState.FAILED:
        tx.log(run.agent).add(
            channel=run.event.channel,
            sender=run.agent,
            text=f"What {run.event.sender} began has failed (run {run.id}): {reason}",
            origin=Origin.AGENT,
            from_agent=True,
            run=run.id,
        )
