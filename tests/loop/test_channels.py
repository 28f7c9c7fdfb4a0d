"""Programs and the channels that connect: functions are called once, whatever breaks, and people are told."""

from __future__ import annotations

import time

import rlmd
from rlmd.clients.records import RunState
from rlmd.proto.rlmd.v1 import channels_pb2 as pb
from tests.conftest import StartDaemon
from tests.daemon_process import DaemonProcess
from tests.model_server import ModelServer
from tests.wire import Wire, offer

from .runner import py

ON = {"type": "boolean"}
LIGHTS = offer("lights", {"type": "string"}, on=ON)
CALL = py("from channels import home\nreply(await home.lights(on=True))")


def wait_until_parked(run: rlmd.Run, *, seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while run.get().state is not RunState.WAITING:
        assert time.monotonic() < end, f"not parked: {run.get()}"
        time.sleep(0.02)


def test_a_program_calls_what_a_channel_offers(house: DaemonProcess, mind: ModelServer) -> None:
    with rlmd.connect(data=house.data) as client, Wire(house.data, "home", [LIGHTS]) as home:
        agent = client.create_agent("caller", model="caller")
        mind.script([CALL], model="caller")
        run = agent.send("Light, please.")
        invoke = home.next("invoke")
        assert (invoke.function, invoke.arguments_json) == ("lights", '{"on": true}')
        assert invoke.key == f"owner-{run.id}-1"
        assert (invoke.agent, invoke.run) == ("agents/caller", f"agents/caller/runs/{run.id}")
        home.answer(invoke, "bright")
        assert run.wait().state is RunState.DONE
        assert agent.log.recent(1)[0].text == "bright"


def test_a_call_outlives_kills_of_client_and_daemon_under_one_key(
    start_daemon: StartDaemon, model_server: ModelServer
) -> None:
    model_server.script([CALL])
    daemon = start_daemon(model_server)
    with rlmd.connect(data=daemon.data) as client:
        with Wire(daemon.data, "home", [LIGHTS]) as home:
            run = client.agent().send("Light, please.")
            key = home.next("invoke").key
            wait_until_parked(run)
        daemon.kill()
        daemon.restart()
        with Wire(daemon.data, "home", [LIGHTS]) as home:
            again = home.next("invoke")
            assert again.key == key
            home.answer(again, "bright")
            ended = run.wait()
            assert (ended.state, ended.step_count) == (RunState.DONE, 1), ended.reason
        assert client.agent().log.recent(1)[0].text == "bright"
    assert len(model_server.requests) == 1


def test_messages_reach_a_channel_that_was_away(house: DaemonProcess, mind: ModelServer) -> None:
    with rlmd.connect(data=house.data) as client:
        agent = client.create_agent("teller", model="teller")
        with Wire(house.data, "phone") as phone:
            pass
        mind.script([py("from channels import phone\nphone.tell('one')\nphone.tell('two')")], model="teller")
        mind.script(["Done."], model="teller")
        assert agent.send("Tell them.").wait().state is RunState.DONE
        with Wire(house.data, "phone") as phone:
            assert [phone.next("message").text for _ in range(2)] == ["one", "two"]
            phone.ack(1)
            phone.say("Thanks", agent="teller", request_id="r")
            said = phone.next("said")
            assert (said.request_id, said.run.rpartition("/")[0]) == ("r", "agents/teller/runs")
        with Wire(house.data, "phone") as phone:
            assert phone.welcome == pb.Welcome(channel="channels/phone", acknowledged=1)
            assert phone.next("message").text == "two"
