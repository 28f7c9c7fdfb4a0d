"""Channels that connect: what they offer to programs, and how far they have processed what they were sent."""

from __future__ import annotations

import json
import keyword
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, bindparam, func, insert, select, update

from rlmd.errors import Exhausted, InvalidInput, NotFound

from .clock import from_micros, to_micros
from .hive_tables import hive_members
from .names import check_channel, check_text, short
from .prepared import Prepared
from .records import Agent, CallState, Channel, Function, User
from .tables import channel_calls, channels, messages, outbox

MAX_CHANNELS = 10_000
"""Of a user."""
MAX_FUNCTIONS = 200
MAX_DOC = 2_000
MAX_SECONDS = 10 * 366 * 86_400
DEFAULT_SECONDS = 86_400.0
"""How long a call may take if the channel does not say."""
OWN = ("ask", "tell")
"""What every channel has by itself."""
# The log may be long, and its channels are few: its index is read from one to the next.
_first = (
    select(func.min(messages.c.channel).label("channel"))
    .where(messages.c.agent_id == bindparam("agent"))
    .cte("logged", recursive=True)
)
_rest = _first.union_all(
    select(
        select(func.min(messages.c.channel))
        .where(messages.c.agent_id == bindparam("agent"), messages.c.channel > _first.c.channel)
        .scalar_subquery()
    ).where(_first.c.channel.is_not(None))
)
_logged = Prepared(select(_rest.c.channel).where(_rest.c.channel.is_not(None)).limit(bindparam("most")))
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")

_own = hive_members.alias("own")
_members = Prepared(
    select(hive_members.c.name)
    .join(_own, hive_members.c.hive_id == _own.c.hive_id)
    .where(_own.c.agent_id == bindparam("agent"))
)


