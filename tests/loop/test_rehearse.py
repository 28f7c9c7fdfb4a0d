"""A run that is over is done again without effects and compared; and forked with another answer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import rlmd
from rlmd.clients.records import RunState as State
from rlmd.daemon.loop.rehearse import Rehearsal, rehearse
from rlmd.errors import PreconditionFailed
from rlmd.memory.records import Run, RunState
from rlmd.memory.store import Transaction
from tests.conftest import StartDaemon
from tests.model_server import ModelServer

from .bench import Bench, bench
from .runner import py
from .test_replay import answer
from .test_waiting import wait_until_parked


async def again(world: Bench, run: Run) -> Rehearsal:
    run, agent = world.store.read(lambda tx: (tx.runs.get(run.id), tx.agents.get("main")))
    return await rehearse(world.equipment, world.store, agent, run)


async def test_a_run_is_the_same_again_and_nothing_gets_out(
    tmp_path: Path, model_server: ModelServer
) -> None:
    model_server.always(answer)
    async with bench(tmp_path, model_server) as world:
        run = await world.receive("whole")
        with pytest.raises(PreconditionFailed, match="is queued"):
            await again(world, run)
        assert (await world.runner(run).run()).state is RunState.DONE
        asked = len(model_server.requests)
        before = world.store.read(_all)
        found = await again(world, run)
        assert (found.difference, found.steps) == ("", 3)
        assert found.calls > 15
        assert world.store.read(_all) == before
        assert len(model_server.requests) == asked


async def test_the_first_difference_is_told_with_both_sides(
    tmp_path: Path, model_server: ModelServer
) -> None:
    model_server.script([py("print(1 + 1)\nmemory.set('a', 1)"), py("done(2)")])
    async with bench(tmp_path, model_server) as world:
        assert (await world.runner().run()).state is RunState.DONE
        assert (await again(world, world.run)).difference == ""

        def alter(tx: Transaction) -> None:
            _alter(tx, world.run, "full", lambda text: text.replace("\n2", "\n3"))

        await world.store.write(alter)
        difference = (await again(world, world.run)).difference
        assert difference == "step 1 shows '2', but its journal has '3'"


def test_a_fork_shares_the_past_and_gets_another_answer(
    start_daemon: StartDaemon, model_server: ModelServer
) -> None:
    model_server.script(
        [
            py("import random\nluck = random.random()\nmemory.append('log', 'x')"),
            py("name = await ask('Who?', ['Ann', 'Bob'])\nmemory.set('guest', name)\nreply([name, luck])"),
        ]
    )
    daemon = start_daemon(model_server)
    with rlmd.connect(data=daemon.data) as client:
        agent = client.agent()
        run = agent.send("Invite.")
        wait_until_parked(run)
        client.questions.answer("1", "Ann")
        whole = run.wait()
        said = json.loads(agent.log.recent(1)[0].text)
        forked = run.fork(2, "bob").wait()
        assert (whole.state, forked.state, forked.step_count) == (State.DONE, State.DONE, 2)
        assert json.loads(agent.log.recent(1)[0].text) == ["Bob", said[1]], "randomness is part of the past"
        assert agent.memory.get("log") == "x", "the past is done once"
        assert [v.number for v in agent.memory.history("guest")] == [1, 2]
        # Without an answer it is asked anew.
        third = run.fork(2)
        wait_until_parked(third)
        (question,) = client.questions.list()
        assert (question.run, question.text) == (third.id, "Who?")
        client.questions.answer(question.id, "Ann")
        assert third.wait().state is State.DONE
        for at, given, error, what in (
            (99, "Ann", rlmd.NotFound, "has no call 99"),
            (2, "Carol", rlmd.InvalidInput, "does not answer it"),
            (1, "y", rlmd.InvalidInput, "has no answer"),
        ):
            with pytest.raises(error, match=what):
                run.fork(at, given)
        assert run.replay().equal
        assert third.replay().equal
    assert len(model_server.requests) == 2, "the past was not asked for again"


def _all(tx: Transaction) -> object:
    space = tx.space("main")
    return (
        {name: [v.number for v in space.history(name)] for name in space.names()},
        [message.id for message in tx.log("main").recent(100)],
        [run.id for run in tx.runs.page(children=True)],
    )


def _alter(tx: Transaction, run: Run, key: str, change: object) -> None:
    assert callable(change)
    for row in tx.journal(run.id).entries():
        if key in row.data:
            data = json.dumps({**row.data, key: change(row.data[key])}).encode()
            tx._connection.exec_driver_sql(
                "UPDATE journal SET inline = ?, root = NULL WHERE run_id = ? AND seq = ?",
                (data, run.id, row.seq),
            )
            return
