"""Who watches a run hears of it here: the rows that its journal gets, and what its model is just writing.

The journal on disk is the truth; the feed only saves the watchers from reading it. A slow watcher
loses nothing: of what it does not take in time it is told that there is more, and reads that there.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rlmd.memory.records import Entry

MOST = 1_000
"""Things that are kept for a slow watcher."""


@dataclass(frozen=True)
class Delta:
    """A piece of text that the model is writing for step `step`."""

    text: str
    step: int


class Watcher:
    """What has happened since the last look, in order; the oldest is dropped if it is too much."""

    def __init__(self) -> None:
        self._news: deque[Entry | Delta] = deque(maxlen=MOST)
        self._happened = asyncio.Event()

    def push(self, news: Sequence[Entry | Delta]) -> None:
        self._news.extend(news)
        self._happened.set()

    async def next(self) -> list[Entry | Delta]:
        """Wait until something happens. Rows that are missing in their sequence are in the journal."""
        await self._happened.wait()
        self._happened.clear()
        news = list(self._news)
        self._news.clear()
        return news


class Feed:
    """Watchers of all runs."""

    def __init__(self) -> None:
        self._watchers: defaultdict[int, set[Watcher]] = defaultdict(set)

    @contextlib.contextmanager
    def watching(self, run_id: int) -> Iterator[Watcher]:
        """A watcher of a run. Open it *before* reading the journal, or what happens between is missed."""
        watcher = Watcher()
        self._watchers[run_id].add(watcher)
        try:
            yield watcher
        finally:
            self._watchers[run_id].discard(watcher)
            if not self._watchers[run_id]:
                del self._watchers[run_id]

    def push(self, run_id: int, *news: Entry | Delta) -> None:
        """The run's journal has these new rows, on disk, or its model has written a piece of text."""
        for watcher in tuple(self._watchers.get(run_id, ())):
            watcher.push(news)

    def stir(self) -> None:
        """Something has changed for all runs: their watchers look for themselves."""
        for watchers in self._watchers.values():
            for watcher in watchers:
                watcher.push(())
