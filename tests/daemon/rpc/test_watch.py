"""Watching a run: each row of its journal once, whenever the watcher comes and however often it is cut."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from rlmd.daemon.feed import Delta
from rlmd.memory.records import EntryKind, Run
from rlmd.proto.rlmd.v1 import runs_pb2 as pb

from .host import STARTED, Daemon, Row

USAGE = {"input_tokens": 5, "output_tokens": 2, "cached_tokens": 1, "estimated": True}
STEP: Row = (
    EntryKind.STEP,
    {"reply": "r", "blocks": ["c"], "model": "m", "usage": USAGE, "note": "n", "finish": "stop"},
    1,
    0,
    "",
)
CALLS: list[Row] = [
    (
        EntryKind.CALL,
        {"args": {"args": ["x"], "kwargs": {}}, "digest": "d", "result": None},
        1,
        1,
        "memory.get",
    ),
    (EntryKind.CALL, {"args": {"args": ["q"], "kwargs": {}}, "digest": "d"}, 1, 2, "llm"),
    (
        EntryKind.CALL,
        {"args": {"args": ["Hi"], "kwargs": {}}, "digest": "d", "result": {"message": 7}},
        1,
        3,
        "reply",
    ),
    (EntryKind.CALL, {"args": {}, "digest": "d", "error": {"type": "Conflict", "message": "no"}}, 1, 4, "x"),
    (EntryKind.SETTLED, {"result": "answer"}, 1, 2, "llm"),
    (EntryKind.OBSERVATION, {"text": "out"}, 1, 0, ""),
]
ENDED: Row = (EntryKind.ENDED, {"state": "done", "reason": "", "result": {"a": 1}}, 1, 0, "")
WHOLE = [STARTED, STEP, *CALLS, ENDED]


def watched(run: Run, **fields: Any) -> dict[str, Any]:
    return {"name": f"agents/main/runs/{run.id}", **fields}


async def test_ended_run_streams_its_journal_and_ends(served: Daemon) -> None:
    run = await served.run()
    await served.write(run, *WHOLE)
    updates = await served.alice.call("WatchRun", **watched(run))
    assert [update.sequence for update in updates] == list(range(1, len(WHOLE) + 1))
    assert [update.WhichOneof("update") for update in updates] == [
        "started", "step", "call", "call", "reply", "call", "settled", "observation", "ended",
    ]  # fmt: skip
    assert updates[1].step.usage == pb.UsageTotals(
        input_tokens=5, output_tokens=2, cached_tokens=1, model_calls=1, estimated=True
    )
    assert [update.call.settled for update in updates if update.HasField("call")] == [True, False, True]
    assert updates[4].reply == pb.ReplyMessage(message="agents/main/messages/7", text="Hi")
    assert updates[5].call.error == "Conflict: no"
    assert (updates[6].settled.number, updates[6].settled.result_json) == (2, '"answer"')
    assert updates[8].ended == pb.RunEnded(state=pb.RUN_STATE_DONE, result_json='{"a":1}')
    assert await served.alice.call("WatchRun", **watched(run, after_sequence=len(WHOLE))) == []


async def test_watcher_that_is_cut_off_sees_each_row_once(served: Daemon) -> None:
    run = await served.run()
    seen: list[int] = []

    async def watch() -> None:
        while True:
            stream = served.alice.stream("WatchRun", **watched(run, after_sequence=seen[-1] if seen else 0))
            for _ in range(3):  # Then the line is cut.
                update = await stream.read()
                if update is grpc.aio.EOF:
                    return
                seen.append(update.sequence)
            stream.cancel()

    watching = asyncio.create_task(watch())
    for row in WHOLE:
        await served.write(run, row)
    await asyncio.wait_for(watching, 10)
    assert seen == list(range(1, len(WHOLE) + 1))


async def test_many_watchers_all_see_all(served: Daemon) -> None:
    run = await served.run()
    watching = [asyncio.create_task(served.alice.call("WatchRun", **watched(run))) for _ in range(8)]
    for row in WHOLE:
        await served.write(run, row)
    for updates in await asyncio.wait_for(asyncio.gather(*watching), 10):
        assert [update.sequence for update in updates] == list(range(1, len(WHOLE) + 1))


async def test_text_comes_before_its_step_and_not_after(served: Daemon) -> None:
    run = await served.run()
    await served.write(run, STARTED)
    stream = served.alice.stream("WatchRun", **watched(run))
    assert (await stream.read()).HasField("started")
    served.engine.feed.push(run.id, Delta("ab", 1))
    update = await stream.read()
    assert (update.sequence, update.text_delta.text, update.text_delta.step) == (0, "ab", 1)
    await served.write(run, STEP)
    assert (await stream.read()).HasField("step")
    served.engine.feed.push(run.id, Delta("late", 1))
    await served.write(run, ENDED)
    assert (await stream.read()).HasField("ended")
    assert await stream.read() is grpc.aio.EOF


@pytest.mark.parametrize("seconds", [0.3, 20])
async def test_deadline_and_cancel_leave_no_watcher(served: Daemon, seconds: float) -> None:
    run = await served.run()
    stream = served.alice.stream("WatchRun", seconds, **watched(run))
    await served.write(run, STARTED)
    await stream.read()
    assert served.engine.feed._watchers
    if seconds == 20:
        stream.cancel()
    else:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stream.read()
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    for _ in range(100):
        if not served.engine.feed._watchers:
            break
        await asyncio.sleep(0.02)
    assert not served.engine.feed._watchers


async def test_long_journal_comes_whole(served: Daemon) -> None:
    run = await served.run()
    await served.write(run, STARTED, *CALLS[:1] * 500, ENDED)
    updates = await served.alice.call("WatchRun", **watched(run))
    assert [update.sequence for update in updates] == list(range(1, 503))


async def test_stop_of_the_daemon_ends_streams_with_a_reason(served: Daemon) -> None:
    run = await served.run()
    await served.write(run, STARTED)
    stream = served.alice.stream("WatchRun", **watched(run))
    await stream.read()
    await served.server.stop()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stream.read()
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "stopping" in (caught.value.details() or "")


async def test_a_stream_that_is_amid_sending_is_told_the_reason_too(served: Daemon) -> None:
    run = await served.run()
    long: Row = (EntryKind.OBSERVATION, {"text": "x" * 1_000_000}, 1, 0, "")
    await served.write(run, STARTED, *[long] * 40)
    stream = served.alice.stream("WatchRun", **watched(run))
    await stream.read()
    await asyncio.sleep(0.3)  # More has been sent than is taken in: gRPC waits with the next one.
    stopping = asyncio.create_task(served.server.stop())
    await asyncio.sleep(0.1)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await drained(stream)
    await stopping
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "stopping" in (caught.value.details() or "")


async def drained(stream: Any) -> None:
    while await stream.read():
        pass


async def test_run_is_shown_with_steps_and_calls(served: Daemon) -> None:
    run = await served.run(text="x" * 2000)
    await served.write(run, *WHOLE)
    shown = await served.alice.call("GetRun", name=f"agents/main/runs/{run.id}")
    assert len(shown.event_text) == 2000
    assert (shown.state, shown.step_count, shown.call_count) == (pb.RUN_STATE_DONE, 1, 4)
    (step,) = shown.steps
    assert (step.number, step.reply, step.code, step.observation) == (1, "r", "c", "out")
    assert [call.function for call in step.calls] == ["memory.get", "llm", "reply", "x"]
    assert all(call.settled for call in step.calls)
    assert step.calls[1].result_json == '"answer"'
    assert step.calls[1].arguments_json == '{"args":["q"],"kwargs":{}}'
    (listed,) = (await served.alice.call("ListRuns", parent="agents/-")).runs
    assert (len(listed.event_text), len(listed.steps)) == (1000, 0)


async def test_chat_streams_what_the_agent_does(served: Daemon) -> None:
    said = {"agent": "agents/main", "text": "hello", "request_id": "once"}
    updates = await served.alice.call("Chat", **said)
    rows = [update for update in updates if update.sequence]
    assert [update.sequence for update in rows] == list(range(1, len(rows) + 1))
    assert rows[0].HasField("started")
    assert rows[-1].ended.state == pb.RUN_STATE_DONE
    assert any(update.HasField("reply") and update.reply.text for update in rows)
    again = await served.alice.call("Chat", **said)
    assert [update for update in again if update.sequence] == rows
    messages = (await served.alice.call("ListMessages", parent="agents/main")).messages
    assert [message.from_agent for message in messages] == [True, False]
    assert {message.run for message in messages} == {rows[0].run}
