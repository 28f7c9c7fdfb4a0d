"""A search through several shelves at once ranks what is there as if it stood in one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rlmd.memory.search import Embedder, Index, Part, Shelf
from rlmd.memory.source import Texts
from tests.memory.host import Home, writing

from .world import Letters

FILLER = [
    "Ann bakes bread on Sundays.",
    "The train to Basel leaves at nine.",
    "Rain is expected in the north.",
]


@contextmanager
def indexed(home: Home, folder: Path, embedder: Embedder | None) -> Iterator[Index]:
    index = Index(folder, home.house.database, embedder, Texts())
    index.start()
    try:
        yield index
    finally:
        index.close()


def spread(home: Home, texts: dict[str, dict[str, str]]) -> dict[str, Shelf]:
    """Texts of agents' spaces, by agent and name."""
    for agent, values in texts.items():
        home.write(lambda tx, agent=agent: tx.agents.create(agent))  # type: ignore[misc]
        for name, text in values.items():
            home.edit(lambda space, n=name, t=text: space.set(n, t, writing()), agent=agent)  # type: ignore[misc]
    return {
        agent: Shelf(space_id=home.store.read(lambda tx, agent=agent: tx.space(agent).id))  # type: ignore[misc]
        for agent in texts
    }


@pytest.mark.parametrize("embedder", [None, Letters()], ids=["words", "words and vectors"])
async def test_one_ranking_over_shelves_of_any_size(
    home: Home, tmp_path: Path, embedder: Embedder | None
) -> None:
    large = {f"note/{n}": f"{FILLER[n % 3]} Number {n}." for n in range(60)}
    shelves = spread(
        home,
        {
            "large": {**large, "budget": "The budget of the trip is 900 francs, says Ann."},
            "small": {"plan": "The trip to Bern: the budget is 500 francs for the trip."},
            "empty": {},
        },
    )
    with indexed(home, tmp_path / "index", embedder) as index:
        parts = [
            Part(shelf=shelves["large"]),
            Part(shelf=shelves["small"], mark="@team/"),
            Part(shelf=shelves["empty"], mark="@none/"),
        ]
        found = await index.search_parts(parts, "budget of the trip", 5)
        assert {found[0].key, found[1].key} == {"budget", "@team/plan"}
        assert found[0].score > 0.5
        assert found[1].score > 0.5, "a rare word counts the same in a shelf of one passage"
        assert [each.key for each in await index.search_parts(parts[1:], "budget", 5)] == ["@team/plan"]
        assert await index.search_parts([], "budget", 5) == []
        turned = await index.search_parts(parts[::-1], "budget of the trip", 5)
        assert [(each.key, each.score) for each in turned] == [(each.key, each.score) for each in found]


async def test_a_part_is_what_begins_so(home: Home, tmp_path: Path) -> None:
    shelves = spread(home, {"both": {"open/a": "The key is red.", "closed/a": "The key is blue."}})
    with indexed(home, tmp_path / "index", None) as index:
        parts = [Part(shelf=shelves["both"], prefix="open/", mark="@team/")]
        assert [each.key for each in await index.search_parts(parts, "key", 5)] == ["@team/open/a"]
        twice = [*parts, Part(shelf=shelves["both"], prefix="closed/", mark="@team/")]
        assert len(await index.search_parts(twice, "key", 5)) == 2
