"""The ranking: one formula for every candidate, wherever it came from (the index, the queue or a scan).

The score of a passage is the weighted sum of BM25 (Robertson et al., 1994), over the best of the candidates,
and of the vectors' dot product above the embedder's floor, over the best of the candidates. Without an
embedder it is BM25 alone. So it is between 0 and 1, and compares passages of one search only. Measured
against reciprocal rank fusion, a sum of normalised scores finds more: the ranks forget how much better the
first is than the second.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from math import log

from rlmd.memory.clock import from_micros
from rlmd.memory.records import Origin, Passage

SATURATION = 1.2
"""BM25's k1: how soon a word's repetitions cease to count."""
LENGTH = 0.4
"""BM25's b: how much a long passage is held back. Passages differ little in length by design."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A passage as the index keeps it."""

    id: int
    """Of the variable or the message."""
    key: str
    version: int
    start: int
    text: str
    words: str
    """What full text sees: the words of the title and of the passage, stemmed, with spaces between."""
    time: int
    """Microseconds since 1970."""
    origin: int
    stamp: int
    """A digest of all the rest: tells what was altered on disk, and which vector is the passage's."""

    @classmethod
    def stamped(
        cls, *, id: int, key: str, version: int, start: int, text: str, words: str, time: int, origin: int
    ) -> Row:
        """A row with the stamp that belongs to it."""
        told = f"{id} {version} {start} {time} {origin} {key}\n{words}\n{text}".encode(errors="replace")
        stamp = int.from_bytes(blake2b(told, digest_size=8).digest(), "big", signed=True)
        return cls(
            id=id, key=key, version=version, start=start, text=text, words=words, time=time,
            origin=origin, stamp=stamp,
        )  # fmt: skip


class Statistics:
    """What BM25 knows about a shelf: its passages, its words, and how many passages hold a word."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self.passages = 0
        self.words = 0
        self.holding: Counter[str] = Counter()
        self.add(texts)

    def add(self, texts: Iterable[str]) -> None:
        for text in texts:
            found = text.split()
            self.passages += 1
            self.words += len(found)
            self.holding.update(set(found))

    def remove(self, texts: Iterable[str]) -> None:
        for text in texts:
            found = text.split()
            self.passages -= 1
            self.words -= len(found)
            for word in set(found):
                self.holding[word] -= 1
                if self.holding[word] <= 0:
                    del self.holding[word]

    def bm25(self, query: Mapping[str, float], text: str) -> float:
        """How well `text` fits the words of `query`, each with its weight; 0 if it holds none of them."""
        found = text.split()
        counts = Counter(found)
        total = max(self.passages, 1)
        usual = max(self.words / total, 1.0)
        norm = SATURATION * (1 - LENGTH + LENGTH * len(found) / usual)
        score = 0.0
        for word, weight in query.items():
            if count := counts[word]:
                holding = min(max(self.holding.get(word, 0), 1), total)
                rarity = log(1 + (total - holding + 0.5) / (holding + 0.5))
                score += weight * rarity * count * (SATURATION + 1) / (count + norm)
        return score


@dataclass(frozen=True, slots=True)
class Candidate:
    row: Row
    closeness: float
    """Dot product of its vector and the query's; 0 if there is none."""


def rank(
    candidates: Iterable[Candidate],
    query: Mapping[str, float],
    statistics: Statistics,
    *,
    weight: float,
    floor: float,
    k: int,
) -> list[Passage]:
    """The `k` best, best first, ties by key and place. What has nothing to do with the query is left out."""
    scored = [
        (candidate.row, statistics.bm25(query, candidate.row.words), max(candidate.closeness - floor, 0.0))
        for candidate in candidates
    ]
    scored = [each for each in scored if each[1] > 0 or each[2] > 0]
    best_words = max((words for _, words, _ in scored), default=0.0) or 1.0
    best_meaning = max((meaning for _, _, meaning in scored), default=0.0) or 1.0
    passages = [
        Passage(
            key=row.key,
            version=row.version,
            start=row.start,
            text=row.text,
            time=from_micros(row.time),
            origin=Origin(row.origin),
            # Rounded, so that equal passages tie whatever the order of the arithmetic was.
            score=round((1 - weight) * words / best_words + weight * meaning / best_meaning, 6),
        )
        for row, words, meaning in scored
    ]
    return sorted(passages, key=lambda passage: (-passage.score, passage.key, passage.start))[:k]
