"""Whose runs stand still: the engine asks here before it sets anything to work.

What is on disk is read once; after that the answer is in memory, so that a stop takes effect at once, also
while the database, every lane and every worker are busy. Its row follows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sized
from typing import Any

from sqlalchemy import Connection

from rlmd.daemon.feed import Feed
from rlmd.errors import PreconditionFailed, RlmdError, Unavailable
from rlmd.memory.records import User
from rlmd.memory.stops import Stop, Stops
from rlmd.memory.store import House

from .strokes import whole

CANCEL_SECONDS = 10.0
"""For which a stop waits until what it has cancelled is over."""


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


class Halting:
    """What an engine can do with all runs at once."""

    _halt: Halt
    _active: dict[int, Any]
    _lanes: Mapping[Any, Sized]

    @property
    def feed(self) -> Feed:
        raise NotImplementedError

    def _set_to_work(self, lane: Any) -> None:
        raise NotImplementedError

    def stopped(self, user: User) -> Stop | None:
        """What keeps a user's runs from being set to work; None if nothing does."""
        return self._halt.of(user.id)

    async def stop_all(self, user: User | None, *, by: str, reason: str) -> tuple[Stop, int]:
        """Stop all runs of a user, or with None of everybody, where they are; tells how many were at work.

        Nothing of theirs is set to work until `resume_all`, also by the next daemon. No model is asked, and
        no run: their tasks and workers are ended first, and only then is it written down.

        Raises:
            Unavailable: it could not be written down; it holds until this daemon ends.
        """
        stop = self._halt.put(user, by=by, reason=reason)
        mine = [each for each in self._active.values() if user is None or each.store.user.id == user.id]
        for each in mine:
            each.tree.suspended = True
        self.feed.stir()

        async def work() -> None:
            for each in mine:
                each.task.cancel()
            # The worker of a lane is over when its run is back in the mailbox.
            workers = [each.worker for each in mine if each.worker is not None]
            await asyncio.gather(over(workers, CANCEL_SECONDS), self._halt.keep(user, stop))

        await whole(work())
        return stop, len(mine)

    async def resume_all(self, user: User | None) -> int:
        """Let all runs of a user, or with None of everybody, go on where they are; tells how many there are.

        Raises:
            PreconditionFailed: everybody is stopped, and this is for one user.
        """

        async def work() -> int:
            await self._halt.lift(user)
            count = 0
            for lane in list(self._lanes):
                if (user is None or lane[0] == user.id) and self._halt.of(lane[0]) is None:
                    count += len(self._lanes[lane])
                    self._set_to_work(lane)
            self.feed.stir()
            return count

        return await whole(work())
