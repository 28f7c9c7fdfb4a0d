"""Writes a run's journal, with as few commits as the promise allows.

What changes nothing outside the run (a read, a step's text, what it cost) may wait for the next commit: what
nobody has seen may be done again. An effect and its own row commit together with all that waits,
in the order in which it happened. What waits and has cost money waits for `SOON_SECONDS` at most: a step
that takes long would otherwise be paid twice after a crash.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from rlmd.daemon.feed import Feed
from rlmd.errors import RlmdError
from rlmd.memory import crash
from rlmd.memory.clock import Clock
from rlmd.memory.journal import Journal
from rlmd.memory.records import Agent, Entry, EntryKind, Run
from rlmd.memory.store import Store, Transaction

from .budgets import Charge, settle
from .equipment import Till

log = logging.getLogger(__name__)

T = TypeVar("T")

SOON_SECONDS = 0.02
"""A short step ends sooner, and one commit does for all of it."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of the journal that is to be written."""

    kind: EntryKind
    data: Mapping[str, Any]
    step: int = 0
    call: int = 0
    name: str = ""
    time: datetime | None = field(default=None)

    def write(self, journal: Journal) -> Entry:
        return journal.add(
            self.kind, self.data, step=self.step, call=self.call, name=self.name, time=self.time
        )


class _Place:
    """Where in the order of what waits a commit stands that has not had its turn."""


class Scribe:
    """The pen of one run."""

    def __init__(self, store: Store, agent: Agent, run: Run, feed: Feed, clock: Clock, till: Till) -> None:
        self._store = store
        self._agent = agent
        self._run = run
        self._feed = feed
        self._clock = clock
        self._till = till
        self._waiting: list[Row | Charge | _Place] = []
        # Rows stand in the order in which they happened, so two commits of a run never race.
        self._turn = asyncio.Lock()
        self._soon: asyncio.Task[None] | None = None

    def note(
        self, kind: EntryKind, data: Mapping[str, Any], *, step: int, call: int = 0, name: str = ""
    ) -> None:
        """A row that may wait for the next commit."""
        self._waiting.append(
            Row(kind=kind, data=data, step=step, call=call, name=name, time=self._clock.now())
        )

    def charge(self, charge: Charge) -> None:
        """What a model was paid; enters the ledger with the next commit."""
        self._waiting.append(charge)

    def commit_soon(self) -> None:
        """Commit what waits in a moment, unless another commit takes it along before."""

        async def later() -> None:
            await asyncio.sleep(SOON_SECONDS)
            # What could not be written goes on waiting, and the next commit says why it cannot.
            with contextlib.suppress(RlmdError):
                await self.commit()

        if self._soon is None or self._soon.done() or self._soon.cancelling():
            self._soon = asyncio.create_task(later(), name=f"commit of run {self._run.id}")

    async def close(self) -> None:
        """Stop what was to be committed soon; the run is over, or stands as it is on disk."""
        if self._soon is not None:
            self._soon.cancel()
            await asyncio.wait([self._soon])

    async def commit(self, work: Callable[[Transaction], tuple[T, Row | None]] | None = None) -> T | None:
        """Put all that waits on disk, with `work` and the row that it gives, in one transaction.

        If `work` raises, nothing is written and what waits goes on waiting.
        """
        # What is noted from here on stands behind the row of this commit, whenever its turn comes.
        place = _Place()
        self._waiting.append(place)
        try:
            async with self._turn:
                return await self._commit(place, work)
        finally:
            if place in self._waiting:
                self._waiting.remove(place)

    @property
    def _unwritten(self) -> bool:
        return any(not isinstance(item, _Place) for item in self._waiting)

    async def _commit(
        self, place: _Place, work: Callable[[Transaction], tuple[T, Row | None]] | None
    ) -> T | None:
        # Turns come in the order of the places: none is in front of ours.
        waiting = [
            item for item in self._waiting[: self._waiting.index(place)] if not isinstance(item, _Place)
        ]
        if not waiting and work is None:
            return None

        def write(transaction: Transaction) -> tuple[T | None, list[Entry]]:
            journal = transaction.journal(self._run.id)
            entries = []
            for earlier in waiting:
                if isinstance(earlier, Row):
                    entries.append(earlier.write(journal))
                else:
                    settle(transaction, self._agent, self._run, earlier)
            result = None
            if work is not None:
                result, row = work(transaction)
                if row is not None:
                    entries.append(row.write(journal))
            for entry in entries:
                crash.reached(f"before {entry.kind.value}", entry.name)
            return result, entries

        # A cancel must not leave it unknown whether the rows are written: they would come twice.
        (result, entries), cancelled = await finish(self._store.write(write))
        for entry in entries:
            crash.reached(f"after {entry.kind.value}", entry.name)
        del self._waiting[: self._waiting.index(place)]
        if self._soon is not None and self._soon is not asyncio.current_task() and not self._unwritten:
            self._soon.cancel()
        if any(isinstance(each, Charge) for each in waiting):
            self._till.settled()
        self._feed.push(self._run.id, *entries)
        if cancelled:
            raise asyncio.CancelledError
        return result


async def finish(work: Coroutine[Any, Any, T]) -> tuple[T, bool]:
    """Await work to its end although we are cancelled meanwhile; tells whether that was so.

    Raises:
        asyncio.CancelledError: we were cancelled, and the work failed.
    """
    task = asyncio.ensure_future(work)
    cancelled = False
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            cancelled = True
    if cancelled and (error := task.exception()) is not None:
        raise asyncio.CancelledError from error
    return task.result(), cancelled
