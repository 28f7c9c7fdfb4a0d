"""What members of hives ask and tell each other: an event and a run of the callee, and a row that waits.

The row commits with the caller's call and with the callee's run; the end of that run settles it, in one
transaction again (settling.py). So both may die at any moment and come back: nothing is asked twice.

Who called whom is kept along the chain. A member is not asked for what itself has asked for, and a chain has
an end, so that agents cannot keep each other busy for ever.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, bindparam, func, insert, select, update

from rlmd.errors import Exhausted, NotFound, PreconditionFailed

from .agents import Agents
from .clock import from_micros, to_micros
from .crossings import Side, cross
from .grants import DEFAULT_RATE
from .hive_records import HiveCall, Spent, Verb
from .hive_tables import hive_calls, hive_members
from .journal import Journal
from .log import Log
from .outbox import Outbox
from .prepared import Prepared
from .records import Agent, CallState, EntryKind, Origin, Run, RunLimits, RunState, User
from .runs import Runs
from .settling import CALL, TOLD
from .shared import Door, Shared
from .tables import agents, runs, users

MAX_CHAIN = 8
"""Calls below each other, at most."""
MAX_OPEN = 1_000
"""Calls that may wait for one member."""
UNWANTED = "nobody waits for it any more"
MINUTE = 60_000_000
_OPEN = CallState.OPEN.value

# Every run asks these, also those that call nobody.
_waiting = Prepared(
    select(hive_calls.c.id)
    .where(hive_calls.c.run_id == bindparam("run"), hive_calls.c.state == _OPEN, hive_calls.c.waits.is_(True))
    .limit(1)
)
_used = Prepared(
    select(*[func.coalesce(func.sum(hive_calls.c[each.name]), 0).label(each.name) for each in fields(Spent)])
    .where(hive_calls.c.root_id == bindparam("root"), hive_calls.c.user_id == bindparam("user"))
    .where(hive_calls.c.waits.is_(True))
)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is asked or told, and of whom."""

    callee: str
    text: str
    verb: Verb
    limits: Callable[[RunLimits], RunLimits]
    """What a run may use, from what its agent allows."""
    expire_time: datetime | None = None
    origin: Origin = Origin.OWNER
    """The lowest of what the caller has read."""


