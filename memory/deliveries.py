"""What runs of schedules had to say while their agent must not disturb: held back, then told once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select, update

from .clock import from_micros, to_micros
from .records import Agent, Delivery, DeliveryState, Origin, Run, User
from .tables import agents, deliveries, messages

_told = (
    update(deliveries)
    .where(deliveries.c.id == bindparam("delivery"), deliveries.c.end_time.is_(None))
    .values(end_time=bindparam("time"))
)


@dataclass(frozen=True, kw_only=True)
class Held:
    """A message that is held back."""

    id: int
    agent: str
    run: int
    channel: str
    text: str
    origin: Origin


class Deliveries:
    """Those of one user's agents, over one connection."""

    def __init__(self, connection: Connection, now: datetime, user: User) -> None:
        self._connection = connection
        self._now = now
        self._user = user

    def hold(self, agent: Agent, run: Run, text: str, *, origin: Origin, until: datetime) -> int:
        """Hold a message of a run back; gives its number."""
        row = {
            "agent_id": agent.id,
            "run_id": run.id,
            "channel": run.event.channel,
            "text": text,
            "origin": int(origin),
            "due_time": to_micros(until),
        }
        added: int = self._connection.execute(insert(deliveries).returning(deliveries.c.id), row).scalar_one()
        return added

    def take(self, delivery_id: int) -> Held | None:
        """What was held back, which is told from now on; None if it was told already, or is gone."""
        given = {"delivery": delivery_id, "time": to_micros(self._now)}
        if not self._connection.execute(_told, given).rowcount:
            return None
        statement = (
            select(deliveries, agents.c.name.label("agent_name"))
            .join(agents, deliveries.c.agent_id == agents.c.id)
            .where(deliveries.c.id == delivery_id, agents.c.user_id == self._user.id)
        )
        row = self._connection.execute(statement).one()
        return Held(
            id=row.id,
            agent=row.agent_name,
            run=row.run_id,
            channel=row.channel,
            text=row.text,
            origin=Origin(row.origin),
        )

    def until(self, run_id: int) -> datetime | None:
        """Until when something of a run is held back; None if nothing is."""
        statement = select(func.max(deliveries.c.due_time)).where(
            deliveries.c.run_id == run_id, deliveries.c.end_time.is_(None)
        )
        found = self._connection.execute(statement).scalar()
        return None if found is None else from_micros(found)

    def of(self, runs: Sequence[Run]) -> dict[int, Delivery]:
        """Where each run of a schedule has got to with what it has to say, by its id."""
        ids = [run.id for run in runs if run.event.kind == "schedule" and run.parent is None]
        held = select(deliveries.c.run_id, func.max(deliveries.c.due_time)).where(
            deliveries.c.run_id.in_(ids), deliveries.c.end_time.is_(None)
        )
        said = select(messages.c.run_id, func.max(messages.c.time)).where(
            messages.c.run_id.in_(ids), messages.c.from_agent
        )
        holding = _pairs(self._connection.execute(held.group_by(deliveries.c.run_id)))
        telling = _pairs(self._connection.execute(said.group_by(messages.c.run_id)))
        found: dict[int, Delivery] = {}
        for run in runs:
            if run.id not in ids:
                continue
            if run.id in holding:
                found[run.id] = _delivery(DeliveryState.HELD, holding[run.id])
            elif run.id in telling:
                found[run.id] = _delivery(DeliveryState.DELIVERED, telling[run.id])
            else:
                over = DeliveryState.NOTHING if run.state.ended else DeliveryState.PENDING
                found[run.id] = Delivery(state=over, time=None)
        return found


def held(connection: Connection, now: datetime, most: int) -> list[tuple[int, int]]:
    """(user id, number) of what may be told by now, of all users, in order."""
    statement = (
        select(agents.c.user_id, deliveries.c.id)
        .join(agents, deliveries.c.agent_id == agents.c.id)
        .where(deliveries.c.end_time.is_(None), deliveries.c.due_time <= to_micros(now))
        .order_by(deliveries.c.id)
        .limit(most)
    )
    return [(user_id, delivery_id) for user_id, delivery_id in connection.execute(statement)]


def _pairs(rows: Iterable[Any]) -> dict[int, int]:
    return {row[0]: row[1] for row in rows}


def _delivery(state: DeliveryState, micros: int) -> Delivery:
    return Delivery(state=state, time=from_micros(micros))
