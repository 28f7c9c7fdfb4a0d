"""What every run works with, and what one tree of runs shares."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import Any, Protocol

from rlmd.daemon.feed import Feed
from rlmd.daemon.models.api import Model
from rlmd.daemon.repl.sandbox import Sandbox
from rlmd.daemon.router import Router
from rlmd.daemon.schedules.bell import Alarm, NoAlarm
from rlmd.errors import Exhausted
from rlmd.memory.clock import Clock
from rlmd.memory.records import Passage, RunLimits
from rlmd.memory.search import Shelf
from rlmd.settings import Settings

MODEL_CALLS_AT_ONCE = 64
"""Calls of models under way in the whole daemon."""
CHILDREN_AT_ONCE = 100
"""Child runs at work on each level of recursion in the whole daemon."""


class Searcher(Protocol):
    """Search as the loop needs it; `rlmd.memory.search.Index` is one."""

    async def search(
        self,
        shelf: Shelf,
        query: str,
        k: int,
        *,
        prefix: str = "",
        after: datetime | None = None,
        before: datetime | None = None,
        exclude: Collection[str] = (),
    ) -> list[Passage]: ...


@dataclass(frozen=True, kw_only=True)
class Equipment:
    """The daemon's parts that runs use."""

    clock: Clock
    zone: tzinfo
    settings: Settings
    model: Model
    sandbox: Sandbox
    searcher: Searcher
    feed: Feed
    router: Router = field(default_factory=Router)
    alarm: Alarm = field(default_factory=NoAlarm)
    model_slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MODEL_CALLS_AT_ONCE))
    child_slots: tuple[asyncio.Semaphore, ...] = field(
        # One a level: children wait only for those below them, never for a parent that waits for them.
        default_factory=lambda: tuple(asyncio.Semaphore(CHILDREN_AT_ONCE) for _ in range(9))
    )

    def local_now(self) -> datetime:
        """The time in the owner's zone."""
        return self.clock.now().astimezone(self.zone)

    def seconds_until(self, moment: datetime | None) -> float | None:
        """Seconds that are left; 0 if it has passed, None if there is no such time."""
        return None if moment is None else max((moment - self.clock.now()).total_seconds(), 0.0)

    def limits(self, wanted: RunLimits) -> RunLimits:
        """Limits of a root run: what the agent asks for, and never more than the daemon allows."""
        own = self.settings
        return RunLimits(
            steps=_least(wanted.steps, own.max_steps),
            depth=_least(wanted.depth, own.max_depth),
            seconds=_least(wanted.seconds, own.max_run_seconds),
            model_calls=_least(wanted.model_calls, own.max_model_calls),
        )


def _least(wanted: int | None, most: int) -> int:
    return most if wanted is None else min(wanted, most)


class Tree:
    """What a root run and all its children share: the calls of models that are left, and who is at work."""

    def __init__(self, model_calls: int, *, used: int = 0) -> None:
        """`used` are the calls that were made before the daemon was started anew."""
        self._left = model_calls - used
        self._limit = model_calls
        self._children: dict[int, asyncio.Task[Any]] = {}
        self._stopped: dict[int, str] = {}
        self._events: defaultdict[int, asyncio.Event] = defaultdict(asyncio.Event)
        self.wakes = 0
        """How often something has happened that a run of the tree may wait for."""
        self.suspended = False
        """Whether the tree is being stopped where it stands, to go on later: then nobody in it ends."""

    def take_call(self) -> None:
        """Take one call of a model before it is made; the one over the limit is never sent.

        Raises:
            Exhausted: none is left.
        """
        if self._left <= 0:
            raise Exhausted(
                f"the limit of {self._limit} model calls for this run and its children is used up",
                field="model_calls",
                remedy="Raise the agent's limit, or do the work with fewer calls.",
            )
        self._left -= 1

    @contextmanager
    def child(self, run_id: int, task: asyncio.Task[Any]) -> Iterator[None]:
        """A child run is at work."""
        self._children[run_id] = task
        try:
            yield
        finally:
            del self._children[run_id]

    def stop(self, run_id: int, reason: str) -> asyncio.Task[Any] | None:
        """Stop a child and those below it; gives its task, or None if it is not at work."""
        task = self._children.get(run_id)
        if task is not None:
            self._stopped[run_id] = reason
            task.cancel()
        return task

    def wake(self, run_ids: Collection[int]) -> None:
        """Something has happened that these runs may wait for: they look for themselves."""
        self.wakes += 1
        for run_id in run_ids:
            self._events[run_id].set()
            self._events[run_id].clear()

    async def woken(self, run_id: int, seconds: float | None) -> None:
        """Wait until the run is woken, or the time is over. What it waits for may also not have happened."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._events[run_id].wait()

    def stopped(self, run_id: int) -> str:
        """Why a child was stopped; empty if nobody asked for that."""
        return self._stopped.get(run_id, "")
