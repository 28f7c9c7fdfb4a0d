"""Hives in memory: who gets in, what a grant lets through, and what crosses between two users."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from rlmd.errors import (
    AlreadyExists,
    Conflict,
    InvalidInput,
    NotFound,
    PermissionDenied,
    PreconditionFailed,
    RlmdError,
)
from rlmd.memory.grants import fits
from rlmd.memory.hive_calls import Asked
from rlmd.memory.hive_records import HiveCall, Member, Verb
from rlmd.memory.records import CallState, Run, RunLimits, RunState
from rlmd.memory.store import Store, Transaction
from rlmd.memory.variables import Space

from .host import Home, writing

LIMITS = RunLimits(steps=3, depth=0, seconds=60, model_calls=5)


@dataclass(frozen=True)
class Two:
    """A house with a hive `team` of the owner's, in which `main` is, and `main` of bob's as `guest`."""

    home: Home
    bob: Store

    @property
    def owner(self) -> Store:
        return self.home.store

    def use(self, store: Store, verb: Verb, name: str, work: Callable[[Space], Any]) -> Any:
        def inside(tx: Transaction) -> Any:
            shared = tx.shared(tx.agents.get("main"))
            return work(shared.space(shared.door("team"), verb, name))

        return store.submit(inside).result()

    def write(self, store: Store, name: str, value: Any, **options: Any) -> Any:
        return self.use(store, Verb.WRITE, name, lambda space: space.set(name, value, writing(**options)))

    def run(self, store: Store) -> Run:
        def make(tx: Transaction) -> Run:
            agent = tx.agents.get("main")
            return tx.runs.create(agent, kind="message", text="go", limits=LIMITS, channel="chat")

        return store.submit(make).result()

    def ask(self, store: Store, callee: str, run: Run, call: int = 1, verb: Verb = Verb.ASK) -> HiveCall:
        def make(tx: Transaction) -> HiveCall:
            agent = tx.agents.get("main")
            door = tx.shared(agent).door("team")
            asked = Asked(callee=callee, text="Well?", verb=verb, limits=lambda _: LIMITS)
            return tx.hive_calls.open(agent, run, call, door, asked)

        return store.submit(make).result()


@pytest.fixture
def two(home: Home) -> Two:
    home.write(lambda tx: tx.hives.create("team"))
    home.write(lambda tx: tx.hives.join("team", "main"))
    code, _ = home.write(lambda tx: tx.hives.invite("team"))
    bob = home.another_user("bob")
    bob.submit(lambda tx: tx.hives.join("team", "main", called="guest", code=code)).result()
    return Two(home, bob)


def refused(kind: type[RlmdError], work: Callable[[], Any]) -> str:
    with pytest.raises(kind) as caught:
        work()
    assert caught.value.remedy
    assert caught.value.field
    return str(caught.value)


def test_a_code_works_once_and_not_for_long(two: Two) -> None:
    owner, bob = two.owner, two.bob
    bob.submit(lambda tx: tx.agents.create("second")).result()
    code, _ = owner.submit(lambda tx: tx.hives.invite("team", 60)).result()

    def join(**given: str) -> Member:
        return bob.submit(lambda tx: tx.hives.join("team", "second", **given)).result()

    refused(PermissionDenied, join)
    refused(NotFound, lambda: join(code="guessed"))
    two.home.clock.move(timedelta(seconds=61))
    assert "is too old" in refused(PreconditionFailed, lambda: join(code=code))
    code, _ = owner.submit(lambda tx: tx.hives.invite("team", 60)).result()
    refused(AlreadyExists, lambda: join(code=code, called="main"))
    assert join(code=code).name == "second", "a try that failed has not used it up"
    bob.submit(lambda tx: tx.hives.leave("team", "second")).result()
    assert "was used before" in refused(PreconditionFailed, lambda: join(code=code))


def test_a_user_sees_what_they_have_to_do_with(two: Two) -> None:
    owner, bob = two.owner, two.bob
    eve = two.home.another_user("eve")
    (hive,) = bob.read(lambda tx: tx.hives.page())
    assert [(m.name, m.user, m.agent) for m in hive.members] == [
        ("guest", "bob", "main"),
        ("main", "owner", ""),
    ]
    assert eve.read(lambda tx: tx.hives.page()) == []
    for work in (
        lambda tx: tx.hives.get("team"),
        lambda tx: tx.hives.grants("team"),
        lambda tx: tx.hives.leave("team", "guest"),
        lambda tx: tx.hives.dissolve("team"),
    ):
        told = refused(NotFound, lambda work=work: eve.submit(work).result())  # type: ignore[misc]
        other = refused(NotFound, lambda: eve.submit(lambda tx: tx.hives.get("none")).result())
        assert told == other.replace("none", "team")
    for work in (
        lambda tx: tx.hives.dissolve("team"),
        lambda tx: tx.hives.grant("team", ["write"]),
        lambda tx: tx.hives.revoke("team", 1),
        lambda tx: tx.hives.invite("team"),
        lambda tx: tx.hives.leave("team", "main"),
    ):
        refused(PermissionDenied, lambda work=work: bob.submit(work).result())  # type: ignore[misc]
    # A name is each one's own: eve does not learn that there is such a hive, and bob would not know which.
    eve.submit(lambda tx: tx.hives.create("team")).result()
    refused(AlreadyExists, lambda: bob.submit(lambda tx: tx.hives.create("team")).result())
    code, _ = eve.submit(lambda tx: tx.hives.invite("team")).result()
    refused(AlreadyExists, lambda: bob.submit(lambda tx: tx.hives.join("team", "main", code=code)).result())
    refused(NotFound, lambda: bob.read(lambda tx: tx.space("@team")))
    assert owner.read(lambda tx: tx.space("@team")).name == "@team"


def test_what_is_not_granted_is_refused_and_revoking_is_at_once(two: Two) -> None:
    owner, bob = two.owner, two.bob
    assert two.write(bob, "guest/plan", 1).version.number == 1
    assert "guest may not write plan in the hive team" in refused(
        PermissionDenied, lambda: two.write(bob, "plan", 1)
    )
    refused(PermissionDenied, lambda: two.write(bob, "main/plan", 1))
    grant = owner.submit(
        lambda tx: tx.hives.grant(
            "team", ["write"], member="guest", pattern="plan", expire_time=tx.now + timedelta(hours=1)
        )
    ).result()
    two.write(bob, "plan", 1)
    refused(PermissionDenied, lambda: two.write(owner, "plan", 1))
    refused(PermissionDenied, lambda: two.write(bob, "plans", 1))
    two.home.clock.move(timedelta(hours=1))
    refused(PermissionDenied, lambda: two.write(bob, "plan", 2))
    (usual, _own) = owner.read(lambda tx: tx.hives.grants("team"))

    def read() -> Any:
        return two.use(bob, Verb.READ, "plan", lambda space: space.get("plan").value)

    assert read() == 1
    owner.submit(lambda tx: tx.hives.revoke("team", usual.id)).result()
    refused(PermissionDenied, read)
    refused(PermissionDenied, lambda: two.ask(bob, "main", two.run(bob)))
    ended = owner.read(lambda tx: tx.hives.grants("team", ended=True))
    assert [each.id for each in ended] == [usual.id, _own.id, grant.id]


def test_who_has_left_finds_the_door_closed(two: Two) -> None:
    two.write(two.bob, "guest/plan", 1)
    two.owner.submit(lambda tx: tx.hives.leave("team", "guest")).result()
    refused(NotFound, lambda: two.write(two.bob, "guest/plan", 2))
    refused(NotFound, lambda: two.bob.read(lambda tx: tx.hives.get("team")))
    refused(NotFound, lambda: two.ask(two.owner, "guest", two.run(two.owner)))
    two.owner.submit(lambda tx: tx.hives.dissolve("team")).result()
    refused(NotFound, lambda: two.owner.read(lambda tx: tx.space("@team")))
    assert two.home.house.sweep() == 0


def test_a_call_is_settled_by_the_end_of_the_run_and_crosses_on_both_sides(two: Two) -> None:
    owner, bob = two.owner, two.bob
    mine = two.run(owner)
    called = two.ask(owner, "guest", mine)
    assert (called.state, called.crosses) == (CallState.OPEN, True)
    theirs = bob.read(lambda tx: tx.runs.get(called.callee_run))
    assert (theirs.event.kind, theirs.event.sender, theirs.event.channel) == ("call", "owner/main", "main")
    refused(NotFound, lambda: owner.read(lambda tx: tx.runs.get(called.callee_run)))
    refused(NotFound, lambda: bob.read(lambda tx: tx.hive_calls.get(called.id)))
    bob.submit(lambda tx: tx.runs.end(theirs, RunState.DONE, result={"yes": 1})).result()
    settled = owner.read(lambda tx: tx.hive_calls.get(called.id))
    assert (settled.state, settled.result) == (CallState.DONE, {"yes": 1})
    waits = two.home.house.caller_of(theirs.id)
    assert waits is not None
    assert (waits[0].name, waits[1]) == ("owner", mine.id)
    for store, run in ((owner, mine.id), (bob, theirs.id)):
        rows = store.read(lambda tx: tx.crossings.page("team"))
        assert [(row.verb, row.target, row.run) for row in rows] == [
            ("answer", '{"yes": 1}', run),
            ("ask", "Well?", run),
        ]
    assert [row.outward for row in bob.read(lambda tx: tx.crossings.page())] == [True, False]


def test_a_member_that_has_called_is_no_channel_that_a_program_may_import(two: Two) -> None:
    def known() -> list[str]:
        return two.bob.read(lambda tx: tx.channels.known_to(tx.agents.get("main"), 10))

    two.ask(two.owner, "guest", two.run(two.owner))
    assert known() == []
    two.bob.submit(lambda tx: tx.channels.connect("main", [])).result()
    assert known() == ["main"], "a bot of the same name is one"


def test_a_chain_of_calls_is_bounded(two: Two) -> None:
    called = two.ask(two.owner, "guest", two.run(two.owner))
    theirs = two.bob.read(lambda tx: tx.runs.get(called.callee_run))
    told = refused(PreconditionFailed, lambda: two.ask(two.bob, "main", theirs))
    assert "a circle: main -> guest -> main" in told
    stores, run = [two.bob, two.owner], theirs
    for place in range(7):
        told_on = two.ask(stores[place % 2], ("main", "guest")[place % 2], run, verb=Verb.TELL)
        run = stores[(place + 1) % 2].read(lambda tx, id=told_on.callee_run: tx.runs.get(id))  # type: ignore[misc]
    told = refused(PreconditionFailed, lambda: two.ask(two.bob, "main", run, verb=Verb.TELL))
    assert "more than 8 calls below each other: main -> guest -> main" in told


@pytest.mark.parametrize(
    ("pattern", "name", "fit"),
    [
        ("*", "a/b", True),
        ("plan", "plan", True),
        ("plan", "plans", False),
        ("plan*", "plans", True),
        ("{member}/*", "me/x", True),
        ("{member}/*", "you/x", False),
    ],
)
def test_patterns(pattern: str, name: str, fit: bool) -> None:
    assert fits(pattern, name, "me") is fit


@pytest.mark.parametrize(
    ("field", "given"),
    [
        ("verbs", {"verbs": []}),
        ("verbs", {"verbs": ["own"]}),
        ("pattern", {"verbs": ["read"], "pattern": "a*b"}),
        ("pattern", {"verbs": ["read"], "pattern": " "}),
        ("rate", {"verbs": ["read"], "rate": 3}),
        ("rate", {"verbs": ["ask"], "rate": 0}),
        ("rate", {"verbs": ["ask"], "rate": 1 << 40}),
    ],
)
def test_bad_grants(two: Two, field: str, given: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as caught:
        two.owner.submit(lambda tx: tx.hives.grant("team", **given)).result()
    assert caught.value.field == field


def test_of_thirty_two_writers_no_update_is_lost(two: Two) -> None:
    """Compare-and-set, by agents of two users, each of whom counts up several times."""
    two.owner.submit(lambda tx: tx.hives.grant("team", ["write"])).result()
    two.write(two.owner, "count", 0)

    def count_up(number: int) -> int:
        store, tries = (two.owner, two.bob)[number % 2], 0
        for _ in range(5):
            while True:
                tries += 1
                found = two.use(store, Verb.READ, "count", lambda space: space.get("count"))
                try:
                    two.write(store, "count", found.value + 1, expect=found.version.number)
                except Conflict:
                    continue
                break
        return tries

    with ThreadPoolExecutor(32) as threads:
        tries = sum(threads.map(count_up, range(32)))
    assert two.use(two.owner, Verb.READ, "count", lambda space: space.get("count").value) == 160
    history = two.use(two.owner, Verb.READ, "count", lambda space: space.history("count", most=1000))
    assert len(history) == 161
    assert tries >= 160
