"""A stream of Connect reaches nothing of another user's, though their channels be named alike."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from rlmd.memory.records import CallState, Form, Origin, QuestionState
from rlmd.memory.store import Transaction
from rlmd.proto.rlmd.v1 import channels_pb2 as pb
from tests.daemon.rpc.host import Daemon, daemon
from tests.daemon.rpc.stream import connected
from tests.wire import offer

CANARY = "canary-51c0"


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Daemon]:
    async with daemon(tmp_path) as served:
        yield served


async def test_a_stream_sees_and_reaches_only_what_is_its_users(served: Daemon) -> None:
    run = await served.run(text=CANARY)
    async with connected(served.alice, "home", [offer("lights")]) as hers:

        def fill(tx: Transaction) -> tuple[int, int]:
            agent, channel = tx.agents.get("main"), tx.channels.get("home")
            tx.log("main").add(
                channel="home", sender="main", text=CANARY, origin=Origin.AGENT, from_agent=True
            )
            asked = tx.questions.ask(
                agent, run, 1, channel="home", text=CANARY, form=Form(), expire_time=None
            )
            called = tx.channel_calls.open(
                agent,
                run,
                2,
                channel=channel,
                function=channel.functions[0],
                arguments="{}",
                expire_time=tx.now + timedelta(hours=1),
            )
            return asked.id, called.id

        store = served.store("alice")
        asked, called = await store.write(fill)
        async with connected(served.bob, "home", [offer("lights")]) as his:
            # Each is refused as what nobody has.
            for number in (asked, 987_654_321):
                name = f"agents/main/questions/{number}"
                his.send(answer=pb.GiveAnswer(question=name, answer="x", request_id="q"))
                await refused(his, "q", "there is no question", number)
            for number in (called, 987_654_321):
                his.send(result=pb.CallResult(call=str(number), result_json="1"))
                await refused(his, str(number), "there is no call", number)
            for agent in ("hers", "nobodys"):
                his.send(say=pb.Say(agent=f"agents/{agent}", text="x", request_id="s"))
                assert (await his.next("failure")).code == "NOT_FOUND"
            assert await his.quiet(), "what is for her channel comes to his"
        for kind in ("message", "question", "invoke"):
            assert CANARY in str(await hers.next(kind)) or kind == "invoke"
    assert store.read(lambda tx: tx.questions.get(asked)).state is QuestionState.OPEN
    assert store.read(lambda tx: tx.channel_calls.get(called)).state is CallState.OPEN


async def refused(stream: Any, about: str, reason: str, number: int) -> None:
    failure = await stream.next("failure")
    assert (failure.about, failure.code) == (about, "NOT_FOUND")
    assert failure.reason == f"{reason} {number}"
