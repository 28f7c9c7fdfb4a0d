"""The door to memory: a house of users, and a store opened for one of them.

    with House.open(folder, clock) as house:
        store = house.store(house.user("alice"))
        plan = store.read(lambda tx: tx.space("main").get("plan"))
        await store.write(lambda tx: tx.space("main").set("plan", {...}, writing))

Everything in a `Transaction` belongs to the store's user by construction: there is no way to name a
row of another, but through a hive in which both are (shared.py, hive_calls.py). What one `write` does
commits together or not at all, and is on disk when it returns.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from datetime import datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from sqlalchemy import Connection, bindparam, delete, func, insert, select

from rlmd.errors import InvalidInput, NotFound

from .accounts import Accounts
from .agents import Agents
from .budgets import Budgets
from .changes import Changes
from .channel_calls import ChannelCalls
from .channels import Channels
from .clock import Clock, to_micros
from .crossings import Crossings
from .database import Database, translated
from .deliveries import Deliveries, held
from .hive_calls import HiveCalls, caller_of, user_of
from .hives import Hives
from .journal import Journal
from .ledger import Ledger
from .log import Log
from .migrate import migrate
from .names import check_text, short
from .news import News, idle, news
from .outbox import Outbox, forget
from .permits import Permits
from .prepared import Prepared
from .purging import Purging
from .questions import Questions
from .records import Agent, User
from .retention import BATCH, Retentions, governed
from .runs import Runs, answered, held_up, unfinished, waking
from .schedules import Schedules, due, times, waiting
from .shared import Shared
from .statements import SPACE
from .sweeping import LEFT, sweep
from .sweeping import waiting as left_over
from .tables import agents, messages, requests, runs, spaces, users, variables
from .uploads import Uploads
from .variables import Space

T = TypeVar("T")

# Each call and each step asks these: they are made once.
_answered = Prepared(
    select(requests.c.digest, requests.c.response).where(
        requests.c.user_id == bindparam("user"), requests.c.request_id == bindparam("request")
    )
)
_answer = Prepared(insert(requests))
_run = Prepared(
    select(agents.c.id)
    .join_from(agents, runs, runs.c.agent_id == agents.c.id)
    .where(runs.c.id == bindparam("run"), agents.c.user_id == bindparam("user"))
)

ALL = 1_000_000
"""Users."""
REQUESTS_KEPT = 7 * 24 * 3600 * 1_000_000
"""Microseconds for which the answer to a request id is kept."""


class House:
    """Everything that is kept, for all users. One per data directory."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self.clock = clock
        self._sweeping = threading.Lock()

    @classmethod
    def open(cls, path: Path, clock: Clock) -> House:
        """Bring the database at `path` to this version's tables, making it if there is none, and open it.

        Raises:
            PreconditionFailed: it was written by a newer rlmd, or is no database.
            Unavailable: another program holds it.
        """
        with translated():
            migrate(path)
            return cls(Database(path), clock)

    def __enter__(self) -> House:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self.database.close()

    def store(self, user: User) -> Store:
        return Store(self, user)

    def read(self, work: Callable[[Accounts], T]) -> T:
        with self.database.reading() as connection:
            return work(Accounts(connection, self.clock.now()))

    def write(self, work: Callable[[Accounts], T]) -> Future[T]:
        return self.database.write(lambda connection: work(Accounts(connection, self.clock.now())))

    def unfinished(self) -> list[tuple[User, int]]:
        """Every run that has not ended, with its user, oldest first."""
        with self.database.reading() as connection:
            accounts = Accounts(connection, self.clock.now())
            names = {row.id: row.name for row in connection.execute(select(users.c.id, users.c.name))}
            return [(accounts.user(names[user_id]), run_id) for user_id, run_id in unfinished(connection)]

    def waking(self, until: datetime) -> tuple[list[tuple[User, int]], datetime | None]:
        """Runs that are to wake until then, with their users; and when the next one after that is."""
        with self.database.reading() as connection:
            due, after = waking(connection, until)
            if not due:
                return [], after
            accounts = Accounts(connection, self.clock.now())
            names = {row.id: row.name for row in connection.execute(select(users.c.id, users.c.name))}
            return [(accounts.user(names[user_id]), run_id) for user_id, run_id in due], after

    def answered(self) -> list[tuple[User, int]]:
        """Runs that wait although a question of theirs is open no more, with their users."""
        with self.database.reading() as connection:
            accounts = Accounts(connection, self.clock.now())
            names = {row.id: row.name for row in connection.execute(select(users.c.id, users.c.name))}
            return [(accounts.user(names[user_id]), run_id) for user_id, run_id in answered(connection)]

    def caller_of(self, run_id: int) -> tuple[User, int] | None:
        """Of a run that is over, whose run has asked for it; None if none waits for it."""
        with self.database.reading() as connection:
            return caller_of(connection, run_id)

    def user_of(self, run_id: int) -> User | None:
        """Whose run it is; None if there is none."""
        with self.database.reading() as connection:
            return user_of(connection, run_id)

    def idle(self, quiet: timedelta) -> list[tuple[User, str]]:
        """Agents that have time and reason to tidy their memory, with their users; see news.py."""
        now = self.clock.now()
        with self.database.reading() as connection:
            found = idle(connection, now, quiet)
            accounts = Accounts(connection, now)
            names = {row.id: row.name for row in connection.execute(select(users.c.id, users.c.name))}
            return [(accounts.user(names[user_id]), agent) for user_id, agent in found]

    def due(self, now: datetime, most: int) -> list[tuple[User, int]]:
        """Schedules that fire by now, with their users, the longest due first."""
        return self._with_users(lambda connection: due(connection, now, most))

    def waiting(self) -> list[tuple[User, int]]:
        """Schedules that wait for variables to change, with their users."""
        return self._with_users(waiting)

    def held(self, now: datetime, most: int) -> list[tuple[User, int]]:
        """Messages that were held back and may be told by now, with their users, in order."""
        return self._with_users(lambda connection: held(connection, now, most))

    def _with_users(self, work: Callable[[Connection], list[tuple[int, int]]]) -> list[tuple[User, int]]:
        with self.database.reading() as connection:
            found = work(connection)
            if not found:
                return []
            accounts = Accounts(connection, self.clock.now())
            names = {row.id: row.name for row in connection.execute(select(users.c.id, users.c.name))}
            return [(accounts.user(names[user_id]), number) for user_id, number in found]

    def times(self, until: datetime) -> dict[int, datetime]:
        """When each schedule of all users fires next, of those that do until then."""
        with self.database.reading() as connection:
            return times(connection, until)

    def held_up(self, day: str) -> list[tuple[User, int]]:
        """Runs that wait because a budget was used up, and need not any more, with their users."""
        with self.database.reading() as connection:
            found = held_up(connection)
            if not found:
                return []
            now = self.clock.now()
            users = {user.id: user for user in Accounts(connection, now).users(most=ALL)}
            free = []
            for user_id, agent_id, run_id in found:
                ledger = Ledger(connection, now, users[user_id])
                standing = ledger.standing(agent_id, day, ledger.schedule(run_id))
                if not any(each.over for each in standing):
                    free.append((users[user_id], run_id))
            return free

    def for_all(self, work: Callable[[Transaction], T]) -> Future[list[T]]:
        """Run `work` for each user, in one transaction."""

        def each(connection: Connection) -> list[T]:
            now = self.clock.now()
            found = Accounts(connection, now).users(most=ALL)
            return [work(Transaction(connection, now, user)) for user in found]

        return self.database.write(each)

    def forget_requests(self) -> Future[int]:
        """Drop the answers of request ids that are over a week old; returns how many."""
        limit = to_micros(self.clock.now()) - REQUESTS_KEPT
        return self.database.write(
            lambda c: c.execute(delete(requests).where(requests.c.time < limit)).rowcount
        )

    def forget_parcels(self) -> Future[int]:
        """Drop what channels have acknowledged and is over a week old; returns how many rows."""
        return self.database.write(lambda c: forget(c, self.clock.now()))

    def expire(self) -> int:
        """Hide and thin variables as the rules of their spaces say; gives how many. May take long."""
        with self.database.reading() as connection:
            found = governed(connection)
            users = {user.id: user for user in Accounts(connection, self.clock.now()).users(most=ALL)}
        count = 0
        for user_id, space in found:
            store = self.store(users[user_id])
            due = store.read(lambda tx, space=space: tx.retentions(space).due())  # type: ignore[misc]
            for at in range(0, len(due), BATCH):
                some = due[at : at + BATCH]
                count += store.submit(lambda tx, s=space, d=some: tx.retentions(s).apply(d)).result()  # type: ignore[misc]
        return count

    def sweep(self) -> int:
        """Delete what deleted agents and broken uploads have left; returns how many pieces. May take long."""
        with self._sweeping:
            with self.database.reading() as connection:
                found = left_over(connection, self.clock.now())
            return sum(sweep(self.database, user_id, self.clock.now()) for user_id in found)


