"""A clone remembers what its original did at that moment, and each goes its own way from there."""

from __future__ import annotations

import pytest

from rlmd.errors import AlreadyExists, NotFound

from .host import Home, writing

LONG = "A line of a text that does not fit into its row.\n" * 2000


def test_a_clone_with_memory(home: Home) -> None:
    def fill(value: str) -> None:
        home.edit(lambda space: space.set("plan", value, writing(note=value)))

    fill("old")
    fill("new")
    home.edit(lambda space: space.set("long", LONG, writing()))
    home.edit(lambda space: space.set("gone", 1, writing()))
    home.edit(lambda space: space.delete("gone", writing()))
    home.write(lambda tx: tx.agents.update("main", {"instructions": "Be brief.", "model": "m"}))
    made = home.write(lambda tx: tx.agents.clone("main", "twin", memory=True))
    assert (made.name, made.instructions, made.model) == ("twin", "Be brief.", "m")
    assert home.look(lambda space: space.names(), agent="twin") == ["long", "plan"]
    (version,) = home.look(lambda space: space.history("plan"), agent="twin")
    assert (version.number, version.note, version.author.user) == (1, "a copy of main@2", "owner")
    home.edit(lambda space: space.append("long", "More.\n", writing()), agent="twin")
    assert home.look(lambda space: space.get("long").value) == LONG
    home.write(lambda tx: tx.agents.delete("main"))
    home.house.sweep()
    assert home.look(lambda space: space.get("long").value, agent="twin") == LONG + "More.\n"


def test_a_clone_without_memory_and_what_cannot_be_cloned(home: Home) -> None:
    home.edit(lambda space: space.set("plan", 1, writing()))
    home.write(lambda tx: tx.agents.clone("main", "twin", memory=False))
    assert home.look(lambda space: space.names(), agent="twin") == []
    with pytest.raises(NotFound):
        home.write(lambda tx: tx.agents.clone("nobody", "other", memory=True))
    with pytest.raises(AlreadyExists):
        home.write(lambda tx: tx.agents.clone("main", "twin", memory=True))
