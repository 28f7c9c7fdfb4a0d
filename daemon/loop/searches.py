"""The searches of a program: of memory, own and shared, and of the log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rlmd.errors import InternalError, InvalidInput, PreconditionFailed, Unavailable
from rlmd.memory.hive_records import Verb
from rlmd.memory.records import Agent, Run
from rlmd.memory.search import Shelf
from rlmd.memory.store import Store

from . import calls, sharing
from .calls import Answer, Place
from .equipment import Equipment


class Searches:
    """Searches of one run."""

    def __init__(self, equipment: Equipment, store: Store, agent: Agent, run: Run, place: Place) -> None:
        self._equipment = equipment
        self._store = store
        self._agent = agent
        self._run = run
        self._place = place

    async def memory(
        self,
        query: str,
        k: int = 10,
        *,
        prefix: str = "",
        after: str | None = None,
        before: str | None = None,
    ) -> Answer:
        """`memory.search` in programs: over the agent's own space and those of its hives, by one ranking."""
        zone = self._place.zone
        spans, uses = self._store.read(lambda tx: sharing.everywhere(tx, self._place, Verb.SEARCH, prefix))
        with _searching():
            passages = await self._equipment.searcher.search_parts(
                sharing.parts(spans),
                query,
                _count(k),
                after=None if after is None else calls.moment(after, zone, "after"),
                before=None if before is None else calls.moment(before, zone, "before"),
            )
        found = [each for each in passages if sharing.lets(spans, each.key)]
        return calls.hits(found, self._place, sharing.lowest(spans), uses)

    async def log(self, query: str, k: int = 10) -> Answer:
        """`log.search` in programs."""
        # The question itself would be the best hit for every question.
        own = () if self._run.event.message is None else (str(self._run.event.message),)
        shelf = Shelf(agent_id=self._agent.id)
        with _searching():
            passages = await self._equipment.searcher.search(shelf, query, _count(k), exclude=own)
        ids = list(dict.fromkeys(int(passage.key) for passage in passages))
        found = self._store.read(lambda tx: tx.log(self._agent.name).several(ids))
        return calls.found_messages([found[id] for id in ids if id in found], self._place)


@contextmanager
def _searching() -> Iterator[None]:
    """A search that fails is the program's to catch: unlike the store, a run can go on without the index.

    Raises:
        PreconditionFailed: the search failed.
    """
    try:
        yield
    except (Unavailable, InternalError) as error:
        raise PreconditionFailed(
            f"search is not available: {error.reason}", remedy="Use memory.grep and log.recent, or try again."
        ) from error


def _count(k: int) -> int:
    if not 0 < k <= 100:
        raise InvalidInput(f"{k} is not between 1 and 100", field="k", remedy="Ask for at most 100 hits.")
    return k
