"""A channel whose line is cut, or on which things come twice: nothing is lost, and nothing is done twice."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

import rlmd
from rlmd.clients.records import Message, Question
from rlmd.proto.rlmd.v1 import channels_pb2 as pb
from rlmd.proto.rlmd.v1 import questions_pb2
from tests.clients.switchboard import Switchboard, running, until


@pytest.fixture
def board() -> Iterator[Switchboard]:
    with running() as made:
        yield made


@pytest.fixture
def client(board: Switchboard) -> Iterator[rlmd.Client]:
    with rlmd.connect(data=board.data, timeout=5) as made:
        yield made


def invoke(call: str, function: str, arguments: str = "{}", key: str = "") -> pb.Invoke:
    return pb.Invoke(
        call=call,
        function=function,
        arguments_json=arguments,
        key=key or f"key-{call}",
        agent="agents/main",
        run="agents/main/runs/7",
    )


def message(text: str) -> pb.Message:
    return pb.Message(name="agents/main/messages/3", channel="home", sender="main", text=text)


def question(id: int, **more: Any) -> questions_pb2.Question:
    return questions_pb2.Question(
        name=f"agents/main/questions/{id}",
        run="agents/main/runs/7",
        channel="home",
        text="?",
        **{"state": questions_pb2.QUESTION_STATE_OPEN, **more},
    )


def test_a_call_that_comes_again_is_done_once(board: Switchboard, client: rlmd.Client) -> None:
    done: list[int] = []
    with client.channel("home") as channel:

        @channel.function
        def add(a: int, b: int) -> int:
            done.append(a)
            return a + b

        channel.start()
        board.send(invoke=invoke("1", "add", '{"a": 1, "b": 2}'))
        board.wait(lambda: len(board.results()) == 1)
        board.drop()
        board.wait(lambda: len(board.hellos) == 2)
        board.send(invoke=invoke("1", "add", '{"a": 1, "b": 2}'))
        board.wait(lambda: len(board.results()) == 2)
    assert [(each.call, each.result_json) for each in board.results()] == [("1", "3")] * 2
    assert done == [1]


def test_a_call_that_is_under_way_survives_a_cut(board: Switchboard, client: rlmd.Client) -> None:
    begun, go = threading.Event(), threading.Event()
    with client.channel("home") as channel:

        @channel.function
        def slow() -> str:
            assert not begun.is_set()
            begun.set()
            go.wait(20)
            return channel.invocation.key

        channel.start()
        board.send(invoke=invoke("1", "slow", key="k"))
        assert begun.wait(20)
        board.drop()
        board.wait(lambda: len(board.hellos) == 2)
        board.send(invoke=invoke("1", "slow", key="k"))
        go.set()
        board.wait(board.results)
    # The kept result may be sent once more; the function would have failed if it had been called twice.
    assert {each.result_json for each in board.results()} == {'"k"'}


def test_messages_are_handled_in_order_and_once_over_cuts(board: Switchboard, client: rlmd.Client) -> None:
    seen: list[str] = []
    board.acknowledged = 4
    with client.channel("home") as channel:

        @channel.on_message
        def heard(message: Message) -> None:
            seen.append(message.text)

        channel.start()
        board.send(5, message=message("five"))
        board.send(6, message=message("six"))
        board.wait(lambda: 6 in board.acks())
        board.drop()
        board.wait(lambda: len(board.hellos) == 2)
        # A daemon that never got the acknowledgement sends them again.
        board.send(6, message=message("six"))
        board.send(9, message=message("nine"))
        board.wait(lambda: 9 in board.acks())
    assert seen == ["five", "six", "nine"]
    assert [hello.after_sequence for hello in board.hellos] == [0, 6]


def test_a_message_that_was_not_handled_is_not_acknowledged(board: Switchboard, client: rlmd.Client) -> None:
    go = threading.Event()
    with client.channel("home", grace=0.2) as channel:

        @channel.on_message
        def heard(message: Message) -> None:
            go.wait(20)

        channel.start()
        board.send(1, message=message("one"))
        board.send(2, message=message("two"))
        board.send(invoke=invoke("1", "unknown"))
        board.wait(board.results)
    go.set()
    assert board.acks() == []
    assert board.results()[0].error == "LookupError: this client offers no function 'unknown'"


def test_what_is_said_during_a_break_arrives_once(board: Switchboard, client: rlmd.Client) -> None:
    with client.channel("home") as channel:
        channel.start()
        runs: list[str] = []
        speaker = threading.Thread(target=lambda: runs.append(channel.say("hello", request_id="r1").id))
        speaker.start()
        board.wait(board.says)
        board.drop()
        board.wait(lambda: len(board.says()) == 2)
        said = pb.Said(request_id="r1", message="agents/main/messages/1", run="agents/main/runs/8")
        board.send(said=said)
        speaker.join(20)
    assert runs == ["8"]
    assert [(each.agent, each.text, each.request_id) for each in board.says()] == [
        ("agents/main", "hello", "r1")
    ] * 2


def test_what_is_refused_is_an_error_of_who_said_it(board: Switchboard, client: rlmd.Client) -> None:
    with client.channel("home") as channel:
        errors: list[rlmd.RlmdError] = []

        def speak() -> None:
            try:
                channel.say("hello", "nobody", request_id="r1")
            except rlmd.RlmdError as error:
                errors.append(error)

        speaker = threading.Thread(target=speak)
        speaker.start()
        board.wait(board.says)
        board.send(failure=pb.Failure(about="r1", reason="no such agent", field="agent", code="NOT_FOUND"))
        speaker.join(20)
    assert [(type(each), each.field) for each in errors] == [(rlmd.NotFound, "agent")]


def test_an_answer_is_sent_until_the_question_is_closed(board: Switchboard, client: rlmd.Client) -> None:
    board.open = [question(2)]
    asked: list[str] = []
    with client.channel("home") as channel:

        @channel.on_question
        def answer(question: Question) -> bool:
            asked.append(question.id)
            return True

        channel.start()
        board.send(1, question=question(1))
        # The second was asked before anybody was here.
        board.wait(lambda: len(board.answers()) == 2)
        board.drop()
        board.wait(lambda: len(board.answers()) == 4)
        ended = pb.QuestionClosed(
            question="agents/main/questions/1",
            state=questions_pb2.QUESTION_STATE_ANSWERED,
            answered_by="ann",
        )
        board.send(2, closed=ended)
        board.wait(lambda: 2 in board.acks())
        board.drop()
        board.wait(lambda: len(board.answers()) == 5)
    assert sorted(asked) == ["1", "2"]
    assert {each.answer for each in board.answers()} == {"true"}
    assert board.answers()[-1].question == "agents/main/questions/2"


def test_who_waited_for_an_answer_is_told_who_gave_it(board: Switchboard, client: rlmd.Client) -> None:
    ended: list[Question] = []
    left = threading.Event()

    async def serve() -> None:
        async with await rlmd.connect_async(data=board.data) as client, client.channel("home") as channel:

            @channel.on_question
            async def answer(question: Question) -> str:
                try:
                    await asyncio.sleep(60)
                finally:
                    left.set()
                return "late"

            @channel.on_closed
            def closed(question: Question) -> None:
                ended.append(question)

            await channel.start()
            board.send(1, question=question(1))
            name = "agents/main/questions/1"
            state = questions_pb2.QUESTION_STATE_ANSWERED
            board.closed["1"] = question(1, state=state, answered_by="bob")
            board.send(2, closed=pb.QuestionClosed(question=name, state=state, answered_by="bob"))
            await asyncio.to_thread(until, lambda: ended)

    asyncio.run(serve())
    assert left.is_set()
    assert [(each.id, each.text, each.state, each.answered_by) for each in ended] == [
        ("1", "?", "answered", "bob")
    ]
    assert board.answers() == []


def test_a_function_that_is_offered_later_is_offered_too(board: Switchboard, client: rlmd.Client) -> None:
    with client.channel("home", external=True) as channel:
        channel.start()
        board.wait(lambda: len(board.hellos) == 1)

        @channel.function(side_effects=False, trusted=True, offline="fail", time_limit=5)
        def now() -> str:
            """The time."""
            return "12:00"

        board.wait(lambda: len(board.hellos) == 2)
    (offer,) = board.hellos[1].functions
    assert (offer.name, offer.doc, offer.side_effects, offer.trusted) == ("now", "The time.", False, True)
    assert [hello.external for hello in board.hellos] == [True, True]
    assert (offer.offline, offer.time_limit.seconds) == (pb.OFFLINE_FAIL, 5)


def test_a_client_that_is_refused_says_why(board: Switchboard, client: rlmd.Client) -> None:
    board.refusal = rlmd.InvalidInput("no name", field="hello.channel", remedy="Another.")
    with client.channel("home") as channel, pytest.raises(rlmd.InvalidInput) as caught:
        channel.serve()
    assert caught.value.field == "hello.channel"


def test_calls_get_to_finish_and_what_does_not_is_told(board: Switchboard, client: rlmd.Client) -> None:
    begun = threading.Barrier(3)
    go = threading.Event()
    with client.channel("home", grace=1) as channel:

        @channel.function
        def short() -> str:
            begun.wait(20)
            time.sleep(0.3)
            return "done"

        @channel.function
        def endless() -> None:
            begun.wait(20)
            go.wait(20)

        channel.start()
        board.send(invoke=invoke("1", "short"))
        board.send(invoke=invoke("2", "endless"))
        begun.wait(20)
    go.set()
    board.wait(lambda: len(board.results()) == 2)
    assert {each.call: each.result_json or each.error for each in board.results()} == {
        "1": '"done"',
        "2": "The client was stopped before the call had ended.",
    }


def test_what_is_withdrawn_is_cancelled_and_not_told(board: Switchboard) -> None:
    async def serve() -> None:
        stopped = asyncio.Event()
        begun = asyncio.Event()
        async with await rlmd.connect_async(data=board.data) as client, client.channel("home") as channel:

            @channel.function
            async def slow() -> None:
                begun.set()
                try:
                    await asyncio.sleep(60)
                finally:
                    stopped.set()

            await channel.start()
            board.send(invoke=invoke("1", "slow"))
            await asyncio.wait_for(begun.wait(), 20)
            board.send(withdrawn=pb.Withdrawn(call="1"))
            await asyncio.wait_for(stopped.wait(), 20)

    asyncio.run(serve())
    assert board.results() == []


def test_plain_code_that_serves_goes_on_when_another_thread_closes(
    board: Switchboard, client: rlmd.Client
) -> None:
    channel = client.channel("home")
    ended: list[BaseException | None] = []

    def serve() -> None:
        try:
            channel.serve()
            ended.append(None)
        except BaseException as error:
            ended.append(error)

    server = threading.Thread(target=serve)
    server.start()
    board.wait(lambda: board.hellos)
    channel.close()
    server.join(20)
    assert ended == [None]
    with pytest.raises(rlmd.PreconditionFailed, match="closed"):
        channel.start()
    assert not [each for each in threading.enumerate() if each.name == "rlmd-channels"]


def test_a_channel_that_nobody_serves_is_told(
    board: Switchboard, client: rlmd.Client, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "rlmd.channel"), client.channel("home") as channel:

        @channel.function
        def never() -> None: ...

    assert "never connected" in caplog.text
    assert board.hellos == []
