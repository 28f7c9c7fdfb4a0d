"""Agents, channels, runs and administration: what a client gets when all is well."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask

from rlmd.memory.records import Author, Origin, RunLimits, RunState
from rlmd.memory.store import Transaction
from rlmd.memory.variables import Writing
from rlmd.proto.rlmd.v1 import admin_pb2, agents_pb2, runs_pb2
from tests.memory.paying import call_of, pay

from .host import NOW, Daemon


async def test_agent_is_made_changed_and_deleted(served: Daemon) -> None:
    call = served.alice.call
    given = agents_pb2.Agent(instructions="Be kind.", limits=agents_pb2.RunLimits(steps=5, depth=-1))
    made = await call("CreateAgent", agent_id="helper", agent=given)
    assert (made.name, made.space, made.instructions) == ("agents/helper", "spaces/helper", "Be kind.")
    assert made.limits == given.limits
    served.clock.move(timedelta(seconds=5))
    new = agents_pb2.Agent(
        name="agents/helper", model="m", instructions="no", limits=agents_pb2.RunLimits(steps=9, seconds=7)
    )
    changed = await call("UpdateAgent", agent=new, update_mask=FieldMask(paths=["model", "limits.seconds"]))
    assert (changed.model, changed.instructions) == ("m", "Be kind.")
    assert changed.limits == agents_pb2.RunLimits(steps=5, depth=-1, seconds=7)
    assert changed.update_time.seconds == made.update_time.seconds + 5
    whole = await call("UpdateAgent", agent=new, update_mask=FieldMask(paths=["limits"]))
    assert whole.limits == new.limits
    await call("DeleteAgent", name="agents/helper")
    assert [agent.name for agent in (await call("ListAgents")).agents] == ["agents/main"]


async def test_agent_at_work_is_deleted_only_by_force(served: Daemon) -> None:
    run = await served.run()
    refused = await served.alice.refused("DeleteAgent", name="agents/main")
    assert (refused.code, refused.field) == ("FAILED_PRECONDITION", "name")
    await served.alice.call("DeleteAgent", name="agents/main", force=True)
    assert (await served.alice.call("ListAgents")).agents == []
    assert (await served.alice.refused("GetRun", name=f"agents/main/runs/{run.id}")).code == "NOT_FOUND"


async def test_message_is_kept_and_found(served: Daemon) -> None:
    call = served.alice.call
    text = "The heron stood in the reeds."
    sent = await call("Send", agent="agents/main", text=text, channel="notes", sender="carol")
    assert (sent.message.channel, sent.message.sender, sent.message.text) == ("notes", "carol", text)
    assert sent.message.run == sent.run
    updates = await call("WatchRun", name=sent.run)
    assert updates[-1].HasField("ended")
    hits = (await call("SearchMessages", parent="agents/main", query="heron in the reeds")).hits
    assert hits[0].message.text == text
    assert (await call("ListMessages", parent="agents/main", channel="other")).messages == []
    (run,) = (await call("ListRuns", parent="agents/main")).runs
    assert (run.name, run.event_text, run.channel) == (sent.run, text, "notes")


async def test_run_is_cancelled_once(served: Daemon) -> None:
    run = await served.run()
    name = f"agents/main/runs/{run.id}"
    first = await served.alice.call("CancelRun", name=name, reason="enough")
    again = await served.alice.call("CancelRun", name=name, reason="too late")
    assert (first.state, first.reason) == (runs_pb2.RUN_STATE_CANCELLED, "enough")
    assert again == first
    listed = await served.alice.call("ListRuns", parent="agents/-", states=[runs_pb2.RUN_STATE_CANCELLED])
    assert [each.name for each in listed.runs] == [name]
    assert (
        await served.alice.call("ListRuns", parent="agents/-", states=[runs_pb2.RUN_STATE_DONE])
    ).runs == []


async def test_pages_have_everything_once(served: Daemon) -> None:
    def fill(tx: Transaction) -> None:
        for number in range(25):
            tx.agents.create(f"a{number:02}")
            message = tx.log("main").add(
                channel="chat", sender="x", text=f"t{number}", origin=Origin.OWNER, from_agent=False
            )
            run = tx.runs.create(
                tx.agents.get("main"), kind="message", text="x", limits=RunLimits(), message=message.id
            )
            tx.runs.end(run, RunState.DONE)
            writing = Writing(author=Author(user="alice"), origin=Origin.OWNER)
            tx.space("main").set("same", number, writing)
            tx.space("main").set(f"v/{number:02}", number, writing)

    await served.store("alice").write(fill)
    for _ in range(24):
        await served.alice.call("CreateToken")
    main = "spaces/main"
    lists: dict[str, tuple[str, int, dict[str, Any]]] = {
        "ListAgents": ("agents", 26, {}),
        "ListMessages": ("messages", 25, {"parent": "agents/main"}),
        "ListRuns": ("runs", 25, {"parent": "agents/main"}),
        "ListVariables": ("variables", 25, {"parent": main, "prefix": "v/"}),
        "ListVersions": ("versions", 25, {"parent": f"{main}/variables/same"}),
        "ListTokens": ("tokens", 25, {}),
        "ListUsers": ("users", 2, {}),
    }
    for rpc, (field, count, fields) in lists.items():
        whole = list(getattr(await served.alice.call(rpc, **fields), field))
        assert len(whole) == count, rpc
        paged, token = [], ""
        while True:
            page = await served.alice.call(rpc, **fields, page_size=5, page_token=token)
            paged += getattr(page, field)
            token = page.next_page_token
            if not token:
                break
            assert len(getattr(page, field)) == 5, rpc
        assert paged == whole, rpc


async def test_status_tells_what_runs(served: Daemon) -> None:
    await served.run()
    status = await served.alice.call("GetStatus")
    assert (status.version, status.pid, status.model, status.embedder) == ("0.0", 1, "rules", "words")
    assert (status.agents, status.variables, status.messages, status.active_runs) == (1, 0, 0, 1)
    assert status.index.state in ("ready", "rebuilding")
    assert status.start_time.seconds == int(NOW.timestamp())


async def test_user_is_made_with_agent_and_token(served: Daemon) -> None:
    made = await served.alice.call("CreateUser", user_id="carol")
    async with served.client(made.secret) as carol:
        own = await carol.call("GetSelf")
        assert (own.name, own.administrator) == ("users/carol", False)
        assert [agent.name for agent in (await carol.call("ListAgents")).agents] == ["agents/main"]
    tokens = (await served.alice.call("ListTokens", parent="users/carol")).tokens
    await served.alice.call("RevokeToken", name=tokens[0].name)
    async with served.client(made.secret) as carol:
        assert (await carol.refused("GetSelf")).code == "UNAUTHENTICATED"
    assert (await served.alice.refused("CreateUser", user_id="carol")).code == "ALREADY_EXISTS"


async def test_usage_is_summed_by_group(served: Daemon) -> None:
    run = await served.run()

    def charge(tx: Transaction) -> None:
        for model in ("small", "large"):
            pay(tx, run, call_of(run, 10, output=3, cached=1, model=model))

    await served.store("alice").write(charge)
    groups = {
        admin_pb2.USAGE_GROUPING_UNSPECIFIED: [""],
        admin_pb2.USAGE_GROUPING_AGENT: ["agents/main"],
        admin_pb2.USAGE_GROUPING_MODEL: ["large", "small"],
        admin_pb2.USAGE_GROUPING_DAY: ["2026-11-20"],
        admin_pb2.USAGE_GROUPING_RUN: [f"agents/main/runs/{run.id}"],
    }
    for group, names in groups.items():
        rows = (await served.alice.call("GetUsage", group_by=group)).rows
        assert [row.group for row in rows] == names
        assert sum(row.usage.input_tokens for row in rows) == 20
    assert (await served.bob.call("GetUsage")).rows == []


async def test_run_is_found_only_under_its_agent(served: Daemon) -> None:
    run = await served.run()
    await served.alice.call("CreateAgent", agent_id="other")
    for rpc in ("GetRun", "WatchRun", "CancelRun"):
        assert (await served.alice.refused(rpc, name=f"agents/other/runs/{run.id}")).code == "NOT_FOUND"
