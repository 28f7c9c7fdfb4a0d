"""Near spellings: what stands in for a word of a query that no text holds.

Typing errors, and the endings of languages whose words are not stemmed, leave most of a word's letters in
their order. So words are compared by the pairs of neighbouring letters that they share (Dice, 1945).
"""

from __future__ import annotations

from collections.abc import Iterable

SHORTEST = 4
"""Letters of a word that has near spellings: shorter ones are near to too many."""
NEAR = 0.55
"""Share of common pairs from which two words are near."""
MOST = 8
_DRIFT = 2
"""How many letters one may be longer than the other."""


def near(word: str, vocabulary: Iterable[str]) -> dict[str, float]:
    """The words of `vocabulary` that are spelt like `word`, at most `MOST`, with how near they are, below 1.

    The first letter is taken to be right: people seldom miss it, and it spares most comparisons.
    """
    if len(word) < SHORTEST or not word.isalpha():
        return {}
    first, low, high = word[0], len(word) - _DRIFT, len(word) + _DRIFT
    pairs = _pairs(word)
    found: list[tuple[float, str]] = []
    for other in vocabulary:
        if other[0] == first and low <= len(other) <= high and other != word:
            others = _pairs(other)
            share = 2 * len(pairs & others) / (len(pairs) + len(others))
            if share >= NEAR:
                found.append((share, other))
    return {other: share for share, other in sorted(found, key=lambda each: (-each[0], each[1]))[:MOST]}


def _pairs(word: str) -> set[str]:
    framed = f"<{word}>"
    return {framed[at : at + 2] for at in range(len(framed) - 1)}
