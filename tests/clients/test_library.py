"""The library on a real daemon: what README shows, and that everything that can go wrong has its class."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import rlmd
from rlmd import updates as up
from rlmd.clients.records import Kind, Limits, Origin, RunState
from tests.daemon_process import DaemonProcess


@pytest.fixture
def client(shared: DaemonProcess) -> Iterator[rlmd.Client]:
    with rlmd.connect(data=shared.data) as made:
        yield made


@pytest.fixture
def memory(client: rlmd.Client, request: pytest.FixtureRequest) -> rlmd.Memory:
    """The memory of an agent that the test has for itself."""
    name = "t-" + "".join(c if c.isalnum() else "-" for c in request.node.name.lower())[:40].strip("-")
    return client.create_agent(name).memory


def test_versions(memory: rlmd.Memory) -> None:
    first = memory.set("plan", {"to": ["Bern"]}, note="first")
    second = memory.set("plan", {"to": ["Rome"]}, expect=first)
    assert (first, second, memory.version("plan")) == (1, 2, 2)
    assert memory.get("plan") == {"to": ["Rome"]}
    assert memory.get("plan", version=1) == {"to": ["Bern"]}
    assert memory.get("plan", as_of=first.time) == {"to": ["Bern"]}
    assert memory.get("plan", "none", as_of=first.time - timedelta(days=1)) == "none"
    assert "Rome" in memory.diff("plan", 1, 2)
    assert memory.revert("plan", 1) == 3
    assert memory.delete("plan") == 4
    assert memory.get("plan", "gone") == "gone"
    assert memory.names() == []
    assert [found.name for found in memory.variables(deleted=True)] == ["plan"]
    assert memory.undelete("plan") == 5
    assert memory.get("plan") == {"to": ["Bern"]}
    history = memory.history("plan")
    assert [int(version) for version in history] == [1, 2, 3, 4, 5]
    assert (history[0].note, history[3].kind, history[0].author.user) == ("first", Kind.DELETED, "owner")


@pytest.mark.parametrize("value", ["ä\n\0", b"\x00\xff", None, 0, 1.5, [], {}, [{"a": None}], True, 2**70])
def test_values_come_back(memory: rlmd.Memory, value: Any) -> None:
    memory.set("a/b", value)
    back = memory.get("a/b", "nothing")
    assert back == value
    assert type(back) is type(value)


def test_append_size_slice_grep(memory: rlmd.Memory) -> None:
    memory.append("text", "one ü\n")
    memory.append("text", "two\n")
    memory.append("items", {"a": 1})
    memory.append("raw", b"\x00")
    assert (memory.size("text"), memory.size("items"), memory.size("raw")) == (10, 1, 1)
    assert memory.slice("text", 4, 7) == "ü\nt"
    (match,) = memory.grep("t.o")
    assert (match.name, match.line, match.text) == ("text", 2, "two")
    memory.set("number", 3)
    with pytest.raises(rlmd.InvalidInput, match="no size"):
        memory.size("number")
    with pytest.raises(rlmd.NotFound):
        memory.size("missing")


def test_search_reads_its_own_writes(memory: rlmd.Memory) -> None:
    said = datetime(2024, 2, 3, 4, 5, tzinfo=UTC)
    memory.set("people/bob", "Bob lives in Berlin.", source_time=said, origin=Origin.EXTERNAL)
    memory.set("things/oven", "The oven is broken.")
    hit = memory.search("where does Bob live?", k=1)[0]
    assert (hit.name, hit.version, hit.time, hit.origin) == ("people/bob", 1, said, Origin.EXTERNAL)
    assert "Berlin" in hit.text
    assert all(found.name.startswith("things/") for found in memory.search("Bob", prefix="things/"))
    assert "people/bob" not in [found.name for found in memory.search("Bob", after="2024-02-04")]


def test_what_can_go_wrong_has_its_class(memory: rlmd.Memory, client: rlmd.Client) -> None:
    memory.set("a", "x")
    future = datetime.now(UTC) + timedelta(days=1)
    cases: list[tuple[type[rlmd.RlmdError], Any]] = [
        (rlmd.Conflict, lambda: memory.set("a", "y", expect=7)),
        (rlmd.Conflict, lambda: memory.set("a", "y", expect=0)),
        (rlmd.NotFound, lambda: memory.get("a", version=9)),
        (rlmd.NotFound, lambda: memory.history("missing")),
        (rlmd.NotFound, lambda: memory.delete("missing")),
        (rlmd.NotFound, lambda: client.agent("nobody").get()),
        (rlmd.NotFound, lambda: client.agent("nobody").memory.names()),
        (rlmd.NotFound, lambda: client.agent("nobody").chat("hello")),
        (rlmd.NotFound, lambda: client.agent("main").run(10**9).get()),
        (rlmd.NotFound, lambda: next(iter(client.agent("main").run("x").watch()))),
        (rlmd.AlreadyExists, lambda: client.create_agent("main")),
        (rlmd.PreconditionFailed, lambda: memory.undelete("a")),
        (rlmd.InvalidInput, lambda: memory.set("", "x")),
        (rlmd.InvalidInput, lambda: memory.set("a/../b", "x")),
        (rlmd.InvalidInput, lambda: memory.set("a", {"x": float("nan")})),
        (rlmd.InvalidInput, lambda: memory.set("\ud800", "x")),
        (rlmd.InvalidInput, lambda: memory.set(3, "x")),  # type: ignore[arg-type]
        (rlmd.InvalidInput, lambda: memory.get("a", version=-1)),
        (rlmd.InvalidInput, lambda: memory.get("a", as_of=future)),
        (rlmd.InvalidInput, lambda: memory.get("a", version=1, as_of=datetime.now(UTC))),
        (rlmd.InvalidInput, lambda: memory.search("x", k=-1)),
        (rlmd.InvalidInput, lambda: memory.search(" ")),
        (rlmd.InvalidInput, lambda: memory.grep("(")),
        (rlmd.InvalidInput, lambda: client.create_agent("No Such Name")),
        (rlmd.InvalidInput, lambda: client.agent("main").update()),
        (rlmd.InvalidInput, lambda: client.agent("main").send(" ")),
        (rlmd.InvalidInput, lambda: client.admin.usage("colour")),  # type: ignore[arg-type]
    ]
    for kind, act in cases:
        with pytest.raises(kind) as caught:
            act()
        assert caught.value.remedy, caught.value
    assert memory.history("a")[-1] == 1


def test_too_much_for_one_message(memory: rlmd.Memory) -> None:
    with pytest.raises((rlmd.TooLarge, rlmd.InvalidInput, rlmd.Exhausted)):
        memory.set("a", ["x" * (17 << 20)])
    with pytest.raises((rlmd.TooLarge, rlmd.InvalidInput, rlmd.Exhausted)):
        memory.set("a", ["x" * (65 << 20)])
    assert memory.get("a") is None


def test_agents(client: rlmd.Client) -> None:
    agent = client.create_agent("painter", instructions="Paint.", limits=Limits(steps=3, depth=0))
    found = agent.get()
    assert (found.instructions, found.limits) == ("Paint.", Limits(steps=3, depth=0))
    found = agent.update(model="m", limits=Limits(seconds=9))
    assert (found.instructions, found.model, found.limits) == ("Paint.", "m", Limits(seconds=9))
    assert "painter" in [other.name for other in client.agents()]
    agent.delete()
    with pytest.raises(rlmd.NotFound):
        agent.get()


def test_a_talk_and_its_traces(client: rlmd.Client) -> None:
    agent = client.create_agent("talker")
    seen: list[up.Update] = []
    reply = agent.chat("My cat is called Tom.", on_update=seen.append)
    assert reply.text
    assert str(agent.chat("What is my cat called?")).count("Tom")
    kept = [update.sequence for update in seen if update.sequence]
    assert kept == list(range(1, len(kept) + 1))
    assert isinstance(seen[-1], up.Ended)
    run = agent.run(reply.run).get()
    assert (run.state, run.event_text, run.agent) == (RunState.DONE, "My cat is called Tom.", "talker")
    assert run.steps
    assert next(iter(agent.run(reply.run).watch(after=kept[-2]))).sequence == kept[-1]
    assert [r.event_text for r in agent.runs(n=1)] == ["What is my cat called?"]
    assert len(agent.runs(states=[RunState.FAILED])) == 0
    texts = [message.text for message in agent.log.recent(4)]
    assert texts[0] == "My cat is called Tom."
    assert [m.text for m in agent.log.recent(1)] == texts[-1:]
    assert [m.text for m in agent.log.between("2020-01-01", datetime.now(UTC))] == texts
    hit = agent.log.search("cat", 1)[0]
    assert hit.score is not None
    assert "cat" in hit.text.lower()
    assert client.admin.usage("agent")
    assert agent.run(reply.run).cancel().state is RunState.DONE


def test_a_run_can_be_stopped(client: rlmd.Client) -> None:
    agent = client.create_agent("worker")
    run = agent.send("/py\nwhile True: pass")
    for update in run.watch():
        if isinstance(update, up.Stepped):
            run.cancel("enough")
        if isinstance(update, up.Ended):
            assert (update.state, update.reason) == (RunState.CANCELLED, "enough")
    assert run.wait().state is RunState.CANCELLED


def test_users_see_nothing_of_each_other(client: rlmd.Client, shared: DaemonProcess) -> None:
    user, secret = client.admin.create_user("eve")
    assert user.name == "eve"
    client.agent("main").memory.set("private", "x")
    with rlmd.connect(data=shared.data, token=secret) as eve:
        assert eve.admin.whoami().name == "eve"
        assert eve.agent("main").memory.get("private") is None
        assert [agent.name for agent in eve.agents()] == ["main"]
        with pytest.raises(rlmd.PermissionDenied):
            eve.admin.users()
        token, second = eve.admin.create_token("phone")
        with rlmd.connect(data=shared.data, token=second) as phone:
            assert phone.admin.whoami().name == "eve"
            eve.admin.revoke_token(token.name)
            with pytest.raises(rlmd.Unauthenticated):
                phone.status()
    with rlmd.connect(data=shared.data, token="wrong") as nobody, pytest.raises(rlmd.Unauthenticated):
        nobody.status()


async def test_async(shared: DaemonProcess) -> None:
    async with rlmd.aio.connect(data=shared.data) as client:
        memory = (await client.create_agent("async")).memory
        assert await memory.set("a/1", "x") == 1
        assert await memory.names("a/") == ["a/1"]
        updates = [update async for update in client.agent("async").stream("I like tea.")]
        assert isinstance(updates[-1], up.Ended)


def test_watching_goes_on_over_a_kill(daemon: DaemonProcess) -> None:
    with rlmd.connect(data=daemon.data, timeout=30) as client:
        run = client.agent().send("/py\nwhile True: pass")
        seen: list[up.Update] = []
        stepped = threading.Event()

        def watch() -> None:
            for update in run.watch():
                seen.append(update)
                if isinstance(update, up.Stepped):
                    stepped.set()

        watcher = threading.Thread(target=watch)
        watcher.start()
        assert stepped.wait(20)
        daemon.kill()
        daemon.start()
        run.cancel("enough")
        watcher.join(30)
        assert not watcher.is_alive()
    kept = [update.sequence for update in seen if update.sequence]
    assert kept == list(range(1, len(kept) + 1))
    assert isinstance(seen[-1], up.Ended)


async def test_the_async_door_opens_both_ways(shared: DaemonProcess) -> None:
    async with rlmd.connect_async(data=shared.data) as client:
        assert (await client.status()).pid == shared.pid
    with pytest.raises(rlmd.PreconditionFailed):
        await client.status()
    client = await rlmd.connect_async(data=shared.data)
    await client.close()
