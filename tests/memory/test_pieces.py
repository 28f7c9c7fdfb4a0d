"""Ropes: what is in them, and what an append and a small change cost."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, func, select

from rlmd.memory import pieces
from rlmd.memory.pieces import Ropes
from rlmd.memory.tables import pieces as table

from .host import Home, writing

T = TypeVar("T")

PROFILE = settings(
    max_examples=60,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
PARTS = st.lists(st.text(alphabet="ab\n\r\u00e9\u65e5\U0001f600", max_size=80), min_size=1, max_size=12)


@pytest.fixture
def tiny_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "LEAF", 16)
    monkeypatch.setattr(pieces, "LEAST", 6)
    monkeypatch.setattr(pieces, "FAN", 2)


def stored(home: Home) -> tuple[int, int]:
    """How many pieces there are, and their bytes."""
    with home.house.database.reading() as connection:
        count, size = connection.execute(
            select(func.count(), func.coalesce(func.sum(func.length(table.c.data)), 0))
        ).one()
        return count, size


def on_ropes(home: Home, work: Callable[[Ropes], T], *, text: bool) -> T:
    def run(connection: Connection) -> T:
        return work(Ropes(connection, home.user.id, text=text))

    return home.house.database.write(run).result(timeout=60)


@pytest.mark.usefixtures("tiny_pieces")
@PROFILE
@given(parts=PARTS, places=st.lists(st.integers(0, 600), min_size=2, max_size=8), text=st.booleans())
def test_a_rope_is_the_sum_of_its_parts(home: Home, parts: list[str], places: list[int], text: bool) -> None:
    whole = "".join(parts)
    data = whole.encode()

    def work(ropes: Ropes) -> None:
        root = ropes.build([parts[0].encode()])
        for part in parts[1:]:
            if part:
                root = ropes.append(root, part.encode())
        assert ropes.read(root) == data
        leaves = list(ropes.leaves(root))
        assert b"".join(leaves) == data
        assert max(map(len, leaves)) <= pieces.LEAF
        if text:
            assert "".join(leaf.decode() for leaf in leaves) == whole
        length = len(whole) if text else len(data)
        borders = [0, 1, length - 1, length, length + 1, *places]
        for start in borders:
            for end in borders:
                if 0 <= start <= end:
                    expected = whole[start:end].encode() if text else data[start:end]
                    assert ropes.slice(root, start, end) == expected

    on_ropes(home, work, text=text)


@pytest.mark.usefixtures("tiny_pieces")
@PROFILE
@given(parts=st.lists(st.binary(max_size=40), min_size=1, max_size=12))
def test_what_stands_before_the_end_grows(home: Home, parts: list[bytes]) -> None:
    """As a list does before its `]`."""

    def work(ropes: Ropes) -> None:
        data = b"["
        root = ropes.build([b"[]"])
        for part in parts:
            root = ropes.append(root, b"," + part, before=b"]")
            data += b"," + part
            assert ropes.read(root) == data + b"]"

    on_ropes(home, work, text=False)


@pytest.mark.usefixtures("tiny_pieces")
def test_pieces_are_cut_the_same_however_the_content_arrives(home: Home) -> None:
    data = "".join(f"line {number}\n" for number in range(300)).encode()

    def work(ropes: Ropes) -> None:
        root = ropes.build([data])
        assert ropes.build([data[:100], data[100:101], data[101:]]) == root
        assert ropes.build(bytes([byte]) for byte in data) == root

    on_ropes(home, work, text=True)


def test_empty_content_has_a_rope(home: Home) -> None:
    def work(ropes: Ropes) -> None:
        root = ropes.build([])
        assert ropes.read(root) == b""
        assert ropes.slice(root, 0, 10) == b""
        assert ropes.read(ropes.append(root, b"x")) == b"x"

    on_ropes(home, work, text=True)


def lines(count: int) -> Iterator[str]:
    """Lines that do not compress away."""
    numbers = random.Random(20)
    for _ in range(count):
        yield f"{numbers.getrandbits(400):0100x}\n"


def test_an_append_to_a_long_text_costs_the_append(home: Home) -> None:
    text = "".join(lines(200_000))
    assert len(text) > 20_000_000
    home.edit(lambda space: space.set("book", text, writing()))
    _, before = stored(home)
    times = 200
    added = [line * 10 for line in lines(times)]
    for part in added:
        home.edit(lambda space, part=part: space.append("book", part, writing()))  # type: ignore[misc]
    _, after = stored(home)
    each = (after - before) / times
    assert each < 16 * 1024, f"{each:,.0f} bytes stored for each append of 1 KB"
    variable = home.look(lambda space: space.get("book"))
    assert variable.value == text + "".join(added)


def test_a_changed_line_shares_the_rest(home: Home) -> None:
    text = list(lines(100_000))
    home.edit(lambda space: space.set("book", "".join(text), writing()))
    count, size = stored(home)
    text[30_000] = "another line, and a longer one than before\n" * 3
    del text[70_000]
    home.edit(lambda space: space.set("book", "".join(text), writing()))
    more, larger = stored(home)
    assert more - count < count // 20
    assert larger - size < size // 20
    assert home.look(lambda space: space.get("book")).value == "".join(text)


def test_the_same_content_of_two_users_never_meets(home: Home) -> None:
    text = "".join(lines(1_000))
    home.edit(lambda space: space.set("book", text, writing()))
    count, _ = stored(home)
    other = home.another_user("bob")
    other.submit(lambda tx: tx.space("main").set("book", text, writing())).result()
    assert stored(home)[0] == 2 * count


def test_a_deleted_agent_leaves_only_what_others_hold(home: Home) -> None:
    shared, own = "".join(lines(2_000)), "".join(reversed(list(lines(2_000))))
    home.write(lambda tx: tx.agents.create("second"))
    home.edit(lambda space: space.set("a", shared, writing()))
    count, _ = stored(home)
    home.edit(lambda space: space.set("b", shared, writing()), agent="second")
    home.edit(lambda space: space.set("c", own, writing()), agent="second")
    assert stored(home)[0] > count
    home.write(lambda tx: tx.agents.delete("second"))
    assert home.house.sweep() > 0
    assert stored(home)[0] == count
    assert home.look(lambda space: space.get("a")).value == shared
    assert home.house.sweep() == 0


def test_an_old_folder_is_read_whatever_the_limits_are_now(
    home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = "".join(lines(3_000))
    home.edit(lambda space: space.set("book", text, writing()))
    monkeypatch.setattr(pieces, "LEAF", 4096)
    monkeypatch.setattr(pieces, "LEAST", 1024)
    home.edit(lambda space: space.append("book", text, writing()))
    assert home.look(lambda space: space.get("book")).value == text + text
