"""Hives: agents that share a space and call each other. As their owners and the members' users see them.

A hive belongs to the user who made it: they alone invite, grant, revoke and dissolve. A user sees the hives
that they own or in which an agent of theirs is; a name stands for one hive among those. An agent of another
user comes in by a code, which works once.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, and_, bindparam, delete, exists, insert, or_, select, update

from rlmd.errors import (
    AlreadyExists,
    Exhausted,
    InvalidInput,
    NotFound,
    PermissionDenied,
    PreconditionFailed,
)

from .agents import Agents
from .clock import from_micros, to_micros
from .grants import DEFAULTS, check_pattern, check_rate, check_verbs
from .hive_records import Grant, Hive, Member, Verb
from .hive_tables import hive_grants, hive_invites, hive_members, hives
from .names import check_id, check_text, short
from .prepared import Prepared
from .records import User
from .sweeping import leave_space
from .tables import agents, index_queue, spaces, users

MAX_ABOUT = 200
ABOUT = 80
"""Characters of an agent's instructions that tell the others what it is, if nothing else does."""
MAX_MEMBERS = 1_000
MAX_GRANTS = 1_000
INVITED_SECONDS = 86_400
"""How long a code works if nothing is said."""
MAX_INVITED_SECONDS = 90 * 86_400
RESERVED = frozenset({"ask-all", "tell-all", "vote", "log"})
"""Names that a program's module `hive` has for itself."""

# Each use of what is shared asks this.
_grants = Prepared(
    select(hive_grants, hive_members.c.name.label("member"))
    .outerjoin(hive_members, hive_grants.c.member_id == hive_members.c.id)
    .where(hive_grants.c.hive_id == bindparam("hive"))
    .order_by(hive_grants.c.id)
)


