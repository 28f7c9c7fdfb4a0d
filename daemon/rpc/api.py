"""What the services stand on: the loop, the search, and the facts that the status tells."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any, Protocol

from rlmd.daemon.feed import Feed
from rlmd.daemon.loop.fork import MISSING
from rlmd.daemon.loop.mailbox import Accepted
from rlmd.daemon.loop.rehearse import Rehearsal
from rlmd.daemon.router import Router
from rlmd.daemon.schedules.bell import Alarm
from rlmd.memory.costs import Measure, Period
from rlmd.memory.records import Channel, Origin, Passage, Question, Run, User
from rlmd.memory.search import IndexStatus, Shelf
from rlmd.memory.stops import Stop
from rlmd.memory.store import House, Store


class Engine(Protocol):
    """The loop, as the services see it."""

    @property
    def feed(self) -> Feed:
        """Wakes the watchers of runs."""
        ...

    async def accept(
        self,
        store: Store,
        agent: str,
        *,
        text: str,
        channel: str,
        sender: str,
        request_id: str = "",
        origin: Origin = Origin.OWNER,
    ) -> Accepted:
        """Take a message: it wakes the agent for a run, or answers what a run has asked. Then on disk.

        The same request id gives the same message and run.

        Raises:
            NotFound: no such agent.
            InvalidInput: a bad text, channel, sender or request id.
        """
        ...

    def drop_snapshots(self) -> None:
        """Forget what runs that wait hold in their names; they are replayed when they go on."""
        ...

    async def tidy(self, store: Store, agent: str, request_id: str = "") -> Run:
        """Let an agent go over what is new in its memory. Raises NotFound."""
        ...

    @property
    def router(self) -> Router:
        """Who is connected as which channel."""
        ...

    async def answer(self, store: Store, question_id: int, given: Any, *, by: str, on: str = "") -> Question:
        """Answer a question, so that its run goes on; `on` is the channel on which that was done.

        Raises:
            NotFound: no such question.
            InvalidInput: the answer is not what it asks for.
            PreconditionFailed: it is no longer open.
        """
        ...

    async def settle(
        self, store: Store, channel: Channel, number: int, value: str | None, error: str | None
    ) -> str:
        """Take what a call of a channel's function came to; gives what is wrong with that.

        Raises:
            NotFound: there is no such call of the channel.
            PreconditionFailed: it is over without a result.
        """
        ...

    @property
    def timezone(self) -> str:
        """Name of the owner's time zone, in which times are meant that do not say it."""
        ...

    @property
    def alarm(self) -> Alarm:
        """Who is to be told when a schedule that was made or changed fires next."""
        ...

    async def run_schedule(self, store: Store, schedule_id: int, request_id: str = "") -> Run:
        """Make a run of a schedule at once. Raises PreconditionFailed: it is deleted."""
        ...

    async def replay(self, store: Store, run_id: int) -> Rehearsal:
        """Do a run that is over again, without effects, and compare. Raises PreconditionFailed: it is not."""
        ...

    async def fork(
        self, store: Store, run_id: int, at: int, answer: Any = MISSING, request_id: str = ""
    ) -> Run:
        """Begin a run that shares the past of another up to a call.

        Raises:
            NotFound: no such call.
            InvalidInput: the answer does not fit.
            PreconditionFailed: it is a child.
        """
        ...

    async def cancel(self, store: Store, run_id: int, reason: str) -> Run:
        """Stop a run and its children, and wait, for a bounded time, until they have stopped."""
        ...

    @property
    def default_budgets(self) -> Mapping[tuple[Period, Measure], int]:
        """What each user may use, unless they have set it otherwise."""
        ...

    @property
    def zone(self) -> tzinfo:
        """The owner's."""
        ...

    def today(self) -> str:
        """The day in the owner's zone, like 2026-11-01."""
        ...

    async def budgets_changed(self, store: Store) -> None:
        """Let runs that wait for a budget of this user look whether there is more."""
        ...

    async def cancel_agent(self, store: Store, agent: str, reason: str) -> None:
        """Stop all active runs of an agent."""
        ...

    def stopped(self, user: User) -> Stop | None:
        """What keeps a user's runs from being set to work; None if nothing does."""
        ...

    async def stop_all(self, user: User | None, *, by: str, reason: str) -> tuple[Stop, int]:
        """Stop all runs of a user, or with None of everybody, where they are, until `resume_all`.

        Tells how many were at work.

        Raises:
            Unavailable: it could not be written down; it holds until this daemon ends.
        """
        ...

    async def resume_all(self, user: User | None) -> int:
        """Let all runs of a user, or with None of everybody, go on; tells how many wait for it.

        Raises:
            PreconditionFailed: everybody is stopped, and this is for one user.
        """
        ...


class Searcher(Protocol):
    """The search index, as the services see it."""

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
    ) -> list[Passage]:
        """The best passages, best first, over everything that is committed."""
        ...

    def status(self) -> IndexStatus: ...


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the daemon is; fixed once it listens."""

    version: str
    pid: int
    data: str
    """Its data directory."""
    addresses: Sequence[str] = ()
    """Filled in by the server, which knows the port that a 0 became."""
    model: str
    """One line for people."""
    model_name: str
    embedder: str
    """One line for people."""
    start_time: datetime


@dataclass(frozen=True, kw_only=True)
class Backend:
    """Everything that the services use."""

    house: House
    engine: Engine
    searcher: Searcher
    facts: Facts
