"""Runs whose search or store fails: the first is the program's to catch, after the second the run goes on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import pytest

from rlmd.daemon.feed import Feed
from rlmd.daemon.loop.equipment import Equipment, Tree
from rlmd.daemon.loop.recover import MAX_ATTEMPTS, recover
from rlmd.daemon.loop.run import Runner
from rlmd.daemon.models.openai import OpenAIModel
from rlmd.daemon.repl.sandbox import Sandbox
from rlmd.errors import Unavailable
from rlmd.memory.agents import Agents
from rlmd.memory.clock import SystemClock
from rlmd.memory.records import Entry, EntryKind, Passage, Run, RunLimits, RunState
from rlmd.memory.store import House, Store, Transaction
from rlmd.settings import Settings
from tests.model_server import ModelServer

from .runner import py

T = TypeVar("T")


class NoSearch:
    """An index that is down."""

    async def search(self, *_: Any, **__: Any) -> list[Passage]:
        raise Unavailable("the index is down")


class FailingStore(Store):
    """A store that fails from the moment that it is told to."""

    fails = False

    async def write(self, work: Callable[[Transaction], T]) -> T:
        if self.fails:
            raise Unavailable("the database is gone")
        return await super().write(work)


@dataclass(frozen=True)
class Bench:
    """A run that is about to be carried out, in this process."""

    store: FailingStore
    run: Run
    equipment: Equipment

    def runner(self, run: Run | None = None) -> Runner:
        """What carries the run out; given one that was taken up again, what goes on with that."""
        agent = self.store.read(lambda tx: tx.agents.get("main"))
        return Runner(self.equipment, self.store, agent, run or self.run, Tree(10))

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


async def test_a_run_goes_on_without_search(tmp_path: Path, model_server: ModelServer) -> None:
    model_server.script(
        [
            py("memory.search('anything')"),
            py("try:\n    log.search('x')\nexcept RuntimeError as error:\n    done(str(error))"),
        ]
    )
    async with bench(tmp_path, model_server) as world:
        ending = await world.runner().run()
    assert ending.state is RunState.DONE
    assert "the index is down" in ending.result
    assert "search is not available" in model_server.requests[1].prompt
    assert "Memories that may matter" not in model_server.requests[0].prompt


@pytest.mark.parametrize("call", ["llm('aside')", "rlm('aside')"])
async def test_a_run_whose_store_failed_goes_on_where_it_was(
    call: str, tmp_path: Path, model_server: ModelServer
) -> None:
    async with bench(tmp_path, model_server) as world:

        def fail(_: dict[str, Any]) -> str:
            world.store.fails = True
            return "Aside."

        model_server.script([py(f"memory.set('kept', 1)\nx = await {call}\nmemory.set('after', x)"), fail])
        model_server.script(["Again.", py("done(memory.get('after'))")])
        with pytest.raises(Unavailable, match="the database is gone"):
            await world.runner().run()
        run, _ = world.stands()
        assert run.state is RunState.RUNNING
        world.store.fails = False
        taken_up = await recover(world.store, run.id)
        ending = await world.runner(taken_up).run()
        assert (ending.state, ending.result) == (RunState.DONE, "Again.")
        run, entries = world.stands()
        assert (run.state, run.steps) == (RunState.DONE, 2)
        assert entries[-1].kind is EntryKind.ENDED
        assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
        space = world.store.read(
            lambda tx: {name: tx.space("main").history(name) for name in ("kept", "after")}
        )
        assert {name: len(versions) for name, versions in space.items()} == {"kept": 1, "after": 1}


async def test_an_event_that_takes_the_daemon_down_again_and_again_is_set_aside(
    tmp_path: Path, model_server: ModelServer
) -> None:
    async with bench(tmp_path, model_server) as world:
        await world.store.write(lambda tx: tx.runs.start(world.run))
        for _ in range(MAX_ATTEMPTS - 1):
            again = await recover(world.store, world.run.id)
            assert again is not None
            assert again.state is RunState.QUEUED
            await world.store.write(lambda tx: tx.runs.start(world.run))
        assert await recover(world.store, world.run.id) is None
        run, _ = world.stands()
        assert (run.state, run.attempts) == (RunState.FAILED, MAX_ATTEMPTS)
        assert run.reason.startswith("set aside")
        (told,) = world.store.read(lambda tx: tx.log("main").recent(5))
        assert "set aside" in told.text
