"""Rules by which variables are kept: what they hide and erase, and what they must not touch."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from rlmd.errors import InvalidInput, NotFound
from rlmd.memory.records import Kind, RunLimits, RunState
from rlmd.memory.retention import Retention

from .host import Home, opened, writing

DAY = 86_400


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    with opened(tmp_path / "rlmd.db") as home:
        yield home


def put(home: Home, *names: str) -> None:
    for name in names:
        home.edit(lambda space, name=name: space.set(name, name, writing()))  # type: ignore[misc]


def rule(home: Home, prefix: str, *, days: int | None = None, versions: int | None = None) -> None:
    seconds = None if days is None else days * DAY
    made = Retention(prefix=prefix, seconds=seconds, versions=versions)
    home.write(lambda tx: tx.retentions("main").set(made))


def names(home: Home) -> list[str]:
    return home.look(lambda space: space.names())


def numbers(home: Home, name: str) -> list[int]:
    return [version.number for version in home.look(lambda space: space.history(name))]


def test_what_nobody_has_written_for_long_is_hidden_and_says_so(home: Home) -> None:
    put(home, "temp/a", "temp/b", "other")
    rule(home, "temp/", days=30)
    home.clock.move(timedelta(days=20))
    put(home, "temp/b")
    home.clock.move(timedelta(days=10, seconds=1))
    assert home.house.expire() == 1
    assert names(home) == ["other", "temp/b"]
    head = home.look(lambda space: space.history("temp/a"))[0]
    assert (head.kind, head.number) == (Kind.DELETED, 2)
    assert "temp/" in head.note
    home.edit(lambda space: space.undelete("temp/a", writing()))
    assert home.house.expire() == 0, "what was brought back was written just now"


def test_the_longest_beginning_counts_and_what_is_pinned_stays(home: Home) -> None:
    put(home, "log/day/1", "log/year/1", "log/plan")
    rule(home, "log/", days=400)
    rule(home, "log/day/", days=2)
    home.write(lambda tx: tx.retentions("main").set(Retention(prefix="log/plan", pinned=True)))
    home.clock.move(timedelta(days=3))
    assert home.house.expire() == 1
    assert names(home) == ["log/plan", "log/year/1"]
    home.clock.move(timedelta(days=400))
    home.house.expire()
    assert names(home) == ["log/plan"]
    home.write(lambda tx: tx.retentions("main").remove("log/plan"))
    home.house.expire()
    assert names(home) == []


def test_only_the_last_versions_are_kept(home: Home) -> None:
    for _ in range(7):
        put(home, "draft")
    put(home, "other", "other", "other")
    rule(home, "draft", versions=3)
    assert home.house.expire() == 1
    assert numbers(home, "draft") == [7, 6, 5]
    assert numbers(home, "other") == [3, 2, 1]
    with pytest.raises(NotFound):
        home.look(lambda space: space.get("draft", version=4))
    put(home, "draft")
    home.house.expire()
    assert numbers(home, "draft") == [8, 7, 6]
    assert home.house.expire() == 0


def test_pieces_of_erased_versions_go_with_the_next_sweep(home: Home) -> None:
    for letter in "abc":
        home.edit(lambda space, letter=letter: space.set("large", letter * 300_000, writing()))  # type: ignore[misc]
    rule(home, "large", versions=1)
    home.house.expire()
    assert home.house.sweep() > 0
    assert home.look(lambda space: space.get("large")).value == "c" * 300_000


def test_no_version_goes_that_a_run_may_have_to_read_again(home: Home) -> None:
    for _ in range(3):
        put(home, "draft")
    rule(home, "draft", versions=1)
    run = home.write(
        lambda tx: tx.runs.create(tx.agents.get("main"), kind="message", text="x", limits=RunLimits())
    )
    assert home.house.expire() == 0
    home.write(lambda tx: tx.runs.end(run, RunState.DONE))
    assert home.house.expire() == 1
    assert numbers(home, "draft") == [3]


def test_many_go_in_several_transactions(home: Home) -> None:
    put(home, *(f"temp/{number}" for number in range(450)))
    rule(home, "", days=1)
    home.clock.move(timedelta(days=2))
    assert home.house.expire() == 450
    assert names(home) == []


@pytest.mark.parametrize(
    ("made", "field"),
    [
        (Retention(prefix="a"), "seconds"),
        (Retention(prefix="a", seconds=0), "seconds"),
        (Retention(prefix="a", seconds=10**12), "seconds"),
        (Retention(prefix="a", versions=0), "versions"),
        (Retention(prefix="a", seconds=1, pinned=True), "seconds"),
        (Retention(prefix="", pinned=True), "prefix"),
        (Retention(prefix="a//b", pinned=True), "prefix"),
    ],
)
def test_what_cannot_be_is_refused(home: Home, made: Retention, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        home.write(lambda tx: tx.retentions("main").set(made))
    assert caught.value.field == field
    with pytest.raises(NotFound):
        home.write(lambda tx: tx.retentions("main").remove("a"))


def test_rules_are_of_one_space(home: Home) -> None:
    other = home.another_user("bob")
    put(home, "temp/a")
    other.submit(lambda tx: tx.space("main").set("temp/a", "x", writing())).result()
    rule(home, "temp/", days=1)
    home.clock.move(timedelta(days=2))
    assert home.house.expire() == 1
    assert other.read(lambda tx: tx.space("main").names()) == ["temp/a"]
