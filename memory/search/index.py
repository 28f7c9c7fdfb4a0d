"""The search index, as the rest of the house sees it: started, asked, and closed.

It is never the only place where something stands. The keeper brings it up from the database, searches look
through it and through what it has not taken in yet, and it may be deleted at any time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from rlmd.errors import Unavailable
from rlmd.memory.clock import to_micros
from rlmd.memory.database import Database
from rlmd.memory.records import Passage

from . import source as queue
from .embedders import Embedder, Patient
from .filter import Filter
from .keeper import Keeper
from .searcher import Part, Searcher
from .source import Shelf, Source

SEARCHES = 3
"""Searches at a time: one keeps all cores busy."""


class IndexState(StrEnum):
    READY = "ready"
    REBUILDING = "rebuilding"
    """Something is being made; searches see everything all the same, by its words at least."""
    FAILING = "failing"
    """It will try again by itself; searches work by words, on what is indexed and what is not."""
    STOPPED = "stopped"


@dataclass(frozen=True, kw_only=True)
class IndexStatus:
    state: IndexState
    pending: int
    """Changes that are not applied yet."""
    detail: str
    """For people: what is being built, or why it fails. Else empty."""


class Index:
    """The search over all shelves. `start` it, and `close` it before the database."""

    def __init__(self, folder: Path, database: Database, embedder: Embedder | None, source: Source) -> None:
        """Without an embedder, passages are found by their words and near spellings."""
        self._database = database
        self._patient = None if embedder is None else Patient(embedder)
        self._keeper = Keeper(folder, database, self._patient, source)
        self._searcher = Searcher(database, source, self._keeper)
        self._threads = ThreadPoolExecutor(SEARCHES, thread_name_prefix="rlmd-search")

    def start(self) -> None:
        """Begin to keep the index up. Returns at once; what takes time happens on the keeper's thread."""
        self._keeper.start()

    def close(self) -> None:
        """Finish the batch in hand and stop. What is still in the queue waits for the next start."""
        self._keeper.close()
        self._threads.shutdown(wait=True, cancel_futures=True)

    def status(self) -> IndexStatus:
        with self._database.reading() as connection:
            pending = queue.count_waiting(connection)
        state, detail = self._state()
        return IndexStatus(state=state, pending=pending, detail=detail)

    def _state(self) -> tuple[IndexState, str]:
        keeper, patient = self._keeper, self._patient
        if not keeper.running:
            return IndexState.STOPPED, ""
        if keeper.failure:
            return IndexState.FAILING, keeper.failure
        if building := ", ".join(keeper.building):
            return IndexState.REBUILDING, f"building {building}"
        if patient is None:
            return IndexState.READY, ""
        missing, passages = keeper.unseen
        if error := patient.failure:
            state = IndexState.REBUILDING if isinstance(error, Unavailable) else IndexState.FAILING
            return state, f"searching by words alone: {error}"
        if keeper.vectorist is None or not keeper.vectorist.known:
            return IndexState.REBUILDING, "the embedder is being loaded"
        if missing:
            return IndexState.REBUILDING, f"embedded {passages - missing:,} of {passages:,} passages"
        return IndexState.READY, ""

    async def search(
        self,
        shelf: Shelf,
        query: str,
        k: int,
        *,
        prefix: str = "",
        after: datetime | None = None,
        before: datetime | None = None,
        exclude: Collection[str] = (),
    ) -> list[Passage]:
        """The `k` passages that fit `query` best, best first; fewer if no more have anything to do with it.

        `prefix` is one of the key, `exclude` holds whole keys, and `after` <= time < `before`. Everything
        that was committed before the call is seen. While the embedder fails, passages are found by their
        words alone.

        Raises:
            Unavailable: the index is not started, or closed.
        """
        return await self.search_parts(
            [Part(shelf=shelf, prefix=prefix)], query, k, after=after, before=before, exclude=exclude
        )

    async def search_parts(
        self,
        parts: Sequence[Part],
        query: str,
        k: int,
        *,
        after: datetime | None = None,
        before: datetime | None = None,
        exclude: Collection[str] = (),
    ) -> list[Passage]:
        """As `search`, through several parts at once: one ranking over all of them.

        Raises:
            Unavailable: the index is not started, or closed.
        """
        if not self._keeper.running:
            raise Unavailable(
                "the search index is not running", remedy="The daemon is starting or stopping; try again."
            )
        filter = Filter(
            after=None if after is None else to_micros(after),
            before=None if before is None else to_micros(before),
            exclude=frozenset(exclude),
        )
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._searcher.search, parts, query, k, filter)
