"""Sees to it that agents tidy their memory while they are idle, each at most once a day.

An agent without news costs nothing: it is not woken. What an agent does when it is, is in loop/tidy.py.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from datetime import timedelta
from types import TracebackType

from rlmd.errors import RlmdError
from rlmd.memory.store import House

from .loop.engine import Engine

log = logging.getLogger(__name__)

LOOK_SECONDS = 300.0
"""Between two looks at who is idle."""


class Tidying:
    """Looks now and then while it is entered. `quiet`: how long nothing must have been said; 0: never."""

    def __init__(self, house: House, engine: Engine, quiet: timedelta) -> None:
        self._house = house
        self._engine = engine
        self._quiet = quiet
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Tidying:
        if self._quiet:
            self._task = asyncio.create_task(self._watch(), name="tidying")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def look(self) -> int:
        """Wake the agents that are idle and have news; how many."""
        found = await asyncio.to_thread(self._house.idle, self._quiet)
        for user, agent in found:
            run = await self._engine.tidy(self._house.store(user), agent)
            log.info("agent %s of %s is idle and tidies its memory, run %s", agent, user.name, run.id)
        return len(found)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self.look()
            except RlmdError as error:
                log.warning("nobody could be told to tidy: %s", error)