class Store:
    """All that one user has."""

    def __init__(self, house: House, user: User) -> None:
        self._house = house
        self.user = user

    def read(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` on one consistent state. A point read takes microseconds; send long ones to a thread."""
        with self._reading() as transaction:
            return work(transaction)

    async def write(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` in a transaction; on disk when this returns. It may commit after a cancel."""
        return await self._house.database.commit(self._in_transaction(work))

    def submit(self, work: Callable[[Transaction], T]) -> Future[T]:
        """As `write`, from any thread."""
        return self._house.database.write(self._in_transaction(work))

    def _in_transaction(self, work: Callable[[Transaction], T]) -> Callable[[Connection], T]:
        return lambda connection: work(Transaction(connection, self._house.clock.now(), self.user))

    @contextlib.contextmanager
    def _reading(self) -> Iterator[Transaction]:
        with self._house.database.reading() as connection:
            yield Transaction(connection, self._house.clock.now(), self.user)


class Transaction:
    """One user's rows, over one connection and at one time."""

    def __init__(self, connection: Connection, now: datetime, user: User) -> None:
        self._connection = connection
        self.now = now
        self.user = user

    @property
    def agents(self) -> Agents:
        return Agents(self._connection, self.now, self.user)

    @property
    def runs(self) -> Runs:
        return Runs(self._connection, self.now, self.user)

    @property
    def questions(self) -> Questions:
        return Questions(self._connection, self.now, self.user)

    @property
    def channels(self) -> Channels:
        return Channels(self._connection, self.now, self.user)

    @property
    def channel_calls(self) -> ChannelCalls:
        return ChannelCalls(self._connection, self.now, self.user)

    @property
    def outbox(self) -> Outbox:
        return Outbox(self._connection, self.now, self.user.id)

    @property
    def changes(self) -> Changes:
        return Changes(self._connection, self.now, self.user)

    @property
    def permits(self) -> Permits:
        return Permits(self._connection, self.now, self.user)

    @property
    def deliveries(self) -> Deliveries:
        return Deliveries(self._connection, self.now, self.user)

    @property
    def schedules(self) -> Schedules:
        return Schedules(self._connection, self.now, self.user)

    @property
    def budgets(self) -> Budgets:
        return Budgets(self._connection, self.now, self.user)

    @property
    def ledger(self) -> Ledger:
        return Ledger(self._connection, self.now, self.user)

    @property
    def purging(self) -> Purging:
        return Purging(self._connection, self.now, self.user)

    @property
    def uploads(self) -> Uploads:
        return Uploads(self._connection, self.now, self.user.id)

    @property
    def hives(self) -> Hives:
        return Hives(self._connection, self.now, self.user)

    @property
    def hive_calls(self) -> HiveCalls:
        return HiveCalls(self._connection, self.now, self.user)

    @property
    def crossings(self) -> Crossings:
        return Crossings(self._connection, self.user)

    def shared(self, agent: Agent) -> Shared:
        """What the hives of an agent open to it: the one way to what is another user's."""
        return Shared(self._connection, self.now, self.user, agent)

    def space(self, name: str) -> Space:
        """Raises NotFound."""
        space_id = SPACE.scalar(self._connection, {"user": self.user.id, "name": name})
        if space_id is None:
            raise NotFound(
                f"there is no space {short(name)}",
                field="name",
                remedy="Each agent has one of its own name; list the agents.",
            )
        return Space(self._connection, self.now, self.user.id, space_id, name)

    def retentions(self, space: str) -> Retentions:
        """Raises NotFound."""
        return Retentions(self._connection, self.now, self.user, self.space(space))

    def log(self, agent: str) -> Log:
        """Raises NotFound."""
        return Log(self._connection, self.now, self.agents.get(agent), self.outbox)

    def journal(self, run_id: int) -> Journal:
        """Raises NotFound."""
        if _run.first(self._connection, {"run": run_id, "user": self.user.id}) is None:
            raise NotFound(f"there is no run {run_id}", field="name", remedy="List the runs that exist.")
        return Journal(self._connection, self.now, self.user.id, run_id)

    def once(self, request_id: str, digest: bytes, work: Callable[[], bytes]) -> bytes:
        """Do `work` unless this request id has been answered; gives the answer, then or now.

        `digest` stands for the request's method and content.

        Raises:
            InvalidInput: the id was used for another request.
        """
        if not request_id:
            return work()
        check_text(request_id, "request_id", limit=128)
        mine = {"user": self.user.id, "request": request_id}
        row = _answered.first(self._connection, mine)
        if row is not None and row.digest != digest:
            raise InvalidInput(
                "this id was used for another request",
                field="request_id",
                remedy="Make a new one for each request.",
            )
        if row is not None:
            answer: bytes = row.response
            return answer
        response = work()
        values = {
            "user_id": self.user.id,
            "request_id": request_id,
            "digest": digest,
            "response": response,
            "time": to_micros(self.now),
        }
        _answer.run(self._connection, values)
        return response

    def news(self, agent: str, *, most: int) -> News:
        """What is new for the agent since it last tidied; `most` names. Raises NotFound."""
        return news(self._connection, self.agents.get(agent), most=most)

    def counts(self) -> tuple[int, int, int]:
        """How many agents, variables (not deleted) and messages the user has."""
        mine = agents.c.user_id == self.user.id
        of_agents = select(func.count()).select_from(agents).where(mine)
        of_variables = (
            select(func.count())
            .select_from(variables)
            .join(spaces, variables.c.space_id == spaces.c.id)
            .where(spaces.c.user_id == self.user.id, ~LEFT, variables.c.deleted.is_(False))
        )
        of_messages = (
            select(func.count())
            .select_from(messages)
            .join(agents, messages.c.agent_id == agents.c.id)
            .where(mine)
        )
        counted = [
            self._connection.execute(each).scalar_one() for each in (of_agents, of_variables, of_messages)
        ]
        return counted[0], counted[1], counted[2]


def digest_of(method: str, content: bytes) -> bytes:
    """What `Transaction.once` compares two requests by."""
    return blake2b(method.encode() + b"\0" + content, digest_size=16).digest()
