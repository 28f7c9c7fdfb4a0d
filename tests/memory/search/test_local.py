"""Local models: loaded from a folder, refused with a remedy, changed for another while searches go on."""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path

import numpy as np
import pytest

from rlmd.errors import ModelError, Unavailable
from rlmd.memory.search import IndexState, LocalEmbedder
from tests.memory.search import tiny_model
from tests.memory.search.world import Letters, world

NOTES = {"one": "My automobile is red.", "two": "She was glad.", "three": "The physician came."}


@pytest.mark.parametrize("pooled", [False, True])
def test_a_folder_is_a_model(tmp_path: Path, pooled: bool) -> None:
    embedder = LocalEmbedder(str(tiny_model.make(tmp_path / "tiny", pooled=pooled)), cache=tmp_path)
    vectors = embedder.embed(["my car", "my automobile", "the doctor", "", "car " * 500])
    assert vectors.shape == (5, embedder.dimension) == (5, 16)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
    assert vectors[0] @ vectors[1] > 0.99 > vectors[0] @ vectors[2]
    assert (embedder.embed(["my car"])[0] == embedder.embed(["my car"])[0]).all()
    assert 0 <= embedder.floor < 1


def test_the_name_changes_with_the_model(tmp_path: Path) -> None:
    names = [
        LocalEmbedder(str(tiny_model.make(tmp_path / str(seed), seed=seed)), cache=tmp_path).name
        for seed in (1, 1, 2)
    ]
    assert names[0] == names[1] != names[2]


@pytest.mark.parametrize("harm", ["folder", "model.onnx", "tokenizer.json", "tokenizer_config.json", "cut"])
def test_what_is_no_model_is_refused_with_a_remedy(tmp_path: Path, harm: str) -> None:
    folder = tmp_path / "tiny"
    if harm != "folder":
        tiny_model.make(folder)
    if harm == "cut":
        (folder / "model.onnx").write_bytes(b"not a model")
    elif harm != "folder":
        (folder / harm).unlink()
    embedder = LocalEmbedder(str(folder), cache=tmp_path)
    with pytest.raises(ModelError) as caught:
        embedder.embed(["hello"])
    assert caught.value.field == "embedder"
    assert caught.value.remedy


def test_a_name_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    embedder = LocalEmbedder("nobody/nothing", cache=tmp_path)
    with pytest.raises(Unavailable, match="being fetched"):
        embedder.embed(["hello"])
    with pytest.raises(ModelError, match="no model 'nobody/nothing'"):
        _until_fetched(embedder)


def _until_fetched(embedder: LocalEmbedder, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(Unavailable):
            embedder.embed(["hello"])
            return
        time.sleep(0.05)


async def test_meaning_is_found_before_and_after_it_is_indexed(tmp_path: Path) -> None:
    embedder = LocalEmbedder(str(tiny_model.make(tmp_path / "tiny")), cache=tmp_path)
    with world(tmp_path, embedder) as made:
        made.set("zero", "Nothing of the kind.")
        await made.settled()
        made.set_many(NOTES)
        for _ in range(2):
            assert (await made.keys("car"))[0] == "one"
            assert (await made.keys("happy"))[0] == "two"
            assert (await made.keys("doctor"))[0] == "three"
            assert "two" not in await made.keys("happy", prefix="t", exclude=["two"])
            await made.settled()
        made.set("two", "She sold the automobile.")
        assert set((await made.keys("car"))[:2]) == {"one", "two"}
        made.delete("one")
        assert (await made.keys("car"))[0] == "two"
        await made.settled()
        assert (await made.keys("car"))[0] == "two"
        assert "one" not in await made.keys("car")


async def test_another_model_is_taken_while_searches_go_on(tmp_path: Path) -> None:
    many = {f"note/{at}": f"Note {at} about the automobile of somebody." for at in range(300)}
    with world(tmp_path, Letters()) as made:
        made.set_many(many | NOTES)
        await made.settled()
    embedder = LocalEmbedder(str(tiny_model.make(tmp_path / "tiny")), cache=tmp_path)
    with world(tmp_path, embedder) as made:
        told = set()
        while (status := made.index.status()).state is not IndexState.READY:
            told.add(status.detail)
            assert (await made.keys("note 17 automobile"))[0] == "note/17"
            assert "three" in await made.keys("physician")
            await asyncio.sleep(0.01)
        assert any("of 303 passages" in detail for detail in told)
        await made.settled()
        assert (await made.keys("doctor"))[0] == "three"
        # The old vectors are dropped after the new ones have taken over.
        while len(tables := [path.name for path in made.folder.iterdir() if "space-1." in path.name]) > 2:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert sorted(name.count(".") for name in tables) == [1, 2], tables  # Words, and one of vectors.


async def test_vectors_of_another_length_are_refused_and_harm_nothing(tmp_path: Path) -> None:
    embedder = Letters(64)
    with world(tmp_path, embedder) as made:
        made.set_many(NOTES)
        await made.settled()
        before = await made.keys("automobil red")
        right, embedder.embed = embedder.embed, Letters(32).embed  # type: ignore[method-assign]
        made.set("four", "A red balloon.")
        assert (await made.keys("balloon"))[0] == "four"
        end = time.monotonic() + 20
        while made.index.status().state is not IndexState.FAILING:
            assert time.monotonic() < end
            assert (await made.keys("balloon"))[0] == "four"
            made.set("four", f"A red balloon, at {time.monotonic()}.")
        assert "vectors of 32 numbers where 64" in made.index.status().detail
        embedder.embed = right  # type: ignore[method-assign]
        await made.settled()
        assert (await made.keys("baloon"))[0] == "four"
        assert (await made.keys("automobil red"))[0] == before[0] == "one"
