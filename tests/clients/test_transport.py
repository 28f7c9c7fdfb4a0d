"""What the library does when the daemon is gone, comes back, or cuts a stream."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

import rlmd
from rlmd import updates as up
from rlmd.proto.rlmd.v1 import channels_pb2, memory_pb2, runs_pb2
from tests.clients.double import Double, running

GONE = grpc.StatusCode.UNAVAILABLE
RUN = "agents/main/runs/7"


@pytest.fixture
def double() -> Iterator[Double]:
    with running() as made:
        yield made


def variable(version: int) -> memory_pb2.Variable:
    return memory_pb2.Variable(
        name="spaces/main/variables/a", version=version, kind=memory_pb2.VALUE_KIND_TEXT
    )


def told(sequence: int, text: str) -> runs_pb2.RunUpdate:
    observation = runs_pb2.Observation(step=sequence, text=text)
    return runs_pb2.RunUpdate(sequence=sequence, run=RUN, observation=observation)


def writing(text: str) -> runs_pb2.RunUpdate:
    return runs_pb2.RunUpdate(run=RUN, text_delta=runs_pb2.TextDelta(text=text, step=1))


def said(sequence: int, text: str) -> runs_pb2.RunUpdate:
    reply = runs_pb2.ReplyMessage(message="agents/main/messages/3", text=text)
    return runs_pb2.RunUpdate(sequence=sequence, run=RUN, reply=reply)


def ended(
    sequence: int, state: runs_pb2.RunState.ValueType = runs_pb2.RUN_STATE_DONE, reason: str = ""
) -> runs_pb2.RunUpdate:
    return runs_pb2.RunUpdate(
        sequence=sequence,
        run=RUN,
        ended=runs_pb2.RunEnded(state=state, reason=reason, result_json='{"a": 1}'),
    )


def test_an_effect_is_repeated_under_one_id(double: Double) -> None:
    double.script += [GONE, GONE, variable(4)]
    with rlmd.connect(data=double.data, timeout=10) as client:
        assert client.agent().memory.set("a", "x") == 4
    assert len(double.requests) == 3
    assert len({request.request_id for request in double.requests}) == 1
    assert double.requests[0].request_id
    assert set(double.tokens) == {"Bearer secret"}


def test_a_call_that_a_stopping_daemon_drops_is_repeated(double: Double) -> None:
    double.script += [grpc.StatusCode.CANCELLED, variable(4)]
    with rlmd.connect(data=double.data, timeout=10) as client:
        assert client.agent().memory.set("a", "x") == 4
    assert len({request.request_id for request in double.requests}) == 1
    assert len(double.requests) == 2


def test_two_effects_have_two_ids(double: Double) -> None:
    double.script += [variable(1), variable(2)]
    with rlmd.connect(data=double.data) as client:
        client.agent().memory.set("a", "x")
        client.agent().memory.append("a", "x")
    assert double.requests[0].request_id != double.requests[1].request_id


def test_what_has_no_id_is_not_repeated(double: Double) -> None:
    with rlmd.connect(data=double.data, timeout=5) as client:
        double.stop()
        began = time.monotonic()
        with pytest.raises(rlmd.Unavailable):
            client.admin.create_user("ann")
        assert time.monotonic() - began < 2


def test_a_call_waits_for_a_daemon_that_comes_back(double: Double) -> None:
    with rlmd.connect(data=double.data, timeout=20) as client:
        double.script += [variable(1), variable(2)]
        memory = client.agent().memory
        memory.set("a", "x")
        double.stop()
        back = threading.Timer(0.4, double.start)
        back.start()
        try:
            assert memory.set("a", "y") == 2
        finally:
            back.join()


def test_patience_ends(double: Double) -> None:
    with rlmd.connect(data=double.data, timeout=0.5) as client:
        double.stop()
        began = time.monotonic()
        with pytest.raises(rlmd.Unavailable) as caught:
            client.agent().memory.get("a")
        assert time.monotonic() - began < 3
    assert str(double.data) in caught.value.reason
    assert "rlmd up" in caught.value.remedy


def test_what_was_told_before_the_last_try_is_the_reason(double: Double) -> None:
    locked = rlmd.Unavailable("the database was locked", remedy="End the other program.")
    double.script += [locked, 3.0]
    with rlmd.connect(data=double.data, timeout=1) as client:
        with pytest.raises(rlmd.Unavailable, match="locked") as caught:
            client.agent().memory.set("a", "x")
        assert caught.value.remedy == locked.remedy
        assert len(double.requests) == 2
        double.script += [3.0]
        with pytest.raises(rlmd.DeadlineExceeded):
            client.agent().memory.set("a", "x")


def test_pages_are_turned(double: Double) -> None:
    double.script += [
        memory_pb2.ListVariablesResponse(variables=[variable(1), variable(2)], next_page_token="next"),
        memory_pb2.ListVariablesResponse(variables=[variable(3)]),
    ]
    with rlmd.connect(data=double.data) as client:
        assert [int(found.version) for found in client.agent().memory.variables("p")] == [1, 2, 3]
    assert [request.page_token for request in double.requests] == ["", "next"]


@pytest.mark.parametrize("cut", [GONE, None], ids=["broken", "let go"])
def test_a_cut_stream_loses_and_doubles_nothing(double: Double, cut: grpc.StatusCode | None) -> None:
    tail = [cut] if cut else []
    # The second connection repeats what was seen, as a daemon that counts differently might.
    double.script += [
        [told(1, "a"), writing("x"), told(2, "b"), *tail],
        [*tail],
        [told(2, "b"), told(3, "c"), ended(4)],
    ]
    with rlmd.connect(data=double.data, timeout=10) as client:
        seen = list(client.agent().run(7).watch())
    assert [update.sequence for update in seen] == [1, 0, 2, 3, 4]
    assert [request.after_sequence for request in double.requests] == [0, 2, 2]
    assert isinstance(seen[-1], up.Ended)
    assert seen[-1].result == {"a": 1}


def test_a_chat_that_is_cut_goes_on_with_its_run(double: Double) -> None:
    double.script += [[GONE], [told(1, "a"), GONE], [said(2, "Hi."), said(3, "Bye."), ended(4)]]
    with rlmd.connect(data=double.data, timeout=10) as client:
        reply = client.agent().chat("hello")
    assert (str(reply), reply.run, reply.result) == ("Hi.\n\nBye.", "7", {"a": 1})
    first, second, third = double.requests
    assert isinstance(first, channels_pb2.SendRequest)
    assert first == second
    assert third == runs_pb2.WatchRunRequest(name=RUN, after_sequence=1)


@pytest.mark.parametrize(
    ("state", "kind"),
    [(runs_pb2.RUN_STATE_FAILED, rlmd.ModelError), (runs_pb2.RUN_STATE_CANCELLED, rlmd.Cancelled)],
)
def test_a_run_that_says_nothing_and_fails_raises(
    double: Double, state: runs_pb2.RunState.ValueType, kind: type[rlmd.RlmdError]
) -> None:
    double.script += [[ended(1, state, "the reason")]]
    with rlmd.connect(data=double.data) as client, pytest.raises(kind, match="the reason"):
        client.agent().chat("hello")


async def test_the_async_face_does_the_same(double: Double) -> None:
    double.script += [GONE, variable(4), [told(1, "a"), GONE], [said(2, "Hi."), ended(3)]]
    async with await rlmd.connect_async(data=double.data, timeout=10) as client:
        assert await client.agent().memory.set("a", "x") == 4
        assert str(await client.agent().chat("hello")) == "Hi."
    assert double.requests[0].request_id == double.requests[1].request_id


def test_connecting_says_at_once_what_is_wrong(tmp_path: Path, double: Double) -> None:
    with pytest.raises(rlmd.Unavailable, match="rlmd up"):
        rlmd.connect(data=tmp_path)
    with pytest.raises(rlmd.Unavailable):
        rlmd.connect("127.0.0.1:1", token="x")
    with pytest.raises(rlmd.InvalidInput):
        rlmd.connect("nowhere", token="x")
    with pytest.raises(rlmd.InvalidInput):
        rlmd.connect(data=double.data, timeout=-1)
    (double.data / "token").write_text("two words\n")
    with pytest.raises(rlmd.Unauthenticated, match="token"):
        rlmd.connect(data=double.data)
    (double.data / "token").unlink()
    with pytest.raises(rlmd.Unauthenticated, match="token"):
        rlmd.connect(data=double.data)


def test_a_stale_socket_is_no_daemon(double: Double, tmp_path: Path) -> None:
    import socket

    path = double.data / "rlmd.sock"
    double.stop()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with pytest.raises(rlmd.Unavailable, match="No daemon is running"):
        rlmd.connect(data=double.data)
