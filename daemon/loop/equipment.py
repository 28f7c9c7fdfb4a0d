"""What every run works with, and what one tree of runs shares."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, tzinfo
from typing import Any, Protocol

from rlmd.daemon.feed import Feed
from rlmd.daemon.models.api import Model
from rlmd.daemon.repl.sandbox import Sandbox
from rlmd.daemon.router import Router
from rlmd.daemon.schedules.bell import Alarm, NoAlarm
from rlmd.errors import Exhausted
from rlmd.memory.clock import Clock
from rlmd.memory.costs import dollars
from rlmd.memory.hive_records import Spent
from rlmd.memory.records import Passage, RunLimits, Usage
from rlmd.memory.search import Part, Shelf
from rlmd.settings import Settings

from .snapshots import Snapshots

MODEL_CALLS_AT_ONCE = 64
"""Calls of models under way in the whole daemon."""
LOOK_SECONDS = 1.0
"""Between two looks whether calls under way have left something, if nobody says so before."""
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

    async def search_parts(
        self,
        parts: Sequence[Part],
        query: str,
        k: int,
        *,
        after: datetime | None = None,
        before: datetime | None = None,
    ) -> list[Passage]: ...


class Till:
    """Tells calls of models that wait for others to leave something when one of them is settled."""

    def __init__(self) -> None:
        self.change = asyncio.Event()
        """Set when the next call is settled; who waits for it takes it before looking."""
        self.unpriced: set[str] = set()
        """Models of which the log has said that nobody knows their price."""

    def settled(self) -> None:
        self.change.set()
        self.change = asyncio.Event()

    async def changed(self, change: asyncio.Event) -> None:
        """Until that, or for a moment."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_SECONDS):
                await change.wait()


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
    snapshots: Snapshots | None = None
    """None: every run that goes on is replayed."""
    router: Router = field(default_factory=Router)
    arrivals: Arrivals = field(default_factory=lambda: Arrivals())
    alarm: Alarm = field(default_factory=NoAlarm)
    till: Till = field(default_factory=Till)
    model_slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MODEL_CALLS_AT_ONCE))
    child_slots: tuple[asyncio.Semaphore, ...] = field(
        # One a level: children wait only for those below them, never for a parent that waits for them.
        default_factory=lambda: tuple(asyncio.Semaphore(CHILDREN_AT_ONCE) for _ in range(9))
    )

    def local_now(self) -> datetime:
        """The time in the owner's zone."""
        return self.clock.now().astimezone(self.zone)

    def today(self) -> str:
        """The day in the owner's zone, like 2026-11-01: budgets are for days of it."""
        return self.local_now().date().isoformat()

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
            tokens=wanted.tokens,
            money=wanted.money,
        )


def _least(wanted: int | None, most: int) -> int:
    return most if wanted is None else min(wanted, most)


def _lower(wanted: int | None, most: int | None, used: int) -> int | None:
    """The lower of a limit and what is left of another; None if there is neither."""
    if most is None:
        return wanted
    return max(most - used, 1) if wanted is None else min(wanted, max(most - used, 1))


class Arrivals:
    """Runs that a program has made for other agents; the engine listens, and takes them up."""

    def __init__(self) -> None:
        self.listener: Callable[[int], None] | None = None

    def push(self, run_ids: Iterable[int]) -> None:
        """These are queued, on disk. Without a listener they wait there."""
        for run_id in run_ids:
            if self.listener is not None:
                self.listener(run_id)


class Tree:
    """What a root run and all its children share: what they may use of models, and who is at work."""

    def __init__(self, limits: RunLimits, *, used: Usage | None = None) -> None:
        """`used` is what was used before the daemon was started anew."""
        used = used or Usage()
        self._limits = limits
        self._calls = used.model_calls
        self._tokens = used.input_tokens + used.output_tokens
        self._money = used.cost
        self._charged = time.monotonic()
        self._children: dict[int, asyncio.Task[Any]] = {}
        self._stopped: dict[int, str] = {}
        self._events: defaultdict[int, asyncio.Event] = defaultdict(asyncio.Event)
        self.elsewhere = Spent()
        """What other agents have used of models to answer the tree's questions."""
        self._wakes: defaultdict[int, int] = defaultdict(int)
        self._wakes_of_all = 0
        self.suspended = False
        """Whether the tree is being stopped where it stands, to go on later: then nobody in it ends."""

    @property
    def counts_money(self) -> bool:
        """Whether what calls cost must be told."""
        return self._limits.money is not None

    def left(self, limits: RunLimits) -> RunLimits:
        """Limits of a run of another agent: no more than is left here.

        Raises:
            Exhausted: nothing is left.
        """
        own, spent = self._limits, self.elsewhere
        self._check_all()
        return replace(
            limits,
            model_calls=_lower(limits.model_calls, own.model_calls, self._calls + spent.model_calls),
            tokens=_lower(limits.tokens, own.tokens, self._tokens + spent.tokens),
            money=_lower(limits.money, own.money, self._money + spent.money),
        )

    def _check_all(self) -> None:
        limits, spent = self._limits, self.elsewhere
        calls, tokens = self._calls + spent.model_calls, self._tokens + spent.tokens
        self._check("model_calls", calls, limits.model_calls or 0, f"{limits.model_calls} model calls")
        if limits.tokens is not None:
            self._check("tokens", tokens, limits.tokens, f"{limits.tokens:,} tokens")
        if limits.money is not None:
            self._check("money", self._money + spent.money, limits.money, dollars(limits.money))

    def take_call(self, tokens: int = 0, money: int = 0) -> None:
        """Take one call of a model before it is made, with what it may cost; none over a limit is ever sent.

        Raises:
            Exhausted: nothing is left; the field says of what.
        """
        self._check_all()
        self._calls += 1
        self.count(tokens, money)

    def give_back(self, tokens: int, money: int) -> None:
        """A call that was taken is not made."""
        self._calls -= 1
        self.count(-tokens, -money)

    def count(self, tokens: int, money: int) -> None:
        """What a call did cost more, or less, than it was taken for."""
        self._tokens += tokens
        self._money += money

    def worked(self) -> int:
        """Microseconds since this was last asked."""
        before, self._charged = self._charged, time.monotonic()
        return round((self._charged - before) * 1_000_000)

    @staticmethod
    def _check(field: str, used: int, most: int, shown: str) -> None:
        if used >= most:
            raise Exhausted(
                f"the limit of {shown} for this run and its children is used up",
                field=field,
                remedy="Raise the agent's limit, or do the work with less.",
            )

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
        for run_id in run_ids:
            self._wakes[run_id] += 1
            self._events[run_id].set()
            self._events[run_id].clear()

    def wake_all(self) -> None:
        """Something has happened that all of them may wait for."""
        self._wakes_of_all += 1
        for event in self._events.values():
            event.set()
            event.clear()

    def wakes(self, run_id: int) -> int:
        """How often something has happened that the run, or one below it, may wait for."""
        return self._wakes_of_all + self._wakes[run_id]

    async def woken(self, run_id: int, mark: int, seconds: float | None) -> None:
        """Wait until the run is woken, or the time is over. What it waits for may also not have happened.

        `mark` is what `wakes` was before it was looked whether to wait: what has happened since counts.
        """
        if self.wakes(run_id) != mark:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._events[run_id].wait()

    def stopped(self, run_id: int) -> str:
        """Why a child was stopped; empty if nobody asked for that."""
        return self._stopped.get(run_id, "")
