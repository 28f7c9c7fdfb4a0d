"""A run that is carried out in the test's own process, over a store and a search that can be made to fail."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from rlmd.daemon.feed import Feed
from rlmd.daemon.loop.equipment import Equipment, Tree
from rlmd.daemon.loop.run import Runner
from rlmd.daemon.models.openai import OpenAIModel
from rlmd.daemon.repl.sandbox import Sandbox
from rlmd.errors import Unavailable
from rlmd.memory.agents import Agents
from rlmd.memory.clock import SystemClock
from rlmd.memory.records import Entry, Passage, Run, RunLimits
from rlmd.memory.store import House, Store, Transaction
from rlmd.settings import Settings
from tests.model_server import ModelServer

T = TypeVar("T")


class NoSearch:
    """An index that is down."""

    async def search(self, *_: Any, **__: Any) -> list[Passage]:
        raise Unavailable("the index is down")

    search_parts = search


class FailingStore(Store):
    """A store that fails from the moment that it is told to, or from a certain write on."""

    fails = False
    left: int | None = None
    """Writes that still succeed; None if all do."""
    tells = True
    """Whether the first write that fails is not done. Else it is done, and nobody hears of it."""

    async def write(self, work: Callable[[Transaction], T]) -> T:
        if self.fails:
            raise Unavailable("the database is gone")
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                self.fails = True
                if not self.tells:
                    await super().write(work)
                raise Unavailable("the database is gone")
        return await super().write(work)


@dataclass(frozen=True)
class Bench:
    """A run that is about to be carried out, in this process."""

    store: FailingStore
    run: Run
    equipment: Equipment

    async def receive(self, text: str) -> Run:
        """Another event, and its run."""
        limits = self.run.limits

        def work(tx: Transaction) -> Run:
            agent = tx.agents.get("main")
            return tx.runs.create(agent, kind="message", text=text, limits=limits, channel="chat")

        return await self.store.write(work)

    def runner(self, run: Run | None = None) -> Runner:
        """What carries the run out; given one that was taken up again, what goes on with that."""
        agent = self.store.read(lambda tx: tx.agents.get("main"))
        return Runner(self.equipment, self.store, agent, run or self.run, Tree(RunLimits(model_calls=10)))

    def stands(self) -> tuple[Run, list[Entry]]:
        return self.store.read(lambda tx: (tx.runs.get(self.run.id), tx.journal(self.run.id).entries()))


@asynccontextmanager
async def bench(folder: Path, server: ModelServer) -> AsyncIterator[Bench]:
    clock = SystemClock()
    with House.open(folder / "rlmd.db", clock) as house:
        user = house.write(lambda accounts: accounts.create_user("owner", administrator=True)).result()
        house.write(lambda accounts: Agents(accounts.connection, accounts.now, user).create("main")).result()
        store = FailingStore(house, user)
        limits = RunLimits(steps=5, depth=1, seconds=30, model_calls=10)

        def receive(tx: Transaction) -> Run:
            agent = tx.agents.get("main")
            return tx.runs.create(agent, kind="message", text="Go.", limits=limits, channel="chat")

        run = await store.write(receive)
        model = OpenAIModel(base_url=server.url)
        try:
            async with Sandbox() as sandbox:
                equipment = Equipment(
                    clock=clock,
                    zone=ZoneInfo("UTC"),
                    settings=Settings(data=folder, model="scripted"),
                    model=model,
                    sandbox=sandbox,
                    searcher=NoSearch(),
                    feed=Feed(),
                )
                yield Bench(store, run, equipment)
        finally:
            await model.close()
