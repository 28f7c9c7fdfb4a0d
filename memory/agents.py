"""Agents of one user."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from rlmd.errors import AlreadyExists, InvalidInput, NotFound, PreconditionFailed

from .budgets import forget_agent
from .clock import from_micros, to_micros
from .copying import copy_space
from .names import check_id, check_text, short
from .prepared import Prepared
from .quiet import check_quiet
from .records import Agent, RunLimits, RunState, User
from .sweeping import leave_space
from .tables import agents, index_queue, runs, spaces

MAX_INSTRUCTIONS = 20_000
RANGES = {
    "steps": (1, 1_000),
    "depth": (0, 8),
    "seconds": (1, 86_400),
    "model_calls": (1, 10_000),
    "tokens": (1, 10**12),
    "money": (1, 10**12),
}
"""Least and most of each limit of a run."""
# Each message asks this.
_named = Prepared(
    select(agents).where(agents.c.user_id == bindparam("user"), agents.c.name == bindparam("name"))
)
_ACTIVE = [state.value for state in RunState if not state.ended]


class Agents:
    """The agents of one user, over one connection."""

    def __init__(self, connection: Connection, now: datetime, user: User) -> None:
        self._connection = connection
        self._now = now
        self._user = user

    def create(
        self,
        name: str,
        *,
        instructions: str = "",
        model: str = "",
        sub_model: str = "",
        limits: RunLimits | None = None,
        quiet: str = "",
    ) -> Agent:
        """An agent and its home space. Raises AlreadyExists or InvalidInput."""
        check_id(name, "agent_id")
        fields = _checked({"instructions": instructions, "model": model, "sub_model": sub_model})
        limits = check_limits(limits or RunLimits())
        if self._row(name) is not None:
            raise AlreadyExists(
                f"there is an agent {short(name)} already",
                field="agent_id",
                remedy="Choose another id, or update it.",
            )
        mine = {"user_id": self._user.id, "name": name}
        space_id = self._connection.execute(insert(spaces).returning(spaces.c.id), mine).scalar_one()
        now = to_micros(self._now)
        times = {"create_time": now, "update_time": now}
        row = {**mine, "space_id": space_id, "limits": _dump(limits), "quiet": check_quiet(quiet)}
        row |= {**fields, **times}
        self._connection.execute(insert(agents), row)
        return self.get(name)

    def clone(self, name: str, new: str, *, memory: bool) -> Agent:
        """Another agent with the same instructions, models and limits; with `memory`, and what it remembers.

        Its log and its runs are its own: those begin anew.

        Raises:
            NotFound: there is no such agent.
            AlreadyExists, InvalidInput: as for `create`.
        """
        like = self.get(name)
        made = self.create(
            new,
            instructions=like.instructions,
            model=like.model,
            sub_model=like.sub_model,
            limits=like.limits,
            quiet=like.quiet,
        )
        if memory:
            source, target = self._row(name).space_id, self._row(new).space_id
            copy_space(self._connection, to_micros(self._now), self._user, source, name, target)
        return made

    def get(self, name: str) -> Agent:
        """Raises NotFound."""
        row = self._row(name)
        if row is None:
            raise NotFound(
                f"there is no agent {short(name)}", field="name", remedy="List the agents, or create it."
            )
        return _agent(row)

    def page(self, *, after: str = "", most: int = 100) -> list[Agent]:
        statement = (
            select(agents)
            .where(agents.c.user_id == self._user.id, agents.c.name > after)
            .order_by(agents.c.name)
            .limit(most)
        )
        return [_agent(row) for row in self._connection.execute(statement)]

    def update(self, name: str, changes: Mapping[str, Any]) -> Agent:
        """Change texts, `limits` or `quiet`, as in `create`. Raises NotFound or InvalidInput."""
        agent = self.get(name)
        fields = dict(changes)
        limits = check_limits(fields.pop("limits", agent.limits))
        quiet = check_quiet(fields.pop("quiet", agent.quiet))
        values = {
            **_checked(fields),
            "quiet": quiet,
            "limits": _dump(limits),
            "update_time": to_micros(self._now),
        }
        self._connection.execute(update(agents).where(agents.c.id == agent.id).values(**values))
        return self.get(name)

    def delete(self, name: str) -> Agent:
        """Delete the agent, its space, log and runs. Raises NotFound, or PreconditionFailed.

        What was in the space cannot be reached any more; the next sweep deletes it.
        """
        agent = self.get(name)
        active = select(runs.c.id).where(runs.c.agent_id == agent.id, runs.c.state.in_(_ACTIVE)).limit(1)
        if self._connection.execute(active).first() is not None:
            raise PreconditionFailed(
                f"agent {short(name)} has active runs",
                field="name",
                remedy="Cancel them first, or use force.",
            )
        space_id = self._connection.execute(
            select(agents.c.space_id).where(agents.c.id == agent.id)
        ).scalar_one()
        forget_agent(self._connection, agent.id)
        self._connection.execute(delete(agents).where(agents.c.id == agent.id))
        # A row without a variable or message tells the index that the whole shelf is gone.
        self._connection.execute(insert(index_queue), [{"space_id": space_id, "agent_id": None}])
        self._connection.execute(insert(index_queue), [{"space_id": None, "agent_id": agent.id}])
        leave_space(self._connection, self._user.id, space_id)
        return agent

    def _row(self, name: str) -> Any:
        return _named.first(self._connection, {"user": self._user.id, "name": name})


def check_limits(limits: RunLimits) -> RunLimits:
    """Raises InvalidInput."""
    for field, (least, most) in RANGES.items():
        value = getattr(limits, field)
        if value is not None and not least <= value <= most:
            raise InvalidInput(
                f"{value} is not between {least} and {most:,}",
                field=f"limits.{field}",
                remedy="Leave it out for the default.",
            )
    return limits


def _checked(fields: Mapping[str, str]) -> dict[str, str]:
    most = {"instructions": MAX_INSTRUCTIONS, "model": 200, "sub_model": 200}
    return {name: check_text(value, name, limit=most[name]) for name, value in fields.items()}


def _dump(limits: RunLimits) -> str:
    return json.dumps({name: value for name, value in asdict(limits).items() if value is not None})


def _agent(row: Any) -> Agent:
    return Agent(
        id=row.id,
        name=row.name,
        instructions=row.instructions,
        model=row.model,
        sub_model=row.sub_model,
        space=row.name,
        limits=RunLimits(**json.loads(row.limits)),
        quiet=row.quiet,
        create_time=from_micros(row.create_time),
        update_time=from_micros(row.update_time),
    )
