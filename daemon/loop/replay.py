"""Answers the calls of a program that is being fed again from its run's journal, and from its end on, live.

    what the journal has     is answered as it was, in the order in which it settled
    what it has half         (a call that was under way) is taken up again by the live host, once the program
                             has got all that the journal says it got: the order is part of its way
    what it has not          is new: the program has come to where it was

The program is the same and every answer is the same, so it takes the same way. If it does not, nobody can
say what its effects mean: the run is stopped and both sides are shown.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection

from rlmd.daemon.repl.api import Call, Outcome
from rlmd.memory.records import Entry
from rlmd.memory.store import Store

from . import restore
from .host import ABANDONED, RunHost
from .past import Past
from .shown import digest

_FAR = frozenset({"memory.get", "memory.slice", "log.step"})
"""Calls whose values are read again and may be large."""


class Diverged(Exception):
    """The program did not do what its journal says it did."""


class Replay:
    """A `Host` for a run that goes on."""

    def __init__(self, live: RunHost, store: Store, past: Past, *, first: int | None = None) -> None:
        """`first`: the step from which on it is fed again; None: after the last that lost its names."""
        first = first or past.kept_from
        self._live = live
        self._store = store
        self._calls = {number: entry for number, entry in past.calls.items() if entry.step >= first}
        self._settled = past.settled
        self._arrived = past.arrived
        self._order = past.order(first)
        self._moved = asyncio.Condition()

    async def call(self, call: Call) -> Outcome:
        entry = self._calls.get(call.number)
        if entry is None:
            return await self._live.call(call)
        self._compare(call, entry)
        self._live.count = max(self._live.count, call.number)
        if restore.settled(entry.data):
            ended = entry
        elif call.number not in self._settled:
            await self._all_delivered()
            if call.number not in self._arrived:
                return await self._live.resume(call, entry)
            ended = self._arrived[call.number]
        else:
            ended = self._settled[call.number]
            await self._turn_of(ended)
            if not call.waits:
                await self._next()
        outcome = await self._outcome(call, ended)
        self._live.remember(call, ended.data)
        return outcome

    def has_outcome(self, number: int) -> bool:
        """Whether the journal has what a call came to."""
        entry = self._calls.get(number)
        return entry is not None and (restore.settled(entry.data) or number in self._settled)

    def made_in(self, step: int) -> int:
        """The number of the last call that was made in a step, or before."""
        return max((number for number, entry in self._calls.items() if entry.step <= step), default=0)

    def skip(self, step: int) -> None:
        """A step is not fed again: its calls are passed over."""
        self._live.count = max(self._live.count, self.made_in(step))
        self._order = deque(number for number in self._order if self._settled[number].step > step)

    async def settle(self, call: Call, outcome: Outcome) -> None:
        if call.number in self._settled:
            await self._next()
        else:
            await self._live.settle(call, outcome)

    async def abandon(self, call: Call) -> None:
        if call.number in self._settled:
            await self._next()
        else:
            await self._live.abandon(call)

    def rests(self, calls: Collection[int]) -> bool:
        return self._live.rests(calls)

    def _compare(self, call: Call, entry: Entry) -> None:
        if (entry.name, entry.data.get("digest")) == (call.name, digest(call)):
            return
        here = f"{call.name} with {_shown(self._live.arguments(call))}"
        there = f"{entry.name} with {_shown(entry.data)}"
        raise Diverged(
            f"diverged: at call {call.number} of step {self._live.step} the program calls {here}, "
            f"but its journal has {there}"
        )

    async def _turn_of(self, later: Entry) -> None:
        """Wait until everything has been delivered that had settled before."""
        async with self._moved:
            await self._moved.wait_for(lambda: bool(self._order) and self._order[0] == later.call)
        if later.data.get("error") == ABANDONED:
            # Its step ended without it; the program must not get what it never got.
            await asyncio.get_running_loop().create_future()

    async def _all_delivered(self) -> None:
        async with self._moved:
            await self._moved.wait_for(lambda: not self._order)

    async def _next(self) -> None:
        async with self._moved:
            self._order.popleft()
            self._moved.notify_all()

    async def _outcome(self, call: Call, entry: Entry) -> Outcome:
        def read() -> Outcome:
            return self._store.read(lambda tx: restore.outcome(tx, self._live.place, call, entry.data))

        return await asyncio.to_thread(read) if call.name in _FAR else read()


class Thawed:
    """A `Host` for a step that goes on from a snapshot: only what was open in it is in the journal."""

    def __init__(self, live: RunHost, store: Store, past: Past) -> None:
        self._live = live
        self._store = store
        self._past = past

    async def call(self, call: Call) -> Outcome:
        entry = self._past.calls.get(call.number)
        if entry is None:
            return await self._live.call(call)
        arrived = self._past.arrived.get(call.number)
        if arrived is None:
            return await self._live.resume(call, entry)
        return self._store.read(lambda tx: restore.outcome(tx, self._live.place, call, arrived.data))

    async def settle(self, call: Call, outcome: Outcome) -> None:
        await self._live.settle(call, outcome)

    async def abandon(self, call: Call) -> None:
        await self._live.abandon(call)

    def rests(self, calls: Collection[int]) -> bool:
        return self._live.rests(calls)


def _shown(data: object) -> str:
    arguments = data.get("args") if isinstance(data, dict) else data
    return repr(arguments)[:500]
