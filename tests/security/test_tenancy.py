"""Data of two users never meets: what is another's is, in every answer, what never was."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from rlmd.memory.records import EntryKind, Form
from rlmd.proto.rlmd.v1 import (
    agents_pb2,
    budgets_pb2,
    channels_pb2,
    forgetting_pb2,
    hives_pb2,
    memory_pb2,
    schedules_pb2,
)
from tests.daemon.rpc.host import METHODS, Client, Daemon, Refusal, daemon, methods, refusal

CANARY = "canary-7f3a"
TEXT = memory_pb2.Value(text=CANARY)
MINE = memory_pb2.Value(text="bob")
DAY, MONEY = budgets_pb2.BUDGET_PERIOD_DAY, budgets_pb2.BUDGET_MEASURE_MONEY
PRICE = budgets_pb2.Price(model="bobs", input=1)


@dataclass(frozen=True)
class Theirs:
    """What alice has, and ids in its place that nobody has."""

    agent: str
    run: str
    token: str
    user: str
    question: str
    schedule: str


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Daemon]:
    async with daemon(tmp_path) as served:
        yield served


async def secrets_of(served: Daemon) -> Theirs:
    """Fill alice's house with canaries, in every kind of thing that is kept."""
    alice = served.alice
    await alice.call("CreateAgent", agent_id="hers", agent=agents_pb2.Agent(instructions=CANARY))
    name = "spaces/hers/variables/diary"
    for value in (TEXT, memory_pb2.Value(text=f"{CANARY} again")):
        await alice.call("SetVariable", name=name, value=value, note=CANARY)
    await alice.call("SetVariable", name="spaces/main/variables/plan", value=TEXT)
    sent = await alice.call("Send", agent="agents/hers", text=CANARY)
    await alice.call("Chat", agent="agents/main", text=CANARY)
    await alice.call("CreateHive", hive_id="hers")
    await alice.call("JoinHive", name="hives/hers", agent="agents/hers", about=CANARY)
    await alice.call("SetVariable", name="spaces/@hers/variables/diary", value=TEXT)
    token = (await alice.call("CreateToken", label=CANARY)).token.name
    await alice.call("SetPrice", price=budgets_pb2.Price(model=CANARY, input=1))
    await alice.call(
        "SetBudget", budget=budgets_pb2.Budget(agent="agents/hers", period=DAY, measure=MONEY, limit=1)
    )
    run = await served.run(text=CANARY)
    await served.write(run, (EntryKind.STEP, {"reply": CANARY, "code": CANARY}, 1, 0, ""))
    question = await served.store("alice").write(
        lambda tx: tx.questions.ask(
            tx.agents.get("hers"), run, 9, channel="chat", text=CANARY, form=Form(), expire_time=None
        )
    )
    made = await alice.call(
        "CreateSchedule",
        parent="agents/hers",
        schedule=schedules_pb2.Schedule(when="every 1d", text=CANARY, label="hers"),
    )
    await alice.call("RunSchedule", name=made.name)
    return Theirs(
        agent="hers",
        run=sent.run.rpartition("/")[2],
        token=token.rpartition("/")[2],
        user="alice",
        question=str(question.id),
        schedule=made.name.rpartition("/")[2],
    )


