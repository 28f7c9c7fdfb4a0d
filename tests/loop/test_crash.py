"""What a kill -9 leaves: steps on disk before their code runs, memory whole, runs dealt with honestly."""

from __future__ import annotations

import rlmd
from rlmd.clients.records import RunState
from rlmd.clients.updates import Restarted
from tests.conftest import StartDaemon
from tests.model_server import ModelServer, Slow

from .runner import py

LONG = Slow(30, "too late")


def test_a_step_is_on_disk_before_the_next_model_call(
    start_daemon: StartDaemon, model_server: ModelServer
) -> None:
    model_server.script([py("x = 1\nprint('first step')"), LONG, "Again from the start."])
    daemon = start_daemon(model_server)
    with rlmd.connect(data=daemon.data) as client:
        run = client.agent().send("Go on.")
        model_server.wait_for(2)
        daemon.kill()
        daemon.restart()
        ended = run.wait()
        assert (ended.state, ended.steps[0].code) == (RunState.DONE, "x = 1\nprint('first step')")
        assert "first step" in ended.steps[0].observation
        # Nothing had taken effect, so the run began again, and says so.
        assert any(isinstance(update, Restarted) for update in run.watch())
        assert [m.text for m in client.agent().log.recent(10)] == ["Go on.", "Again from the start."]


def test_a_run_that_had_changed_something_is_ended_and_tells_it(
    start_daemon: StartDaemon, model_server: ModelServer
) -> None:
    model_server.script([py("memory.set('kept', {'n': 1})"), LONG])
    model_server.script([py("done(await rlm('Write it down.'))")], model="parent")
    model_server.script([py("memory.set('by_child', 1)"), LONG], model="child")
    model_server.always(py("reply(memory.get('kept')['n'] + 1)"))
    daemon = start_daemon(model_server)
    with rlmd.connect(data=daemon.data) as client:
        agent = client.agent()
        run = agent.send("Go on.", channel="phone")
        parent = client.create_agent("parent", model="parent", sub_model="child")
        parents = parent.send("Go on.")
        model_server.wait_for(5)
        daemon.kill()
        daemon.restart()
        for ended, effect in ((run.wait(), "memory.set kept"), (parents.wait(), "memory.set by_child")):
            assert ended.state is RunState.FAILED
            assert effect in ended.reason
        (child,) = (each for each in parent.runs(children=True) if each.parent)
        assert child.state is RunState.FAILED
        told = agent.log.recent(1)[-1]
        assert (told.from_agent, told.channel) == (True, "phone")
        assert "memory.set kept" in told.text
        # Memory is there for the next run, on another channel.
        assert agent.chat("And now?", channel="desk").text == "2"
    assert len(model_server.requests) == 6, "a run with effects was carried out twice"


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
