"""A run that is cut off at any of its commits, before or after the disk has it, comes to the same end.

Memory effects are had once, what was recorded is not asked for again, and a program that does not do again
what its journal says is stopped and shown.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rlmd.daemon.loop.recover import recover
from rlmd.errors import Unavailable
from rlmd.memory.records import EntryKind, Run, RunState
from rlmd.memory.store import Transaction
from tests.model_server import ModelServer, Text

from .bench import Bench, bench
from .runner import py

STEPS = [
    # Effects, reads, randomness and the clock; a call that is refused; an error that is caught.
    """
import random
from datetime import datetime
p = event.text
memory.set(p + '/a', {'n': 1})
memory.append(p + '/log', 'x')
try:
    memory.set(p + '/a', 2, expect=7)
except RuntimeError as error:
    memory.append(p + '/log', 'y')
try:
    memory.set(3, 4)
except TypeError:
    pass
dice = [random.random(), random.random()]
now = datetime.now()
print('one')
""",
    # Calls that settle in another order than they were made, one that nobody awaits, and a sleep.
    """
never = llm('forgotten')
answers = await asyncio.gather(llm('slow ' + p), llm('quick ' + p), rlm('child ' + p, [1, 2]))
await asyncio.sleep(0.01)
memory.append(p + '/log', 'z')
old = memory.get(p + '/a')
memory.set(p + '/a', [answers, dice, now.isoformat()], note='all of it')
history = [(v.version, v.note) for v in memory.history(p + '/a')]
""",
    """
import time
time.sleep(0.001)
assert memory.get(p + '/log') == 'xyz', memory.get(p + '/log')
memory.delete(p + '/log')
assert random.random() not in dice
reply([old, history, answers])
done(answers)
""",
]
CHILD = """
memory.set('of/' + event.text, event.context)
done(event.context[0][1])
"""


def answer(body: dict[str, Any]) -> Text:
    """What the model says, which hangs on nothing but what it is shown."""
    messages = body["messages"]
    shown = messages[-1]["content"]
    if messages[0]["content"].startswith("This is a sub-call"):
        return Text(shown.upper())
    if messages[0]["content"].startswith("You are a child"):
        return Text(py(CHILD))
    return Text(py(STEPS[(len(messages) - 2) // 2]))


async def to_the_end(world: Bench, run: Run) -> dict[str, Any]:
    """Carry out a run, as often as it takes, and give what it has left in the world."""
    ending = await world.runner(run).run()
    assert ending.state is RunState.DONE, ending.reason
    return world.store.read(lambda tx: _left(tx, run))


async def go_on(world: Bench, run: Run) -> dict[str, Any]:
    """As `to_the_end`, for a run that was cut off, perhaps just after its end."""
    taken_up = await recover(world.store, run.id)
    if taken_up is not None:
        return await to_the_end(world, taken_up)
    if world.store.read(lambda tx: tx.runs.get(run.id)).state.ended:
        return world.store.read(lambda tx: _left(tx, run))
    return await to_the_end(world, run)


def _left(tx: Transaction, run: Run) -> dict[str, Any]:
    text = run.event.text
    space = tx.space("main")
    names = [f"{text}/a", f"{text}/log", f"of/child {text}"]
    return {
        "memory": {
            name.replace(text, "*"): [
                (version.number, version.kind, version.note, version.author.step, version.author.call)
                for version in space.history(name)
            ]
            for name in names
        },
        "said": [m.text.replace(text.upper(), "*") for m in tx.log("main").recent(50) if m.run == run.id],
        "calls": [
            (entry.step, entry.call, entry.name)
            for entry in tx.journal(run.id).entries()
            if entry.kind is EntryKind.CALL
        ],
        "children": [each.state for each in tx.runs.page(children=True) if each.parent == run.id],
    }


@pytest.mark.parametrize("done", [False, True], ids=["not written", "written"])
async def test_a_run_cut_off_at_any_commit_comes_to_the_same_end(
    done: bool, tmp_path: Path, model_server: ModelServer
) -> None:
    model_server.always(answer)
    async with bench(tmp_path, model_server) as world:
        whole = await to_the_end(world, await world.receive("whole"))
        (said,) = whole["said"]
        assert json.loads(said) == [{"n": 1}, [[1, ""], [2, "all of it"]], ["SLOW *", "QUICK *", 2]]
        asked = len(model_server.requests)
        for cut in range(100):
            run = await world.receive(f"cut{cut}")
            world.store.left, world.store.tells = cut, not done
            before = len(model_server.requests)
            try:
                await world.runner(run).run()
            except Unavailable:
                world.store.fails, world.store.left = False, None
            else:
                world.store.left = None
                break
            left = await go_on(world, run)
            assert left == whole, f"cut off at commit {cut}"
            paid = len(model_server.requests) - before
            assert paid <= asked + 4, "only what was under way when it was cut off is asked for again"
        assert cut > 10, "the run has many commits"


async def test_a_program_that_does_something_else_is_stopped_and_both_sides_are_shown(
    tmp_path: Path, model_server: ModelServer
) -> None:
    async with bench(tmp_path, model_server) as world:

        def fail(_: dict[str, Any]) -> str:
            world.store.fails = True
            return "Waited."

        model_server.script([py("memory.set('a', 1)\nx = await llm('wait')"), fail])
        with pytest.raises(Unavailable):
            await world.runner().run()
        world.store.fails = False

        def alter(tx: Transaction) -> None:
            """As if the interpreter or the daemon had changed what the program does."""
            run = tx.runs.get(world.run.id)
            rows = tx.journal(run.id).entries()
            (call,) = (row for row in rows if row.name == "memory.set")
            data = json.dumps({**call.data, "digest": "0" * 32}).encode()
            tx._connection.exec_driver_sql(
                "UPDATE journal SET inline = ? WHERE run_id = ? AND seq = ?", (data, run.id, call.seq)
            )

        await world.store.write(alter)
        ending = await world.runner(await recover(world.store, world.run.id)).run()
        assert ending.state is RunState.FAILED
        assert ending.reason.startswith("diverged: at call 1 of step 1 the program calls memory.set")
        assert "but its journal has memory.set" in ending.reason
