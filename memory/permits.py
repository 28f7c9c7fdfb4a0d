"""What an owner has permitted an agent for good, so that it is not asked for again.

A permit names a consequence, such as `home.lights` or `home.tell`: a run of the agent may have it even after
reading text from outside.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select

from rlmd.errors import InvalidInput, NotFound

from .clock import from_micros, to_micros
from .names import check_text, short
from .records import User
from .tables import agents, permits

MAX_WHAT = 200


@dataclass(frozen=True, kw_only=True)
class Permit:
    """One thing that is permitted."""

    id: int
    agent: str
    what: str
    create_time: datetime


class Permits:
    """The permits of one user's agents, over one connection."""

    def __init__(self, connection: Connection, now: datetime, user: User) -> None:
        self._connection = connection
        self._now = now
        self._user = user

    def has(self, agent_id: int, what: str) -> bool:
        found = select(permits.c.id).where(permits.c.agent_id == agent_id, permits.c.what == what)
        return self._connection.execute(found).first() is not None

    def add(self, agent: str, what: str) -> Permit:
        """Permit something; again, nothing changes.

        Raises:
            NotFound: there is no such agent.
            InvalidInput: it is no name of a consequence.
        """
        check_text(what, "what", limit=MAX_WHAT)
        if not what.strip() or what != what.strip() or not what.isprintable() or "/" in what:
            raise InvalidInput(
                f"{short(what)} names nothing", field="what", remedy="Name it like home.lights or home.tell."
            )
        agent_id = self._agent(agent)
        if not self.has(agent_id, what):
            row = {"agent_id": agent_id, "what": what, "create_time": to_micros(self._now)}
            self._connection.execute(insert(permits), row)
        return next(each for each in self.page(agent) if each.what == what)

    def remove(self, agent: str, what: str) -> None:
        """Permit it no more. Raises NotFound."""
        mine = (permits.c.agent_id == self._agent(agent)) & (permits.c.what == what)
        if not self._connection.execute(delete(permits).where(mine)).rowcount:
            raise NotFound(
                f"{short(what)} is not permitted to {agent}", field="what", remedy="List what is permitted."
            )

    def page(self, agent: str) -> list[Permit]:
        """All of an agent's, by name. Raises NotFound."""
        mine = select(permits).where(permits.c.agent_id == self._agent(agent)).order_by(permits.c.what)
        return [
            Permit(id=row.id, agent=agent, what=row.what, create_time=from_micros(row.create_time))
            for row in self._connection.execute(mine)
        ]

    def _agent(self, name: str) -> int:
        mine = select(agents.c.id).where(agents.c.user_id == self._user.id, agents.c.name == name)
        found = self._connection.execute(mine).scalar()
        if found is None:
            raise NotFound(
                f"there is no agent {short(name)}", field="name", remedy="List the agents that exist."
            )
        return int(found)
