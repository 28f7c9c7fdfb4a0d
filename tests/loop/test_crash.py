"""What a kill -9 leaves: steps on disk, memory whole, and runs that go on at the very call."""

from __future__ import annotations

import json

import rlmd
from rlmd.clients.records import RunState
from rlmd.clients.updates import Restarted
from tests.conftest import StartDaemon
from tests.model_server import ModelServer, Slow

from .runner import py

LONG = Slow(30, "too late")


def test_a_step_is_on_disk_before_the_next_model_call_and_the_run_goes_on(
    start_daemon: StartDaemon, model_server: ModelServer
) -> None:
    model_server.script([py("x = 20\nprint('first step')"), LONG, py("reply(x + 1)")])
    daemon = start_daemon(model_server)
    with rlmd.connect(data=daemon.data) as client:
        run = client.agent().send("Go on.")
        model_server.wait_for(2)
        daemon.kill()
        daemon.restart()
        ended = run.wait()
        assert (ended.state, ended.steps[0].code) == (RunState.DONE, "x = 20\nprint('first step')")
        assert "first step" in ended.steps[0].observation
        assert any(isinstance(update, Restarted) for update in run.watch())
        assert [m.text for m in client.agent().log.recent(10)] == ["Go on.", "21"]
    # The first step was written once, and shown again as it had been.
    assert len(model_server.requests) == 3
    assert model_server.requests[2].messages[2:] == model_server.requests[1].messages[2:]


def test_effects_are_had_once_and_names_are_there_again(
    start_daemon: StartDaemon, model_server: ModelServer
) -> None:
    model_server.script(
        [
            py("import random\nmemory.append('log', 'one')\nseen = [memory.get('log'), random.random()]"),
            py(
                "memory.append('log', 'two')\nanswer = await llm('slow')\n"
                "reply([seen, memory.get('log'), answer])"
            ),
        ]
    )
    model_server.script([LONG, "fast"], model="sub")
    daemon = start_daemon(model_server)
    with rlmd.connect(data=daemon.data) as client:
        agent = client.agent()
        agent.update(sub_model="sub")
        run = agent.send("Go on.", channel="phone")
        model_server.wait_for(3)
        daemon.kill()
        daemon.restart()
        ended = run.wait()
        assert ended.state is RunState.DONE, ended.reason
        assert len(ended.steps) == 2
        (_, said) = agent.log.recent(2)
        seen, log, answer = json.loads(said.text)
        assert (seen[0], log, answer) == ("one", "onetwo", "fast")
        assert [version.number for version in agent.memory.history("log")] == [1, 2]
    assert len(model_server.requests) == 4, "a step that was on disk was asked for again"


def test_children_go_on_too_and_are_made_once(start_daemon: StartDaemon, model_server: ModelServer) -> None:
    model_server.script(
        [
            py(
                "quick, slow = await asyncio.gather(rlm('quick'), rlm('slow'))\n"
                "reply([quick, slow, memory.get('by_child')])"
            )
        ]
    )
    model_server.script(
        [
            lambda body: py("done(1)") if "quick" in str(body) else py("memory.set('by_child', 7)\nx = 2"),
            lambda body: py("done(1)") if "quick" in str(body) else py("memory.set('by_child', 7)\nx = 2"),
            LONG,
            py("done(x)"),
        ],
        model="child",
    )
    daemon = start_daemon(model_server)
    with rlmd.connect(data=daemon.data) as client:
        agent = client.agent()
        agent.update(sub_model="child")
        run = agent.send("Go on.")
        model_server.wait_for(4)
        daemon.kill()
        daemon.restart()
        ended = run.wait()
        assert ended.state is RunState.DONE, ended.reason
        assert json.loads(agent.log.recent(1)[0].text) == [1, 2, 7]
        children = [each for each in agent.runs(children=True) if each.parent]
        assert [child.state for child in children] == [RunState.DONE] * 2
        assert [version.number for version in agent.memory.history("by_child")] == [1]
    assert len(model_server.requests) == 5


def test_a_message_that_waits_is_answered_after_a_kill(
    start_daemon: StartDaemon, model_server: ModelServer
) -> None:
    model_server.script([LONG, "First.", "Second."])
    daemon = start_daemon(model_server)
    with rlmd.connect(data=daemon.data) as client:
        runs = [client.agent().send(text) for text in ("one", "two")]
        model_server.wait_for(1)
        assert runs[1].get().state is RunState.QUEUED
        daemon.kill()
        daemon.restart()
        assert [run.wait().state for run in runs] == [RunState.DONE] * 2
        assert [m.text for m in client.agent().log.recent(9)] == ["one", "two", "First.", "Second."]
