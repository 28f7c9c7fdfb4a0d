"""Cutting: the passages are the text, whatever the text is and however it comes in."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rlmd.memory.search.passages import LONGEST, cut

_FRAGMENTS = st.sampled_from(
    ["\n\n", "\n", ". ", " ", "word", "Größe", "猫が好き。", "👩‍👩‍👧", "e\u0301", "x" * 300, "y" * 1300]
)
TEXTS = st.one_of(st.text(), st.lists(_FRAGMENTS, max_size=60).map("".join))


@given(TEXTS, st.integers(1, 2000))
def test_passages_cover_the_text_at_their_offsets(text: str, size: int) -> None:
    pieces = list(cut(text[at : at + size] for at in range(0, len(text), size)))
    assert "".join(piece.text for piece in pieces) == text
    assert all(text[piece.start : piece.start + len(piece.text)] == piece.text for piece in pieces)
    assert all(0 < len(piece.text) <= LONGEST for piece in pieces)
    assert pieces == list(cut([text]))


def test_a_chat_keeps_its_lines_whole() -> None:
    lines = [f"{'Alice' if at % 2 else 'Bob'}: {'I said so. ' * (at % 9 + 1)}\n" for at in range(200)]
    pieces = list(cut(["".join(lines)]))
    assert len(pieces) > 10
    assert all(piece.text.endswith("\n") for piece in pieces)


def test_a_short_text_is_one_passage_and_none_is_none() -> None:
    assert [piece.text for piece in cut(["hello ", "you"])] == ["hello you"]
    assert list(cut([])) == list(cut([""])) == []


def test_what_the_eye_sees_as_one_is_not_cut() -> None:
    pieces = list(cut(["e\u0301" * 3000]))
    assert len(pieces) > 3
    assert all(piece.text.startswith("e") for piece in pieces)
