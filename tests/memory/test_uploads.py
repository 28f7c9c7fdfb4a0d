"""Uploads: the same content however it comes, and a sweep that takes what is left over and nothing else."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from rlmd.errors import DeadlineExceeded, InvalidInput
from rlmd.memory import pieces, uploads
from rlmd.memory.records import Kind
from rlmd.memory.store import Transaction
from rlmd.memory.tables import pieces as table
from rlmd.memory.uploads import Draft
from rlmd.memory.variables import Space

from .host import Home, writing

TEXT = "".join(f"line {number} \u00e9\u65e5\n" for number in range(20_000))


def draft(data: bytes, kind: Kind = Kind.TEXT, step: int = 10_007) -> Draft:
    made = Draft(kind)
    for at in range(0, len(data), step):
        made.add(data[at : at + step])
    made.end()
    return made


def begin(home: Home, made: Draft) -> int:
    """Store all pieces, as an upload does before its version is made."""
    packed = made.take(0)

    def work(tx: Transaction) -> int:
        tx.uploads.store(packed)
        return tx.uploads.begin()

    return home.write(work)


def finish(home: Home, made: Draft, id: int) -> None:
    def work(tx: Transaction) -> None:
        tx.uploads.touch(id)
        tx.space("main").adopt("book", Kind.TEXT, made.leaves, writing(), append=False)
        tx.uploads.end(id)

    home.write(work)


def stored(home: Home) -> int:
    with home.house.database.reading() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.text(alphabet="ab\n\u00e9\u65e5\U0001f600", max_size=400),
    cuts=st.lists(st.integers(0, 1600), max_size=8),
    places=st.lists(st.integers(0, 420), min_size=2, max_size=8),
)
def test_content_is_the_same_however_it_comes(
    home: Home, monkeypatch: pytest.MonkeyPatch, text: str, cuts: list[int], places: list[int]
) -> None:
    monkeypatch.setattr(pieces, "LEAF", 16)
    monkeypatch.setattr(pieces, "LEAST", 6)
    monkeypatch.setattr(pieces, "FAN", 3)
    monkeypatch.setattr(uploads, "SMALL", 16)
    data = text.encode()
    made = Draft(Kind.TEXT)
    borders = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for at, cut in enumerate(borders[1:]):
        made.add(data[borders[at] : cut])
    made.end()
    assert (made.size, made.small) == (len(data), data if len(data) <= 16 else None)
    if made.small is not None:
        return
    packed = made.take(0)
    home.write(lambda tx: tx.uploads.store(packed))
    home.edit(lambda space: space.adopt("x", Kind.TEXT, made.leaves, writing(), append=False))
    home.edit(lambda space: space.adopt("x", Kind.TEXT, made.leaves, writing(), append=True))
    whole = text + text
    found = home.look(lambda space: space.get("x"))
    assert (found.value, found.version.characters) == (whole, len(whole))

    def check(space: Space) -> None:
        for start, end in pairwise(sorted(places)):
            assert space.slice("x", start, end).value == whole[start:end]

    home.look(check)


def test_text_is_checked_as_it_comes() -> None:
    bad = ((b"ab\xff", 2), (b"x" * 70_000 + b"\xc3", 70_000), (TEXT.encode() + b"\xed\xa0\x80", -1))
    for data, place in bad:
        with pytest.raises(InvalidInput, match="not UTF-8") as caught:
            draft(data)
        place = len(TEXT.encode()) if place < 0 else place
        assert f"byte {place:,} " in caught.value.reason
        draft(data, Kind.BYTES)


def test_sweep_leaves_an_upload_alone_and_comes_later(home: Home) -> None:
    home.write(lambda tx: tx.agents.create("second"))
    home.edit(lambda space: space.set("old", "garbage" * 5_000, writing()), agent="second")
    made = draft(TEXT.encode())
    id = begin(home, made)
    before = stored(home)
    home.write(lambda tx: tx.agents.delete("second"))
    assert stored(home) == before, "nothing is swept while pieces wait for their version"
    finish(home, made, id)
    assert home.look(lambda space: space.get("book")).value == TEXT
    assert home.house.sweep() == 1, "what the deleted agent left"
    assert home.look(lambda space: space.get("book")).value == TEXT
    assert home.house.sweep() == 0


def test_upload_that_rests_too_long_is_given_up(home: Home) -> None:
    made = draft(TEXT.encode())
    id = begin(home, made)
    home.clock.move(timedelta(minutes=59))
    assert home.house.sweep() == 0
    home.clock.move(timedelta(minutes=2))
    assert home.house.sweep() == len({leaf.hash for leaf in made.leaves})
    with pytest.raises(DeadlineExceeded):
        finish(home, made, id)
    assert home.look(lambda space: space.names()) == []
