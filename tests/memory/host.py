"""A house for tests: one user with one agent, whose writes need few words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from rlmd.memory.clock import ManualClock
from rlmd.memory.records import Author, Origin, User
from rlmd.memory.store import House, Store, Transaction
from rlmd.memory.variables import Space, Writing

T = TypeVar("T")

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
OWNER = Author(user="owner")


@dataclass(frozen=True, kw_only=True)
class Home:
    """An open house, its clock, its first user and that user's store. The agent `main` is there."""

    house: House
    clock: ManualClock
    user: User
    store: Store

    def write(self, work: Callable[[Transaction], T]) -> T:
        return self.store.submit(work).result(timeout=60)

    def edit(self, work: Callable[[Space], T], *, agent: str = "main") -> T:
        """Write in an agent's space."""
        return self.write(lambda tx: work(tx.space(agent)))

    def look(self, work: Callable[[Space], T], *, agent: str = "main") -> T:
        """Read in an agent's space."""
        return self.store.read(lambda tx: work(tx.space(agent)))

    def another_user(self, name: str) -> Store:
        """A user beside the first, who has an agent `main` too."""
        user = self.house.write(lambda accounts: accounts.create_user(name, administrator=False)).result()
        store = self.house.store(user)
        store.submit(lambda tx: tx.agents.create("main")).result()
        return store


@contextmanager
def opened(path: Path) -> Iterator[Home]:
    """The house at `path`, made if there is none."""
    clock = ManualClock(START)
    with House.open(path, clock) as house:
        users = house.read(lambda accounts: accounts.users())
        user = (
            users[0]
            if users
            else house.write(lambda accounts: accounts.create_user("owner", administrator=True)).result()
        )
        store = house.store(user)
        if not users:
            store.submit(lambda tx: tx.agents.create("main")).result()
        yield Home(house=house, clock=clock, user=user, store=store)


def writing(
    *,
    expect: int | None = None,
    note: str = "",
    origin: Origin = Origin.OWNER,
    source_time: datetime | None = None,
) -> Writing:
    return Writing(author=OWNER, origin=origin, note=note, expect=expect, source_time=source_time)
