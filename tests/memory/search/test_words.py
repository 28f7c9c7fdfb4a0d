"""The analysis of words: the same for what is stored and what is asked."""

from __future__ import annotations

import pytest

from rlmd.memory.search.words import query_words, words


@pytest.mark.parametrize(
    ("stored", "asked"),
    [
        ("We were travelling", "TRAVELS"),
        ("Bob's bike", "bob"),
        ("Das Café in Zürich", "cafe zurich"),
        ("Я живу в Москве", "москве"),
        ("我住在柏林", "柏林"),
        ("猫が好きです", "猫"),
        ("서울에 살아요", "서울"),
        ("ผมชอบกาแฟ", "กาแฟ"),
        ("मैं दिल्ली में रहता हूँ", "दिल्ली"),
        ("أعيش في برلين", "برلين"),
        ("ＦＵＬＬ width", "full"),
        ("version 3.14", "3 14"),
    ],
)
def test_what_is_asked_is_among_what_is_stored(stored: str, asked: str) -> None:
    assert query_words(asked)
    assert set(query_words(asked)) <= set(words(stored))


def test_stop_words_count_only_if_there_is_nothing_else() -> None:
    assert query_words("Where is the bike?") == ["bike"]
    assert query_words("to be or not to be") == ["to", "be", "or", "not"]
    assert query_words("?!") == []
