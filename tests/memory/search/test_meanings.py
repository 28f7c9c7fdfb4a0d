"""Vectors on disk: the nearest are found, under filters too, and beyond the size where all are compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rlmd.memory.search import meanings as module
from rlmd.memory.search.embedders import Vectors, normalized
from rlmd.memory.search.filter import Filter
from rlmd.memory.search.meanings import Meanings
from rlmd.memory.search.ranking import Row
from rlmd.memory.search.tables import Damaged, Tables

DIMENSION = 64
COUNT = 1_200


def _rows(count: int) -> list[Row]:
    return [
        Row.stamped(id=at, key=f"k{at % 3}/{at}", version=1, start=0, text="", words="", time=at, origin=1)
        for at in range(count)
    ]


def _vectors(count: int) -> Vectors:
    """Some hundred heaps of neighbours, as texts make them."""
    chance = np.random.default_rng(5)
    heaps = chance.normal(size=(100, DIMENSION))
    return normalized((heaps[np.arange(count) % 100] + chance.normal(size=(count, DIMENSION))).astype("f4"))


@pytest.mark.parametrize("compared", [COUNT, COUNT // 4])
def test_the_nearest_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compared: int) -> None:
    monkeypatch.setattr(module, "COMPARED", compared)
    tables = Tables(tmp_path)
    rows, vectors = _rows(COUNT), _vectors(COUNT)
    made = Meanings.create(tables, "space-1.x", DIMENSION)
    made.add(rows[:1000], vectors[:1000])
    made.compact(now=True)
    made.add(rows[1000:], vectors[1000:])  # After the index was made, if one was.
    made.remove([7, 8])
    indexed = sorted(index.index_type for index in tables.open("space-1.x").list_indices())
    assert indexed == (["BTree", "IvfRq"] if compared < 1000 else [])
    opened, stamps = Meanings.open(tables, "space-1.x", DIMENSION)
    assert len(stamps) == opened.count == COUNT - 2
    for meanings in (made, opened):
        right = total = 0
        for query in vectors[::50]:
            near = sorted(((float(vector @ query), row) for vector, row in zip(vectors, rows, strict=True)),
                          key=lambda each: -each[0])  # fmt: skip
            best = [row for _, row in near if row.id not in (7, 8)]
            found = meanings.nearest(query, Filter(), ())
            right += len({row.stamp for row in best[:10]} & set(list(found)[:10]))
            total += 10
            assert found[best[0].stamp] == pytest.approx(near[0][0], abs=1e-4)
            narrow = meanings.nearest(query, Filter(prefix="k1/", after=100), [best[0].id])
            allowed = [row for row in best[1:] if row.key.startswith("k1/") and row.time >= 100]
            allowed = [row for row in allowed if row.id != best[0].id]
            assert list(narrow)[:5] == [row.stamp for row in allowed[:5]]
            assert meanings.closeness(query, [best[40].stamp, 1]) == {
                best[40].stamp: pytest.approx(float(vectors[best[40].id] @ query), abs=1e-4)
            }
        assert right >= 0.95 * total


def test_another_length_or_a_table_that_is_not_there_is_damage(tmp_path: Path) -> None:
    tables = Tables(tmp_path)
    Meanings.create(tables, "space-1.x", DIMENSION).add(_rows(3), _vectors(3))
    with pytest.raises(Damaged):
        Meanings.open(tables, "space-1.x", DIMENSION * 2)
    with pytest.raises(Damaged):
        Meanings.open(tables, "space-2.x", DIMENSION)
