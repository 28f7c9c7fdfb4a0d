"""What a deleted agent leaves: unreachable at once, gone after a sweep, and never more than that."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import Connection, func, select

from rlmd.errors import NotFound
from rlmd.memory import sweeping
from rlmd.memory.tables import pieces, spaces, uploads, variables, versions

from .host import Home, writing

TEXT = "".join(f"line {number} of a text that is long enough for pieces\n" for number in range(4_000))


def rows(home: Home) -> dict[str, int]:
    with home.house.database.reading() as connection:
        return {
            table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in (spaces, variables, versions, pieces, uploads)
        }


@pytest.fixture
def second(home: Home) -> Home:
    """An agent of that name, with much in its space; `main` shares a part of it."""
    home.edit(lambda space: space.set("shared", TEXT, writing()))
    home.write(lambda tx: tx.agents.create("second"))
    for number in range(20):
        for value in ("a", TEXT, TEXT[number:]):
            home.edit(lambda space, n=number, v=value: space.set(f"v/{n}", v, writing()), agent="second")  # type: ignore[misc]
    return home


def test_a_deleted_agent_cannot_be_reached_at_once(second: Home) -> None:
    counted = second.store.read(lambda tx: tx.counts())
    second.write(lambda tx: tx.agents.delete("second"))
    assert second.store.read(lambda tx: tx.counts()) == (counted[0] - 1, 1, counted[2])
    with pytest.raises(NotFound):
        second.look(lambda space: space.names(), agent="second")
    second.write(lambda tx: tx.agents.create("second"))
    assert second.look(lambda space: space.names(), agent="second") == []
    second.edit(lambda space: space.set("fresh", TEXT, writing()), agent="second")
    second.house.sweep()
    assert second.look(lambda space: space.get("fresh"), agent="second").value == TEXT


def test_a_sweep_takes_all_of_it_in_small_parts(second: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeping, "BATCH", 3)
    begun: list[int] = []
    second.house.database.on_commit(lambda: begun.append(1))
    with_second = rows(second)
    second.write(lambda tx: tx.agents.delete("second"))
    swept = second.house.sweep()
    assert swept == with_second["pieces"] - rows(second)["pieces"] > 0
    assert len(begun) > swept / 3
    assert rows(second) | {"pieces": 0} == {
        "spaces": 1,
        "variables": 1,
        "versions": 1,
        "pieces": 0,
        "uploads": 0,
    }
    assert second.look(lambda space: space.get("shared")).value == TEXT
    assert second.house.sweep() == 0


def test_what_is_stored_again_meanwhile_stays(second: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    own = second.look(lambda space: space.get("v/7"), agent="second").value
    second.write(lambda tx: tx.agents.delete("second"))
    found = sweeping._unreached

    def found_too_early(connection: Connection, user_id: int) -> list[bytes]:
        gone = found(connection, user_id)
        second.edit(lambda space: space.set("again", own, writing()))
        return gone

    monkeypatch.setattr(sweeping, "_unreached", found_too_early)
    assert second.house.sweep() > 0
    assert second.look(lambda space: space.get("again")).value == own


def test_a_sweep_that_breaks_is_made_again(second: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    second.write(lambda tx: tx.agents.delete("second"))
    drop: Callable[..., int] = sweeping._drop
    left = 2

    def breaks(*given: object) -> int:
        nonlocal left
        left -= 1
        if left < 0:
            raise RuntimeError("the daemon is killed")
        return drop(*given)

    monkeypatch.setattr(sweeping, "BATCH", 3)
    monkeypatch.setattr(sweeping, "_drop", breaks)
    with pytest.raises(RuntimeError, match="killed"):
        second.house.sweep()
    monkeypatch.setattr(sweeping, "_drop", drop)
    before = rows(second)["pieces"]
    assert second.house.sweep() == before - rows(second)["pieces"] > 0
    assert second.look(lambda space: space.get("shared")).value == TEXT
