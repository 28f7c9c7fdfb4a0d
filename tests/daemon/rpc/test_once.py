"""A request id makes a request happen once, for every method that has one."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from rlmd.memory.records import EntryKind
from rlmd.proto.rlmd.v1 import agents_pb2, hives_pb2, memory_pb2, schedules_pb2

from .host import Daemon, Row, methods

A, B = memory_pb2.Value(text="a"), memory_pb2.Value(text="b")
OLD = "spaces/main/variables/old"
GONE = "spaces/main/variables/gone"


def batch(value: memory_pb2.Value) -> dict[str, Any]:
    """Two variables."""
    requests = [memory_pb2.SetVariableRequest(name=name, value=value) for name in (OLD, f"{OLD}/2")]
    return {"parent": "spaces/main", "requests": requests}


# A request, and one with other content that uses its id again.
REQUESTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "SetVariable": ({"name": OLD, "value": A}, {"name": OLD, "value": B}),
    "BatchSetVariables": (batch(A), batch(B)),
    "AppendVariable": ({"name": OLD, "value": A}, {"name": OLD, "value": B}),
    "DeleteVariable": ({"name": OLD}, {"name": OLD, "note": "x"}),
    "UndeleteVariable": ({"name": GONE}, {"name": GONE, "note": "x"}),
    "RevertVariable": ({"name": OLD, "version": 1}, {"name": OLD, "version": 2}),
    "CreateAgent": ({"agent_id": "new"}, {"agent_id": "newer"}),
    "CloneAgent": (
        {"name": "agents/main", "agent_id": "new"},
        {"name": "agents/main", "agent_id": "new", "copy_memory": True},
    ),
    "UpdateAgent": (
        {"agent": agents_pb2.Agent(name="agents/main", model="m"), "update_mask": FieldMask(paths=["model"])},
        {"agent": agents_pb2.Agent(name="agents/main", model="n"), "update_mask": FieldMask(paths=["model"])},
    ),
    "DeleteAgent": ({"name": "agents/spare"}, {"name": "agents/main"}),
    "CreateHive": ({"hive_id": "new"}, {"hive_id": "newer"}),
    "DissolveHive": ({"name": "hives/team"}, {"name": "hives/other"}),
    "JoinHive": (
        {"name": "hives/team", "agent": "agents/main"},
        {"name": "hives/team", "agent": "agents/main", "member_id": "boss"},
    ),
    "LeaveHive": ({"name": "hives/team/members/spare"}, {"name": "hives/team/members/main"}),
    "CreateGrant": (
        {"parent": "hives/team", "grant": hives_pb2.Grant(verbs=["write"])},
        {"parent": "hives/team", "grant": hives_pb2.Grant(verbs=["read"])},
    ),
    "RevokeGrant": ({"name": "hives/team/grants/1"}, {"name": "hives/team/grants/2"}),
    "Send": ({"agent": "agents/main", "text": "a"}, {"agent": "agents/main", "text": "b"}),
    "Chat": ({"agent": "agents/main", "text": "a"}, {"agent": "agents/main", "text": "b"}),
    "CreateSchedule": (
        {"parent": "agents/main", "schedule": schedules_pb2.Schedule(when="every 1d", text="a")},
        {"parent": "agents/main", "schedule": schedules_pb2.Schedule(when="every 1d", text="b")},
    ),
    "UpdateSchedule": (
        {
            "schedule": schedules_pb2.Schedule(name="agents/main/schedules/old", text="a"),
            "update_mask": FieldMask(paths=["text"]),
        },
        {
            "schedule": schedules_pb2.Schedule(name="agents/main/schedules/old", text="b"),
            "update_mask": FieldMask(paths=["text"]),
        },
    ),
    "DeleteSchedule": ({"name": "agents/main/schedules/1"}, {"name": "agents/main/schedules/old"}),
    "RunSchedule": ({"name": "agents/main/schedules/1"}, {"name": "agents/main/schedules/2"}),
    "ForkRun": (
        {"name": "agents/main/runs/1", "at_call": 1, "answer": "[]"},
        {"name": "agents/main/runs/1", "at_call": 1, "answer": "[1]"},
    ),
    "TidyAgent": ({"name": "agents/main"}, {"name": "agents/spare"}),
    "UndoRun": ({"name": "agents/main/runs/1"}, {"name": "agents/main/runs/1", "keep_later": True}),
}

USAGE = {"input_tokens": 0, "output_tokens": 0, "cached_tokens": 0, "estimated": False}
PAST: list[Row] = [
    (EntryKind.STARTED, {"model": "m", "context": []}, 0, 0, ""),
    (
        EntryKind.STEP,
        {"reply": "r", "blocks": ["x"], "model": "m", "usage": USAGE, "note": "", "finish": "stop"},
        1,
        0,
        "",
    ),
    (EntryKind.CALL, {"args": {}, "digest": "", "result": ["a"]}, 1, 1, "memory.names"),
    (EntryKind.ENDED, {"state": "done", "reason": "", "result": None}, 1, 0, ""),
]
"""Of a run that has made one call."""


def test_every_method_with_a_request_id_is_here() -> None:
    assert set(REQUESTS) == {
        method.name for method in methods() if "request_id" in method.request.DESCRIPTOR.fields_by_name
    }


@pytest.mark.parametrize("rpc", REQUESTS)
async def test_second_time_gives_the_first_answer(served: Daemon, rpc: str) -> None:
    call = served.alice.call
    await call("CreateAgent", agent_id="spare")
    await call("CreateHive", hive_id="team")
    await call("JoinHive", name="hives/team", agent="agents/spare")
    for name in (OLD, OLD, GONE):
        await call("SetVariable", name=name, value=A)
    await call("DeleteVariable", name=GONE)
    for label in ("old", "older"):
        kept = schedules_pb2.Schedule(when="every 1d", text="x", label=label)
        await call("CreateSchedule", parent="agents/main", schedule=kept)
    request, other = REQUESTS[rpc]
    if rpc in ("ForkRun", "UndoRun"):
        await served.write(await served.run(), *PAST)
    first = await call(rpc, **request, request_id="id")
    before = await shown(served)
    again = await call(rpc, **request, request_id="id")
    if rpc == "Chat":
        first, again = ([update for update in each if update.sequence] for each in (first, again))
        assert first[-1].HasField("ended")
    if rpc in ("Send", "RunSchedule", "ForkRun", "TidyAgent"):  # Its run may have said something meanwhile.
        assert len((await call("ListRuns", parent="agents/-")).runs) == (2 if rpc == "ForkRun" else 1)
    else:
        assert await shown(served) == before
    assert again.name == first.name if rpc in ("ForkRun", "TidyAgent") else again == first
    refused = await served.alice.refused(rpc, **other, request_id="id")
    assert (refused.code, refused.field) == ("INVALID_ARGUMENT", "request_id")


async def test_ids_of_two_users_do_not_meet(served: Daemon) -> None:
    for client in (served.alice, served.bob):
        written = await client.call("SetVariable", name=OLD, value=A, request_id="id")
        assert written.version == 1


async def test_request_that_failed_may_be_tried_again(served: Daemon) -> None:
    fields: dict[str, Any] = {"name": OLD, "value": A, "expect_version": 1, "request_id": "id"}
    assert (await served.alice.refused("SetVariable", **fields)).code == "ABORTED"
    await served.alice.call("SetVariable", name=OLD, value=A)
    assert (await served.alice.call("SetVariable", **fields)).version == 2


async def shown(served: Daemon) -> list[Any]:
    """All that alice can see of her house."""
    call = served.alice.call
    return [
        await call("ListAgents"),
        await call("ListVariables", parent="spaces/main", show_deleted=True),
        await call("ListVersions", parent=OLD),
        await call("ListMessages", parent="agents/main"),
        await call("ListRuns", parent="agents/-"),
        hives := await call("ListHives"),
        [await call("ListGrants", parent=hive.name, show_ended=True) for hive in hives.hives],
        await call("ListSchedules", parent="agents/-", show_ended=True),
        await call("ListOccurrences", parent="agents/-/schedules/-"),
    ]
