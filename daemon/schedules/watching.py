"""Conditions: a few lines of Python that say whether a schedule is to act.

They run in the sandbox, as the steps of runs do, but they only read: memory, the log and the clock. No model
is asked, nothing is written, and nothing is kept of it but whether it was true.
"""

from __future__ import annotations

from collections.abc import Collection

from rlmd.daemon.loop import calls
from rlmd.daemon.loop.calls import Place
from rlmd.daemon.loop.equipment import Equipment
from rlmd.daemon.repl.api import Call, Limits, Outcome, Raised, Returned, World
from rlmd.errors import Exhausted, PermissionDenied, RlmdError
from rlmd.memory.records import Schedule
from rlmd.memory.store import Store

LIMITS = Limits(
    step_seconds=5.0,
    memory_bytes=64 * 1024 * 1024,
    calls_per_step=1_000,
    sleep_seconds=1.0,
    output_chars=2_000,
)
"""Of one look."""


class ConditionFailed(Exception):
    """A condition did not come to an end; the message says why."""


async def holds(equipment: Equipment, store: Store, schedule: Schedule) -> bool:
    """Whether the condition of a schedule is true now: the value of its last line.

    Raises:
        ConditionFailed: it has a fault, or met a limit.
        RlmdError: the sandbox or the store failed.
    """
    agent = store.read(lambda tx: tx.agents.get(schedule.agent))
    place = Place(user=store.user.name, whose=agent, zone=equipment.zone, run=0)
    event = {
        "kind": "watch",
        "channel": schedule.channel,
        "sender": f"schedule {schedule.label}",
        "text": schedule.text,
        "time": equipment.local_now(),
        "attachments": [],
    }
    world = World(event=event, now=equipment.local_now(), seed=schedule.id, depth=0)
    session = await equipment.sandbox.open(world, LIMITS)
    try:
        result = await session.run_step(schedule.condition, Reader(equipment, store, place), 1)
    finally:
        await session.close()
    if result.fault is not None:
        raise ConditionFailed(f"its condition failed: {result.fault.type}: {result.fault.message}")
    return bool(result.value)


class Reader:
    """A `Host` that only reads."""

    def __init__(self, equipment: Equipment, store: Store, place: Place) -> None:
        self._equipment = equipment
        self._store = store
        self._place = place

    async def call(self, call: Call) -> Outcome:
        if call.name in ("sys.now", "sys.time"):
            now = self._equipment.local_now()
            return Returned(now if call.name == "sys.now" else now.timestamp())
        read = calls.READS.get(call.name)
        if read is None or call.name == "log.step":
            reason = f"{call.name} is not offered to a condition"
            return Raised(PermissionDenied(reason, field="condition", remedy="It may only read."))
        try:
            answer = self._store.read(lambda tx: read(tx, self._place, *call.args, **call.kwargs))
        except Exhausted:
            raise
        except (RlmdError, ValueError, TypeError, LookupError) as error:
            return Raised(error)
        return Returned(answer.value)

    async def settle(self, call: Call, outcome: Outcome) -> None:
        """Nothing is kept."""

    async def abandon(self, call: Call) -> None:
        """Nothing is kept."""

    def rests(self, calls: Collection[int]) -> bool:
        return False
