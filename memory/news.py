"""What is new for an agent since it last tidied its memory, and which agents have time for that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, select

from .clock import from_micros, to_micros
from .records import Agent, RunState
from .tables import agents, events, messages, runs, variables, versions

TIDY = "tidy"
"""The kind of event that makes an agent go over what is new, and the channel on which it tells of it."""
EVERY = timedelta(hours=20)
"""Between two times that an agent tidies by itself, at least: once a day, whenever it is idle."""
ENOUGH = 10
"""Messages since the last time, for which it is worth the model's while."""
_AT_WORK = (RunState.QUEUED.value, RunState.RUNNING.value)


@dataclass(frozen=True, kw_only=True)
class News:
    """What has come since a time."""

    since: datetime | None
    """When the agent last tidied; None: it never has."""
    messages: Mapping[str, int]
    """How many on each channel."""
    names: Sequence[str]
    """Variables written since, the latest first, as many as were asked for."""
    changed: int
    """Variables written since, in all."""


def news(connection: Connection, agent: Agent, *, most: int) -> News:
    """What is new for the agent; `most` names at most. Reads the heads of all its variables."""
    since = _last(connection, agent.id)
    after = 0 if since is None else to_micros(since)
    said = (
        select(messages.c.channel, func.count())
        .where(messages.c.agent_id == agent.id, messages.c.time > after, messages.c.channel != TIDY)
        .group_by(messages.c.channel)
    )
    own = (
        select(runs.c.id)
        .join(events, runs.c.event_id == events.c.id)
        .where(events.c.agent_id == agent.id, events.c.kind == TIDY)
    )
    tidied = select(runs.c.id).where(runs.c.root_id.in_(own))
    home = select(agents.c.space_id).where(agents.c.id == agent.id).scalar_subquery()
    head = (versions.c.variable_id == variables.c.id) & (versions.c.number == variables.c.head)
    written = (
        select(variables.c.name)
        .join(versions, head)
        .where(variables.c.space_id == home, variables.c.deleted.is_(False), versions.c.write_time > after)
        .where(func.coalesce(versions.c.author_run, 0).not_in(tidied))
        .order_by(versions.c.write_time.desc(), variables.c.name)
    )
    names = [row.name for row in connection.execute(written)]
    return News(
        since=since,
        messages={row[0]: row[1] for row in connection.execute(said)},
        names=names[:most],
        changed=len(names),
    )


def idle(connection: Connection, now: datetime, quiet: timedelta) -> list[tuple[int, str]]:
    """(user id, name) of agents that have enough news, no run at work, and nothing said for `quiet`."""
    found = []
    for agent_id, user_id, name in connection.execute(select(agents.c.id, agents.c.user_id, agents.c.name)):
        last = _last(connection, agent_id)
        if last is not None and now - last < EVERY:
            continue
        said = select(func.count(), func.max(messages.c.time)).where(
            messages.c.agent_id == agent_id,
            messages.c.time > (0 if last is None else to_micros(last)),
            messages.c.channel != TIDY,
        )
        count, latest = connection.execute(said).one()
        if count < ENOUGH or latest > to_micros(now - quiet):
            continue
        busy = select(runs.c.id).where(runs.c.agent_id == agent_id, runs.c.state.in_(_AT_WORK)).limit(1)
        if connection.execute(busy).first() is None:
            found.append((user_id, name))
    return found


def _last(connection: Connection, agent_id: int) -> datetime | None:
    statement = select(func.max(events.c.time)).where(events.c.agent_id == agent_id, events.c.kind == TIDY)
    time = connection.execute(statement).scalar()
    return None if time is None else from_micros(time)
