"""What becomes of runs that a daemon left unfinished, by a crash or a stop in the middle.

They go on: the run is put back into the mailbox, and whoever takes it up replays its journal. An event that
took the daemon down several times without getting a step further is set aside, and its channel is told.
"""

from __future__ import annotations

from rlmd.daemon.schedules import background
from rlmd.memory.records import Entry, EntryKind, Origin, Run, RunState
from rlmd.memory.store import Store, Transaction

from .asking import withdraw_all

MAX_ATTEMPTS = 5
"""Times that an event is taken up without getting a step further."""


async def recover(store: Store, run_id: int) -> Run | None:
    """Deal with one unfinished root run; gives it back if it is to be carried out (on)."""
    return await store.write(lambda tx: _recover(tx, run_id))


def _recover(tx: Transaction, run_id: int) -> Run | None:
    run = tx.runs.get(run_id)
    if run.state is not RunState.RUNNING:
        return run if run.state is RunState.QUEUED else None
    journal = tx.journal(run_id)
    entries = journal.entries()
    attempts = _attempts(run, entries)
    if attempts >= MAX_ATTEMPTS:
        reason = f"set aside: the daemon stopped {attempts} times while it was at work on this event"
        for member in [*tx.runs.below(run), run]:
            end_in(tx, member, RunState.FAILED, reason)
        _tell(tx, run, reason)
        return None
    where = f"after call {run.calls} in step {run.steps}" if run.steps else "before its first step"
    data = {"reason": f"the daemon stopped {where}; it goes on there", "attempt": attempts}
    journal.add(EntryKind.RESTARTED, data, step=run.steps)
    tx.runs.requeue(run, attempts=attempts)
    return tx.runs.get(run_id)


def _attempts(run: Run, entries: list[Entry]) -> int:
    """How often it was taken up since it last got a step further."""
    last = next((entry for entry in reversed(entries) if entry.kind is EntryKind.RESTARTED), None)
    return run.attempts if last is None or last.step == run.steps else 1


def end_in(tx: Transaction, run: Run, state: RunState, reason: str) -> None:
    """Record the end of a run that is not at work."""
    data = {"state": state.value, "reason": reason, "result": None}
    tx.journal(run.id).add(EntryKind.ENDED, data, step=run.steps)
    tx.runs.end(run, state, reason=reason)
    withdraw_all(tx, run)
    background.ended(tx, run, state, reason)


def _tell(tx: Transaction, run: Run, reason: str) -> None:
    tx.log(run.agent).add(
        channel=run.event.channel,
        sender=run.agent,
        text=f"I was interrupted: {reason}. Tell me if I should go on.",
        origin=Origin.AGENT,
        from_agent=True,
        run=run.id,
    )