def requests(of: Theirs) -> dict[str, dict[str, Any]]:
    """A request of every method that names somebody's things."""
    agent, space = f"agents/{of.agent}", f"spaces/{of.agent}"
    variable, run = f"{space}/variables/diary", f"{agent}/runs/{of.run}"
    hive = f"hives/{of.agent}"
    schedule = f"{agent}/schedules/{of.schedule}"
    return {
        "GetAgent": {"name": agent},
        "CloneAgent": {"name": agent, "agent_id": "copy", "copy_memory": True},
        "UpdateAgent": {
            "agent": agents_pb2.Agent(name=agent, model="x"),
            "update_mask": FieldMask(paths=["model"]),
        },
        "DeleteAgent": {"name": agent, "force": True},
        "TidyAgent": {"name": agent},
        "ListPermits": {"parent": agent},
        "CreatePermit": {"parent": agent, "what": "home.lights"},
        "DeletePermit": {"name": f"{agent}/permits/home.lights"},
        "GetVariable": {"name": variable},
        "ListVariables": {"parent": space},
        "SetVariable": {"name": variable, "value": MINE},
        "BatchSetVariables": {
            "parent": space,
            "requests": [memory_pb2.SetVariableRequest(name=variable, value=MINE)],
        },
        "WriteVariable": {
            "header": memory_pb2.WriteHeader(name=variable, kind=memory_pb2.VALUE_KIND_TEXT),
        },
        "ReadVariable": {"name": variable},
        "AppendVariable": {"name": variable, "value": MINE},
        "DeleteVariable": {"name": variable},
        "UndeleteVariable": {"name": variable},
        "RevertVariable": {"name": variable, "version": 1},
        "ListVersions": {"parent": variable},
        "DiffVersions": {"name": variable},
        "ReadSlice": {"name": variable, "end": 5},
        "Grep": {"parent": space, "pattern": "canary"},
        "Search": {"parent": space, "query": "canary"},
        "Send": {"agent": agent, "text": "x"},
        "Chat": {"agent": agent, "text": "x"},
        "ListMessages": {"parent": agent},
        "SearchMessages": {"parent": agent, "query": "canary"},
        "ListQuestions": {"parent": agent, "show_ended": True},
        "GetQuestion": {"name": f"{agent}/questions/{of.question}"},
        "AnswerQuestion": {"name": f"{agent}/questions/{of.question}", "answer": "x"},
        "GetHive": {"name": hive},
        "DissolveHive": {"name": hive},
        "JoinHive": {"name": hive, "agent": agent},
        "LeaveHive": {"name": f"{hive}/members/{of.agent}"},
        "InviteToHive": {"name": hive},
        "ListGrants": {"parent": hive},
        "CreateGrant": {"parent": hive, "grant": hives_pb2.Grant(verbs=["read"])},
        "RevokeGrant": {"name": f"{hive}/grants/1"},
        "ListCrossings": {"parent": hive},
        "CreateSchedule": {
            "parent": agent,
            "schedule": schedules_pb2.Schedule(when="every 1d", text="x"),
        },
        "GetSchedule": {"name": schedule},
        "ListSchedules": {"parent": agent, "show_ended": True},
        "UpdateSchedule": {
            "schedule": schedules_pb2.Schedule(name=schedule, text="x"),
            "update_mask": FieldMask(paths=["text"]),
        },
        "DeleteSchedule": {"name": schedule},
        "PauseSchedule": {"name": schedule},
        "ResumeSchedule": {"name": schedule},
        "RunSchedule": {"name": schedule},
        "ListOccurrences": {"parent": schedule},
        "ListBudgets": {"agent": agent},
        "SetBudget": {"budget": budgets_pb2.Budget(agent=agent, period=DAY, measure=MONEY, limit=1)},
        "DeleteBudget": {"agent": agent, "period": DAY, "measure": MONEY},
        "ListRetentions": {"parent": space},
        "SetRetention": {
            "parent": space,
            "retention": forgetting_pb2.Retention(prefix="diary", seconds=1),
        },
        "DeleteRetention": {"parent": space, "prefix": "diary"},
        "PurgeVariables": {"parent": space, "prefix": ""},
        "ListRuns": {"parent": agent},
        "GetRun": {"name": run},
        "WatchRun": {"name": run},
        "CancelRun": {"name": run},
        "ReplayRun": {"name": run},
        "ForkRun": {"name": run, "at_call": 1},
        "ListChanges": {"parent": run},
        "UndoRun": {"name": run},
        "CreateToken": {"parent": f"users/{of.user}"},
        "ListTokens": {"parent": f"users/{of.user}"},
        "RevokeToken": {"name": f"users/{of.user}/tokens/{of.token}"},
    }


OWN = {
    *("CreateAgent", "ListAgents", "GetStatus", "GetSelf", "GetUsage", "Connect", "ListChannels"),
    *("ListPrices", "SetPrice", "DeletePrice", "ListPurges", "PreviewSchedule", "StopAll", "ResumeAll"),
    *("CreateHive", "ListHives"),
}
"""Methods that name nothing that exists; what is said on a stream of Connect is in test_channels.py."""
ADMINISTRATORS = {"CreateUser", "ListUsers"}
TOKENS = {"CreateToken", "ListTokens", "RevokeToken"}


