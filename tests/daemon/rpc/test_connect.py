"""Connect as it goes over the wire: what is sent and when, to whom, how far ahead, and what is refused."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from rlmd.daemon.rpc.connect import AHEAD
from rlmd.memory.records import CallState, ChannelCall, Form, Message, Origin, Question, Run
from rlmd.memory.store import Transaction
from rlmd.proto.rlmd.v1 import channels_pb2 as pb
from rlmd.proto.rlmd.v1 import questions_pb2
from tests.wire import offer

from .host import Daemon, refusal
from .stream import Stream, connected

LIGHTS = offer("lights", {"type": "string"}, on={"type": "boolean"})


async def tell(served: Daemon, text: str, channel: str = "home") -> Message:
    """What an agent of alice says on a channel."""
    return await served.store("alice").write(
        lambda tx: tx.log("main").add(
            channel=channel, sender="main", text=text, origin=Origin.AGENT, from_agent=True
        )
    )


async def call(served: Daemon, run: Run, number: int) -> ChannelCall:
    """What a program of alice calls."""

    def work(tx: Transaction) -> ChannelCall:
        channel = tx.channels.get("home")
        return tx.channel_calls.open(
            tx.agents.get("main"),
            run,
            number,
            channel=channel,
            function=channel.functions[0],
            arguments='{"on": true}',
            expire_time=tx.now + timedelta(hours=1),
        )

    return await served.store("alice").write(work)


async def ask(served: Daemon, run: Run, number: int) -> Question:
    """What a program of alice asks."""
    return await served.store("alice").write(
        lambda tx: tx.questions.ask(
            tx.agents.get("main"),
            run,
            number,
            channel="home",
            text="Tea?",
            form=Form(choices=("yes", "no")),
            expire_time=None,
        )
    )


def stands(served: Daemon, called: ChannelCall) -> ChannelCall:
    return served.store("alice").read(lambda tx: tx.channel_calls.get(called.id))


async def until_ended(served: Daemon, called: ChannelCall) -> ChannelCall:
    for _ in range(500):
        if stands(served, called).state is not CallState.OPEN:
            break
        await asyncio.sleep(0.02)
    return stands(served, called)


# -- the outbox -----------------------------------------------------------------------------------


async def test_what_is_sent_is_sent_again_until_it_is_acknowledged(served: Daemon) -> None:
    await tell(served, "before anybody was there")
    async with connected(served.alice, "home") as stream:
        await tell(served, "one")
        await tell(served, "elsewhere", channel="chat")
        await tell(served, "two")
        assert [(await stream.next("message")).text for _ in range(2)] == ["one", "two"]
        assert stream.sequence == 2
        stream.send(ack=pb.Ack(sequence=1))
        stream.send(say=pb.Say(agent="agents/main", text="Hello"))
        await stream.next("said")
    await tell(served, "three")
    async with connected(served.alice, "home") as stream:
        assert [(await stream.next("message")).text for _ in range(2)] == ["two", "three"]
    async with connected(served.alice, "home", after=2) as stream:
        assert (await stream.next("message")).text == "three"
    # To connect from a place acknowledges what lies before it.
    async with connected(served.alice, "home") as stream:
        assert (await stream.next("message")).text == "three"


async def test_everything_comes_once_over_drops_at_any_place(served: Daemon) -> None:
    async with connected(served.alice, "home"):
        pass
    for number in range(100):
        await tell(served, str(number))
    seen: list[str] = []
    last = 0
    while len(seen) < 100:
        async with connected(served.alice, "home", after=last) as stream:
            for _ in range(1 + len(seen) % 7):
                if len(seen) < 100:
                    seen.append((await stream.next("message")).text)
                    last = stream.sequence
    assert seen == [str(number) for number in range(100)]


async def test_only_so_much_is_sent_ahead(served: Daemon) -> None:
    async with connected(served.alice, "home") as stream:

        def fill(tx: Transaction) -> None:
            for number in range(AHEAD + 50):
                tx.log("main").add(
                    channel="home", sender="main", text=str(number), origin=Origin.AGENT, from_agent=True
                )

        await served.store("alice").write(fill)
        for number in range(AHEAD):
            assert (await stream.next("message")).text == str(number)
        assert await stream.quiet()
    async with connected(served.alice, "home") as stream:
        for _ in range(AHEAD):
            await stream.next("message")
        stream.send(ack=pb.Ack(sequence=30))
        for _ in range(30):
            await stream.next("message")
        assert stream.sequence == AHEAD + 30
        assert await stream.quiet()


async def test_what_deleted_agents_had_said_is_passed_over(served: Daemon) -> None:
    await served.alice.call("CreateAgent", agent_id="other")
    async with connected(served.alice, "home"):
        pass
    await served.store("alice").write(
        lambda tx: tx.log("other").add(
            channel="home", sender="other", text="gone", origin=Origin.AGENT, from_agent=True
        )
    )
    await tell(served, "stays")
    await served.alice.call("DeleteAgent", name="agents/other", force=True)
    async with connected(served.alice, "home") as stream:
        assert (await stream.next("message")).text == "stays"
        assert stream.sequence == 2


# -- questions ------------------------------------------------------------------------------------


async def test_clients_are_asked_and_the_first_answer_is_told_to_all(served: Daemon) -> None:
    run = await served.run()
    async with connected(served.alice, "home") as one, connected(served.alice, "home") as two:
        asked = await ask(served, run, 1)
        name = f"agents/main/questions/{asked.id}"
        for stream in (one, two):
            question = await stream.next("question")
            assert (question.name, question.text, question.choices) == (name, "Tea?", ["yes", "no"])
        one.send(answer=pb.GiveAnswer(question=name, answer="perhaps"))
        refused = await one.next("failure")
        assert (refused.about, refused.code) == (name, "INVALID_ARGUMENT")
        one.send(answer=pb.GiveAnswer(question=name, answer="Yes"))
        for stream in (one, two):
            closed = await stream.next("closed")
            assert closed == pb.QuestionClosed(
                question=name, state=questions_pb2.QUESTION_STATE_ANSWERED, answered_by="alice"
            )
        # Said again, as after a break, it is not late; another answer is.
        one.send(answer=pb.GiveAnswer(question=name, answer="yes", request_id="again"))
        one.send(answer=pb.GiveAnswer(question=name, answer="no", request_id="late"))
        late = await one.next("failure")
        assert (late.about, late.code) == ("late", "FAILED_PRECONDITION")
        assert "was answered by alice" in late.reason
    answered = served.store("alice").read(lambda tx: tx.questions.get(asked.id))
    assert (answered.answer, answered.answered_on) == ("yes", "home")


# -- calls ----------------------------------------------------------------------------------------


async def test_a_call_goes_to_one_client_and_to_another_if_that_drops(served: Daemon) -> None:
    run = await served.run()
    async with connected(served.alice, "home", [LIGHTS]) as one:
        called = await call(served, run, 1)
        first = await one.next("invoke")
        async with connected(served.alice, "home", [LIGHTS]) as two:
            assert await two.quiet()
        async with connected(served.alice, "home", [LIGHTS]) as three:
            one.call.cancel()
            second = await three.next("invoke")
            assert second == first
            assert (first.call, first.key) == (str(called.id), f"alice-{run.id}-1")
            three.send(result=pb.CallResult(call=second.call, result_json='"bright"'))
            assert (await until_ended(served, called)).result == '"bright"'
            assert await three.quiet(), "what has its result is not withdrawn"


async def test_calls_are_spread_over_clients(served: Daemon) -> None:
    run = await served.run()
    async with (
        connected(served.alice, "home", [LIGHTS]) as one,
        connected(served.alice, "home", [LIGHTS]) as two,
    ):
        for number in range(1, 7):
            await call(served, run, number)
        for stream in (one, two):
            for _ in range(3):
                await stream.next("invoke")
            assert await stream.quiet()


async def test_a_result_is_taken_once_from_whoever_has_it(served: Daemon) -> None:
    run = await served.run()
    async with connected(served.alice, "home", [LIGHTS]) as one:
        called = await call(served, run, 1)
        invoke = await one.next("invoke")
        async with connected(served.alice, "home", [LIGHTS]) as two:
            two.send(result=pb.CallResult(call=invoke.call, result_json='"first"'))
            await until_ended(served, called)
            for stream in (one, two):
                stream.send(result=pb.CallResult(call=invoke.call, result_json='"second"'))
            two.send(result=pb.CallResult(call="nonsense", error="x"))
            assert (await two.next("failure")).about == "nonsense"
    assert stands(served, called).result == '"first"'


@pytest.mark.parametrize(
    ("outcome", "field", "told"),
    [
        ({"result_json": "7"}, "result.result_json", "its result is not what it offers: 7 is not of type"),
        ({"result_json": "{"}, "result.result_json", "it is not JSON"),
        ({"result_json": "NaN"}, "result.result_json", "NaN is not a JSON number"),
        ({"result_json": f'"{"x" * 1_000_001}"'}, "result.result_json", "more than 1,000,000"),
        ({"error": "x" * 10_001}, "result.error", "xxx"),
        ({}, "result.outcome", "neither a result nor an error"),
    ],
)
async def test_a_bad_result_is_told_to_the_client_and_ends_the_call(
    served: Daemon, outcome: dict[str, str], field: str, told: str
) -> None:
    run = await served.run()
    async with connected(served.alice, "home", [LIGHTS]) as stream:
        called = await call(served, run, 1)
        invoke = await stream.next("invoke")
        stream.send(result=pb.CallResult(call=invoke.call, **outcome))
        failure = await stream.next("failure")
        assert (failure.about, failure.code, failure.field) == (invoke.call, "INVALID_ARGUMENT", field)
        assert failure.reason
        assert failure.remedy
    ended = stands(served, called)
    assert ended.state is CallState.FAILED
    assert told in ended.error


async def test_a_call_is_withdrawn_when_its_run_ends_and_a_late_result_is_told_so(served: Daemon) -> None:
    run = await served.run()
    async with connected(served.alice, "home", [LIGHTS]) as stream:
        called = await call(served, run, 1)
        invoke = await stream.next("invoke")
        await served.alice.call("CancelRun", name=f"agents/main/runs/{run.id}")
        assert (await stream.next("withdrawn")).call == invoke.call
        stream.send(result=pb.CallResult(call=invoke.call, result_json='"bright"'))
        late = await stream.next("failure")
        assert (late.about, late.code) == (invoke.call, "FAILED_PRECONDITION")
        assert "no longer wanted" in late.reason
    assert stands(served, called).state is CallState.CANCELLED


# -- rules ----------------------------------------------------------------------------------------


def bad(**fields: Any) -> pb.Function:
    function = pb.Function()
    function.CopyFrom(LIGHTS)
    function.MergeFrom(pb.Function(**fields))
    return function


def schema(text: str) -> pb.Function:
    return bad(parameters_json=text)


def of(schema: dict[str, Any]) -> pb.Function:
    return bad(parameters_json=json.dumps({"type": "object", "properties": {"x": schema}}))


@pytest.mark.parametrize(
    ("functions", "field"),
    [
        ([schema("{")], "functions.parameters_json"),
        ([schema("[]")], "functions.parameters_json"),
        ([schema('{"type": "string"}')], "functions.parameters_json"),
        ([schema('{"type": "object", "properties": 3}')], "functions.parameters_json"),
        ([schema('{"type": "wish"}')], "functions.parameters_json"),
        ([schema("[" * 5_000)], "functions.parameters_json"),
        ([of({"type": "string", "description": "x" * 20_000})], "functions.parameters_json"),
        ([of({"$ref": "https://example.com/schema.json"})], "functions.parameters_json"),
        ([of({"$ref": "#/$defs/nothing"})], "functions.parameters_json"),
        ([of({"$id": "x"})], "functions.parameters_json"),
        ([of({"patternProperties": {}})], "functions.parameters_json"),
        ([bad(result_json='{"type": 3}')], "functions.result_json"),
        ([bad(name="not a name")], "functions.name"),
        ([bad(name="_hidden")], "functions.name"),
        ([bad(name="ask")], "functions.name"),
        ([bad(name="lambda")], "functions.name"),
        ([bad(doc="x" * 2_001)], "functions.doc"),
        ([bad(time_limit=Duration(seconds=-1))], "functions.time_limit"),
        ([bad(time_limit=Duration(seconds=10**10))], "functions.time_limit"),
        ([pb.Function(name="x", offline=7)], "functions.offline"),  # type: ignore[arg-type]
        ([LIGHTS, LIGHTS], "functions"),
        ([offer(f"f{number}") for number in range(201)], "functions"),
    ],
    ids=str,
)
async def test_what_cannot_be_offered_ends_the_stream(
    served: Daemon, functions: list[pb.Function], field: str
) -> None:
    answer = await served.alice.refused("Connect", hello=pb.Hello(channel="home", functions=functions))
    assert (answer.code, answer.field) == ("INVALID_ARGUMENT", field)
    assert answer.reason
    assert answer.remedy
    assert (await served.alice.call("ListChannels")).channels == []


@pytest.mark.parametrize(
    ("requests", "field"),
    [
        ([{"ack": pb.Ack(sequence=1)}], "ack.sequence"),
        ([{"ack": pb.Ack(sequence=-1)}], "ack.sequence"),
        ([{"hello": pb.Hello(channel="home")}], "hello"),
        ([{}], "request"),
    ],
)
async def test_what_breaks_the_rules_ends_the_stream(
    served: Daemon, requests: list[dict[str, Any]], field: str
) -> None:
    async with connected(served.alice, "home") as stream:
        for request in requests:
            stream.send(**request)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stream.call.read()
        answer = refusal(caught.value)
        assert (answer.code, answer.field) == ("INVALID_ARGUMENT", field)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"say": pb.Say(agent="agents/main", text="x")}, "hello"),
        ({}, "hello"),
        ({"hello": pb.Hello(channel="No Name")}, "channel"),
        ({"hello": pb.Hello(channel="home", after_sequence=1)}, "hello.after_sequence"),
        ({"hello": pb.Hello(channel="home", after_sequence=-1)}, "hello.after_sequence"),
    ],
)
async def test_a_stream_begins_with_a_good_hello(served: Daemon, fields: dict[str, Any], field: str) -> None:
    answer = await served.alice.refused("Connect", **fields)
    assert (answer.code, answer.field) == ("INVALID_ARGUMENT", field)


async def test_what_cannot_be_said_is_a_failure_and_the_stream_goes_on(served: Daemon) -> None:
    async with connected(served.alice, "home") as stream:
        for say, code, field in (
            (pb.Say(agent="agents/none", text="x", request_id="a"), "NOT_FOUND", "say.agent"),
            (pb.Say(agent="main", text="x", request_id="b"), "INVALID_ARGUMENT", "say.agent"),
            (pb.Say(agent="agents/main", text=" ", request_id="c"), "INVALID_ARGUMENT", "text"),
        ):
            stream.send(say=say)
            failure = await stream.next("failure")
            assert (failure.about, failure.code, failure.field) == (say.request_id, code, field)
        for _ in range(2):
            stream.send(say=pb.Say(agent="agents/main", text="Hello", request_id="d"))
        first, second = await stream.next("said"), await stream.next("said")
        assert first == second
        stream.end()
        await stream.rest()
        assert await stream.call.code() is grpc.StatusCode.OK


async def test_a_client_may_ask_for_much_before_it_reads(served: Daemon) -> None:
    stream = Stream(served.alice)
    stream.send(hello=pb.Hello(channel="home"))
    for number in range(3_000):
        # They are refused, so that no runs come of it.
        stream.send(say=pb.Say(agent="agents/none", text="x", request_id=f"{number:0>120}"))
    await stream.next("welcome")
    for number in range(3_000):
        assert (await stream.next("failure")).about == f"{number:0>120}"
    stream.call.cancel()


async def test_channels_are_listed(served: Daemon) -> None:
    run = await served.run()
    async with connected(served.alice, "home", [LIGHTS]), connected(served.alice, "home", [LIGHTS]):
        async with connected(served.alice, "phone"):
            pass
        await call(served, run, 1)
        await tell(served, "one", channel="phone")
        listed = (await served.alice.call("ListChannels", page_size=1)).channels
        more = await served.alice.call("ListChannels")
        assert [channel.name for channel in more.channels] == ["channels/home", "channels/phone"]
        home, phone = more.channels
        assert listed == [home]
        assert (home.connections, home.pending, [each.name for each in home.functions]) == (2, 1, ["lights"])
        assert (phone.connections, phone.pending) == (0, 1)
        assert home.functions[0].time_limit == Duration(seconds=86_400)
        assert home.functions[0].offline == pb.OFFLINE_WAIT
    assert (await served.bob.call("ListChannels")).channels == []


async def test_a_revoked_token_ends_the_stream(served: Daemon) -> None:
    made = await served.alice.call("CreateToken", label="home")
    async with served.client(made.secret) as client, connected(client, "home") as stream:
        await served.alice.call("RevokeToken", name=made.token.name)
        await asyncio.sleep(1.1)
        stream.send(say=pb.Say(agent="agents/main", text="Hello"))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stream.call.read()
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert (await served.alice.call("ListMessages", parent="agents/main")).messages == []


async def test_a_stop_tells_the_clients(served: Daemon) -> None:
    async with connected(served.alice, "home") as stream:
        await served.server.stop()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stream.call.read()
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
