"""What a run changed in memory, and taking it back."""

from __future__ import annotations

from typing import Any

import pytest

from rlmd.errors import Conflict, PreconditionFailed
from rlmd.memory.changes import Change, Undone
from rlmd.memory.records import Author, Origin, Run, RunState
from rlmd.memory.variables import Writing

from .host import Home, writing
from .test_runs import begin


def by(run: Run) -> Writing:
    author = Author(user="owner", agent="main", run=run.id, step=1, call=1)
    return Writing(author=author, origin=Origin.AGENT)


def finished(home: Home, values: dict[str, Any], *, parent: Run | None = None) -> Run:
    """A run that has set these variables, and is over."""
    run = begin(home, parent=parent)
    for name, value in values.items():
        home.edit(lambda space, name=name, value=value: space.set(name, value, by(run)))  # type: ignore[misc]
    home.write(lambda tx: tx.runs.end(run, RunState.DONE))
    return home.store.read(lambda tx: tx.runs.get(run.id))


def changes(home: Home, run: Run, **options: int) -> list[Change]:
    return home.store.read(lambda tx: tx.changes.page(run, **options))


def undo(home: Home, run: Run, *, keep_later: bool = False) -> Undone:
    return home.write(lambda tx: tx.changes.undo(run, writing(note="back"), keep_later=keep_later))


def values(home: Home) -> dict[str, Any]:
    return home.look(lambda space: {name: space.get(name).value for name in space.names()})


def test_all_that_a_run_did_is_taken_back_at_once(home: Home) -> None:
    for name, value in {"kept": "1", "changed": "a", "dropped": [1, 2], "long": "x" * 100_000}.items():
        home.edit(lambda space, name=name, value=value: space.set(name, value, writing()))  # type: ignore[misc]
    before = values(home)
    run = finished(home, {"changed": "b", "new": {"n": 1}, "long": "y" * 100_000})
    home.edit(lambda space: space.append("changed", "c", by(run)))
    home.edit(lambda space: space.delete("dropped", by(run)))
    child = finished(home, {"deep": "down"}, parent=run)
    finished(home, {"other": "run"})

    found = {change.name: change for change in changes(home, run)}
    assert set(found) == {"changed", "new", "long", "dropped", "deep"}
    assert (found["changed"].first, found["changed"].last, found["changed"].existed) == (2, 3, True)
    assert not found["new"].existed
    assert (found["changed"].moved_on, found["changed"].undone) == (False, False)
    assert [change.name for change in changes(home, child)] == ["deep"]

    assert undo(home, run) == Undone(undone=5, kept=0)
    assert values(home) == {**before, "other": "run"}
    assert home.look(lambda space: space.get("changed").version.number) == 4
    assert home.look(lambda space: space.get("changed", version=3).value) == "bc"
    assert all(change.undone for change in changes(home, run))
    assert undo(home, run) == Undone(undone=0, kept=0)


def test_what_somebody_else_wrote_since_is_not_overwritten(home: Home) -> None:
    run = finished(home, {"mine": "1", "shared": "1", "tail": "1"})
    home.edit(lambda space: space.set("shared", "2", writing()))
    home.edit(lambda space: space.set("tail", "2", writing()))
    home.edit(lambda space: space.set("tail", "3", by(run)))
    before = values(home)
    with pytest.raises(Conflict, match="'shared', 'tail' have been written by somebody else since run"):
        undo(home, run)
    assert values(home) == before
    assert undo(home, run, keep_later=True) == Undone(undone=1, kept=2)
    assert values(home) == {"shared": "2", "tail": "3"}


def test_what_had_been_deleted_is_deleted_again(home: Home) -> None:
    home.edit(lambda space: space.set("old", "1", writing()))
    home.edit(lambda space: space.delete("old", writing()))
    run = finished(home, {"old": "2"})
    assert not changes(home, run)[0].existed
    assert undo(home, run).undone == 1
    assert values(home) == {}


def test_a_run_that_is_not_over_is_not_taken_back(home: Home) -> None:
    with pytest.raises(PreconditionFailed, match="is queued"):
        undo(home, begin(home))


def test_changes_come_in_pages(home: Home) -> None:
    run = finished(home, {f"n{number}": number for number in range(5)})
    first = changes(home, run, most=2)
    rest = changes(home, run, after=first[-1].variable, most=10)
    assert [change.name for change in [*first, *rest]] == [f"n{number}" for number in range(5)]


def test_another_user_sees_nothing_of_it(home: Home) -> None:
    run = finished(home, {"secret": "1"})
    store = home.another_user("bob")
    assert store.read(lambda tx: tx.changes.page(run)) == []
