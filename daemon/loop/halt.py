"""Whose runs stand still: the engine asks here before it sets anything to work.

What is on disk is read once; after that the answer is in memory, so that a stop takes effect at once, also
while the database, every lane and every worker are busy. Its row follows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection

from rlmd.errors import PreconditionFailed, RlmdError, Unavailable
from rlmd.memory.records import User
from rlmd.memory.stops import Stop, Stops
from rlmd.memory.store import House


class Halt:
    """All stops that are in force. `load` before use."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._stops: dict[int | None, Stop] = {}

    def load(self) -> None:
        """Read what an earlier daemon was told."""
        with self._house.database.reading() as connection:
            standing = Stops(connection, self._house.clock.now()).standing()
        self._stops = {stop.user: stop for stop in standing}

    def of(self, user_id: int) -> Stop | None:
        """What stops this user's runs: a stop of everybody goes before their own. None if nothing does."""
        return self._stops.get(None) or self._stops.get(user_id)

    def put(self, user: User | None, *, by: str, reason: str) -> Stop:
        """Stop a user, or with None everybody, from this moment on. `keep` writes it down."""
        key = None if user is None else user.id
        fresh = Stop(user=key, by=by, reason=reason, time=self._house.clock.now())
        return self._stops.setdefault(key, fresh)

    async def keep(self, user: User | None, stop: Stop) -> None:
        """Write a stop down, so that it holds over restarts.

        Raises:
            Unavailable: that could not be done; until the daemon ends it holds all the same.
        """

        def work(connection: Connection) -> None:
            Stops(connection, stop.time).put(user, by=stop.by, reason=stop.reason)

        try:
            await self._house.database.commit(work)
        except RlmdError as error:
            raise Unavailable(
                f"all is stopped, but that could not be written down ({error.reason})",
                remedy="Say it again: until it is written, it does not hold over a restart.",
            ) from error

    async def lift(self, user: User | None) -> None:
        """Let a user's runs, or with None everybody's, go on; when that is on disk.

        Raises:
            PreconditionFailed: everybody is stopped, which this does not end.
        """
        everybody = self._stops.get(None)
        if user is not None and everybody is not None:
            raise PreconditionFailed(
                f"everybody is stopped, by {everybody.by}",
                field="everyone",
                remedy="An administrator lets all go on: `rlmd resume --everyone`.",
            )
        now = self._house.clock.now()
        await self._house.database.commit(lambda connection: Stops(connection, now).lift(user))
        self._stops.pop(None if user is None else user.id, None)


async def over(tasks: Collection[asyncio.Task[Any]], seconds: float) -> None:
    """Wait until tasks are over, but no longer than that."""
    if tasks:
        await asyncio.wait(tasks, timeout=seconds)