async def refused(client: Client, rpc: str, fields: dict[str, Any]) -> tuple[Refusal, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.call(rpc, **fields)
    return refusal(caught.value), caught.value.details() or ""


def plain(answer: tuple[Refusal, str], of: Theirs) -> str:
    """The refusal without the ids that were asked for."""
    text = repr(answer)
    for each in (of.agent, of.run, of.token, of.user, of.question, of.schedule):
        text = text.replace(repr(each), "ID").replace(f"run {each}", "run ID")
        text = text.replace(f"question {each}", "question ID").replace(f"schedule {each}", "schedule ID")
    return text


async def test_every_method_treats_what_is_anothers_as_what_never_was(served: Daemon) -> None:
    theirs = await secrets_of(served)
    none = "987654321"
    nobodys = Theirs(agent="none", run=none, token=none, user="nobody", question=none, schedule=none)
    asked, invented = requests(theirs), requests(nobodys)
    assert {method.name for method in methods()} == set(asked) | OWN | ADMINISTRATORS
    for rpc in asked:
        real = await refused(served.bob, rpc, asked[rpc])
        invention = await refused(served.bob, rpc, invented[rpc])
        assert real[0].code == ("PERMISSION_DENIED" if rpc in TOKENS else "NOT_FOUND"), rpc
        assert plain(real, theirs) == plain(invention, nobodys), rpc


async def test_run_of_another_is_not_found_under_an_agent_of_the_same_name(served: Daemon) -> None:
    run = await served.run()
    for rpc in ("GetRun", "WatchRun", "CancelRun"):
        answer = await served.bob.refused(rpc, name=f"agents/main/runs/{run.id}")
        assert answer.code == "NOT_FOUND", rpc
    assert (await served.alice.call("GetRun", name=f"agents/main/runs/{run.id}")).reason == ""


async def test_no_byte_of_another_reaches_a_caller(served: Daemon) -> None:
    """Every method, asked for what is alice's and for as much as there is: none of it is in any answer."""
    theirs = await secrets_of(served)
    wide: list[tuple[str, dict[str, Any]]] = [
        *requests(theirs).items(),
        *requests(replace(theirs, agent="main", user="bob")).items(),
        ("ListRuns", {"parent": "agents/-", "show_children": True}),
        ("ListQuestions", {"parent": "agents/-", "show_ended": True}),
        ("GetQuestion", {"name": f"agents/-/questions/{theirs.question}"}),
        ("AnswerQuestion", {"name": f"agents/-/questions/{theirs.question}", "answer": "x"}),
        ("ListSchedules", {"parent": "agents/-", "show_ended": True}),
        ("GetSchedule", {"name": f"agents/-/schedules/{theirs.schedule}"}),
        ("GetSchedule", {"name": "agents/-/schedules/hers"}),
        ("RunSchedule", {"name": f"agents/-/schedules/{theirs.schedule}"}),
        ("ListOccurrences", {"parent": "agents/-/schedules/-"}),
        ("ListVariables", {"parent": "spaces/main", "show_deleted": True}),
        ("CreateAgent", {"agent_id": "hers"}),
        ("GetVariable", {"name": "spaces/@hers/variables/diary"}),
        ("ListCrossings", {"parent": "hives/-"}),
        ("JoinHive", {"name": "hives/hers", "agent": "agents/main", "code": "guessed"}),
        ("CreateHive", {"hive_id": "hers"}),
        ("GetHive", {"name": "hives/hers"}),
        ("SetPrice", {"price": PRICE}),
        ("ListBudgets", {}),
        ("GetVariable", {"name": "spaces/hers/variables/diary"}),
        *((rpc, {}) for rpc in (*OWN - {"Connect"}, *ADMINISTRATORS)),
        ("Connect", {"hello": channels_pb2.Hello(channel="home")}),
    ]
    assert {rpc for rpc, _ in wide} == set(METHODS)
    told = b""
    for rpc, fields in wide:
        try:
            answer = await served.bob.call(rpc, **fields)
        except grpc.aio.AioRpcError as error:
            told += repr((error.details(), error.trailing_metadata())).encode()
        else:
            answers = answer if isinstance(answer, list) else [answer]
            told += b"".join(message.SerializeToString() for message in answers)
    assert b"users/bob" in told
    assert CANARY.encode() not in told
    kept = await served.alice.call("GetVariable", name="spaces/hers/variables/diary")
    assert (kept.version, kept.value.text) == (2, f"{CANARY} again")
