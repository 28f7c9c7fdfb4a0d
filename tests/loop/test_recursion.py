"""Recursion at work: a hundred children at once, what they may use, what they cost, and how they stop."""

from __future__ import annotations

import re
import time
from typing import Any

import rlmd
from rlmd.clients.records import Limits, RunInfo, RunState
from tests.daemon_process import DaemonProcess
from tests.model_server import Exchange, Item, ModelServer, Slow, Status

from .runner import py

CONFIG = {"max_depth": 4}
"""Of the daemon: what no agent may exceed."""

MANY = 100
SLOWEST = 2.0
"""Seconds of the slowest child's model; the last child is the fastest."""


def number(body: dict[str, Any]) -> int:
    """Which child asks: its task ends in its number."""
    found = re.search(r"part (\d+)\.", body["messages"][1]["content"])
    assert found is not None
    return int(found.group(1))


def in_reverse(body: dict[str, Any]) -> Item:
    """Child 0 takes longest."""
    n = number(body)
    return Slow(SLOWEST * (1 - n / MANY), py(f"done({n} * 10 + event.context[0])"))


def of(server: ModelServer, *models: str) -> list[Exchange]:
    """The requests of these models."""
    return [request for request in server.requests if request.model in models]


def charged_exactly(run: RunInfo, requests: list[Exchange]) -> None:
    """The tree's usage is what was handed out."""
    counted = [request.usage for request in requests if request.usage is not None]
    assert not run.usage.estimated
    assert run.usage.model_calls == len(requests)
    assert run.usage.input_tokens == sum(usage.input_tokens for usage in counted)
    assert run.usage.output_tokens == sum(usage.output_tokens for usage in counted)


def below(agent: rlmd.Agent) -> list[RunInfo]:
    """All child runs of the agent, oldest first."""
    return [run for run in reversed(agent.runs(children=True)) if run.parent]


def test_a_hundred_children_come_back_in_order(house: DaemonProcess, mind: ModelServer) -> None:
    mind.script(
        [
            py(f"""
                found = await asyncio.gather(*[rlm(f'part {{n}}.', n % 10) for n in range({MANY})])
                done(found)
            """)
        ],
        model="hundred",
    )
    mind.always(in_reverse, model="hundred-sub")
    with rlmd.connect(data=house.data) as client:
        agent = client.create_agent(
            "hundred", model="hundred", sub_model="hundred-sub", limits=Limits(model_calls=1 + MANY)
        )
        began = time.monotonic()
        run = agent.send("Go on.").wait()
        seconds = time.monotonic() - began
        assert run.state is RunState.DONE, run.reason
        assert run.result == [n * 10 + n % 10 for n in range(MANY)]
        assert seconds < SLOWEST + 8, f"{MANY} children took {seconds:.1f} s, the slowest {SLOWEST} s"
        charged_exactly(run, of(mind, "hundred", "hundred-sub"))
        children = below(agent)
        assert len(children) == MANY
        assert {child.parent for child in children} == {run.id}
    # All were asked before the slowest had answered: they were at work together.
    asked = of(mind, "hundred-sub")
    assert max(each.received for each in asked) < max(each.answered or 0 for each in asked)


def test_a_failing_child_fills_only_its_slot(house: DaemonProcess, mind: ModelServer) -> None:
    def answer(body: dict[str, Any]) -> Item:
        match number(body):
            case 3:
                return Status(400, "not this part")
            case 5:
                return py("1 / 0")
            case n:
                return py(f"done('part {n} is fine')")

    mind.script(
        [
            py("""
                async def safely(n):
                    try:
                        return await rlm(f'part {n}.')
                    except Exception as error:
                        return f'part {n} failed: {error}'
                done(await asyncio.gather(*[safely(n) for n in range(8)]))
            """)
        ],
        model="slots",
    )
    mind.always(answer, model="slots-sub")
    with rlmd.connect(data=house.data) as client:
        agent = client.create_agent("slots", model="slots", sub_model="slots-sub")
        run = agent.send("Go on.").wait()
        assert run.state is RunState.DONE, run.reason
        whole = [n for n in range(8) if n not in (3, 5)]
        assert [run.result[n] for n in whole] == [f"part {n} is fine" for n in whole]
        assert "not this part" in run.result[3]
        assert "ZeroDivisionError" in run.result[5]
        states = [child.state for child in below(agent)]
        assert (states.count(RunState.DONE), states.count(RunState.FAILED)) == (6, 2)


