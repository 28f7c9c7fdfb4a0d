"""The door of one agent to its hives: to their spaces, and to their other members.

The only way to either. It opens for a member by a grant that is in force at that moment, in the transaction
of the use itself: who has left, or whose grant was revoked, finds it closed at the next call.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, select

from rlmd.errors import NotFound, PermissionDenied

from .crossings import Side, cross
from .grants import DEFAULT_RATE, OWN, fits, holding
from .hive_records import Grant, Member, Verb
from .hive_tables import hive_members, hives
from .hives import grants_of, members_of, space_name
from .names import short
from .prepared import Prepared
from .records import Agent, User
from .tables import agents
from .variables import Space

_all = (
    select(
        hives.c.id,
        hives.c.name,
        hives.c.user_id,
        hives.c.space_id,
        hives.c.mixed,
        hive_members.c.name.label("member"),
    )
    .join(hive_members, hive_members.c.hive_id == hives.c.id)
    .join(agents, hive_members.c.agent_id == agents.c.id)
    .where(agents.c.id == bindparam("agent"), agents.c.user_id == bindparam("user"))
)
# Every prompt asks for them.
_doors = Prepared(_all.order_by(hives.c.name))
_door_of = Prepared(_all.where(hives.c.name == bindparam("hive")))


@dataclass(frozen=True, kw_only=True)
class Door:
    """An agent's membership."""

    hive_id: int
    hive: str
    member: str
    """What the agent is called there."""
    owner: int
    """Id of the user to whom the hive belongs."""
    space_id: int
    mixed: bool
    """Whether agents of several users are, or were, in it."""


class Shared:
    """What the hives of one agent open to it, over one connection."""

    def __init__(self, connection: Connection, now: datetime, user: User, agent: Agent) -> None:
        self._connection = connection
        self._now = now
        self._user = user
        self._agent = agent
        self._mine = {"agent": agent.id, "user": user.id}

    def doors(self) -> list[Door]:
        """The hives that the agent is in, by name."""
        return [_door(row) for row in _doors.all(self._connection, self._mine)]

    def door(self, hive: str) -> Door:
        """Raises NotFound: the agent is in no such hive."""
        row = _door_of.first(self._connection, {**self._mine, "hive": hive})
        if row is None:
            raise NotFound(
                f"{self._agent.name} is in no hive {short(hive)}",
                field="hive",
                remedy="Its user can join it to one: `rlmd hive join`.",
            )
        return _door(row)

    def peers(self, door: Door) -> list[Member]:
        """The other members, by name."""
        return [
            member
            for member in members_of(self._connection, door.hive_id, self._user)
            if member.name != door.member
        ]

    def space(self, door: Door, verb: Verb, name: str) -> Space:
        """The shared space, to do something with one variable. Raises PermissionDenied."""
        self.granted(door, verb, name)
        return self._space(door)

    def space_within(self, door: Door, verb: Verb) -> tuple[Space, tuple[str, ...]]:
        """The shared space, and patterns of the names for which that is granted. Raises PermissionDenied."""
        found = holding(grants_of(self._connection, door.hive_id), verb, door.member, self._now)
        if not found:
            raise _refusal(door, verb, "")
        patterns = {grant.pattern.replace(OWN, door.member) for grant in found}
        if "*" in patterns:
            return self._space(door), ("*",)
        # What begins so stands before what is just that, so that who goes through them meets nothing twice.
        ordered = sorted(patterns, key=lambda each: (each.removesuffix("*"), not each.endswith("*")))
        return self._space(door), tuple(ordered)

    def granted(self, door: Door, verb: Verb, name: str) -> Grant:
        """The grant by which the agent may do this; of several the one with the highest rate.

        Raises:
            PermissionDenied: there is none, or it has expired or was revoked.
        """
        held = holding(grants_of(self._connection, door.hive_id), verb, door.member, self._now)
        found = [grant for grant in held if fits(grant.pattern, name, door.member)]
        if not found:
            raise _refusal(door, verb, name)
        return max(found, key=lambda grant: grant.rate or DEFAULT_RATE)

    def note(self, door: Door, verb: str, target: str, run: int) -> None:
        """Write down a use of the shared space, on both sides, if it is another user's."""
        doer = Side(user=self._user.id, name=door.member, run=run)
        other = Side(user=door.owner, name=space_name(door.hive))
        cross(self._connection, self._now, door.hive, doer, other, verb, target)

    def foreign(self, door: Door) -> bool:
        """Whether the hive is another user's."""
        return door.owner != self._user.id

    def _space(self, door: Door) -> Space:
        return Space(self._connection, self._now, door.owner, door.space_id, space_name(door.hive))


def _door(row: Any) -> Door:
    return Door(
        hive_id=row.id,
        hive=row.name,
        member=row.member,
        owner=row.user_id,
        space_id=row.space_id,
        mixed=bool(row.mixed),
    )


def _refusal(door: Door, verb: Verb, name: str) -> PermissionDenied:
    what = f"{verb} {name}" if name else verb
    return PermissionDenied(
        f"{door.member} may not {what} in the hive {door.hive}",
        field="hive",
        remedy="Its owner can grant it: `rlmd hive grant`.",
    )
