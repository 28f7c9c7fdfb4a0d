"""What no argument can be: each public method refuses it with an error of ours that names the field."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import rlmd
from rlmd.clients.records import Limits
from tests.clients.conftest import Cli
from tests.daemon_process import DaemonProcess

BIG = 1 << 70
Call = Callable[[rlmd.Client], Any]
"""Typed Any all over: a wrong type is what is tested."""


def m(client: rlmd.Client) -> Any:
    return client.agent("main").memory


def a(client: rlmd.Client) -> Any:
    return client.agent("main")


REFUSED: list[tuple[str, Call]] = [
    ("version", lambda c: m(c).get("n", version="1")),
    ("version", lambda c: m(c).get("n", version=True)),
    ("version", lambda c: m(c).get("n", version=BIG)),
    ("version", lambda c: m(c).get("n", version=10**5000)),
    ("version", lambda c: m(c).get("n", version=0)),
    ("name", lambda c: m(c).get(3)),
    ("as_of", lambda c: m(c).get("n", as_of=3)),
    ("version", lambda c: m(c).variable("n", version=1.5)),
    ("expect", lambda c: m(c).set("n", 1, expect=BIG)),
    ("expect", lambda c: m(c).set("n", 1, expect=-1)),
    ("expect", lambda c: m(c).set("n", "x" * 5_000_000, expect="1")),
    ("note", lambda c: m(c).set("n", 1, note=3)),
    ("origin", lambda c: m(c).set("n", 1, origin="mars")),
    ("origin", lambda c: m(c).set("n", 1, origin=[])),
    ("source_time", lambda c: m(c).set("n", 1, source_time="soon")),
    ("value", lambda c: m(c).set("n", 10**5000)),
    ("value", lambda c: m(c).set("n", object())),
    ("expect", lambda c: m(c).append("n", "x", expect="1")),
    ("source", lambda c: m(c).upload("n", 3)),
    ("text", lambda c: m(c).upload("n", __file__, text=None)),
    ("append", lambda c: m(c).upload("n", __file__, append="no")),
    ("version", lambda c: m(c).open("n", version="1")),
    ("version", lambda c: list(m(c).read("n", version=BIG))),
    ("version", lambda c: m(c).download("n", "file", version=BIG)),
    ("values", lambda c: m(c).set_all([1])),
    ("name", lambda c: m(c).set_all({3: 1})),
    ("prefix", lambda c: m(c).keep(3, seconds=1)),
    ("seconds", lambda c: m(c).keep("n", seconds=0)),
    ("seconds", lambda c: m(c).keep("n", seconds=10**12)),
    ("seconds", lambda c: m(c).keep("n")),
    ("versions", lambda c: m(c).keep("n", versions="3")),
    ("prefix", lambda c: m(c).pin("")),
    ("prefix", lambda c: m(c).unkeep(None)),
    ("names", lambda c: m(c).purge(3)),
    ("prefix", lambda c: m(c).purge(prefix=3)),
    ("text", lambda c: m(c).purge(text=None)),
    ("text", lambda c: m(c).purge(text="ab")),
    ("note", lambda c: m(c).purge("n", note=3)),
    ("query", lambda c: m(c).search(None)),
    ("k", lambda c: m(c).search("x", k="a")),
    ("k", lambda c: m(c).search("x", k=1 << 40)),
    ("k", lambda c: m(c).search("x", k=0)),
    ("prefix", lambda c: m(c).search("x", prefix=None)),
    ("prefix", lambda c: m(c).names(3)),
    ("prefix", lambda c: list(m(c).variables(3))),
    ("deleted", lambda c: list(m(c).variables(deleted="no"))),
    ("name", lambda c: m(c).version(None)),
    ("name", lambda c: m(c).history(None)),
    ("a", lambda c: m(c).diff("n", "a", "b")),
    ("b", lambda c: m(c).diff("n", 1, BIG)),
    ("version", lambda c: m(c).revert("n", "1")),
    ("expect", lambda c: m(c).revert("n", 1, expect=1.0)),
    ("expect", lambda c: m(c).delete("n", expect=BIG)),
    ("note", lambda c: m(c).undelete("n", note=b"x")),
    ("name", lambda c: m(c).size(b"n")),
    ("end", lambda c: m(c).slice("n", 5, 1 << 80)),
    ("start", lambda c: m(c).slice("n", -1, 5)),
    ("version", lambda c: m(c).slice("n", 0, 5, version="1")),
    ("pattern", lambda c: m(c).grep(3)),
    ("k", lambda c: m(c).grep("x", k=None)),
    ("agent", lambda c: c.budgets.list(agent=3)),  # type: ignore[arg-type]
    ("limit", lambda c: c.budgets.set("day", "money", -1)),
    ("limit", lambda c: c.budgets.set("day", "money", "5")),  # type: ignore[arg-type]
    ("limit", lambda c: c.budgets.set("day", "money", float("nan"))),
    ("limit", lambda c: c.budgets.set("day", "tokens", 1.5)),
    ("limit", lambda c: c.budgets.set("day", "tokens", BIG)),
    ("period", lambda c: c.budgets.set("week", "tokens", 1)),  # type: ignore[arg-type]
    ("measure", lambda c: c.budgets.set("day", "euros", 1)),  # type: ignore[arg-type]
    ("period", lambda c: c.budgets.remove(None, "tokens")),  # type: ignore[arg-type]
    ("model", lambda c: c.budgets.set_price(3, input=1, output=1)),  # type: ignore[arg-type]
    ("input", lambda c: c.budgets.set_price("m", input=-1, output=1)),
    ("output", lambda c: c.budgets.set_price("m", input=1, output=float("inf"))),
    ("model", lambda c: c.budgets.remove_price(3)),  # type: ignore[arg-type]
    ("limits.money", lambda c: c.create_agent("never", limits=Limits(money=-1))),
    ("agent", lambda c: c.agent(3)),  # type: ignore[arg-type]
    ("agent", lambda c: c.create_agent(3)),  # type: ignore[arg-type]
    ("limits.steps", lambda c: c.create_agent("never", limits=Limits(steps=BIG))),
    ("limits", lambda c: c.create_agent("never", limits=5)),  # type: ignore[arg-type]
    ("model", lambda c: a(c).update(model=0)),
    ("agent", lambda c: a(c).clone(3)),
    ("memory", lambda c: a(c).clone("never", memory="yes")),
    ("limits.depth", lambda c: a(c).update(limits=Limits(depth="1"))),  # type: ignore[arg-type]
    ("force", lambda c: a(c).delete(force="no")),
    ("what", lambda c: a(c).permit(3)),
    ("what", lambda c: a(c).forbid(None)),
    ("text", lambda c: a(c).chat(5)),
    ("channel", lambda c: a(c).chat("hi", channel=None)),
    ("text", lambda c: list(a(c).stream(None))),
    ("text", lambda c: a(c).send(b"hi")),
    ("id", lambda c: a(c).run(None)),
    ("id", lambda c: a(c).run(-1)),
    ("n", lambda c: a(c).runs(n="1")),
    ("n", lambda c: a(c).runs(n=0)),
    ("states", lambda c: a(c).runs(states=["asleep"])),
    ("states", lambda c: a(c).runs(states="done")),
    ("children", lambda c: a(c).runs(children=1)),
    ("after", lambda c: list(a(c).run(1).watch("0"))),
    ("after", lambda c: list(a(c).run(1).watch(BIG))),
    ("reason", lambda c: a(c).run(1).cancel(5)),
    ("n", lambda c: a(c).log.recent("5")),
    ("a", lambda c: a(c).log.between(1, 2)),
    ("at", lambda c: a(c).run(1).fork("x")),
    ("at", lambda c: a(c).run(1).fork(0)),
    ("keep_later", lambda c: a(c).run(1).undo(keep_later=1)),
    ("agent", lambda c: c.questions.list(agent=3)),  # type: ignore[arg-type]
    ("ended", lambda c: c.questions.list(ended=1)),  # type: ignore[arg-type]
    ("n", lambda c: c.questions.list(n=-1)),
    ("question", lambda c: c.questions.get(3)),  # type: ignore[arg-type]
    ("question", lambda c: c.questions.answer(3, "yes")),  # type: ignore[arg-type]
    ("hive", lambda c: c.hives.create(3)),  # type: ignore[arg-type]
    ("hive_id", lambda c: c.hives.create("No Name")),
    ("hive", lambda c: c.hives.get(None)),  # type: ignore[arg-type]
    ("hive", lambda c: c.hives.dissolve(3)),  # type: ignore[arg-type]
    ("agent", lambda c: c.hives.join("team", 3)),  # type: ignore[arg-type]
    ("code", lambda c: c.hives.join("team", "main", code=3)),  # type: ignore[arg-type]
    ("member", lambda c: c.hives.leave("team", 3)),  # type: ignore[arg-type]
    ("seconds", lambda c: c.hives.invite("team", seconds="1")),  # type: ignore[arg-type]
    ("ended", lambda c: c.hives.grants("team", ended="no")),  # type: ignore[arg-type]
    ("verbs", lambda c: c.hives.grant("team", 3)),  # type: ignore[arg-type]
    ("rate", lambda c: c.hives.grant("team", ["ask"], rate=-1)),
    ("expire_time", lambda c: c.hives.grant("team", ["ask"], expire_time="soon")),
    ("grant", lambda c: c.hives.revoke("team", 3)),  # type: ignore[arg-type]
    ("n", lambda c: c.hives.crossings(n=-1)),
    ("channel", lambda c: c.channel(3)),  # type: ignore[arg-type]
    ("grace", lambda c: c.channel("x", grace="long")),  # type: ignore[arg-type]
    ("external", lambda c: c.channel("x", external=1)),  # type: ignore[arg-type]
    ("agent", lambda c: c.channel("x").say("hi", 3)),  # type: ignore[arg-type]
    ("text", lambda c: c.channel("x").say(b"hi")),  # type: ignore[arg-type]
    ("sender", lambda c: c.channel("x").say("hi", sender=3)),  # type: ignore[arg-type]
    ("request_id", lambda c: c.channel("x").say("hi", request_id=3)),  # type: ignore[arg-type]
    ("function", lambda c: c.channel("x").function(3)),  # type: ignore[call-overload]
    ("on_message", lambda c: c.channel("x").on_message(3)),  # type: ignore[type-var]
    ("on_question", lambda c: c.channel("x").on_question(3)),  # type: ignore[type-var]
    ("on_closed", lambda c: c.channel("x").on_closed(None)),  # type: ignore[type-var]
    ("agent.quiet", lambda c: a(c).update(quiet="at night")),
    ("quiet", lambda c: a(c).update(quiet=3)),
    ("background", lambda c: a(c).runs(background=1)),
    ("condition", lambda c: c.schedules.add("1d", "x", condition="x = 1")),
    ("when", lambda c: c.schedules.add(3, "x")),  # type: ignore[arg-type]
    ("when", lambda c: c.schedules.add("soon", "x")),
    ("text", lambda c: c.schedules.add("1d", 3)),  # type: ignore[arg-type]
    ("text", lambda c: c.schedules.add("1d", " ")),
    ("agent", lambda c: c.schedules.add("1d", "x", agent=3)),  # type: ignore[arg-type]
    ("name", lambda c: c.schedules.add("1d", "x", name="Two words")),
    ("timezone", lambda c: c.schedules.add("1d", "x", timezone="Mars/Olympus")),
    ("channel", lambda c: c.schedules.add("1d", "x", channel="No channel")),
    ("start", lambda c: c.schedules.add("1d", "x", start="soon")),
    ("end_time", lambda c: c.schedules.add("every 1d", "x", start="2126-01-02", end="2126-01-01")),
    ("jitter", lambda c: c.schedules.add("1d", "x", jitter=-1)),
    ("grace", lambda c: c.schedules.add("1d", "x", grace=BIG)),
    ("missed", lambda c: c.schedules.add("1d", "x", missed="never")),
    ("missed", lambda c: c.schedules.add("1d", "x", missed=101)),
    ("cron", lambda c: c.schedules.add("0 0 30 2 *", "x")),
    ("at", lambda c: c.schedules.add("2000-01-01", "x")),
    ("schedule", lambda c: c.schedules.get(3)),  # type: ignore[arg-type]
    ("schedule", lambda c: c.schedules.edit(3, text="x")),  # type: ignore[arg-type]
    ("update_mask", lambda c: c.schedules.edit("1")),
    ("schedule", lambda c: c.schedules.pause(3)),  # type: ignore[arg-type]
    ("schedule", lambda c: c.schedules.resume(3)),  # type: ignore[arg-type]
    ("schedule", lambda c: c.schedules.delete(3)),  # type: ignore[arg-type]
    ("schedule", lambda c: c.schedules.run(3)),  # type: ignore[arg-type]
    ("when", lambda c: c.schedules.preview("")),
    ("n", lambda c: c.schedules.preview("1d", n=0)),
    ("n", lambda c: c.schedules.list(n=-1)),
    ("ended", lambda c: c.schedules.list(ended=1)),  # type: ignore[arg-type]
    ("n", lambda c: c.schedules.occurrences(n=-1)),
    ("query", lambda c: a(c).log.search(None)),
    ("k", lambda c: a(c).log.search("x", k=BIG)),
    ("user", lambda c: c.admin.create_user(3)),  # type: ignore[arg-type]
    ("administrator", lambda c: c.admin.create_user("never", administrator=1)),  # type: ignore[arg-type]
    ("user", lambda c: c.admin.tokens(3)),  # type: ignore[arg-type]
    ("label", lambda c: c.admin.create_token(3)),  # type: ignore[arg-type]
    ("token", lambda c: c.admin.revoke_token(None)),  # type: ignore[arg-type]
    ("reason", lambda c: c.admin.stop_all(3)),  # type: ignore[arg-type]
    ("everyone", lambda c: c.admin.stop_all(everyone=1)),  # type: ignore[arg-type]
    ("everyone", lambda c: c.admin.resume_all(everyone="yes")),  # type: ignore[arg-type]
    ("by", lambda c: c.admin.usage("moon")),  # type: ignore[arg-type]
    ("after", lambda c: c.admin.usage(after=5)),  # type: ignore[arg-type]
]
"""A field, and a call that gives what it cannot be."""

WITHOUT_ARGUMENTS = {
    "close",
    "status",
    "agents",
    "get",
    "wait",
    "whoami",
    "users",
    "prices",
    "purges",
    "retentions",
}


@pytest.fixture(scope="module")
def client(shared: DaemonProcess) -> Iterator[rlmd.Client]:
    with rlmd.connect(data=shared.data) as made:
        yield made


@pytest.mark.parametrize(("field", "call"), REFUSED)
def test_refused(client: rlmd.Client, field: str, call: Call) -> None:
    with pytest.raises(rlmd.InvalidInput) as caught:
        call(client)
    assert caught.value.field == field
    assert caught.value.reason
    assert caught.value.remedy


def test_the_table_has_every_method() -> None:
    source = inspect.getsource(inspect.getmodule(test_refused) or rlmd)
    for kind in (
        rlmd.Client,
        rlmd.Agent,
        rlmd.Memory,
        rlmd.Run,
        rlmd.Log,
        rlmd.Questions,
        rlmd.Channel,
        rlmd.Schedules,
        rlmd.Budgets,
        rlmd.Hives,
    ):
        for name, method in inspect.getmembers(kind, inspect.isfunction):
            if not name.startswith("_") and len(inspect.signature(method).parameters) > 1:
                assert f".{name}(" in source, f"{kind.__name__}.{name}"


@pytest.mark.parametrize(
    ("field", "given"),
    [
        ("timeout", {"timeout": "x"}),
        ("timeout", {"timeout": True}),
        ("timeout", {"timeout": float("nan")}),
        ("timeout", {"timeout": 10**400}),
        ("token", {"token": "bad\ntoken"}),
        ("token", {"token": "bäd"}),
        ("token", {"token": ""}),
        ("token", {"token": 5}),
        ("address", {"address": 5}),
        ("data", {"data": 5}),
        ("data", {"data": b"/data"}),
    ],
)
def test_connect_refuses(shared: DaemonProcess, field: str, given: dict[str, Any]) -> None:
    with pytest.raises(rlmd.InvalidInput) as caught:
        rlmd.connect(**{"data": shared.data, **given})
    assert caught.value.field == field
    assert "bad" not in str(caught.value)


def test_a_closed_client_says_so(shared: DaemonProcess) -> None:
    client = rlmd.connect(data=shared.data)
    agent = client.agent("main")
    client.close()
    client.close()
    calls: list[Callable[[], object]] = [
        client.status,
        client.agent,
        client.agents,
        lambda: agent.memory.get("n"),
        lambda: agent.memory.set("n", "x" * 5_000_000),
        lambda: agent.memory.open("n"),
        lambda: agent.chat("hi"),
        lambda: list(agent.run(1).watch()),
    ]
    for call in calls:
        with pytest.raises(rlmd.PreconditionFailed, match="closed"):
            call()


async def test_a_closed_async_client_says_so(shared: DaemonProcess) -> None:
    client = await rlmd.connect_async(data=shared.data)
    await client.close()
    with pytest.raises(rlmd.PreconditionFailed, match="closed"):
        await client.status()


NINES = "9" * 20


@pytest.mark.parametrize(
    "words",
    [
        ("memory", "get", "x", "-v", NINES),
        ("memory", "get", "x", "-v", "0"),
        ("memory", "set", "x", "y", "--expect", NINES),
        ("memory", "set", "x", "--json-value", "1" * 5000),
        ("memory", "append", "x", "y", "--expect", "-1"),
        ("memory", "search", "x", "-k", NINES),
        ("memory", "history", "x", "-n", NINES),
        ("memory", "diff", "x", "1", NINES),
        ("memory", "revert", "x", NINES),
        ("memory", "delete", "x", "--expect", NINES),
        ("run", "list", "-n", NINES),
        ("run", "watch", "1", "--after", NINES),
        ("log", "-n", NINES),
        ("agent", "update", "main", "--steps", NINES),
        ("down", "--wait", "-1"),
    ],
)
def test_numbers_on_the_command_line(cli: Cli, words: tuple[str, ...]) -> None:
    done = cli(*words)
    assert (done.code, done.out) == (2, "")
    assert done.err.count("\n") == 1
