"""Runs beside each other, and runs that are stopped: nobody sees another's, all is in the journal."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import rlmd
from rlmd.clients.records import Limits, RunInfo, RunState
from tests.daemon_process import DaemonProcess
from tests.model_server import ModelServer, Slow

from .runner import py


def settled(run: RunInfo) -> bool:
    return all(call.settled for step in run.steps for call in step.calls)


def test_two_runs_of_an_agent_do_not_see_each_other(house: DaemonProcess, mind: ModelServer) -> None:
    def think(body: dict[str, object]) -> str:
        texts = str(body["messages"])
        word, other = ("ochre", "indigo") if "ochre" in texts else ("indigo", "ochre")
        if "observation of step 1" not in texts:
            return py(f"mine = {word!r}\nawait asyncio.sleep(0.3)\nprint(mine)")
        assert f"\\n{other}" not in texts
        return py("reply(mine)")

    mind.always(think, model="twins")
    with rlmd.connect(data=house.data) as client:
        agent = client.create_agent("twins", model="twins")
        with ThreadPoolExecutor() as threads:
            words = list(
                threads.map(lambda word: agent.chat(word, channel=word[:1]).text, ["ochre", "indigo"] * 3)
            )
    assert words == ["ochre", "indigo"] * 3


def test_two_users_do_not_see_each_other(house: DaemonProcess, mind: ModelServer) -> None:
    ask = py("reply([memory.names(), [m.text for m in log.recent(5)], memory.search('colour')])")
    with rlmd.connect(data=house.data) as client:
        _, token = client.admin.create_user("guest")
        mine = client.create_agent("shared-name", model="host-model")
        mine.memory.set("colour", "The colour is ochre.")
        with rlmd.connect(data=house.data, token=token) as guest:
            theirs = guest.create_agent("shared-name", model="guest-model")
            mind.script([ask], model="guest-model")
            answer = theirs.chat("What is there?").text
            assert "ochre" not in answer
            assert "What is there?" in answer
    (request,) = [request for request in mind.requests if request.model == "guest-model"]
    assert "ochre" not in request.prompt


def test_messages_of_a_channel_keep_their_order(house: DaemonProcess, mind: ModelServer) -> None:
    mind.always(py("await asyncio.sleep(0.02)\nreply(event.text)"), model="ordered")
    with rlmd.connect(data=house.data) as client:
        agent = client.create_agent("ordered", model="ordered")
        runs = [agent.send(str(n)) for n in range(10)]
        assert {run.wait().state for run in runs} == {RunState.DONE}
        said = [m.text for m in agent.log.recent(100) if m.from_agent]
    assert said == [str(n) for n in range(10)]


def test_a_cancel_ends_the_tree_and_keeps_what_was_done(house: DaemonProcess, mind: ModelServer) -> None:
    mind.script(
        [py("memory.set('kept', 1)\nmemory.get('kept')\nawait asyncio.gather(rlm('a'), rlm('b'), llm('c'))")],
        model="stopped",
    )
    mind.always(Slow(30, "too late"), model="stopped-sub")
    with rlmd.connect(data=house.data) as client:
        agent = client.create_agent("stopped", model="stopped", sub_model="stopped-sub")
        run = agent.send("Go on.")
        while len([r for r in mind.requests if r.model == "stopped-sub"]) < 3:
            time.sleep(0.02)
        began = time.monotonic()
        ended = run.cancel("enough")
        assert time.monotonic() - began < 5
        assert (ended.state, ended.reason) == (RunState.CANCELLED, "enough")
        found = run.get()
        assert [call.function for call in found.steps[0].calls] == [
            "memory.set",
            "memory.get",
            "rlm",
            "rlm",
            "llm",
        ]
        assert settled(found)
        assert agent.memory.get("kept") == 1
        # Three calls of the sub-model were under way: they are billed, as far as that can be known.
        assert (found.usage.model_calls, found.usage.estimated) == (4, True)
        children = [each for each in agent.runs(children=True) if each.parent]
        assert [(c.state, c.reason) for c in children] == [(RunState.CANCELLED, "its parent stopped")] * 2
        assert [u.sequence for u in run.watch()] == list(range(1, len(list(run.watch())) + 1))


def test_a_child_that_is_cancelled_raises_in_its_parent(house: DaemonProcess, mind: ModelServer) -> None:
    mind.script(
        [py("try:\n    await rlm('a')\nexcept RuntimeError as error:\n    reply(str(error))")], model="above"
    )
    mind.always(Slow(30, "too late"), model="below")
    with rlmd.connect(data=house.data) as client:
        agent = client.create_agent("above", model="above", sub_model="below")
        run = agent.send("Go on.")
        while not [r for r in mind.requests if r.model == "below"]:
            time.sleep(0.02)
        (child,) = [each for each in agent.runs(children=True) if each.parent]
        assert agent.run(child.id).cancel("not this one").state is RunState.CANCELLED
        assert run.wait().state is RunState.DONE
        assert "not this one" in agent.log.recent(1)[0].text


def test_a_queued_run_can_be_cancelled(house: DaemonProcess, mind: ModelServer) -> None:
    mind.script([Slow(1, "first")], model="queue")
    with rlmd.connect(data=house.data) as client:
        agent = client.create_agent("queue", model="queue")
        first, second = agent.send("one"), agent.send("two")
        assert second.cancel().state is RunState.CANCELLED
        assert first.wait().state is RunState.DONE
        assert second.get().step_count == 0


def test_a_late_result_is_never_credited_to_another_call(house: DaemonProcess, mind: ModelServer) -> None:
    mind.script(
        [
            py("try: await asyncio.gather(llm('slow'), rlm('', 1))\nexcept ValueError: print('caught')"),
            py("done([await llm('quick'), await llm('quick')])"),
        ],
        model="late",
    )

    def answer(body: dict[str, list[dict[str, str]]]) -> Slow | str:
        return Slow(0.4, "SLOW") if "slow" in body["messages"][-1]["content"] else Slow(0.3, "QUICK")

    mind.always(answer, model="late-sub")
    with rlmd.connect(data=house.data) as client:
        agent = client.create_agent("late", model="late", sub_model="late-sub")
        run = agent.send("Go on.").wait()
    assert run.result == ["QUICK", "QUICK"]
    assert settled(run)


def test_a_flood_and_an_endless_loop_do_not_hold_up_others(house: DaemonProcess, mind: ModelServer) -> None:
    mind.script([py("while True: print('x' * 1000)")], model="flood")
    mind.always(py("reply('here')"), model="other")
    with rlmd.connect(data=house.data) as client:
        flood = client.create_agent("flood", model="flood", limits=Limits(seconds=3)).send("Go on.")
        other = client.create_agent("other", model="other")
        time.sleep(0.5)
        began = time.monotonic()
        assert other.chat("Are you there?").text == "here"
        assert time.monotonic() - began < 3
        assert flood.wait().reason.startswith("limit: seconds")
