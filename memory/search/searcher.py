"""A search: looks through a shelf's table and its tail, and sees all that was committed before it.

Words find candidates, and so do vectors where there is an embedder; one formula ranks them all. Of a shelf
that is being built the texts themselves are scanned, up to a limit.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from rlmd.errors import RlmdError
from rlmd.memory.database import Database
from rlmd.memory.records import Passage

from . import source as queue
from .embedders import Vector
from .filter import Filter
from .keeper import Keeper, ids
from .kept import Kept
from .ranking import Candidate, Row, Statistics, rank
from .shelved import DEPTH
from .source import Shelf, Source
from .spelling import near
from .tables import Damaged
from .tail import Glance, Waiting
from .vectors import Vectorist
from .words import query_words

log = logging.getLogger(__name__)

SCANNED_PASSAGES = 20_000
"""Passages that a search reads of a shelf that is being built, at most."""
LEAST_DEPTH = 40
"""Candidates taken from full text where it is alone: LanceDB's order of them is all but ours."""
PATIENCE_SECONDS = 5.0
"""How long a search waits for the keeper to write what is too much to be held in the tail."""
WORDS = 64
"""Words of a query that count; of a longer one, the rarest."""
RESPELT = 4
"""Words of a query that near spellings are looked up for, at most: it costs a look at every word there is."""
_SPELT_WEIGHT = 0.8


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of what a search looks through: the keys of a shelf that begin with `prefix`."""

    shelf: Shelf
    prefix: str = ""
    mark: str = ""
    """Put before the keys of what is found there."""


@dataclass(frozen=True)
class _Found:
    """What a shelf has for a query."""

    candidates: Sequence[Candidate]
    weights: Mapping[str, float]
    statistics: Statistics
    weight: float = 0.0
    """How much meaning counts beside words; 0 if words have to do."""
    floor: float = 0.0


class Searcher:
    """Used from several threads at once."""

    def __init__(self, database: Database, source: Source, keeper: Keeper) -> None:
        self._database = database
        self._source = source
        self._keeper = keeper

    def search(self, parts: Sequence[Part], query: str, k: int, filter: Filter) -> list[Passage]:
        """The best of all parts, by one ranking."""
        terms = query_words(query)
        if k <= 0 or not terms:
            return []
        found = [self._part(part, query, terms, k, replace(filter, prefix=part.prefix)) for part in parts]
        if len(found) == 1:
            (one,) = found
            return rank(one.candidates, one.weights, one.statistics, weight=one.weight, floor=one.floor, k=k)
        return _together(found, k)

    def _part(self, part: Part, query: str, terms: list[str], k: int, filter: Filter) -> _Found:
        found = self._of_shelf(part.shelf, query, terms, k, filter)
        if not part.mark:
            return found
        marked = [
            replace(each, row=replace(each.row, key=part.mark + each.row.key)) for each in found.candidates
        ]
        return replace(found, candidates=marked)

    def _of_shelf(self, shelf: Shelf, query: str, terms: list[str], k: int, filter: Filter) -> _Found:
        kept = self._keeper.open(shelf)
        if kept is not None:
            # The tail is read before the table: what leaves it in between is hidden there, and found here.
            glance = self._glance(kept)
            try:
                return self._of_table(kept, glance, query, terms, k, filter)
            except Damaged as error:
                self._keeper.doubt(shelf, error)
        return self._of_texts(shelf, terms, filter)

    def _glance(self, kept: Kept) -> Glance:
        end = time.monotonic() + PATIENCE_SECONDS
        while True:
            with self._database.reading() as connection:
                kept.tail.refresh(connection)
            glance = kept.tail.glance()
            if glance.whole or self._keeper.closing or self._keeper.failure or time.monotonic() > end:
                return glance
            time.sleep(0.02)

    def _of_table(
        self, kept: Kept, glance: Glance, query: str, terms: list[str], k: int, filter: Filter
    ) -> _Found:
        statistics = kept.shelved.statistics
        waiting = [passage for passage in glance.passages if filter.allows(passage.row)]
        weights = _weights(terms, statistics, waiting)
        vectorist = self._keeper.vectorist
        vector = None if vectorist is None else _vector(vectorist, kept, query, waiting)
        depth = max(LEAST_DEPTH, 2 * k) if vector is None else DEPTH
        rows = {row.stamp: row for row in kept.shelved.candidates(weights, filter, glance.ids, k, depth)}
        if vectorist is None or vector is None:
            rows |= {each.row.stamp: each.row for each in waiting if not each.words.isdisjoint(weights)}
            found = [Candidate(row, 0.0) for row in rows.values()]
            return _Found(found, weights, statistics)
        closeness = self._closeness(vectorist, kept, vector, rows, filter, glance)
        for each in waiting:
            rows[each.row.stamp] = each.row
            if each.vector is not None:
                closeness[each.row.stamp] = float(each.vector @ vector)
        found = [Candidate(row, closeness.get(stamp, 0.0)) for stamp, row in rows.items()]
        embedder = vectorist.patient.embedder
        return _Found(found, weights, statistics, embedder.weight, embedder.floor)

    def _closeness(
        self,
        vectorist: Vectorist,
        kept: Kept,
        vector: Vector,
        rows: dict[int, Row],
        filter: Filter,
        glance: Glance,
    ) -> dict[int, float]:
        """How near passages are, by stamp; the nearest that words did not find are added to `rows`."""
        meanings = kept.meanings
        if meanings is None:
            return {}
        try:
            closeness = meanings.nearest(vector, filter, glance.ids)
            closeness |= meanings.closeness(vector, rows.keys() - closeness.keys())
        except Damaged as error:
            vectorist.lost(kept, error)
            return {}
        for row in kept.shelved.stamped(closeness.keys() - rows.keys()):
            if row.id not in glance.ids and filter.allows(row):
                rows[row.stamp] = row
        return closeness

    def _of_texts(self, shelf: Shelf, terms: list[str], filter: Filter) -> _Found:
        rows: list[Row] = []
        with self._database.reading() as connection:
            for id in ids(connection, shelf):
                room = SCANNED_PASSAGES - len(rows)
                rows.extend(islice(queue.rows(connection, self._source, shelf, id), room))
                if len(rows) >= SCANNED_PASSAGES:
                    break
        statistics = Statistics(row.words for row in rows)
        found = [Candidate(row, 0.0) for row in rows if filter.allows(row)]
        return _Found(found, _weights(terms, statistics, ()), statistics)


def _together(found: Sequence[_Found], k: int) -> list[Passage]:
    """Rank what several shelves have: a word counts by how rare it is in all of them together."""
    found = [each for each in found if each.candidates]
    weights = {word: weight for each in reversed(found) for word, weight in each.weights.items()}
    whole = Statistics()
    # A shelf may be there in several parts.
    for statistics in {id(each.statistics): each.statistics for each in found}.values():
        whole.passages += statistics.passages
        whole.words += statistics.words
        whole.holding.update({word: statistics.holding.get(word, 0) for word in weights})
    candidates = [candidate for each in found for candidate in each.candidates]
    # A shelf whose vectors are not there yet is found by its words; then words count for all.
    meant = bool(found) and all(each.weight for each in found)
    weight, floor = (found[0].weight, found[0].floor) if meant else (0.0, 0.0)
    return rank(candidates, weights, whole, weight=weight, floor=floor, k=k)


def _weights(terms: list[str], statistics: Statistics, waiting: Sequence[Waiting]) -> Mapping[str, float]:
    """The words to look for: those of the query, and near spellings of what no passage holds."""
    holding = statistics.holding
    if len(terms) > WORDS:
        terms = sorted(terms, key=lambda term: holding.get(term, 0))[:WORDS]
    weights = dict.fromkeys(terms, 1.0)
    # Words of other scripts are not stemmed, so another form of one may be what is there.
    odd = [term for term in terms if term not in holding or not term.isascii()][:RESPELT]
    if odd:
        fresh = Counter(word for passage in waiting for word in passage.words)
        vocabulary = [*list(holding), *(fresh.keys() - holding.keys())]
        for term in odd:
            if term not in fresh or not term.isascii():
                for other, share in near(term, vocabulary).items():
                    weights.setdefault(other, _SPELT_WEIGHT * share)
    return weights


def _vector(vectorist: Vectorist, kept: Kept, query: str, waiting: list[Waiting]) -> Vector | None:
    """The query's vector, with those of the tail; None if words have to do."""
    if kept.meanings is None or kept.missing:  # Those without one would fall behind.
        return None
    try:
        return vectorist.query(query, waiting)
    except RlmdError as error:
        log.warning("searching by words alone: %s", error)
        return None