class Channels:
    """The channels of one user, over one connection."""

    def __init__(self, connection: Connection, now: datetime, user: User) -> None:
        self._connection = connection
        self._now = now
        self._user = user

    def connect(self, name: str, functions: Sequence[Function], *, external: bool = False) -> Channel:
        """A client has connected as this channel, and offers this from now on.

        Raises:
            InvalidInput: it cannot have this name, or offer that.
            Exhausted: there are too many channels.
        """
        check_channel(name)
        now = to_micros(self._now)
        offered = json.dumps([asdict(check_function(each)) for each in _different(functions)])
        found = self.find(name)
        if found is None:
            self._check_room()
            row = {"user_id": self._user.id, "name": name, "create_time": now, "sent": 0, "acknowledged": 0}
            self._connection.execute(
                insert(channels), {**row, "functions": offered, "external": external, "seen_time": now}
            )
        else:
            self._change(found, functions=offered, external=external, seen_time=now)
        return self.get(name)

    def _check_room(self) -> None:
        count = select(func.count()).select_from(channels).where(channels.c.user_id == self._user.id)
        if self._connection.execute(count).scalar_one() >= MAX_CHANNELS:
            raise Exhausted(
                f"{MAX_CHANNELS:,} channels have connected, and no more can",
                field="hello.channel",
                remedy="Connect under a name that was used before.",
            )

    def find(self, name: str) -> Channel | None:
        """None if it has never connected."""
        found = self._several(select(channels).where(channels.c.name == name))
        return found[0] if found else None

    def get(self, name: str) -> Channel:
        """Raises NotFound."""
        found = self.find(name)
        if found is None:
            raise NotFound(
                f"there is no channel {short(name)}", field="name", remedy="List those that have connected."
            )
        return found

    def page(self, *, after: str = "", most: int = 100) -> list[Channel]:
        """Channels by name; `after` is the name at which the last page ended."""
        return self._several(
            select(channels).where(channels.c.name > after).order_by(channels.c.name).limit(most)
        )

    def several(self, names: Sequence[str]) -> list[Channel]:
        """Those of these names that have connected."""
        return self._several(select(channels).where(channels.c.name.in_(names)))

    def acknowledge(self, channel: Channel, sequence: int) -> None:
        """A client has processed all up to this."""
        # Several clients may serve a channel, and acknowledge in any order.
        further = func.max(channels.c.acknowledged, sequence)
        self._change(channel, acknowledged=further, seen_time=to_micros(self._now))

    def seen(self, channel: Channel) -> None:
        """A client is, or was until now, connected."""
        self._change(channel, seen_time=to_micros(self._now))

    def pending(self, found: Sequence[Channel]) -> Mapping[int, int]:
        """How many messages, questions and calls nobody has acknowledged, by the channels' ids."""
        ids = [channel.id for channel in found]
        of = channels.c.user_id == self._user.id
        unseen = (
            select(channels.c.id, func.count())
            .join(outbox, outbox.c.channel_id == channels.c.id)
            .where(of, channels.c.id.in_(ids), outbox.c.sequence > channels.c.acknowledged)
        )
        waiting = (
            select(channels.c.id, func.count())
            .join(channel_calls, channel_calls.c.channel_id == channels.c.id)
            .where(of, channels.c.id.in_(ids), channel_calls.c.state == CallState.OPEN.value)
        )
        counts: Counter[int] = Counter()
        for statement in (unseen, waiting):
            for channel_id, count in self._connection.execute(statement.group_by(channels.c.id)):
                counts[channel_id] += count
        return counts

    def known_to(self, agent: Agent, most: int) -> list[str]:
        """The first names of channels that have connected, or are in the agent's log: what it may import.

        Other members of its hives speak on channels too, which nobody listens on.
        """
        names = select(channels.c.name).where(channels.c.user_id == self._user.id).limit(most)
        found = set(self._connection.scalars(names.order_by(channels.c.name)))
        logged = {row.channel for row in _logged.all(self._connection, {"agent": agent.id, "most": most})}
        if logged - found:
            logged -= {row.name for row in _members.all(self._connection, {"agent": agent.id})}
        found |= logged
        return sorted(found)[:most]

    def _change(self, channel: Channel, **values: Any) -> None:
        mine = (channels.c.id == channel.id) & (channels.c.user_id == self._user.id)
        self._connection.execute(update(channels).where(mine).values(values))

    def _several(self, statement: Select[Any]) -> list[Channel]:
        mine = statement.where(channels.c.user_id == self._user.id)
        return [_channel(row) for row in self._connection.execute(mine)]


def check_function(function: Function) -> Function:
    """Raises InvalidInput: a name that no program can call, or a time that is none."""
    name = function.name
    if not _NAME.fullmatch(name) or keyword.iskeyword(name) or name in OWN:
        raise InvalidInput(
            f"{short(name)} is not a valid name of a function",
            field="functions.name",
            remedy="Use 1 to 63 letters, digits and '_', beginning with a letter, and not 'ask' or 'tell'.",
        )
    check_text(function.doc, "functions.doc", limit=MAX_DOC)
    if not 0 < function.seconds <= MAX_SECONDS:
        raise InvalidInput(
            f"{function.seconds:g} s for {name} is not between 0 and ten years",
            field="functions.time_limit",
            remedy="Leave it out for one day.",
        )
    return function


def _different(functions: Sequence[Function]) -> Sequence[Function]:
    if len(functions) > MAX_FUNCTIONS or len({each.name for each in functions}) < len(functions):
        raise InvalidInput(
            f"functions must differ in their names, and be at most {MAX_FUNCTIONS}",
            field="functions",
            remedy="Offer fewer, or under other names.",
        )
    return functions


def _channel(row: Any) -> Channel:
    return Channel(
        id=row.id,
        name=row.name,
        functions=tuple(Function(**each) for each in json.loads(row.functions)),
        external=row.external,
        sent=row.sent,
        acknowledged=row.acknowledged,
        seen_time=from_micros(row.seen_time),
    )
