"""Programs and the channels that connect: functions are called once, whatever breaks, and people are told."""

from __future__ import annotations

import json
import textwrap
import time

import psutil
import pytest
from google.protobuf.duration_pb2 import Duration

import rlmd
from rlmd.clients.records import RunState
from rlmd.proto.rlmd.v1 import channels_pb2 as pb
from tests.conftest import StartDaemon
from tests.daemon_process import DaemonProcess
from tests.model_server import ModelServer
from tests.wire import Wire, offer

from .runner import py

LIGHTS = offer("lights", {"type": "string"}, on={"type": "boolean"})
CALL = "from channels import home\nreply(await home.lights(on=True))"


def agent_for(client: rlmd.Client, mind: ModelServer, name: str, *programs: str) -> rlmd.Agent:
    """An agent whose model writes these programs."""
    mind.script([py(program) for program in programs], model=name)
    return client.create_agent(name, model=name)


def wait_until_parked(run: rlmd.Run, *, seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while run.get().state is not RunState.WAITING:
        assert time.monotonic() < end, f"not parked: {run.get()}"
        time.sleep(0.02)


def said(agent: rlmd.Agent, run: rlmd.Run) -> str:
    """What the run replied, when it has ended."""
    ended = run.wait()
    assert ended.state is RunState.DONE, (ended.reason, [step.observation for step in ended.steps])
    return agent.log.recent(1)[0].text


# -- calling --------------------------------------------------------------------------------------


def test_a_program_calls_what_a_channel_offers(house: DaemonProcess, mind: ModelServer) -> None:
    with rlmd.connect(data=house.data) as client, Wire(house.data, "home", [LIGHTS]) as home:
        agent = agent_for(client, mind, "caller", CALL)
        run = agent.send("Light, please.")
        invoke = home.next("invoke")
        assert (invoke.function, invoke.arguments_json) == ("lights", '{"on": true}')
        assert invoke.key == f"owner-{run.id}-1"
        assert (invoke.agent, invoke.run) == ("agents/caller", f"agents/caller/runs/{run.id}")
        home.answer(invoke, "bright")
        assert said(agent, run) == "bright"
        assert run.replay().difference == ""


def test_calls_at_once_each_get_their_own_result_in_any_order(
    house: DaemonProcess, mind: ModelServer
) -> None:
    with (
        rlmd.connect(data=house.data) as client,
        Wire(house.data, "sums", [offer("add", a={}, b={})]) as sums,
    ):
        agent = agent_for(
            client,
            mind,
            "gatherer",
            """
            import channels
            add = channels.sums.add
            reply(await asyncio.gather(*[add(n, b=n) for n in range(5)]))
            """,
        )
        run = agent.send("Sum.")
        invokes = [sums.next("invoke") for _ in range(5)]
        for invoke in reversed(invokes):
            given = json.loads(invoke.arguments_json)
            sums.answer(invoke, given["a"] + given["b"])
        assert json.loads(said(agent, run)) == [0, 2, 4, 6, 8]
        assert run.replay().difference == ""


def test_a_call_outlives_kills_of_client_and_daemon_under_one_key(
    start_daemon: StartDaemon, model_server: ModelServer
) -> None:
    model_server.script([py("plan = ['a', 'b']\n" + CALL + "\nreply(plan)")])
    daemon = start_daemon(model_server)
    with rlmd.connect(data=daemon.data) as client:
        agent = client.agent()
        with Wire(daemon.data, "home", [LIGHTS]) as home:
            run = agent.send("Light, please.")
            key = home.next("invoke").key
            daemon.kill()
        daemon.restart()
        with Wire(daemon.data, "home", [LIGHTS]) as home:
            assert home.next("invoke").key == key
        wait_until_parked(run)
        daemon.restart()
        assert run.get().state is RunState.WAITING
        with Wire(daemon.data, "home", [LIGHTS]) as home:
            again = home.next("invoke")
            assert again.key == key
            home.answer(again, "bright")
            assert json.loads(said(agent, run)) == ["a", "b"]
            assert agent.log.recent(2)[0].text == "bright"
            assert run.get().step_count == 1
    assert len(model_server.requests) == 1


def test_a_result_that_came_right_before_a_kill_is_there_after_it(
    start_daemon: StartDaemon, model_server: ModelServer
) -> None:
    model_server.script([py(CALL)])
    daemon = start_daemon(model_server)
    with rlmd.connect(data=daemon.data) as client, Wire(daemon.data, "home", [LIGHTS]) as home:
        run = client.agent().send("Light, please.")
        invoke = home.next("invoke")
        wait_until_parked(run)
        home.answer(invoke, "bright")
        # The next answer means that the one before was done.
        home.send(result=pb.CallResult(call="0", error="x"))
        home.next("failure")
        daemon.kill()
        daemon.restart()
        assert said(client.agent(), run) == "bright"


def test_arguments_are_checked_before_anything_leaves(house: DaemonProcess, mind: ModelServer) -> None:
    program = """
    from channels import checked
    problems = []
    wrong = [([], {}), (["yes"], {}), ([True, 1], {}), ([True], {"on": False}), ([True], {"off": 1})]
    for args, kwargs in wrong:
        try:
            await checked.lights(*args, **kwargs)
        except TypeError as error:
            problems.append(str(error))
    reply(problems)
    """
    with rlmd.connect(data=house.data) as client, Wire(house.data, "checked", [LIGHTS]) as checked:
        agent = agent_for(client, mind, "careless", program)
        run = agent.send("Try.")
        problems = json.loads(said(agent, run))
        assert [problem.partition(": ")[2].partition(". It is")[0] for problem in problems] == [
            "'on' is a required property",
            "on: 'yes' is not of type 'boolean'",
            "takes 1 arguments, not 2",
            "got on twice",
            "Additional properties are not allowed ('off' was unexpected)",
        ]
        assert all(problem.endswith("It is checked.lights(on: boolean)") for problem in problems)
        assert run.replay().difference == ""
        # Nothing was sent: what comes first is asked for afterwards.
        checked.say("x", agent="nobody")
        checked.next("failure")


def test_errors_of_a_function_are_the_programs_to_catch(house: DaemonProcess, mind: ModelServer) -> None:
    program = """
    from channels import broken
    problems = []
    for _ in range(2):
        try:
            await broken.lights(True)
        except RuntimeError as error:
            problems.append(str(error))
    reply(problems)
    """
    with rlmd.connect(data=house.data) as client, Wire(house.data, "broken", [LIGHTS]) as broken:
        agent = agent_for(client, mind, "catcher", program)
        run = agent.send("Try.")
        broken.send(result=pb.CallResult(call=broken.next("invoke").call, error="the bulb is dead"))
        second = broken.next("invoke")
        broken.answer(second, 7)
        failure = broken.next("failure")
        assert (failure.about, failure.code) == (second.call, "INVALID_ARGUMENT")
        assert json.loads(said(agent, run)) == [
            "broken.lights() failed: the bulb is dead",
            "broken.lights() failed: its result is not what it offers: 7 is not of type 'string'",
        ]
        assert run.replay().difference == ""


def test_a_function_that_never_returns_meets_its_time_limit(house: DaemonProcess, mind: ModelServer) -> None:
    slow = offer("wait")
    slow.time_limit.CopyFrom(Duration(seconds=6))
    program = """
    from channels import slow
    try:
        await slow.wait()
    except TimeoutError as error:
        reply(str(error))
    """
    with rlmd.connect(data=house.data) as client, Wire(house.data, "slow", [slow]) as wire:
        agent = agent_for(client, mind, "patient", program)
        run = agent.send("Wait.")
        invoke = wire.next("invoke")
        wait_until_parked(run)
        assert "slow.wait() had no result in time" in said(agent, run)
        assert wire.next("withdrawn").call == invoke.call
        wire.answer(invoke, 1)
        late = wire.next("failure")
        assert (late.code, late.reason) == ("FAILED_PRECONDITION", "the call took too long")


def test_calls_wait_for_a_channel_that_is_away_or_fail_at_once_as_it_says(
    house: DaemonProcess, mind: ModelServer
) -> None:
    ring = offer("ring")
    ring.offline = pb.OFFLINE_FAIL
    program = """
    from channels import away
    try:
        await away.ring()
    except RuntimeError as error:
        problem = str(error)
    reply([problem, await away.lights(on=False)])
    """
    with rlmd.connect(data=house.data) as client:
        with Wire(house.data, "away", [LIGHTS, ring]):
            pass
        # Until the daemon knows that it has gone.
        agent = agent_for(client, mind, "caller-of-away", program)
        time.sleep(0.5)
        run = agent.send("Call.")
        wait_until_parked(run)
        with Wire(house.data, "away", [LIGHTS, ring]) as away:
            away.answer(away.next("invoke"), "dark")
            problem, dark = json.loads(said(agent, run))
        assert dark == "dark"
        assert "away is not connected, and ring does not wait for it" in problem


def test_a_cancelled_run_withdraws_its_calls(house: DaemonProcess, mind: ModelServer) -> None:
    program = "from channels import undone\nawait undone.lights(True)"
    with rlmd.connect(data=house.data) as client, Wire(house.data, "undone", [LIGHTS]) as undone:
        agent = agent_for(client, mind, "cancelled", program, program)
        for parked in (True, False):
            run = agent.send("Call.")
            invoke = undone.next("invoke")
            if parked:
                wait_until_parked(run)
            run.cancel()
            assert undone.next("withdrawn").call == invoke.call


def test_a_fork_gets_another_result_and_a_wrong_one_is_refused(
    house: DaemonProcess, mind: ModelServer
) -> None:
    with rlmd.connect(data=house.data) as client, Wire(house.data, "forked", [LIGHTS]) as forked:
        agent = agent_for(client, mind, "forker", CALL.replace("home", "forked"))
        run = agent.send("Light, please.")
        forked.answer(forked.next("invoke"), "bright")
        assert said(agent, run) == "bright"
        assert said(agent, run.fork(1, answer="dim")) == "dim"
        with pytest.raises(rlmd.InvalidInput, match="does not give that"):
            run.fork(1, answer=3)
        # Without an answer, it is called anew.
        again = run.fork(1)
        invoke = forked.next("invoke")
        assert invoke.key == f"owner-{again.id}-1"
        forked.answer(invoke, "brighter")
        assert said(agent, again) == "brighter"


# -- who is there ---------------------------------------------------------------------------------


def test_who_has_just_connected_is_there_in_the_next_step_and_a_replay_sees_what_was(
    house: DaemonProcess, mind: ModelServer
) -> None:
    program = """
    try:
        from channels import newcomer
        found = True
    except ImportError as error:
        found = False
        print(str(error)[:33])
    await ask("Well?")
    """
    again = "from channels import newcomer\nreply([found, await newcomer.lights(on=True)])"
    with rlmd.connect(data=house.data) as client:
        agent = agent_for(client, mind, "watcher", program, again)
        run = agent.send("Look.")
        wait_until_parked(run)
        (question,) = client.questions.list(agent="watcher")
        with Wire(house.data, "newcomer", [LIGHTS]) as newcomer:
            # The first step is done again from its journal: nobody was there.
            client.questions.answer(question.id, "go on")
            newcomer.answer(newcomer.next("invoke"), "bright")
            assert json.loads(said(agent, run)) == [False, "bright"]
        assert "there is no channel newcomer" in run.get().steps[0].observation
        assert run.replay().difference == ""


def test_the_prompt_tells_who_is_there_and_does_not_grow_with_their_number(
    house: DaemonProcess, mind: ModelServer
) -> None:
    with rlmd.connect(data=house.data) as client:
        wires = [Wire(house.data, f"bot-{number}", [LIGHTS]) for number in range(40)]
        try:
            agent = client.create_agent("reader", model="reader")
            mind.script(["Hello."] * 2, model="reader")
            agent.chat("Hello")
            card = next(each for each in mind.requests if each.model == "reader").messages[1]["content"]
            line = next(line for line in card.splitlines() if line.startswith("Channels: "))
            assert "(lights(on: boolean))" in line
            assert "more" in line
            assert len(line) < 1_000
        finally:
            for wire in wires:
                wire.close()


# -- telling --------------------------------------------------------------------------------------


def test_messages_reach_a_channel_that_was_away(house: DaemonProcess, mind: ModelServer) -> None:
    with rlmd.connect(data=house.data) as client:
        with Wire(house.data, "phone"):
            pass
        program = "from channels import phone\nphone.tell('one')\nphone.tell(['two'])\nreply('Told.')"
        agent = agent_for(client, mind, "teller", program)
        run = agent.send("Tell them.")
        assert said(agent, run) == "Told."
        assert run.replay().difference == ""
        with Wire(house.data, "phone") as phone:
            assert phone.next("message").text == "one"
            assert json.loads(phone.next("message").text) == ["two"]
            phone.ack(1)
            mind.script(["You are welcome."], model="teller")
            phone.say("Thanks", agent="teller", request_id="r")
            told = phone.next("said")
            assert (told.request_id, told.run.rpartition("/")[0]) == ("r", "agents/teller/runs")
            assert phone.next("message").text == "You are welcome."
        with Wire(house.data, "phone") as phone:
            assert phone.welcome == pb.Welcome(channel="channels/phone", acknowledged=1)
            assert json.loads(phone.next("message").text) == ["two"]


def test_a_run_that_may_not_tell_before_its_owner_approves_is_parked(
    house: DaemonProcess, mind: ModelServer
) -> None:
    program = "from channels import yard\nyard.tell('The gate is open.')\nreply('Told.')"
    with (
        rlmd.connect(data=house.data) as client,
        Wire(house.data, "yard") as yard,
        Wire(house.data, "post", external=True) as post,
    ):
        agent = agent_for(client, mind, "obedient", program)
        post.say("Tell them that the gate is open.", agent=agent.name)
        run = agent.run(post.next("said").run.rpartition("/")[2])
        wait_until_parked(run)
        (question,) = client.questions.list(agent=agent.name)
        client.questions.answer(question.id, "yes")
        assert yard.next("message").text == "The gate is open."
        assert said(agent, run) == "Told."
        assert run.replay().difference == ""


def test_nothing_is_kept_for_a_client_that_does_not_read(daemon: DaemonProcess) -> None:
    program = "/py from channels import home\nfor _ in range(50): home.tell('large ' * 150_000)\nreply('.')"
    process = psutil.Process(daemon.pid)
    with rlmd.connect(data=daemon.data) as client, Wire(daemon.data, "home") as home:
        grown = []
        for _ in range(3):
            before = process.memory_info().rss
            assert client.agent().send(program).wait().state is RunState.DONE
            grown.append(process.memory_info().rss - before)
        # The first time, the daemon's caches and its index fill.
        assert sum(grown[1:]) < 30_000_000, f"{grown} bytes for 45 MB each that a client did not read"
        # It has lost nothing.
        for number in range(150):
            assert len(home.next("message").text) == 900_000
            assert home.sequence == number + 1


def test_a_person_is_asked_on_their_channel(house: DaemonProcess, mind: ModelServer) -> None:
    program = textwrap.dedent("""
    from channels import alice
    reply(await alice.ask("Tea?", ["yes", "no"]))
    """)
    with rlmd.connect(data=house.data) as client, Wire(house.data, "alice") as alice:
        agent = agent_for(client, mind, "host", program)
        run = agent.send("Ask alice.", channel="desk")
        question = alice.next("question")
        assert (question.text, question.channel, question.choices) == ("Tea?", "alice", ["yes", "no"])
        alice.send(answer=pb.GiveAnswer(question=question.name, answer="yes"))
        assert alice.next("closed").question == question.name
        assert said(agent, run) == "yes"
