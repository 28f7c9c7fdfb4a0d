"""Agents that ask each other: durable waits, and the bounds that keep them from going round in circles."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest

import rlmd
from rlmd.clients.records import QuestionState, RunInfo, RunState
from rlmd.clients.updates import Said, Waiting
from tests.daemon_process import DaemonProcess
from tests.model_server import ModelServer, Slow

from .runner import py
from .test_approvals import until_asked
from .test_waiting import wait_until_parked

MEMBERS = ("boss", "critic", "writer")


@pytest.fixture
def team(start_daemon: Callable[..., DaemonProcess], model_server: ModelServer) -> DaemonProcess:
    """A daemon with a hive `team` of three agents, each with a model of its own name."""
    daemon = start_daemon(model_server)
    with rlmd.connect(data=daemon.data) as client:
        client.hives.create("team")
        for name in MEMBERS:
            client.create_agent(name, model=name, instructions=f"You are the {name}. Be brief.")
            client.hives.join("team", name)
    return daemon


def said(agent: rlmd.Agent, text: str = "Go.") -> str:
    return agent.chat(text).text


def test_an_answer_is_what_the_other_run_gives(team: DaemonProcess, model_server: ModelServer) -> None:
    model_server.script(
        [py("from hive import critic\nreply([await critic.ask('Good?'), await critic.ask('Sure?')])")],
        model="boss",
    )
    model_server.script([py("done({'good': event.text, 'from': event.sender})"), "Quite."], model="critic")
    with rlmd.connect(data=team.data) as client:
        assert json.loads(said(client.agent("boss"))) == [{"good": "Good?", "from": "boss"}, "Quite."]
        first, second = reversed(client.agent("critic").runs())
        assert (first.event_kind, first.channel, second.result) == ("call", "boss", "Quite.")
        log = [(each.sender, each.text) for each in client.agent("critic").log.recent(9)]
        assert log == [("boss", "Good?"), ("boss", "Sure?"), ("critic", "Quite.")]
        run = client.agent("boss").runs()[0]
        assert client.agent("boss").run(run.id).replay().equal
    (card,) = (
        request.body["messages"][-1]["content"]
        for request in model_server.requests
        if request.model == "boss"
    )
    assert "Hive team, where you are boss: critic (You are the critic. Be brief.), writer (" in card
    asked = next(request for request in model_server.requests if request.model == "critic")
    assert "boss, another agent, asks you and waits." in asked.body["messages"][-1]["content"]


def test_who_talks_with_an_agent_waits_with_it_for_others(
    team: DaemonProcess, model_server: ModelServer
) -> None:
    model_server.script([py("from hive import critic\nreply(await critic.ask('Good?'))")], model="boss")
    model_server.script([Slow(2, "At last.")], model="critic")
    with rlmd.connect(data=team.data) as client:
        updates = list(client.agent("boss").stream("Go."))
        assert [update.passing for update in updates if isinstance(update, Waiting)] == [True]
        assert [update.text for update in updates if isinstance(update, Said)] == ["At last."]


def test_both_may_be_killed_and_come_back(team: DaemonProcess, model_server: ModelServer) -> None:
    """The one that is asked asks its owner: both wait, for as long as it takes, and nothing is done twice."""
    model_server.script(
        [py("from hive import critic\nplan = ['a']\nplan.append(await critic.ask('Good?'))\nreply(plan)")],
        model="boss",
    )
    model_server.script(
        [py("memory.append('asked', 'x')\nreply('You say: ' + await ask('Is it good?'))")], model="critic"
    )
    with rlmd.connect(data=team.data) as client:
        boss, critic = client.agent("boss"), client.agent("critic")
        run = boss.send("Go.")
        wait_until_parked(run)
        team.kill()
        team.restart()
        question = until_asked(client, "critic")
        assert (question.agent, question.channel) == ("critic", "chat"), "a question is for the owner"
        wait_until_parked(critic.run(question.run))
        team.kill()
        team.restart()
        client.questions.answer(question.id, "fine")
        assert run.wait().state is RunState.DONE
        assert json.loads(boss.log.recent(1)[0].text) == ["a", "You say: fine"]
        assert critic.memory.get("asked") == "x"
    assert len(model_server.requests) == 2


@pytest.mark.slow
def test_killed_at_any_moment_all_is_answered_once(team: DaemonProcess, model_server: ModelServer) -> None:
    model_server.always(
        py(
            "from hive import critic\nfor n in range(6):\n"
            "    memory.append('heard', await critic.ask(str(n)))\nreply('done')"
        ),
        model="boss",
    )
    model_server.always(py("memory.append('asked', event.text)\nreply(event.text)"), model="critic")
    with rlmd.connect(data=team.data) as client:
        boss, critic = client.agent("boss"), client.agent("critic")
        run = boss.send("Go.")
        for moment in (0.05, 0.1, 0.2, 0.3):
            time.sleep(moment)
            team.kill()
            team.restart()
        ended = run.wait()
        assert ended.state is RunState.DONE, ended.reason
        assert (boss.memory.get("heard"), critic.memory.get("asked")) == ("012345", "012345")
        assert [each.state for each in critic.runs()] == [RunState.DONE] * 6


def test_what_goes_wrong_there_can_be_caught_here(team: DaemonProcess, model_server: ModelServer) -> None:
    program = """
        from hive import critic, writer
        found = []
        for call in (
            lambda: critic.ask('fail'), lambda: writer.ask('late', timeout=0.3), lambda: critic.ask('  ')
        ):
            try:
                found.append(await call())
            except Exception as error:
                found.append(f'{type(error).__name__}: {error}')
        found.append(await writer.ask('late', timeout='1s', default='nothing'))
        reply(found)
        """
    model_server.script([py(program)], model="boss")
    model_server.always(py("1 / 0"), model="critic")
    model_server.always(Slow(30, "late"), model="writer")
    with rlmd.connect(data=team.data) as client:
        failed, late, empty, default = json.loads(said(client.agent("boss")))
        assert failed.startswith("RuntimeError: critic gave no answer: its run failed: limit: the same step")
        assert late.startswith("TimeoutError: hive: writer did not answer in time")
        assert empty.startswith("ValueError: question: there is no text")
        assert default == "nothing"
        run = client.agent("boss").runs()[0]
        assert client.agent("boss").run(run.id).replay().equal
        # The first was begun when its time was over; the second never was, and nobody wants it any more.
        second, _first = client.agent("writer").runs()
        assert (second.state, second.reason) == (RunState.CANCELLED, "nobody waits for it any more")


def test_who_is_stopped_takes_back_what_it_has_asked(team: DaemonProcess, model_server: ModelServer) -> None:
    model_server.script([py("import hive\nawait hive.ask_all('Well?')")], model="boss")
    model_server.script([py("reply(await ask('Good?'))")], model="critic")
    model_server.script([py("reply(await ask('Good?'))")], model="writer")
    with rlmd.connect(data=team.data) as client:
        run = client.agent("boss").send("Go.")
        wait_until_parked(run)
        for name in ("critic", "writer"):
            until_asked(client, name)
        others = [client.agent(name).run(client.agent(name).runs()[0].id) for name in ("critic", "writer")]
        for other in others:
            wait_until_parked(other)
        assert others[0].cancel("no time").state is RunState.CANCELLED
        run.cancel("enough")
        states = {question.agent: question.state for question in client.questions.list(ended=True)}
        assert states == {"critic": QuestionState.CANCELLED, "writer": QuestionState.OPEN}
        client.questions.answer(client.questions.list()[0].id, "yes")
        assert others[1].wait().state is RunState.DONE, "it ends in peace, and nobody is told"


def test_circles_and_chains_have_an_end(team: DaemonProcess, model_server: ModelServer) -> None:
    ask = (
        "from hive import {0}\ntry:\n    reply(await {0}.ask('On.'))\n"
        "except RuntimeError as error:\n    reply(str(error))"
    )
    model_server.script([py(ask.format("critic"))], model="boss")
    model_server.script([py(ask.format("writer"))], model="critic")
    model_server.script([py(ask.format("boss"))], model="writer")
    with rlmd.connect(data=team.data) as client:
        assert said(client.agent("boss")).startswith("hive: a circle: boss -> critic -> writer -> boss")
        # Telling goes round, but not for ever.
        model_server.always(py("from hive import critic\ncritic.tell('On.')\ndone()"), model="boss")
        model_server.always(py("from hive import boss\nboss.tell('On.')\ndone()"), model="critic")
        client.agent("boss").send("Go.")

        def refused() -> list[RunInfo]:
            runs = [client.agent(name).run(r.id).get() for name in MEMBERS for r in client.agent(name).runs()]
            return [run for run in runs if "more than 8 calls below each other" in str(run.steps)]

        end = time.monotonic() + 30
        while not refused():
            assert time.monotonic() < end
            time.sleep(0.1)
        assert len(client.agent("boss").runs()) + len(client.agent("critic").runs()) == 11


def test_how_often_one_may_ask_is_bounded(team: DaemonProcess, model_server: ModelServer) -> None:
    with rlmd.connect(data=team.data) as client:
        (usual, _own) = client.hives.grants("team")
        client.hives.revoke("team", usual.id)
        client.hives.grant("team", ["ask"], rate=2)
        model_server.script(
            [
                py(
                    "from hive import critic\nfor n in range(3):\n    try:\n"
                    "        await critic.ask('Well?')\n"
                    "    except RuntimeError as error:\n        reply([n, str(error)])"
                )
            ],
            model="boss",
        )
        model_server.always("Well.", model="critic")
        number, error = json.loads(said(client.agent("boss")))
        assert number == 2
        assert error.startswith("hive: critic was called 2 times within a minute")


def test_a_council_has_what_there_is(team: DaemonProcess, model_server: ModelServer) -> None:
    program = """
        import hive
        one = await hive.ask_all('Well?', quorum=1)
        both = await hive.ask_all('Well?')
        vote = await hive.vote('Which?', ['red', 'blue'])
        reply([one.answers, one.missing, both.answers, vote.winner, vote.counts, vote.missing])
        """
    model_server.script([py(program)], model="boss")
    model_server.script(["At once.", py("reply(1)"), "Red"], model="critic")
    model_server.script([Slow(1, "Slowly."), "Two.", "purple"], model="writer")
    with rlmd.connect(data=team.data) as client:
        boss = client.agent("boss")
        answers, missing, both, winner, counts, unfit = json.loads(said(boss))
        assert (answers, missing) == ({"critic": "At once."}, {"writer": "enough others had answered"})
        assert both == {"critic": 1, "writer": "Two."}
        assert (winner, counts) == ("red", {"red": 1})
        assert list(unfit) == ["writer"]
        assert boss.run(boss.runs()[0].id).replay().equal


def test_all_are_told_and_the_log_is_common(team: DaemonProcess, model_server: ModelServer) -> None:
    model_server.script(
        [
            py("import hive\nhive.tell_all('We begin.')\nhive.log('begun')\nreply('ok')"),
            py("(name,) = memory.names('@team/log/')\nreply(memory.get(name))"),
        ],
        model="boss",
    )
    model_server.script(["Nobody hears this."], model="critic")
    model_server.script([py("memory.set('told', event.text)")], model="writer")
    with rlmd.connect(data=team.data) as client:
        assert said(client.agent("boss")) == "ok"
        (told,) = client.agent("critic").runs()
        assert client.agent("critic").run(told.id).wait().state is RunState.DONE
        assert told.event_kind == "told"
        assert said(client.agent("boss")).endswith("boss: begun\n") or "boss: begun" in said(
            client.agent("boss")
        )


def test_a_member_that_joins_is_there_in_the_next_step(
    start_daemon: Callable[..., DaemonProcess], model_server: ModelServer
) -> None:
    daemon = start_daemon(model_server)
    with rlmd.connect(data=daemon.data) as client:
        boss = client.create_agent("boss", model="boss")

        def join(_: object) -> str:
            client.create_agent("new-one", model="new")
            client.hives.create("team")
            client.hives.join("team", "boss")
            client.hives.join("team", "new-one")
            return py("from hive import new_one\nreply(await new_one.ask('There?'))")

        model_server.script([py("from hive import new_one"), join], model="boss")
        model_server.script(["Here."], model="new")
        assert said(boss) == "Here."
        run = boss.run(boss.runs()[0].id)
        assert "there is no member new_one. There are: nobody: this agent is in no hive" in str(
            run.get().steps[0].observation
        )
        client.hives.leave("team", "new-one")
        assert run.replay().equal, "a replay finds who was there then"
