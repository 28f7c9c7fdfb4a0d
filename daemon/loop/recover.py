"""What becomes of runs that a daemon left unfinished, by a crash or a stop in the middle.

The names of its REPL are gone. A run that had changed nothing yet begins again from its event: nobody
can tell the difference. One that had is ended as failed and says, on its channel too, what it had
done; to repeat it could do that twice. An event that took the daemon down several times is set aside.
"""

from __future__ import annotations

from rlmd.memory.records import Entry, EntryKind, Origin, Run, RunState
from rlmd.memory.store import Store, Transaction

from .calls import WRITES
from .tokens import listed

MAX_ATTEMPTS = 5
EFFECTS = frozenset({*WRITES, "reply"})


async def recover(store: Store, run_id: int) -> Run | None:
    """Deal with one unfinished run; gives it back if it is to be carried out (again)."""
    return await store.write(lambda tx: _recover(tx, run_id))


def _recover(tx: Transaction, run_id: int) -> Run | None:
    run = tx.runs.get(run_id)
    if run.state.ended or run.state is RunState.QUEUED:
        return run if run.state is RunState.QUEUED else None
    done = [
        _told(entry)
        for member in _tree(tx, run)
        for entry in tx.journal(member).entries()
        if entry.name in EFFECTS and "result" in entry.data and (entry.name != "reply" or member == run_id)
    ]
    if run.parent is not None:
        _end(tx, run, "the daemon stopped while this child was at work")
    elif run.attempts >= MAX_ATTEMPTS:
        reason = f"set aside: the daemon stopped {run.attempts} times while it was at work on this event"
        _end(tx, run, reason)
        _tell(tx, run, reason)
    elif done:
        reason = f"the daemon stopped in step {run.steps}, after this had taken effect: {listed(done, '; ')}"
        _end(tx, run, reason)
        _tell(tx, run, reason)
    else:
        tx.journal(run_id).add(
            EntryKind.RESTARTED,
            {"reason": "the daemon stopped before anything had taken effect"},
            step=run.steps,
        )
        tx.runs.requeue(run)
        return tx.runs.get(run_id)
    return None


def _tree(tx: Transaction, root: Run) -> list[int]:
    """A root run and all below it, which are younger: what a child did, the run did."""
    found: list[int] = [root.id]
    before: int | None = None
    while page := tx.runs.page(agent=root.agent, children=True, before=before):
        found += [run.id for run in page if run.root == root.id and run.id != root.id]
        before = page[-1].id
        if before <= root.id:
            break
    return found


def _told(entry: Entry) -> str:
    result = entry.data["result"]
    if entry.name == "reply":
        return f"a reply (call {entry.call})"
    return f"{entry.name} {result['variable']} -> version {result['version']} (call {entry.call})"


def _end(tx: Transaction, run: Run, reason: str) -> None:
    data = {"state": RunState.FAILED.value, "reason": reason, "result": None}
    tx.journal(run.id).add(EntryKind.ENDED, data, step=run.steps)
    tx.runs.end(run, RunState.FAILED, reason=reason)


def _tell(tx: Transaction, run: Run, reason: str) -> None:
    tx.log(run.agent).add(
        channel=run.event.channel,
        sender=run.agent,
        text=f"I was interrupted: {reason}. Tell me if I should go on.",
        origin=Origin.AGENT,
        from_agent=True,
        run=run.id,
    )