class HiveCalls:
    """The calls that one user's agents have made, over one connection."""

    def __init__(self, connection: Connection, now: datetime, user: User) -> None:
        self._connection = connection
        self._now = now
        self._user = user

    def open(self, agent: Agent, run: Run, call: int, door: Door, asked: Asked) -> HiveCall:
        """Ask or tell a member, by the call of a run: its event and run are there when this commits.

        Raises:
            NotFound: there is no such member.
            PermissionDenied: no grant lets the caller.
            PreconditionFailed: it would go round in a circle, or the chain is too long.
            Exhausted: too often, or too many wait already.
        """
        callee, user = self._callee(door, asked.callee)
        grant = Shared(self._connection, self._now, self._user, agent).granted(door, asked.verb, asked.callee)
        chain = self._chain(agent, run, door, asked, callee.id)
        self._check_rate(agent, callee, asked.callee, grant.rate or DEFAULT_RATE)
        waits = asked.verb is Verb.ASK
        woken = self._wake(door, asked, callee, user)
        row = {
            "hive_id": door.hive_id,
            "hive": door.hive,
            "agent_id": agent.id,
            "user_id": self._user.id,
            "run_id": run.id,
            "root_id": run.root,
            "call": call,
            "caller": door.member,
            "callee": asked.callee,
            "callee_agent_id": callee.id,
            "callee_user_id": user.id,
            "callee_run_id": woken.id,
            "chain": json.dumps(chain),
            "waits": waits,
            "state": _OPEN,
            "error": "",
            **asdict(Spent()),
            "origin": int(Origin.AGENT),
            "create_time": to_micros(self._now),
            "expire_time": None if asked.expire_time is None else to_micros(asked.expire_time),
        }
        added = self._connection.execute(insert(hive_calls).returning(hive_calls.c.id), row).scalar_one()
        caller = Side(user=self._user.id, name=door.member, run=run.id)
        other = Side(user=user.id, name=asked.callee, run=woken.id)
        cross(self._connection, self._now, door.hive, caller, other, asked.verb, asked.text)
        return self.get(added)

    def get(self, number: int) -> HiveCall:
        """Raises NotFound, also for a call of another user."""
        found = self._several(select(hive_calls).where(hive_calls.c.id == number))
        if not found:
            raise NotFound(f"there is no call {number}", field="call", remedy="See the journal of the run.")
        return found[0]

    def of_call(self, run: Run, call: int) -> list[HiveCall]:
        """What a call of a run has asked, of one member or several."""
        mine = select(hive_calls).where(hive_calls.c.run_id == run.id, hive_calls.c.call == call)
        return self._several(mine.order_by(hive_calls.c.id))

    def end(self, called: HiveCall, state: CallState) -> bool:
        """End an open call without an answer; tells whether it was still open.

        What the callee has not begun, it need not begin.
        """
        still = (hive_calls.c.id == called.id) & (hive_calls.c.state == _OPEN)
        values = {"state": state.value, "end_time": to_micros(self._now)}
        if not self._connection.execute(update(hive_calls).where(still).values(values)).rowcount:
            return False
        self._drop(called)
        return True

    def withdraw(self, run: Run, call: int | None = None) -> None:
        """A run no longer waits for what it has asked, or for what one of its calls has."""
        if _waiting.first(self._connection, {"run": run.id}) is None:
            return
        mine = select(hive_calls).where(
            hive_calls.c.run_id == run.id, hive_calls.c.state == _OPEN, hive_calls.c.waits.is_(True)
        )
        for called in self._several(mine if call is None else mine.where(hive_calls.c.call == call)):
            self.end(called, CallState.CANCELLED)

    def used(self, root: int) -> Spent:
        """What a run's questions to others have taken of models, as far as those are over."""
        return Spent(**_used.first(self._connection, {"root": root, "user": self._user.id})._asdict())

    # -- the other side ---------------------------------------------------------------------------

    def _callee(self, door: Door, name: str) -> tuple[Agent, User]:
        """A member and whose agent it is: the one place where a user's call finds another's agent."""
        statement = (
            select(agents.c.name.label("agent_name"), users)
            .join(hive_members, hive_members.c.agent_id == agents.c.id)
            .join(users, agents.c.user_id == users.c.id)
            .where(hive_members.c.hive_id == door.hive_id, hive_members.c.name == name)
        )
        row = self._connection.execute(statement).first()
        if row is None or name == door.member:
            raise NotFound(
                f"there is no other member {name} in the hive {door.hive}",
                field="hive",
                remedy="import hive anew: it has those that are there now.",
            )
        user = _user(row)
        return Agents(self._connection, self._now, user).get(row.agent_name), user

    def _wake(self, door: Door, asked: Asked, callee: Agent, user: User) -> Run:
        """The event, in the callee's own mailbox and log, on a channel of the caller's name."""
        mine = user.id == self._user.id
        sender = door.member if mine else f"{self._user.name}/{door.member}"
        # What another user's agent says is no more than any text from outside.
        origin = min(Origin.AGENT, asked.origin) if mine else Origin.EXTERNAL
        message = Log(self._connection, self._now, callee, Outbox(self._connection, self._now, user.id)).add(
            channel=door.member,
            sender=sender,
            text=asked.text,
            origin=origin,
            from_agent=False,
        )
        return Runs(self._connection, self._now, user).create(
            callee,
            kind=CALL if asked.verb is Verb.ASK else TOLD,
            text=asked.text,
            limits=asked.limits(callee.limits),
            channel=door.member,
            sender=sender,
            message=message.id,
            origin=origin,
        )

    def _drop(self, called: HiveCall) -> None:
        statement = (
            select(users, runs.c.id.label("run_id"))
            .join(agents, agents.c.user_id == users.c.id)
            .join(runs, runs.c.agent_id == agents.c.id)
            .where(
                runs.c.id == called.callee_run,
                runs.c.state == RunState.QUEUED.value,
                runs.c.start_time.is_(None),
            )
        )
        row = self._connection.execute(statement).first()
        if row is None:
            return
        user = _user(row)
        theirs = Runs(self._connection, self._now, user)
        data = {"state": RunState.CANCELLED.value, "reason": UNWANTED, "result": None}
        Journal(self._connection, self._now, user.id, row.run_id).add(EntryKind.ENDED, data)
        theirs.end(theirs.get(row.run_id), RunState.CANCELLED, reason=UNWANTED)

    # -- bounds -----------------------------------------------------------------------------------

    def _chain(self, agent: Agent, run: Run, door: Door, asked: Asked, callee: int) -> list[list[Any]]:
        """Who called whom until here, the caller last. Raises PreconditionFailed."""
        above = select(hive_calls.c.chain).where(hive_calls.c.callee_run_id == run.root)
        before = self._connection.execute(above).scalar()
        chain: list[list[Any]] = [*json.loads(before or "[]"), [agent.id, door.member]]
        shown = " -> ".join([*(str(name) for _, name in chain), asked.callee])
        if asked.verb is Verb.ASK and callee in (number for number, _ in chain):
            raise PreconditionFailed(
                f"a circle: {shown}", field="hive", remedy="Answer what you were asked, or ask another."
            )
        if len(chain) > MAX_CHAIN:
            raise PreconditionFailed(
                f"more than {MAX_CHAIN} calls below each other: {shown}",
                field="hive",
                remedy="Answer with what you have.",
            )
        return chain

    def _check_rate(self, agent: Agent, callee: Agent, name: str, rate: int) -> None:
        """Raises Exhausted."""
        since = to_micros(self._now) - MINUTE
        of_pair = select(func.count()).where(
            hive_calls.c.agent_id == agent.id,
            hive_calls.c.callee_agent_id == callee.id,
            hive_calls.c.create_time > since,
        )
        if self._connection.execute(of_pair).scalar_one() >= rate:
            raise Exhausted(
                f"{name} was called {rate} times within a minute",
                field="hive",
                remedy="Wait, or ask for more at once; the hive's owner can grant a higher rate.",
            )
        waiting = select(func.count()).where(
            hive_calls.c.callee_agent_id == callee.id, hive_calls.c.state == _OPEN
        )
        if self._connection.execute(waiting).scalar_one() >= MAX_OPEN:
            raise Exhausted(
                f"{MAX_OPEN:,} calls wait for {name} already", field="hive", remedy="Try again later."
            )

    def _several(self, statement: Select[Any]) -> list[HiveCall]:
        mine = statement.where(hive_calls.c.user_id == self._user.id)
        return [_call(row) for row in self._connection.execute(mine)]


