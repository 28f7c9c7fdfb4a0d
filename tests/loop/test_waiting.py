"""Runs that wait: parked on disk, without a worker, until an answer or the time wakes them."""

from __future__ import annotations

import time

import psutil
import pytest

import rlmd
from rlmd.clients.records import QuestionState, RunState
from rlmd.clients.updates import Asked, Waiting, Woken
from rlmd.memory.clock import SystemClock
from rlmd.memory.store import House
from tests.conftest import StartDaemon
from tests.daemon_process import DaemonProcess
from tests.model_server import ModelServer, Slow

from .runner import py


def wait_until_parked(run: rlmd.Run, *, seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while run.get().state is not RunState.WAITING:
        assert time.monotonic() < end, f"not parked: {run.get()}"
        time.sleep(0.02)


def test_a_question_waits_over_a_kill_and_the_program_goes_on_with_the_answer(
    start_daemon: StartDaemon, model_server: ModelServer
) -> None:
    model_server.script(
        [py("plan = {'to': 'Bern'}\nok = await ask('Book it?', ['yes', 'no'])\nreply([plan, ok])")]
    )
    daemon = start_daemon(model_server)
    with rlmd.connect(data=daemon.data) as client:
        agent = client.agent()
        asked = agent.chat("Book a trip.")
        assert (asked.state, asked.text) == (RunState.WAITING, "Book it? (one of: yes, no)")
        (question,) = client.questions.list()
        assert (question.text, question.choices, question.channel) == ("Book it?", ("yes", "no"), "chat")
        daemon.kill()
        daemon.restart()
        assert agent.run(asked.run).get().state is RunState.WAITING
        told = agent.chat("Yes")
        assert told.state is RunState.DONE
        assert told.text.replace("\n", "").replace(" ", "") == '[{"to":"Bern"},"yes"]'
        answered = client.questions.get(question.id)
        assert (answered.state, answered.answer) == (QuestionState.ANSWERED, "yes")
        assert (answered.answered_by, answered.answered_on) == ("owner", "chat")
        with pytest.raises(rlmd.PreconditionFailed, match="was answered by owner"):
            client.questions.answer(question.id, "no")
        kinds = [type(update) for update in agent.run(asked.run).watch(0)]
        assert kinds.index(Asked) < kinds.index(Waiting) < kinds.index(Woken)
    assert len(model_server.requests) == 1, "the step was on disk: nothing was to be asked again"


def test_what_waits_has_no_worker_and_other_messages_of_its_channel_go_on(
    start_daemon: StartDaemon, model_server: ModelServer
) -> None:
    model_server.script([py("reply('heard ' + await ask('What?', timeout='2d'))"), "Another run."])
    daemon = start_daemon(model_server)
    with rlmd.connect(data=daemon.data) as client:
        agent = client.agent()
        run = agent.send("Ask me.", channel="phone")
        wait_until_parked(run)
        time.sleep(0.3)
        workers = len(psutil.Process(daemon.pid).children(recursive=True))
        assert agent.chat("Something else.", channel="desk").text == "Another run."
        # One stands ready for the next run, one checks, and one is the pool's spare.
        assert workers <= 3
        client.questions.answer(client.questions.list()[0].id, "this")
        assert run.wait().state is RunState.DONE
        assert agent.log.recent(1)[0].text == "heard this"


def test_sleep_of_any_length_is_parked_and_ends_in_time_also_over_a_restart(
    start_daemon: StartDaemon, model_server: ModelServer
) -> None:
    model_server.script(
        [
            py(
                "import time\nbegan = time.time()\nawait asyncio.sleep(3)\ntime.sleep(2.5)\n"
                "reply(round(time.time() - began))"
            )
        ]
    )
    daemon = start_daemon(model_server)
    with rlmd.connect(data=daemon.data) as client:
        run = client.agent().send("Sleep.")
        wait_until_parked(run)
        daemon.stop()
        daemon.restart()
        ended = run.wait()
        assert ended.state is RunState.DONE, ended.reason
        assert int(client.agent().log.recent(1)[0].text) >= 5


def test_the_time_for_which_a_run_waits_is_not_counted(
    start_daemon: StartDaemon, model_server: ModelServer
) -> None:
    model_server.script([py("import time\ntime.sleep(2.5)\nreply('awake')")])
    daemon = start_daemon(model_server)
    with rlmd.connect(data=daemon.data) as client:
        agent = client.agent()
        agent.update(limits=rlmd.records.Limits(seconds=2))
        ended = agent.send("Sleep.").wait()
        assert ended.state is RunState.DONE, ended.reason
        assert agent.log.recent(1)[0].text == "awake"


def test_a_question_that_nobody_answers_gives_its_default_or_an_error(
    start_daemon: StartDaemon, model_server: ModelServer
) -> None:
    model_server.script(
        [
            py(
                "a = await ask('Quick?', timeout=0.2, default='nobody')\n"
                "try:\n    await ask('And now?', type='yesno', timeout=3)\n"
                "except TimeoutError as error:\n    b = str(error)\n"
                "reply(a + '; ' + b)"
            )
        ]
    )
    daemon = start_daemon(model_server)
    with rlmd.connect(data=daemon.data) as client:
        run = client.agent().send("Ask me.")
        assert run.wait().state is RunState.DONE
        (said,) = client.agent().log.recent(1)
        assert said.text.startswith("nobody; ask: nobody on chat answered in time")
        states = [question.state for question in client.questions.list(ended=True)]
        assert states == [QuestionState.EXPIRED] * 2


def test_children_that_ask_park_their_parent_and_each_goes_on_with_its_own_answer(
    start_daemon: StartDaemon, model_server: ModelServer
) -> None:
    model_server.script([py("reply(await asyncio.gather(*[rlm(f'ask {n}') for n in range(3)]))")])
    model_server.always(py("done(event.text + ' ' + await ask(event.text, type='text'))"), model="child")
    daemon = start_daemon(model_server)
    with rlmd.connect(data=daemon.data) as client:
        agent = client.agent()
        agent.update(sub_model="child")
        run = agent.send("Go.", channel="phone")
        wait_until_parked(run)
        daemon.kill()
        daemon.restart()
        asked = {question.text: question for question in client.questions.list()}
        assert sorted(asked) == ["ask 0", "ask 1", "ask 2"]
        client.questions.answer(asked["ask 2"].id, "two")
        wait_until_parked(run)
        for n, word in ((0, "zero"), (1, "one")):
            client.questions.answer(asked[f"ask {n}"].id, word)
        ended = run.wait()
        assert ended.state is RunState.DONE, ended.reason
        said = agent.log.recent(1)[0].text
        assert [word.strip() for word in said.strip("[]\n").replace('"', "").split(",")] == [
            "ask 0 zero",
            "ask 1 one",
            "ask 2 two",
        ]
    assert len(model_server.requests) == 4


def test_a_person_is_asked_which_question_is_meant(
    start_daemon: StartDaemon, model_server: ModelServer
) -> None:
    model_server.script(
        [
            py("reply('name: ' + await ask('Your name?'))"),
            py("reply('number: ' + str(await ask('How many?', type='number')))"),
        ]
    )
    daemon = start_daemon(model_server)
    with rlmd.connect(data=daemon.data) as client:
        agent = client.agent()
        assert agent.chat("Ask my name.").state is RunState.WAITING
        assert agent.log.recent(1)[0].text == "Your name?"
        second = agent.send("Ask how many.", channel="desk")
        wait_until_parked(second)
        # On the desk only the number is open, and what is no number is a message of its own.
        model_server.script(["A word."])
        assert agent.chat("Tell me more.", channel="desk").text == "A word."
        assert agent.chat("7", channel="desk").text == "number: 7"
        model_server.script([py("reply('city: ' + await ask('Your city?'))")])
        third = agent.send("Ann", channel="other")
        wait_until_parked(third)
        # Both are open on one channel now.
        model_server.script([py("reply('town: ' + await ask('Your town?'))")])
        assert agent.chat("Bern", channel="other").text == "city: Bern"


def test_several_open_questions_on_one_channel(start_daemon: StartDaemon, model_server: ModelServer) -> None:
    model_server.script(
        [py("a, b = await asyncio.gather(ask('Your name?'), ask('Your city?'))\nreply(a + ' of ' + b)")]
    )
    daemon = start_daemon(model_server)
    with rlmd.connect(data=daemon.data) as client:
        agent = client.agent()
        agent.chat("Ask me.")
        which = agent.chat("Ann")
        assert which.text.startswith("Which question do you answer?")
        _city, name = (question.id for question in client.questions.list())
        assert agent.chat(f"{name}: Ann").state is RunState.WAITING
        assert agent.chat("Bern").text == "Ann of Bern"


def test_an_answer_whose_daemon_was_killed_before_it_woke_the_run(
    start_daemon: StartDaemon, model_server: ModelServer
) -> None:
    model_server.script([py("reply('heard ' + await ask('Well?'))")])
    daemon = start_daemon(model_server)
    with rlmd.connect(data=daemon.data) as client:
        run = client.agent().send("Ask me.")
        wait_until_parked(run)
        daemon.kill()
        # The answer is on disk, and nobody was there any more to wake the run.
        with House.open(daemon.data / "rlmd.db", SystemClock()) as house:
            store = house.store(house.read(lambda accounts: accounts.user("owner")))
            store.submit(lambda tx: tx.questions.answer(1, "this", by="owner", on="chat")).result()
        daemon.restart()
        assert run.wait().state is RunState.DONE
        assert client.agent().log.recent(1)[0].text == "heard this"


def test_a_question_that_cannot_be_asked_is_an_error_that_is_had_again(
    start_daemon: StartDaemon, model_server: ModelServer
) -> None:
    program = (
        "try:\n    await ask('Which?', type='colour')\nexcept ValueError as error:\n    done(str(error))"
    )
    model_server.script([py(program)])
    daemon = start_daemon(model_server)
    with rlmd.connect(data=daemon.data) as client:
        run = client.agent().send("Ask me.")
        ended = run.wait()
        assert "'colour' is no type" in ended.result
        (asked, _) = ended.steps[0].calls
        assert (asked.function, asked.settled) == ("ask", True)
        assert "'colour'" in asked.error
        found = run.replay()
        assert found.equal, found.difference


@pytest.mark.parametrize("busy", [False, True], ids=["a parent that is parked", "a parent at work"])
def test_a_child_that_is_cancelled_while_it_waits_raises_in_its_parent(
    busy: bool, start_daemon: StartDaemon, model_server: ModelServer
) -> None:
    beside = "llm('slow')" if busy else "ask('And you?')"
    model_server.script(
        [
            py(
                f"other = {beside}\ntry:\n    await rlm('ask')\nexcept RuntimeError as error:\n"
                "    reply(str(error))\nawait other"
            )
        ]
    )
    model_server.script(
        [
            lambda body: py("await ask('Really?')") if "child run" in str(body) else Slow(30, "late"),
            lambda body: py("await ask('Really?')") if "child run" in str(body) else Slow(30, "late"),
        ],
        model="child",
    )
    daemon = start_daemon(model_server)
    with rlmd.connect(data=daemon.data) as client:
        agent = client.agent()
        agent.update(sub_model="child")
        run = agent.send("Go.", channel="phone")
        end = time.monotonic() + 20
        while not [q for q in client.questions.list() if q.text == "Really?"]:
            assert time.monotonic() < end
            time.sleep(0.02)
        (question,) = (q for q in client.questions.list() if q.text == "Really?")
        assert question.channel == "phone", "a child asks where its root was spoken to"
        child = agent.run(question.run)
        wait_until_parked(child)
        if not busy:
            wait_until_parked(run)
        assert child.cancel("enough").state is RunState.CANCELLED
        while (said := agent.log.recent(1)[0].text) in ("Go.", "And you?", "Really?"):
            assert time.monotonic() < end
            time.sleep(0.02)
        assert f"child run {child.id} cancelled: enough" in said
        with pytest.raises(rlmd.PreconditionFailed, match="is a child"):
            child.fork(1)
        run.cancel("the test ends")


def test_a_run_that_is_cancelled_while_it_waits_withdraws_its_question(daemon: DaemonProcess) -> None:
    with rlmd.connect(data=daemon.data) as client:
        agent = client.agent()
        run = agent.send("/py await ask('Still there?')")
        wait_until_parked(run)
        assert run.cancel("enough").state is RunState.CANCELLED
        assert client.questions.list() == []
        (question,) = client.questions.list(ended=True)
        assert question.state is QuestionState.CANCELLED