class Hives:
    """The hives that one user sees, over one connection."""

    def __init__(self, connection: Connection, now: datetime, user: User) -> None:
        self._connection = connection
        self._now = now
        self._user = user

    # -- hives ------------------------------------------------------------------------------------

    def create(self, name: str) -> Hive:
        """A hive without members, with a shared space and the usual grants.

        Raises:
            AlreadyExists: you see a hive of this name already.
            InvalidInput: a bad name.
        """
        check_id(name, "hive_id")
        self._check_free(name, "hive_id")
        space = {"user_id": self._user.id, "name": space_name(name)}
        space_id = self._connection.execute(insert(spaces).returning(spaces.c.id), space).scalar_one()
        row = {"user_id": self._user.id, "space_id": space_id, "name": name, "mixed": False}
        made = insert(hives).returning(hives.c.id)
        hive_id = self._connection.execute(made, {**row, "create_time": self._time}).scalar_one()
        for pattern, verbs in DEFAULTS:
            self._add_grant(hive_id, None, pattern, verbs)
        return self.get(name)

    def get(self, name: str) -> Hive:
        """Raises NotFound, also for a hive that you have nothing to do with."""
        return self._hive(self._row(name))

    def page(self, *, after: str = "", most: int = 100) -> list[Hive]:
        """Hives by name; `after` is the name at which the last page ended."""
        statement = self._seen().where(hives.c.name > after).order_by(hives.c.name).limit(most)
        return [self._hive(row) for row in self._connection.execute(statement)]

    def dissolve(self, name: str) -> None:
        """Delete the hive with all that it shared. Raises NotFound or PermissionDenied."""
        row = self._owned(name)
        self._connection.execute(delete(hives).where(hives.c.id == row.id))
        # A row without a variable tells the index that the whole shelf is gone.
        self._connection.execute(insert(index_queue), [{"space_id": row.space_id, "agent_id": None}])
        leave_space(self._connection, self._user.id, row.space_id)

    # -- members ----------------------------------------------------------------------------------

    def join(self, name: str, agent: str, *, called: str = "", about: str = "", code: str = "") -> Member:
        """Make an agent of yours a member: of a hive of your own, or by a code of another's.

        Args:
            called: What the others call it; its own name if empty.
            about: What the others are told of it; the beginning of its instructions if empty.

        Raises:
            NotFound: no such agent or hive, or no such code.
            AlreadyExists: it is a member, the name is taken, or you see another hive of this name.
            PreconditionFailed: the code was used, or is too old.
        """
        joining = Agents(self._connection, self._now, self._user).get(agent)
        called = check_id(called or agent, "member")
        if called in RESERVED:
            raise InvalidInput(
                f"{called!r} is a name that programs use for something else",
                field="member",
                remedy="Join under another.",
            )
        about = check_text(about, "about", limit=MAX_ABOUT) or _beginning(joining.instructions)
        hive_id = self._by_code(name, code) if code else self._owned(name).id
        members = self._members(hive_id)
        if any(member.name == called or member.agent == agent for member in members):
            raise AlreadyExists(
                f"{short(called)} is in the hive already", field="member", remedy="Join under another name."
            )
        if len(members) >= MAX_MEMBERS:
            raise Exhausted(
                f"a hive has {MAX_MEMBERS:,} members at most", field="name", remedy="Make another."
            )
        row = {"hive_id": hive_id, "agent_id": joining.id, "name": called, "about": about}
        self._connection.execute(insert(hive_members), {**row, "create_time": self._time})
        others = (hives.c.id == hive_id) & (hives.c.user_id != self._user.id)
        self._connection.execute(update(hives).where(others).values(mixed=True))
        return self._member(hive_id, called)

    def leave(self, name: str, member: str) -> None:
        """A member is one no more, at once. You may take out your own agents; of your own hives, anybody's.

        Raises:
            NotFound: no such hive or member.
            PermissionDenied: it is another's agent in another's hive.
        """
        row = self._row(name)
        found = self._member(row.id, member)
        if self._user.name not in (found.user, row.owner):
            raise PermissionDenied(
                f"{short(member)} is an agent of {found.user}",
                field="name",
                remedy="They, or the hive's owner, can take it out.",
            )
        self._connection.execute(delete(hive_members).where(hive_members.c.id == found.id))

    def invite(self, name: str, seconds: int | None = None) -> tuple[str, datetime]:
        """A code by which one agent of another user can join, and until when. Only its hash is kept.

        Raises:
            NotFound, PermissionDenied: it is no hive of yours.
            InvalidInput: the time is out of range.
        """
        row = self._owned(name)
        seconds = INVITED_SECONDS if seconds is None else seconds
        if not 1 <= seconds <= MAX_INVITED_SECONDS:
            raise InvalidInput(
                f"{seconds} is not between 1 and {MAX_INVITED_SECONDS:,}", field="ttl", remedy="Give another."
            )
        code = secrets.token_urlsafe(18)
        until = self._now + timedelta(seconds=seconds)
        invite = {"hive_id": row.id, "hash": _hash(code), "create_time": self._time}
        self._connection.execute(insert(hive_invites), {**invite, "expire_time": to_micros(until)})
        return code, until

    def _by_code(self, name: str, code: str) -> int:
        """The hive of this name into which a code lets, once; it is used up by this."""
        statement = (
            select(hive_invites, hives.c.name)
            .join(hives, hive_invites.c.hive_id == hives.c.id)
            .where(hive_invites.c.hash == _hash(code), hives.c.name == name)
        )
        found = self._connection.execute(statement).first()
        if found is None:
            raise NotFound(
                "there is no such invitation", field="code", remedy="Ask the hive's owner for a new code."
            )
        if found.use_time is not None or found.expire_time <= self._time:
            what = "was used before" if found.use_time is not None else "is too old"
            raise PreconditionFailed(
                f"the code {what}", field="code", remedy="Ask the hive's owner for a new one."
            )
        seen = self._connection.execute(self._seen().where(hives.c.name == name)).first()
        if seen is not None and seen.id != found.hive_id:
            raise AlreadyExists(
                f"you have to do with another hive {short(name)} already",
                field="name",
                remedy="Leave that one, or ask the owner of this one for another name.",
            )
        used = update(hive_invites).where(hive_invites.c.id == found.id).values(use_time=self._time)
        self._connection.execute(used)
        hive_id: int = found.hive_id
        return hive_id

    # -- grants -----------------------------------------------------------------------------------

    def grants(self, name: str, *, ended: bool = False) -> list[Grant]:
        """What members may do, oldest first; with `ended` also what they might. Raises NotFound."""
        found = grants_of(self._connection, self._row(name).id)
        return [grant for grant in found if ended or grant.holds(self._now)]

    def grant(
        self,
        name: str,
        verbs: Iterable[str],
        *,
        member: str = "",
        pattern: str = "*",
        rate: int | None = None,
        expire_time: datetime | None = None,
    ) -> Grant:
        """Let a member, or all, do more.

        Raises:
            NotFound: no such hive or member.
            PermissionDenied: it is not your hive.
            InvalidInput: a bad verb, pattern, rate or time.
        """
        row = self._owned(name)
        member_id = self._member(row.id, member, "member").id if member else None
        chosen = check_verbs(verbs)
        check_pattern(pattern)
        check_rate(rate, chosen)
        if expire_time is not None and expire_time <= self._now:
            raise InvalidInput("the time has passed", field="expire_time", remedy="Give one in the future.")
        if len(grants_of(self._connection, row.id)) >= MAX_GRANTS:
            raise Exhausted(f"a hive has {MAX_GRANTS:,} grants at most", field="name", remedy="Use patterns.")
        return self._add_grant(row.id, member_id, pattern, chosen, rate, expire_time)

    def revoke(self, name: str, grant_id: int) -> Grant:
        """End a grant: the next use fails. No effect on one that has ended.

        Raises:
            NotFound: no such hive or grant.
            PermissionDenied: it is not your hive.
        """
        row = self._owned(name)
        if not any(grant.id == grant_id for grant in grants_of(self._connection, row.id)):
            raise NotFound(f"there is no grant {grant_id}", field="name", remedy="List those that exist.")
        theirs = (hive_grants.c.id == grant_id) & hive_grants.c.revoke_time.is_(None)
        self._connection.execute(update(hive_grants).where(theirs).values(revoke_time=self._time))
        return _the(grants_of(self._connection, row.id), grant_id)

    def _add_grant(
        self,
        hive_id: int,
        member_id: int | None,
        pattern: str,
        verbs: Sequence[Verb],
        rate: int | None = None,
        expire_time: datetime | None = None,
    ) -> Grant:
        row = {
            "hive_id": hive_id,
            "member_id": member_id,
            "pattern": pattern,
            "verbs": " ".join(verbs),
            "rate": rate,
            "create_time": self._time,
            "expire_time": None if expire_time is None else to_micros(expire_time),
        }
        added = self._connection.execute(insert(hive_grants).returning(hive_grants.c.id), row).scalar_one()
        return _the(grants_of(self._connection, hive_id), added)

    # -- rows -------------------------------------------------------------------------------------

    @property
    def _time(self) -> int:
        return to_micros(self._now)

    def _seen(self) -> Any:
        """The hives that the user owns, or in which an agent of theirs is."""
        mine = and_(
            hive_members.c.hive_id == hives.c.id,
            hive_members.c.agent_id == agents.c.id,
            agents.c.user_id == self._user.id,
        )
        return (
            select(hives, users.c.name.label("owner"))
            .join(users, hives.c.user_id == users.c.id)
            .where(or_(hives.c.user_id == self._user.id, exists().where(mine)))
        )

    def _row(self, name: str) -> Any:
        row = self._connection.execute(self._seen().where(hives.c.name == name)).first()
        if row is None:
            raise NotFound(
                f"there is no hive {short(name)}", field="name", remedy="List those that exist, or make it."
            )
        return row

    def _owned(self, name: str) -> Any:
        row = self._row(name)
        if row.user_id != self._user.id:
            raise PermissionDenied(
                f"the hive {short(name)} belongs to {row.owner}", field="name", remedy="Ask them."
            )
        return row

    def _check_free(self, name: str, field: str) -> None:
        if self._connection.execute(self._seen().where(hives.c.name == name)).first() is not None:
            raise AlreadyExists(
                f"there is a hive {short(name)} already", field=field, remedy="Choose another name."
            )

    def _hive(self, row: Any) -> Hive:
        return Hive(
            id=row.id,
            name=row.name,
            owner=row.owner,
            members=tuple(self._members(row.id)),
            create_time=from_micros(row.create_time),
        )

    def _members(self, hive_id: int) -> list[Member]:
        return members_of(self._connection, hive_id, self._user)

    def _member(self, hive_id: int, name: str, field: str = "name") -> Member:
        for member in self._members(hive_id):
            if member.name == name:
                return member
        raise NotFound(
            f"there is no member {short(name)}", field=field, remedy="`rlmd hive show` lists the members."
        )


