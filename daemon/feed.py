"""Who watches a run hears of it here: that its journal has grown, or what its model is just writing.

The journal is the truth and the watcher reads it there; the feed only wakes. So nothing is lost when
a slow watcher's queue is full: text that is being written is dropped first, and a wake-up that is
already pending says all that a second one would.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass

MOST_DELTAS = 1_000
"""Pieces of text that are kept for a slow watcher."""


@dataclass(frozen=True)
class Delta:
    """A piece of text that the model is writing for step `step`."""

    text: str
    step: int


class Watcher:
    """What has happened since the last look."""

    def __init__(self) -> None:
        self._deltas: deque[Delta] = deque(maxlen=MOST_DELTAS)
        self._happened = asyncio.Event()

    def push(self, delta: Delta | None) -> None:
        if delta is not None:
            self._deltas.append(delta)
        self._happened.set()

    async def next(self) -> list[Delta]:
        """Wait until something happens; gives the text that was written, and the journal may have grown."""
        await self._happened.wait()
        self._happened.clear()
        deltas = list(self._deltas)
        self._deltas.clear()
        return deltas


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

    def grown(self, run_id: int) -> None:
        """The run's journal has new rows, on disk."""
        self._push(run_id, None)

    def writing(self, run_id: int, delta: Delta) -> None:
        """The run's model has written a piece of text."""
        self._push(run_id, delta)

    def _push(self, run_id: int, delta: Delta | None) -> None:
        for watcher in tuple(self._watchers.get(run_id, ())):
            watcher.push(delta)