def test_children_of_children_to_the_last_level(house: DaemonProcess, mind: ModelServer) -> None:
    down = py("""
        try:
            below = await rlm('part 0.')
        except RuntimeError as error:
            below = [str(error)]
        done([event.kind, *below])
    """)
    mind.script([down], model="deep")

    def answer(body: dict[str, Any]) -> Item:
        # At the bottom `rlm` is not offered, so its name is refused before anything runs.
        offered = "await rlm(" in body["messages"][0]["content"]
        return down if offered else py("done(['bottom'])")

    mind.always(answer, model="deep-sub")
    with rlmd.connect(data=house.data) as client:
        agent = client.create_agent("deep", model="deep", sub_model="deep-sub", limits=Limits(depth=4))
        run = agent.send("Go on.").wait()
        assert run.result == ["message", "rlm", "rlm", "rlm", "bottom"]
        chain = below(agent)
        assert [child.depth for child in chain] == [1, 2, 3, 4]
        assert [child.parent for child in chain] == [run.id, *[child.id for child in chain[:-1]]]
        charged_exactly(run, of(mind, "deep", "deep-sub"))
        # Each run's own figures include those below it.
        assert [child.usage.model_calls for child in chain] == [4, 3, 2, 1]


def test_a_tree_of_many_shares_one_budget(house: DaemonProcess, mind: ModelServer) -> None:
    mind.script(
        [
            py("""
                async def safely(n):
                    try:
                        return await rlm(f'part {n}.')
                    except RuntimeError as error:
                        return None
                found = await asyncio.gather(*[safely(n) for n in range(20)])
            """)
        ],
        model="budget",
    )
    mind.always(py("done(await llm('part 0.'))"), model="budget-sub")
    with rlmd.connect(data=house.data) as client:
        agent = client.create_agent(
            "budget", model="budget", sub_model="budget-sub", limits=Limits(model_calls=15)
        )
        run = agent.send("Go on.").wait()
        assert run.state is RunState.FAILED
        assert "model_calls" in run.reason
        requests = of(mind, "budget", "budget-sub")
        assert len(requests) == 15
        charged_exactly(run, requests)


def test_a_cancel_reaches_every_level(house: DaemonProcess, mind: ModelServer) -> None:
    spread = py("await asyncio.gather(*[rlm(f'part {n}.') for n in range(4)])")

    mind.script([py("await asyncio.gather(*[rlm('spread, part 9.') for n in range(3)])")], model="broad")

    def answer(body: dict[str, Any]) -> Item:
        return spread if "spread" in body["messages"][1]["content"] else Slow(60, "too late")

    mind.always(answer, model="broad-sub")
    with rlmd.connect(data=house.data) as client:
        agent = client.create_agent("broad", model="broad", sub_model="broad-sub")
        run = agent.send("Go on.")
        until = time.monotonic() + 30
        while len(of(mind, "broad-sub")) < 15 and time.monotonic() < until:
            time.sleep(0.02)
        began = time.monotonic()
        ended = run.cancel("enough")
        assert time.monotonic() - began < 8
        assert ended.state is RunState.CANCELLED
        children = below(agent)
        assert len(children) == 15
        assert {child.state for child in children} == {RunState.CANCELLED}
        assert ended.usage.model_calls == 16
    # The provider sees every connection go: nothing is computed for nobody.
    waiting = [each for each in of(mind, "broad-sub") if isinstance(each.item, Slow)]
    until = time.monotonic() + 5
    while not all(each.disconnected for each in waiting) and time.monotonic() < until:
        time.sleep(0.02)
    assert [each.disconnected for each in waiting] == [True] * 12
    assert len(of(mind, "broad-sub")) == 15, "a call was made after the cancel"


def test_a_child_has_what_its_parent_has_left(house: DaemonProcess, mind: ModelServer) -> None:
    mind.script(
        [
            py("x = 1"),
            py("x = 2"),
            py("try:\n    await rlm('part 0.', max_steps=9)\nexcept RuntimeError as e:\n    reply(str(e))"),
        ],
        model="left",
    )
    mind.always(py("x = 1"), model="left-sub")
    with rlmd.connect(data=house.data) as client:
        agent = client.create_agent(
            "left", model="left", sub_model="left-sub", limits=Limits(steps=4, seconds=60)
        )
        run = agent.send("Go on.").wait()
        assert run.state is RunState.DONE, run.reason
        (child,) = below(agent)
        assert child.reason == "limit: steps (2)"
        assert child.step_count == 2