def space_name(hive: str) -> str:
    """The name of a hive's space."""
    return f"@{hive}"


def members_of(connection: Connection, hive_id: int, user: User) -> list[Member]:
    """The members of a hive by name, as a user sees them."""
    statement = (
        select(hive_members, agents.c.name.label("agent"), users.c.name.label("user"), users.c.id.label("of"))
        .join(agents, hive_members.c.agent_id == agents.c.id)
        .join(users, agents.c.user_id == users.c.id)
        .where(hive_members.c.hive_id == hive_id)
        .order_by(hive_members.c.name)
    )
    return [
        Member(
            id=row.id,
            name=row.name,
            user=row.user,
            agent=row.agent if row.of == user.id else "",
            about=row.about,
            create_time=from_micros(row.create_time),
        )
        for row in connection.execute(statement)
    ]


def grants_of(connection: Connection, hive_id: int) -> list[Grant]:
    """All grants of a hive, oldest first."""
    return [
        Grant(
            id=row.id,
            member=row.member or "",
            pattern=row.pattern,
            verbs=tuple(Verb(verb) for verb in row.verbs.split()),
            rate=row.rate,
            create_time=from_micros(row.create_time),
            expire_time=None if row.expire_time is None else from_micros(row.expire_time),
            revoke_time=None if row.revoke_time is None else from_micros(row.revoke_time),
        )
        for row in _grants.all(connection, {"hive": hive_id})
    ]


def _the(grants: Sequence[Grant], grant_id: int) -> Grant:
    return next(grant for grant in grants if grant.id == grant_id)


def _beginning(text: str) -> str:
    """The beginning of a text on one line."""
    line = " ".join(text.split())
    return line if len(line) <= ABOUT else line[: ABOUT - 3].rsplit(" ", 1)[0] + "..."


def _hash(code: str) -> bytes:
    return sha256(code.encode("utf-8", "surrogatepass")).digest()
