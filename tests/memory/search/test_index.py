"""The index as its users see it: what was written is found, what was deleted is not, under every filter."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import lancedb
import pytest

from rlmd.errors import Unavailable
from rlmd.memory.search import IndexState, OpenAIEmbedder
from rlmd.memory.search.shelved import COMPACT_BATCHES
from tests.memory.search.world import LOG, SPACE, START, World, world
from tests.model_server import ModelServer, Status

NOTES = {
    "people/bob": {"city": "Berlin", "likes": ["climbing", "chess"]},
    "people/alice": {"city": "Lisbon", "job": "baker"},
    "plan": "We travel to Lisbon in May, by train.",
    "garden": "The roses need water twice a week.",
}


@pytest.fixture
def made(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as made:
        made.set_many(NOTES)
        yield made


async def test_a_write_is_found_before_and_after_it_is_indexed(made: World) -> None:
    for at in range(30):
        made.set(f"note/{at}", f"The code word number {at} is zebra{at}.")
        assert (await made.keys(f"zebra{at}"))[0] == f"note/{at}"
    await made.settled()
    for at in range(30):
        assert (await made.keys(f"zebra{at}"))[0] == f"note/{at}"


async def test_words_their_inflections_names_and_typing_errors_are_found(made: World) -> None:
    await made.settled()
    assert (await made.keys("Where does Bob live?"))[0] == "people/bob"
    assert (await made.keys("travelling"))[0] == "plan"
    assert (await made.keys("watering the rosess"))[0] == "garden"
    assert set(await made.keys("Lisbon")) == {"people/alice", "plan"}
    assert await made.keys("xylophone") == []
    assert await made.keys("?!") == []


async def test_a_hit_says_where_it_stands(made: World) -> None:
    text = "".join(f"Line {at} of a long report about nothing in particular.\n" for at in range(500))
    at = text.index("Line 321 ")
    made.set(
        "report", f"{text[:at]}Line 321 is about a pangolin.\n{text[at:]}", when=START + timedelta(days=1)
    )
    await made.settled()
    (hit,) = await made.index.search(SPACE, "pangolin", 1)
    assert (hit.key, hit.version, hit.time) == ("report", 1, START + timedelta(days=1))
    place = at - hit.start
    assert hit.text[place:].startswith("Line 321 is about a pangolin.")
    assert 0 < hit.score <= 1


async def test_a_long_text_is_found_to_its_end_before_it_is_indexed(made: World) -> None:
    await made.settled()
    made.set(
        "book", "".join(f"Line {at} of a very long book.\n" for at in range(65_000)) + "The last pangolin."
    )
    assert (await made.keys("pangolin"))[0] == "book"


async def test_only_the_latest_version_is_found(made: World) -> None:
    await made.settled()
    made.set("plan", "We stay at home.")
    assert "plan" not in await made.keys("Lisbon train")
    await made.settled()
    assert "plan" not in await made.keys("Lisbon train")
    assert [hit.version for hit in await made.index.search(SPACE, "stay home", 1)] == [2]


async def test_what_is_deleted_vanishes_at_once(made: World) -> None:
    await made.settled()
    made.delete("garden")
    assert await made.keys("roses") == []
    await made.settled()
    assert await made.keys("roses") == []


async def test_filters(made: World) -> None:
    made.set("people/carol", "Carol moved to Lisbon", when=START + timedelta(days=10))
    made.set("it's/odd%_", "Lisbon, too", when=START + timedelta(days=20))
    for _ in range(2):
        assert set(await made.keys("Lisbon", prefix="people/")) == {"people/alice", "people/carol"}
        assert await made.keys("Lisbon", prefix="it's/odd%_") == ["it's/odd%_"]
        assert await made.keys("Lisbon", prefix="peopl_/") == []
        assert set(await made.keys("Lisbon", after=START + timedelta(days=10))) == {
            "people/carol",
            "it's/odd%_",
        }
        assert set(await made.keys("Lisbon", before=START + timedelta(days=10))) == {"people/alice", "plan"}
        assert set(await made.keys("Lisbon", exclude=["it's/odd%_", "plan"])) == {
            "people/alice",
            "people/carol",
        }
        await made.settled()


async def test_any_language_is_found(made: World) -> None:
    texts = {
        "ru": "Боб живёт в Москве",
        "zh": "我住在柏林",
        "ja": "猫が好きです",
        "ar": "أعيش في برلين",
        "el": "Ζω στην Αθήνα",
    }
    made.set_many(texts)
    for _ in range(2):
        for query, key in [("москве", "ru"), ("柏林", "zh"), ("猫", "ja"), ("برلين", "ar"), ("αθηνα", "el")]:
            assert (await made.keys(query))[:1] == [key]
        await made.settled()


async def test_bytes_are_not_indexed_and_half_characters_do_no_harm(made: World) -> None:
    made.set("photo", b"\xff\xfe roses")
    made.set("odd", ["pangolin \ud800"])
    await made.settled()
    assert await made.keys("roses") == ["garden"]
    assert await made.keys("pangolin") == ["odd"]


async def test_ties_are_broken_by_key_and_place(made: World) -> None:
    # The names count for the match, so these are of the same words.
    expected = ["the same", "the-same", "the.same", "the/same", "the_same"]
    made.set_many(dict.fromkeys(reversed(expected), "An identical pangolin."))
    await made.settled()
    assert [await made.keys("identical pangolin") for _ in range(3)] == [expected] * 3


async def test_messages_have_shelves_of_their_own(made: World) -> None:
    made.say("carol", "See you at the harbour")
    assert await made.keys("harbour", shelf=LOG) == ["1"]
    assert await made.keys("carol", shelf=LOG) == ["1"]
    assert await made.keys("harbour") == []
    await made.settled()
    assert await made.keys("harbour", shelf=LOG) == ["1"]


async def test_many_single_writes_are_compacted(made: World) -> None:
    await made.settled()
    for at in range(COMPACT_BATCHES * 2):
        made.set(f"note/{at}", f"zebra{at}")
        await made.settled()
    table: Any = lancedb.connect(str(made.folder)).open_table("space-1")
    assert set(await made.keys("zebra1 zebra2 zebra90", k=3)) == {"note/1", "note/2", "note/90"}
    # A compaction may be under way, and the fragments since the one before it still there.
    assert len(table) > 2 * COMPACT_BATCHES > table.stats()["fragment_stats"]["num_fragments"]


async def test_a_dropped_shelf_leaves_nothing(made: World) -> None:
    await made.settled()
    assert (made.folder / "space-1.lance").exists()
    made.delete_space()
    made.say("carol", "ahoy")
    await made.settled()
    assert not (made.folder / "space-1.lance").exists()


async def test_it_closes_in_the_middle_of_a_long_text(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        made.set_many(NOTES)
        await made.settled()
        files = len(list(made.folder.rglob("*")))
        made.set("book", "A chapter of many words, and no end to it.\n" * 400_000)
        while len(list(made.folder.rglob("*"))) == files:
            time.sleep(0.01)  # noqa: ASYNC251
        made.index.close()
        assert made.index.status().pending == 1, "it was indexed to its end first"
    with world(tmp_path) as made:
        made.set("book", "A pangolin.")
        await made.settled()
        assert (await made.keys("pangolin"))[0] == "book"


async def test_it_says_when_it_is_closed(made: World) -> None:
    made.index.close()
    assert made.index.status().state is IndexState.STOPPED
    with pytest.raises(Unavailable):
        await made.keys("Lisbon")


def asking(server: ModelServer) -> closing[OpenAIEmbedder]:
    """An embedder that asks an endpoint, until the end of its block."""
    return closing(OpenAIEmbedder(url=server.url, model="embed-small"))


async def test_an_embedder_that_fails_loses_nothing(tmp_path: Path, model_server: ModelServer) -> None:
    model_server.embeddings_fail = Status(400)
    with asking(model_server) as embedder, world(tmp_path, embedder) as made:
        made.set_many(NOTES)
        assert set(await made.keys("Lisbon")) == {"people/alice", "plan"}
        while made.index.status().state is not IndexState.FAILING:
            await made.keys("Lisbon")
        model_server.embeddings_fail = None
        await made.settled()
        assert set((await made.keys("Lisbon"))[:2]) == {"people/alice", "plan"}


async def test_an_embedder_that_is_away_at_the_start_is_waited_for(
    tmp_path: Path, model_server: ModelServer
) -> None:
    with asking(model_server) as embedder, world(tmp_path, embedder) as made:
        made.set_many(NOTES)
        await made.settled()
    model_server.embeddings_fail = Status(400)
    with asking(model_server) as embedder, world(tmp_path, embedder) as made:
        made.set("late", "pangolin")
        assert (await made.keys("pangolin"))[0] == "late"
        while made.index.status().state is not IndexState.FAILING:
            assert (await made.keys("roses"))[0] == "garden"
        model_server.embeddings_fail = None
        await made.settled()
        assert (await made.keys("pangolin"))[0] == "late"
