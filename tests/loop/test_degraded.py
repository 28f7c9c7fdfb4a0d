"""Runs whose search or store fails: the first is the program's to catch, after the second the run goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rlmd.daemon.loop.recover import MAX_ATTEMPTS, recover
from rlmd.errors import Unavailable
from rlmd.memory.records import EntryKind, RunState
from tests.model_server import ModelServer

from .bench import bench
from .runner import py


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
