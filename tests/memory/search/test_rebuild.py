"""The index may be lost, damaged or outdated: it comes back from SQLite, and says the same as before."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from rlmd.memory.records import Passage
from rlmd.memory.search import Embedder
from tests.memory.search.world import LOG, SPACE, Letters, World, world

QUERIES = ["Lisbon train", "roses", "who is a baker", "number 17", "zebra"]


def _fill(made: World) -> None:
    made.set_many(
        {f"note/{at}": f"Note number {at} about Lisbon, a train and {at % 7} roses." for at in range(300)}
    )
    made.set_many({"people/bob": {"job": "baker"}, "long": "The zebra said no.\n" * 500})
    made.say("bob", "I saw a zebra")


async def _answers(made: World) -> list[list[Passage]]:
    return [await made.index.search(shelf, query, 10) for shelf in (SPACE, LOG) for query in QUERIES]


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def _delete(folder: Path) -> None:
    shutil.rmtree(folder)


def _truncate(folder: Path) -> None:
    for path in _files(folder):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _empty(folder: Path) -> None:
    for path in _files(folder):
        path.write_bytes(b"")


def _zero(folder: Path) -> None:
    for path in _files(folder):
        path.write_bytes(bytes(path.stat().st_size))


def _zero_data(folder: Path) -> None:
    for path in folder.rglob("data/*"):
        path.write_bytes(bytes(path.stat().st_size))


def _zero_full_text(folder: Path) -> None:
    for path in folder.rglob("_indices/*/*"):
        path.write_bytes(bytes(path.stat().st_size))


def _leave_manifest_out(folder: Path) -> None:
    for table in folder.iterdir():
        newest = min((table / "_versions").iterdir())  # They count down.
        newest.unlink()


@pytest.mark.parametrize(
    "harm", [_delete, _truncate, _empty, _zero, _zero_data, _zero_full_text, _leave_manifest_out]
)
@pytest.mark.parametrize("embedder", [None, Letters()], ids=["words", "vectors"])
async def test_a_damaged_index_is_built_anew(
    tmp_path: Path, harm: Callable[[Path], None], embedder: Embedder | None
) -> None:
    with world(tmp_path, embedder) as made:
        _fill(made)
        await made.settled()
        made.set("late", "A late note about Lisbon")
        await made.settled()
        before = await _answers(made)
        assert sum(map(len, before)) > 20
    harm(made.folder)
    with world(tmp_path, embedder) as made:
        assert "late" in await made.keys("late note")
        await _answers(made)
        await made.settled()
        assert await _answers(made) == before


async def test_damage_under_a_running_index_does_not_fail_a_search(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        _fill(made)
        await made.settled()
        before = await _answers(made)
        shutil.rmtree(made.folder)
        assert "people/bob" in await made.keys("baker")
        await _answers(made)
        made.set("late", "pangolin")
        assert await made.keys("pangolin") == ["late"]
        await made.settled()
        assert await made.keys("pangolin") == ["late"]
        made.delete("late")
        await made.settled()
        assert await _answers(made) == before


async def test_another_embedder_makes_the_vectors_anew(tmp_path: Path) -> None:
    embedders: list[Embedder | None] = [None, Letters(256), Letters(128), Letters(256), None]
    answers: list[list[list[Passage]]] = []
    for embedder in embedders:
        with world(tmp_path, embedder) as made:
            if not answers:
                _fill(made)
            await _answers(made)
            await made.settled()
            answers.append(await _answers(made))
    assert answers[0] == answers[4]
    assert answers[1] == answers[3]
    assert answers[0] != answers[1] != answers[2]


async def test_what_was_in_the_queue_at_the_end_is_applied_at_the_next_start(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        _fill(made)
        await made.settled()
    stopped = World(tmp_path)
    stopped.set("late", "pangolin")
    stopped.delete("people/bob")
    stopped.database.close()
    with world(tmp_path) as made:
        assert await made.keys("pangolin") == ["late"]
        assert "people/bob" not in await made.keys("baker")
        await made.settled()
        assert await made.keys("pangolin") == ["late"]
        assert "people/bob" not in await made.keys("baker")


async def test_an_index_of_another_past_is_built_anew(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.set("a", "pangolin")
        await made.settled()
    shutil.copy(tmp_path / "rlmd.sqlite", tmp_path / "backup")
    with world(tmp_path) as made:
        made.set("a", "armadillo")
        await made.settled()
    shutil.copy(tmp_path / "backup", tmp_path / "rlmd.sqlite")
    with world(tmp_path) as made:
        await made.keys("anything")
        await made.settled()
        assert await made.keys("pangolin") == ["a"]
        assert await made.keys("armadillo") == []
