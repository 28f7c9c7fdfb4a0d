"""What is wrong with a request is told by code, field and remedy: one table over all services."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from rlmd.daemon.rpc.values import MAX_VALUE
from rlmd.memory.store import Transaction
from rlmd.proto.rlmd.v1 import agents_pb2, memory_pb2

from .host import NOW, Daemon

PLAN = "spaces/main/variables/plan"
FUTURE = Timestamp(seconds=int(NOW.timestamp()) + 3600)
NEVER = Timestamp(seconds=1 << 50)
TEXT = memory_pb2.Value(text="x")
BAD = "INVALID_ARGUMENT"
PAGED = {
    "ListAgents": {},
    "ListVariables": {"parent": "spaces/main"},
    "ListVersions": {"parent": PLAN},
    "ListMessages": {"parent": "agents/main"},
    "ListRuns": {"parent": "agents/main"},
    "ListTokens": {},
    "ListUsers": {},
}


@dataclass(frozen=True)
class Case:
    rpc: str
    fields: dict[str, Any]
    code: str
    field: str
    says: str = ""
    """What the reason holds."""


def json(text: str) -> dict[str, Any]:
    return {"name": PLAN, "value": memory_pb2.Value(json=text)}


def masked(*paths: str, **fields: Any) -> dict[str, Any]:
    return {
        "agent": agents_pb2.Agent(name="agents/main", **fields),
        "update_mask": FieldMask(paths=paths),
    }


CASES = [
    # Names of resources.
    Case("GetVariable", {}, BAD, "name", "spaces/{space}/variables/{variable}"),
    Case("GetVariable", {"name": "main/plan"}, BAD, "name", "spaces/{space}/variables/{variable}"),
    Case("GetVariable", {"name": "spaces/main/variables/"}, BAD, "name"),
    Case("GetVariable", {"name": "spaces/main/variables/a//b"}, BAD, "name"),
    Case("GetVariable", {"name": "spaces/main/variables/../b"}, BAD, "name"),
    Case("GetVariable", {"name": "spaces/main/variables/" + "x" * 513}, BAD, "name"),
    Case("GetVariable", {"name": "spaces/main/variables/none"}, "NOT_FOUND", "name"),
    Case("GetVariable", {"name": "spaces/none/variables/plan"}, "NOT_FOUND", "name"),
    Case("ListVariables", {"parent": "agents/main"}, BAD, "parent", "spaces/{space}"),
    Case("ListVariables", {"parent": "spaces/none"}, "NOT_FOUND", "parent"),
    Case("GetAgent", {"name": "main"}, BAD, "name", "agents/{agent}"),
    Case("GetAgent", {"name": "agents/none"}, "NOT_FOUND", "name"),
    Case("GetRun", {"name": "agents/main/runs/abc"}, "NOT_FOUND", "name"),
    Case("GetRun", {"name": "agents/main/runs/²"}, "NOT_FOUND", "name"),
    Case("GetRun", {"name": f"agents/main/runs/{1 << 70}"}, "NOT_FOUND", "name"),
    Case("GetRun", {"name": "runs/1"}, BAD, "name", "agents/{agent}/runs/{run}"),
    Case("RevokeToken", {"name": "users/alice/tokens/x"}, "NOT_FOUND", "name"),
    Case("ListTokens", {"parent": "users/none"}, "NOT_FOUND", "parent"),
    Case("ListMessages", {"parent": "agents/none"}, "NOT_FOUND", "parent"),
    Case("SearchMessages", {"parent": "agents/none", "query": "x"}, "NOT_FOUND", "parent"),
    Case("Search", {"parent": "spaces/none", "query": "x"}, "NOT_FOUND", "parent"),
    Case("Grep", {"parent": "spaces/none", "pattern": "x"}, "NOT_FOUND", "parent"),
    # Values.
    Case("SetVariable", {"name": PLAN}, BAD, "value"),
    Case("SetVariable", json(""), BAD, "value.json", "line 1, column 1"),
    Case("SetVariable", json('{"a":\n1,}'), BAD, "value.json", "line 2"),
    Case("SetVariable", json("NaN"), BAD, "value.json", "NaN"),
    Case("SetVariable", json("[-Infinity]"), BAD, "value.json", "Infinity"),
    Case("SetVariable", json("1e999"), BAD, "value"),
    Case("SetVariable", json("[" * 100_000), BAD, "value.json", "deep"),
    Case("SetVariable", json("9" * 5000), BAD, "value.json"),
    Case("SetVariable", json('"\\ud800"'), BAD, "value"),
    Case("SetVariable", json("1 2"), BAD, "value.json", "column 3"),
    Case(
        "SetVariable",
        {"name": PLAN, "value": memory_pb2.Value(text="x" * (MAX_VALUE + 1))},
        "OUT_OF_RANGE",
        "value",
    ),
    Case("SetVariable", {"name": PLAN, "value": TEXT, "origin": 9}, BAD, "origin"),
    Case("SetVariable", {"name": PLAN, "value": TEXT, "note": "x" * 1001}, BAD, "note"),
    Case("SetVariable", {"name": PLAN, "value": TEXT, "request_id": "x" * 129}, BAD, "request_id"),
    Case("SetVariable", {"name": PLAN, "value": TEXT, "source_time": FUTURE}, BAD, "source_time"),
    Case("SetVariable", {"name": PLAN, "value": TEXT, "source_time": NEVER}, BAD, "source_time"),
    Case("SetVariable", {"name": PLAN, "value": TEXT, "expect_version": -1}, BAD, "expect_version"),
    Case("SetVariable", {"name": PLAN, "value": TEXT, "expect_version": 7}, "ABORTED", "expect_version"),
    Case("SetVariable", {"name": PLAN, "value": TEXT, "expect_version": 0}, "ABORTED", "expect_version"),
    Case("DeleteVariable", {"name": PLAN, "expect_version": 7}, "ABORTED", "expect_version"),
    Case("RevertVariable", {"name": PLAN, "version": 1, "expect_version": 7}, "ABORTED", "expect_version"),
    Case("RevertVariable", {"name": PLAN, "version": 9}, "NOT_FOUND", "version"),
    Case("RevertVariable", {"name": PLAN}, BAD, "version"),
    Case("UndeleteVariable", {"name": PLAN}, "FAILED_PRECONDITION", "name"),
    Case(
        "AppendVariable",
        {"name": PLAN, "value": memory_pb2.Value(data=b"x")},
        "FAILED_PRECONDITION",
        "value",
    ),
    # Versions, times, ranges.
    Case("GetVariable", {"name": PLAN, "version": -1}, BAD, "version"),
    Case("GetVariable", {"name": PLAN, "version": 9}, "NOT_FOUND", "version"),
    Case("GetVariable", {"name": PLAN, "version": 1, "as_of": Timestamp(seconds=1)}, BAD, "as_of"),
    Case("GetVariable", {"name": PLAN, "as_of": FUTURE}, BAD, "as_of"),
    Case("GetVariable", {"name": PLAN, "as_of": Timestamp(seconds=1, nanos=-1)}, BAD, "as_of"),
    Case("GetVariable", {"name": PLAN, "as_of": Timestamp(seconds=1)}, "NOT_FOUND", "as_of"),
    Case("DiffVersions", {"name": PLAN, "from_version": -1}, BAD, "from_version"),
    Case("DiffVersions", {"name": PLAN, "to_version": -1}, BAD, "to_version"),
    Case("ReadSlice", {"name": PLAN, "start": -1, "end": 2}, BAD, "start"),
    Case("ReadSlice", {"name": PLAN, "start": 3, "end": 2}, BAD, "start"),
    Case("ReadSlice", {"name": PLAN, "start": 0, "end": (1 << 20) + 1}, "OUT_OF_RANGE", "end"),
    Case("ReadSlice", {"name": PLAN, "end": 1, "version": -2}, BAD, "version"),
    Case("Grep", {"parent": "spaces/main"}, BAD, "pattern"),
    Case("Grep", {"parent": "spaces/main", "pattern": "("}, BAD, "pattern"),
    Case("Grep", {"parent": "spaces/main", "pattern": "x" * 1001}, BAD, "pattern"),
    Case("Grep", {"parent": "spaces/main", "pattern": "x", "limit": -1}, BAD, "limit"),
    Case("Grep", {"parent": "spaces/main", "pattern": "x", "limit": 10_001}, BAD, "limit"),
    Case("Search", {"parent": "spaces/main"}, BAD, "query"),
    Case("Search", {"parent": "spaces/main", "query": "x" * 4001}, BAD, "query"),
    Case("Search", {"parent": "spaces/main", "query": "x", "k": 101}, BAD, "k"),
    Case("Search", {"parent": "spaces/main", "query": "x", "after": NEVER}, BAD, "after"),
    Case("SearchMessages", {"parent": "agents/main", "query": " "}, BAD, "query"),
    # Agents.
    Case("CreateAgent", {}, BAD, "agent_id"),
    Case("CreateAgent", {"agent_id": "Main"}, BAD, "agent_id"),
    Case("CreateAgent", {"agent_id": "main"}, "ALREADY_EXISTS", "agent_id"),
    Case(
        "CreateAgent",
        {"agent_id": "a", "agent": agents_pb2.Agent(instructions="x" * 20_001)},
        BAD,
        "agent.instructions",
    ),
    Case(
        "CreateAgent",
        {"agent_id": "a", "agent": agents_pb2.Agent(limits=agents_pb2.RunLimits(steps=-1))},
        BAD,
        "agent.limits.steps",
    ),
    Case("UpdateAgent", {}, BAD, "agent.name"),
    Case("UpdateAgent", masked(), BAD, "update_mask"),
    Case("UpdateAgent", masked("nme"), BAD, "update_mask", "nme"),
    Case("UpdateAgent", masked("name"), BAD, "update_mask"),
    Case("UpdateAgent", masked("space", "model"), BAD, "update_mask"),
    Case("UpdateAgent", masked("model", model="x" * 201), BAD, "agent.model"),
    # Messages and runs.
    Case("Send", {"agent": "agents/none", "text": "x"}, "NOT_FOUND", "agent"),
    Case("Send", {"agent": "agents/main"}, BAD, "text"),
    Case("Send", {"agent": "agents/main", "text": " \n"}, BAD, "text"),
    Case("Send", {"agent": "agents/main", "text": "x" * 1_000_001}, BAD, "text"),
    Case("Send", {"agent": "agents/main", "text": "x", "channel": "No Way"}, BAD, "channel"),
    Case("Send", {"agent": "agents/main", "text": "x", "sender": "x" * 101}, BAD, "sender"),
    Case("Chat", {"agent": "agents/main", "text": ""}, BAD, "text"),
    Case("ListRuns", {"parent": "agents/main", "states": [0]}, BAD, "states"),
    Case("ListRuns", {"parent": "agents/main", "states": [99]}, BAD, "states"),
    Case("WatchRun", {"name": "agents/main/runs/1", "after_sequence": -1}, BAD, "after_sequence"),
    Case("WatchRun", {"name": "agents/main/runs/1"}, "NOT_FOUND", "name"),
    Case("CancelRun", {"name": "agents/main/runs/1", "reason": "x" * 1001}, BAD, "reason"),
    Case("CancelRun", {"name": "agents/main/runs/1"}, "NOT_FOUND", "name"),
    # Users, tokens, usage.
    Case("CreateUser", {"user_id": "Bob"}, BAD, "user_id"),
    Case("CreateUser", {"user_id": "bob"}, "ALREADY_EXISTS", "user_id"),
    Case("CreateToken", {"parent": "bob"}, BAD, "parent", "users/{user}"),
    Case("CreateToken", {"label": "x" * 101}, BAD, "label"),
    Case("CreateToken", {"expire_time": Timestamp(seconds=1)}, BAD, "expire_time"),
    Case("GetUsage", {"group_by": 77}, BAD, "group_by"),
    # Pages.
    *(Case(rpc, {**more, "page_size": -1}, BAD, "page_size") for rpc, more in PAGED.items()),
    *(Case(rpc, {**more, "page_size": 1001}, BAD, "page_size") for rpc, more in PAGED.items()),
    *(Case(rpc, {**more, "page_token": "x"}, BAD, "page_token") for rpc, more in PAGED.items()),
    *(Case(rpc, {**more, "page_token": "WzEsMl0="}, BAD, "page_token") for rpc, more in PAGED.items()),
    *(Case(rpc, {**more, "page_token": "ä"}, BAD, "page_token") for rpc, more in PAGED.items()),
]


async def test_every_bad_request_is_told_what_is_wrong(served: Daemon) -> None:
    await served.alice.call("SetVariable", name=PLAN, value=TEXT)
    for case in CASES:
        refused = await served.alice.refused(case.rpc, **case.fields)
        assert (refused.code, refused.field) == (case.code, case.field), (case, refused)
        assert case.says in refused.reason, (case, refused)
        assert refused.reason, case
        assert refused.remedy, (case, refused)
        assert refused.details == ("ErrorInfo", "BadRequest"), case
    latest = await served.alice.call("GetVariable", name=PLAN)
    assert latest.version == 1, "a refused request has changed something"


async def test_large_value_is_refused_on_the_way_out_too(served: Daemon) -> None:
    half = memory_pb2.Value(text="x" * (MAX_VALUE // 2 + 1))
    await served.alice.call("SetVariable", name=PLAN, value=half)
    second = await served.alice.call("AppendVariable", name=PLAN, value=half)
    for fields in ({}, {"version": 2}, {"as_of": second.write_time}):
        refused = await served.alice.refused("GetVariable", name=PLAN, **fields)
        assert (refused.code, refused.kind, refused.field) == ("OUT_OF_RANGE", "TooLarge", "name")
        assert "ReadSlice" in refused.remedy
    assert (await served.alice.call("ReadSlice", name=PLAN, start=5, end=8)).value.text == "xxx"


async def test_page_token_is_bound_to_the_other_fields(served: Daemon) -> None:
    for name in ("a", "b", "c"):
        await served.alice.call("SetVariable", name=f"spaces/main/variables/{name}", value=TEXT)
    page = await served.alice.call("ListVariables", parent="spaces/main", page_size=1)
    token = page.next_page_token
    more = await served.alice.call("ListVariables", parent="spaces/main", page_size=2, page_token=token)
    assert [variable.name[-1] for variable in more.variables] == ["b", "c"]
    assert more.next_page_token == ""
    for fields in ({"prefix": "a"}, {"show_deleted": True}):
        refused = await served.alice.refused(
            "ListVariables", parent="spaces/main", page_token=token, **fields
        )
        assert (refused.code, refused.field) == (BAD, "page_token")
    assert (await served.alice.refused("ListAgents", page_token=token)).field == "page_token"


async def test_fault_is_an_incident_that_tells_nothing(
    served: Daemon, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(self: Transaction) -> None:
        raise KeyError("CANARY of somebody")

    monkeypatch.setattr(Transaction, "counts", broken)
    with caplog.at_level(logging.ERROR):
        refused = await served.alice.refused("GetStatus")
    assert (refused.code, refused.kind) == ("INTERNAL", "InternalError")
    assert "CANARY" not in str(refused)
    incident = refused.reason.rpartition(" ")[2]
    assert incident in caplog.text
    assert "CANARY" in caplog.text


async def test_reason_of_any_length_arrives(served: Daemon) -> None:
    refused = await served.alice.refused("GetAgent", name="agents/" + "\U0001f600" * 10_000)
    assert refused.code == "NOT_FOUND"
    refused = await served.alice.refused("Grep", parent="spaces/main", pattern="(" + "ä" * 900)
    assert (refused.code, refused.field) == (BAD, "pattern")
    assert refused.remedy