def caller_of(connection: Connection, run_id: int) -> tuple[User, int] | None:
    """Of a run that is over, whose run has asked for it; None if none waits for it."""
    statement = (
        select(users, hive_calls.c.run_id)
        .join(users, hive_calls.c.user_id == users.c.id)
        .where(
            hive_calls.c.callee_run_id == run_id, hive_calls.c.waits.is_(True), hive_calls.c.state != _OPEN
        )
    )
    row = connection.execute(statement).first()
    return None if row is None else (_user(row), row.run_id)


def user_of(connection: Connection, run_id: int) -> User | None:
    """Whose run it is; None if there is none."""
    statement = (
        select(users)
        .join(agents, agents.c.user_id == users.c.id)
        .join(runs, runs.c.agent_id == agents.c.id)
        .where(runs.c.id == run_id)
    )
    row = connection.execute(statement).first()
    return None if row is None else _user(row)


def _user(row: Any) -> User:
    created = from_micros(row.create_time)
    return User(id=row.id, name=row.name, administrator=row.administrator, create_time=created)


def _call(row: Any) -> HiveCall:
    return HiveCall(
        id=row.id,
        hive=row.hive,
        caller=row.caller,
        callee=row.callee,
        user=row.user_id,
        run=row.run_id,
        root=row.root_id,
        call=row.call,
        callee_run=row.callee_run_id,
        crosses=row.callee_user_id != row.user_id,
        state=CallState(row.state),
        result=None if row.result is None else json.loads(row.result),
        error=row.error,
        origin=Origin(row.origin),
        expire_time=None if row.expire_time is None else from_micros(row.expire_time),
    )
