"""Several people are asked: the first answers for all, each for themselves, or one after another."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

import rlmd
from rlmd.clients.records import QuestionState
from rlmd.proto.rlmd.v1 import channels_pb2 as pb
from tests.conftest import StartDaemon
from tests.daemon_process import DaemonProcess
from tests.model_server import ModelServer
from tests.wire import Wire

from .runner import py
from .test_channels import agent_for, said, wait_until_parked


def texts(agent: rlmd.Agent, channel: str) -> list[str]:
    """What was said on a channel, oldest first."""
    return [message.text for message in agent.log.recent(50) if message.channel == channel]


def test_the_first_answer_of_several_is_told_to_the_others(house: DaemonProcess, mind: ModelServer) -> None:
    program = """
    from channels import ann, ben, cleo
    reply(await ask("Tea?", ["yes", "no"], any_of=[ann, ben, "cleo"]))
    """
    with (
        rlmd.connect(data=house.data) as client,
        Wire(house.data, "ann") as ann,
        Wire(house.data, "ben") as ben,
        Wire(house.data, "cleo") as cleo,
    ):
        agent = agent_for(client, mind, "any-asker", program)
        run = agent.send("Ask them.", channel="desk")
        asked = [wire.next("question") for wire in (ann, ben, cleo)]
        assert len({question.name for question in asked}) == 1
        ben.send(answer=pb.GiveAnswer(question=asked[0].name, answer="no"))
        for wire in (ann, ben, cleo):
            assert wire.next("closed").answered_by == "owner"
        assert said(agent, run) == "no"
        assert texts(agent, "ann") == ["Tea? (one of: yes, no)", "owner has answered: Tea?"]
        assert texts(agent, "ben") == ["Tea? (one of: yes, no)"]
        ann.send(answer=pb.GiveAnswer(question=asked[0].name, answer="yes", request_id="late"))
        late = ann.next("failure")
        assert (late.about, late.code) == ("late", "FAILED_PRECONDITION")
        assert late.reason.endswith("was answered by owner on ben")
        assert run.replay().difference == ""


def test_an_answer_in_the_chat_of_any_of_them_counts(house: DaemonProcess, mind: ModelServer) -> None:
    program = 'reply(await ask("How many?", type="number", any_of=["sales", "stock"]))'
    with rlmd.connect(data=house.data) as client:
        agent = agent_for(client, mind, "counter", program)
        run = agent.send("Ask them.", channel="desk")
        wait_until_parked(run)
        told = agent.send("7", channel="stock")
        assert told.id == run.id
        assert said(agent, run) == "7"
        (question,) = client.questions.list(agent="counter", ended=True)
        # The others learn of it, and whoever answers by its number is told that it is late.
        late = agent.chat(f"{question.id}: 8", channel="sales")
        assert (
            late.text == f"Question {question.id} was answered by owner on stock: your answer came too late."
        )
        assert texts(agent, "sales")[1] == "owner has answered: How many?"


def test_each_of_several_answers_over_a_kill(start_daemon: StartDaemon, model_server: ModelServer) -> None:
    model_server.script([py('reply(await ask("Come?", type="yesno", all_of=["ann", "ben"]))')])
    daemon = start_daemon(model_server)
    with rlmd.connect(data=daemon.data) as client:
        agent = client.agent()
        run = agent.send("Ask both.")
        wait_until_parked(run)
        ben, ann = client.questions.list()
        assert (ann.channel, ben.channel) == ("ann", "ben")
        client.questions.answer(ben.id, "no")
        daemon.kill()
        daemon.restart()
        wait_until_parked(run)
        assert [question.channel for question in client.questions.list()] == ["ann"]
        client.questions.answer(ann.id, "yes")
        assert json.loads(said(agent, run)) == {"ann": True, "ben": False}
        assert run.replay().difference == ""
        with pytest.raises(rlmd.InvalidInput, match="an answer for each"):
            run.fork(1, answer=True)
        assert json.loads(said(agent, run.fork(1, answer={"ann": False, "ben": "yes"}))) == {
            "ann": False,
            "ben": True,
        }


def test_who_does_not_answer_gets_the_default_or_is_named(house: DaemonProcess, mind: ModelServer) -> None:
    program = """
    there = await ask("Come?", type="yesno", all_of=["dora", "emil"], timeout=4, default="unsure")
    try:
        await ask("Really?", type="yesno", all_of=["dora", "emil"], timeout=4)
    except TimeoutError as error:
        reply([there, str(error)])
    """
    with rlmd.connect(data=house.data) as client:
        agent = agent_for(client, mind, "counts-heads", program)
        run = agent.send("Ask both.", channel="desk")
        answered: set[str] = set()
        while len(answered) < 2:
            for question in client.questions.list(agent=agent.name):
                if question.channel == "dora" and question.id not in answered:
                    client.questions.answer(question.id, "yes")
                    answered.add(question.id)
            time.sleep(0.1)
        there, problem = json.loads(said(agent, run))
        assert there == {"dora": True, "emil": "unsure"}
        assert problem.startswith("ask: nobody on emil answered in time (dora did: True)")


def test_a_question_goes_up_the_ladder_while_nobody_answers_over_a_restart(
    start_daemon: StartDaemon, model_server: ModelServer
) -> None:
    model_server.script([py('reply(await ask("Fire?", channel="guard", escalate=["chief"], timeout=30))')])
    daemon = start_daemon(model_server)
    with rlmd.connect(data=daemon.data) as client:
        agent = client.agent()
        with Wire(daemon.data, "chief"):
            pass
        began = time.monotonic()
        run = agent.send("Ask.")
        wait_until_parked(run)
        assert texts(agent, "guard") == ["Fire?"]
        daemon.kill()
        daemon.restart()
        with Wire(daemon.data, "chief") as chief:
            question = chief.next("question")
            assert time.monotonic() - began >= 15
            # It is still open where it was asked first.
            chief.send(answer=pb.GiveAnswer(question=question.name, answer="No, a drill."))
            chief.next("closed")
        assert said(agent, run) == "No, a drill."
        assert texts(agent, "guard") == ["Fire?", "owner has answered: Fire?"]
        (asked,) = client.questions.list(ended=True)
        assert (asked.state, asked.answered_on) == (QuestionState.ANSWERED, "chief")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ("channel='a', any_of=['b']", "give one of channel, any_of and all_of"),
        ("any_of=['a'], all_of=['b']", "give one of channel, any_of and all_of"),
        ("any_of=[]", "any_of: it must be a list of 1 to 20 channels"),
        ("any_of='bob'", "any_of: it must be a list of 1 to 20 channels"),
        ("all_of=[3]", "all_of: it must be a list of 1 to 20 channels"),
        ("any_of=['a', 'a']", "somebody is in there twice"),
        ("any_of=['a'], escalate=['a'], timeout=9", "somebody is in there twice"),
        ("any_of=['A B']", "'A B' is not a valid channel"),
        ("escalate=['a']", "escalate: to go from one to the next takes a timeout"),
        ("all_of=['a'], escalate=['b'], timeout=9", "escalate: to go from one to the next"),
    ],
)
def test_who_cannot_be_asked_is_an_error_and_nobody_is(
    house: DaemonProcess, mind: ModelServer, arguments: str, problem: str
) -> None:
    name = f"refused-{abs(hash(arguments))}"
    program = f"""
    try:
        await ask("What?", {arguments})
    except ValueError as error:
        reply(str(error))
    """
    with rlmd.connect(data=house.data) as client:
        agent = agent_for(client, mind, name, program)
        assert problem in said(agent, agent.send("Ask."))
        questions: list[Any] = client.questions.list(agent=name, ended=True)
        assert questions == []
