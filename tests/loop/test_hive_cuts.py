"""A question to another agent, cut off at any commit of either side, is asked and answered once.

The whole engine runs in the test's own process, over a store that fails from a certain write on: before the
disk has it, or just after. A second engine on the same house then does what a daemon does at its start.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from rlmd.daemon.feed import Feed
from rlmd.daemon.loop.engine import Engine
from rlmd.daemon.loop.equipment import Equipment
from rlmd.daemon.models.openai import OpenAIModel
from rlmd.daemon.repl.sandbox import Sandbox
from rlmd.memory.clock import SystemClock
from rlmd.memory.records import EntryKind, Run, RunState, User
from rlmd.memory.store import House, Store, Transaction
from rlmd.settings import Settings
from tests.model_server import ModelServer

from .bench import FailingStore, NoSearch
from .runner import py

BOSS = """
from hive import critic
answer = await critic.ask(event.text)
memory.append('heard', answer)
critic.tell('Thanks for ' + event.text)
reply(answer)
"""
CRITIC = """
memory.append('asked', event.text + ';')
reply('good: ' + event.text)
"""


class OneStore(House):
    """A house with one user, all of whose writes go through a store that can be made to fail."""

    only: FailingStore | None = None

    def store(self, user: User) -> Store:
        if self.only is None:
            self.only = FailingStore(self, user)
        return self.only


@dataclass
class World:
    house: OneStore
    store: FailingStore
    equipment: Equipment

    @asynccontextmanager
    async def daemon(self) -> AsyncIterator[Engine]:
        self.store.fails, self.store.left = False, None
        engine = Engine(self.house, self.equipment)
        await engine.start()
        try:
            yield engine
        finally:
            await engine.stop(0)

    def runs(self) -> list[Run]:
        return self.store.read(lambda tx: tx.runs.page())

    async def until_over(self) -> None:
        """Until no run is left, or the store has failed."""
        async with asyncio.timeout(60):
            while not self.store.fails and not all(run.state.ended for run in self.runs()):  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    def left(self, text: str) -> dict[str, Any]:
        """What the question has left in the world, without its text."""

        def read(tx: Transaction) -> dict[str, Any]:
            runs = [run for run in tx.runs.page(most=1000) if text in run.event.text]
            return {
                "runs": sorted((run.agent, run.event.kind, run.state.value) for run in runs),
                "heard": tx.space("boss").get("heard").value.count(f"good: {text}"),
                "asked": tx.space("critic").get("asked").value.count(f"{text};"),
                "calls": [
                    (entry.step, entry.call, entry.name)
                    for run in runs
                    for entry in tx.journal(run.id).entries()
                    if entry.kind is EntryKind.CALL and run.agent == "boss"
                ],
                "said": sum(message.text == f"good: {text}" for message in tx.log("boss").recent(1000)),
            }

        return self.store.read(read)


@asynccontextmanager
async def world(folder: Path, server: ModelServer) -> AsyncIterator[World]:
    clock = SystemClock()
    model = OpenAIModel(base_url=server.url)
    with OneStore.open(folder / "rlmd.db", clock) as house:
        assert isinstance(house, OneStore)
        user = house.write(lambda accounts: accounts.create_user("owner", administrator=True)).result()
        store = house.store(user)
        assert isinstance(store, FailingStore)

        def make(tx: Transaction) -> None:
            tx.hives.create("team")
            tx.hives.grant("team", ["ask", "tell"], rate=1000)
            for name in ("boss", "critic"):
                tx.agents.create(name, model=name)
                tx.hives.join("team", name)

        await store.write(make)
        try:
            async with Sandbox() as sandbox:
                yield World(
                    house,
                    store,
                    Equipment(
                        clock=clock,
                        zone=ZoneInfo("UTC"),
                        settings=Settings(data=folder, model="scripted"),
                        model=model,
                        sandbox=sandbox,
                        searcher=NoSearch(),
                        feed=Feed(),
                    ),
                )
        finally:
            await model.close()


@pytest.mark.slow
@pytest.mark.parametrize("done", [False, True], ids=["not written", "written"])
async def test_cut_off_at_any_commit_of_either_it_is_asked_and_answered_once(
    done: bool, tmp_path: Path, model_server: ModelServer
) -> None:
    model_server.always(py(BOSS), model="boss")
    model_server.always(py(CRITIC), model="critic")
    async with world(tmp_path, model_server) as there:
        whole: dict[str, Any] = {}
        for cut in range(-1, 100):
            text = f"question-{cut + 1:03}"
            async with there.daemon() as engine:
                await engine.accept(there.store, "boss", text=text, channel="chat", sender="owner")
                there.store.left, there.store.tells = (None if cut < 0 else cut), not done
                await there.until_over()
                failed = there.store.fails
            if failed:
                async with there.daemon():
                    await there.until_over()
            left = there.left(text)
            whole = whole or left
            assert left == whole, f"cut off at commit {cut}"
            if cut >= 0 and not failed:
                break
        assert whole["runs"] == [
            ("boss", "message", RunState.DONE.value),
            ("critic", "call", RunState.DONE.value),
            ("critic", "told", RunState.DONE.value),
        ]
        assert (whole["heard"], whole["said"], whole["asked"]) == (1, 1, 2)
        assert cut > 8, "both sides have many commits"
