"""Near spellings: typing errors and other endings, and no others."""

from __future__ import annotations

import pytest

from rlmd.memory.search.spelling import near

WORDS = [
    "restaurant",
    "lisbon",
    "zagreb",
    "telephone",
    "rose",
    "москве",
    "αθήνα",
    "berlin",
    "berliner",
    "2024",
]


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("restarant", ["restaurant"]),
        ("lisbonn", ["lisbon"]),
        ("zagerb", ["zagreb"]),
        ("rosess", ["rose"]),
        ("москва", ["москве"]),
        ("berlim", ["berlin"]),
        ("xylophone", []),
        ("lis", []),
        ("2025", []),
        ("lisbon", []),
    ],
)
def test_what_is_meant_is_near(asked: str, meant: list[str]) -> None:
    found = near(asked, WORDS)
    assert list(found)[:1] == meant
    assert all(0 < share < 1 for share in found.values())
