"""Events, the runs that they become, and what those cost. One event, one run."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, bindparam, func, insert, select, update

from rlmd.errors import NotFound

from .clock import from_micros, to_micros
from .hive_tables import hive_calls
from .prepared import Prepared
from .records import (
    Agent,
    CallState,
    EntryKind,
    Event,
    Origin,
    QuestionState,
    Run,
    RunLimits,
    RunState,
    Usage,
    User,
)
from .settling import settle
from .tables import (
    agents,
    channel_calls,
    events,
    journal,
    messages,
    model_calls,
    occurrences,
    questions,
    runs,
)

_EVENT = [column.label(f"woke_{column.name}") for column in events.c]
_joined: Select[Any] = (
    select(runs, agents.c.name.label("agent_name"), *_EVENT)
    .join(agents, runs.c.agent_id == agents.c.id)
    .join(events, runs.c.event_id == events.c.id)
)
# Each step of each run asks some of these: they are made once.
_one = _joined.where(runs.c.id == bindparam("run"), agents.c.user_id == bindparam("user"))
_of_runs = runs.c.id.in_(bindparam("runs", expanding=True))
_counted = (
    select(journal.c.run_id, func.max(journal.c.step), func.max(journal.c.call))
    .where(journal.c.run_id.in_(bindparam("runs", expanding=True)))
    .group_by(journal.c.run_id)
)
_tree = select(runs.c.id.label("top"), runs.c.id.label("id")).where(_of_runs).cte("tree", recursive=True)
_tree = _tree.union_all(select(_tree.c.top, runs.c.id).where(runs.c.parent_id == _tree.c.id))
_SUMS = (
    func.sum(model_calls.c.input_tokens),
    func.sum(model_calls.c.output_tokens),
    func.sum(model_calls.c.cached_tokens),
    func.count(model_calls.c.id),
    func.max(model_calls.c.estimated),
    func.coalesce(func.sum(model_calls.c.cost), 0),
    func.count(model_calls.c.id) - func.count(model_calls.c.cost),
)
_used = (
    select(_tree.c.top, *_SUMS).join(model_calls, model_calls.c.run_id == _tree.c.id).group_by(_tree.c.top)
)
_state = (
    select(runs.c.state)
    .join(agents, runs.c.agent_id == agents.c.id)
    .where(runs.c.id == bindparam("run"), agents.c.user_id == bindparam("user"))
)
_change = update(runs).where(runs.c.id == bindparam("run"))
_start = _change.values(
    state=RunState.RUNNING.value,
    attempts=runs.c.attempts + 1,
    start_time=func.coalesce(runs.c.start_time, bindparam("time")),
    wake_time=None,
    reason="",
)
_child = select(runs.c.id).where(
    runs.c.parent_id == bindparam("parent"), runs.c.parent_call == bindparam("call")
)
_end = _change.values(
    state=bindparam("to"),
    reason=bindparam("why"),
    result=bindparam("value"),
    end_time=bindparam("time"),
    origin=bindparam("lowest"),
)
_add_event = Prepared(insert(events).returning(events.c.id))
_add_run = insert(runs).returning(runs.c.id)
_queue = Prepared(
    _add_run,
    [
        "agent_id", "event_id", "parent_id", "parent_call", "root_id", "depth", "state", "reason", "limits",
        "seed", "attempts", "origin", "create_time",
    ],
)  # fmt: skip
_root = Prepared(update(runs).where(runs.c.id == bindparam("run")).values(root_id=bindparam("run")))
_of_message = Prepared(
    update(messages).where(messages.c.id == bindparam("message")).values(run_id=bindparam("run"))
)


class Runs:
    """The runs of one user's agents, over one connection."""

    def __init__(self, connection: Connection, now: datetime, user: User) -> None:
        self._connection = connection
        self._now = now
        self._user = user

    # -- making and ending ------------------------------------------------------------------------

    def create(
        self,
        agent: Agent,
        *,
        kind: str,
        text: str,
        limits: RunLimits,
        channel: str = "",
        sender: str = "",
        message: int | None = None,
        origin: Origin = Origin.OWNER,
        parent: Run | None = None,
        parent_call: int = 0,
    ) -> Run:
        """An event in the mailbox and its run, queued. A child has a parent, and the call that made it."""
        now = to_micros(self._now)
        event = {
            "agent_id": agent.id,
            "kind": kind,
            "channel": channel,
            "sender": sender,
            "text": text,
            "message_id": message,
            "attachments": "[]",
            "time": now,
        }
        event_id = _add_event.scalar(self._connection, event)
        seed = secrets.randbits(48)
        run = {
            "agent_id": agent.id,
            "event_id": event_id,
            "parent_id": None if parent is None else parent.id,
            "parent_call": parent_call,
            "root_id": None if parent is None else parent.root,
            "depth": 0 if parent is None else parent.depth + 1,
            "state": RunState.QUEUED.value,
            "reason": "",
            "limits": json.dumps(asdict(limits)),
            "seed": seed,
            "attempts": 0,
            "origin": int(origin),
            "create_time": now,
        }
        run_id: int = _queue.scalar(self._connection, run)
        if parent is None:
            _root.run(self._connection, {"run": run_id})
        if message is not None:
            _of_message.run(self._connection, {"message": message, "run": run_id})
        time = from_micros(now)
        return Run(
            id=run_id,
            agent=agent.name,
            state=RunState.QUEUED,
            reason="",
            event=Event(
                id=event_id, kind=kind, channel=channel, sender=sender, text=text, time=time, message=message
            ),
            parent=None if parent is None else parent.id,
            root=run_id if parent is None else parent.root,
            depth=run["depth"],
            limits=limits,
            seed=seed,
            attempts=0,
            origin=origin,
            create_time=time,
            start_time=None,
            end_time=None,
        )

    def copy(self, run: Run) -> Run:
        """Another run of the same event, with the same randomness, to be taken up where its journal ends."""
        now = to_micros(self._now)
        row = self._connection.execute(select(runs).where(runs.c.id == run.id)).one()._mapping
        kept = {name: row[name] for name in ("agent_id", "event_id", "depth", "limits", "seed", "origin")}
        values = {
            **kept,
            "state": RunState.QUEUED.value,
            "reason": "",
            "attempts": 0,
            "create_time": now,
            "start_time": now,
        }
        run_id = self._connection.execute(_add_run, values).scalar_one()
        self._connection.execute(update(runs).where(runs.c.id == run_id).values(root_id=run_id))
        return self.get(run_id)

    def start(self, run: Run) -> Run:
        """Take the run out of the mailbox; counts the attempt, so that a poison event is noticed."""
        now = to_micros(self._now)
        self._connection.execute(_start, {"run": run.id, "time": now})
        began = run.start_time or from_micros(now)
        return replace(run, state=RunState.RUNNING, attempts=run.attempts + 1, start_time=began)

    def end(
        self,
        run: Run,
        state: RunState,
        *,
        reason: str = "",
        result: Any = None,
        origin: Origin | None = None,
    ) -> None:
        """The run is over, and whoever has called for it has their answer.

        `origin` is the lowest of what it has read, if that is known.
        """
        lowest = run.origin if origin is None else min(origin, run.origin)
        values = {
            "run": run.id,
            "to": state.value,
            "why": reason,
            "value": None if result is None else json.dumps(result),
            "time": to_micros(self._now),
            "lowest": int(lowest),
        }
        self._connection.execute(_end, values)
        settle(self._connection, self._now, run, state, reason, result, lowest)

    def requeue(self, run: Run, *, attempts: int) -> None:
        """Put a run back into the mailbox, to be taken up where it is; `attempts` that count against it."""
        values = {"state": RunState.QUEUED.value, "attempts": attempts}
        self._connection.execute(update(runs).where(runs.c.id == run.id).values(values))

    def park(self, run: Run, wake_time: datetime | None, reason: str = "") -> None:
        """The run waits from now on, at the longest until `wake_time`. What it did so far is no attempt.

        It has a `reason` if a budget is used up: then it goes on as well when there is more.
        """
        values = {
            "state": RunState.WAITING.value,
            "reason": reason,
            "attempts": 0,
            "wake_time": None if wake_time is None else to_micros(wake_time),
        }
        self._connection.execute(update(runs).where(runs.c.id == run.id).values(values))

    def child(self, parent: Run, call: int) -> Run | None:
        """The child that a call of the parent had made, if it had."""
        found = self._connection.execute(_child, {"parent": parent.id, "call": call}).scalar()
        return None if found is None else self.get(found)

    def below(self, run: Run) -> list[Run]:
        """The runs below a run, its children and theirs, that have not ended."""
        ended = [state.value for state in RunState if state.ended]
        members = select(_tree.c.id).where(_tree.c.id != run.id)
        statement = _joined.where(runs.c.id.in_(members), runs.c.state.not_in(ended)).order_by(runs.c.id)
        return self._runs(statement, {"runs": [run.id]})

    # -- reading ----------------------------------------------------------------------------------

    def get(self, run_id: int, *, agent: str | None = None) -> Run:
        """Raises NotFound, also for a run of another user or agent."""
        found = self._runs(_one, {"run": run_id, "user": self._user.id})
        if not found or agent not in (None, found[0].agent):
            raise _missing(run_id)
        return found[0]

    def state(self, run_id: int) -> RunState:
        """The state alone, for less than the whole costs. Raises NotFound."""
        found = self._connection.execute(_state, {"run": run_id, "user": self._user.id}).scalar()
        if found is None:
            raise _missing(run_id)
        return RunState(found)

    def page(
        self,
        *,
        agent: str | None = None,
        states: Sequence[RunState] = (),
        kind: str = "",
        children: bool = False,
        before: int | None = None,
        most: int = 100,
    ) -> list[Run]:
        """Runs, newest first, of one kind of event if it is given; `before` is where the last page ended."""
        statement = _joined.where(agents.c.user_id == self._user.id).order_by(runs.c.id.desc()).limit(most)
        if agent is not None:
            statement = statement.where(agents.c.name == agent)
        if states:
            statement = statement.where(runs.c.state.in_([state.value for state in states]))
        if kind:
            statement = statement.where(events.c.kind == kind)
        if not children:
            statement = statement.where(runs.c.parent_id.is_(None))
        if before is not None:
            statement = statement.where(runs.c.id < before)
        return self._runs(statement)

    def _runs(self, statement: Select[Any], given: Mapping[str, Any] = {}) -> list[Run]:
        rows = self._connection.execute(statement, given).all()
        ids = {"runs": [row.id for row in rows]}
        counts = {run: (steps, calls) for run, steps, calls in self._connection.execute(_counted, ids)}
        usage = {row[0]: _usage(row[1:]) for row in self._connection.execute(_used, ids)}
        return [_run(row, counts.get(row.id, (0, 0)), usage.get(row.id, Usage())) for row in rows]

    # -- what it cost -----------------------------------------------------------------------------

    def usage(
        self, group: str = "", *, since: datetime | None = None, until: datetime | None = None
    ) -> list[tuple[str, Usage]]:
        """Usage of the user's agents, in all or by agent, model, day, run (newest 1,000) or schedule."""
        keys: dict[str, Any] = {
            "": func.max(""),
            "agent": agents.c.name,
            "model": model_calls.c.model,
            "day": model_calls.c.day,
            "run": model_calls.c.run_id,
            "schedule": occurrences.c.schedule_id,
        }
        key = keys[group]
        statement = (
            select(key, func.max(agents.c.name), *_SUMS)
            .join(agents, model_calls.c.agent_id == agents.c.id)
            .where(agents.c.user_id == self._user.id)
            .order_by(key.desc())
            .limit(1000)
        )
        if group == "schedule":
            statement = statement.join(occurrences, occurrences.c.run_id == model_calls.c.root_id)
        if group:
            statement = statement.group_by(key)
        if since is not None:
            statement = statement.where(model_calls.c.time >= to_micros(since))
        if until is not None:
            statement = statement.where(model_calls.c.time < to_micros(until))
        rows = [row for row in self._connection.execute(statement) if row[2] is not None]
        return sorted((_label(group, row[0], row[1]), _usage(row[2:])) for row in rows)


def unfinished(connection: Connection) -> list[tuple[int, int]]:
    """(user id, run id) of every root run of all users that is at work or queued, oldest first."""
    ended = [state.value for state in RunState if state.ended]
    statement = (
        select(agents.c.user_id, runs.c.id)
        .join(agents, runs.c.agent_id == agents.c.id)
        .where(runs.c.state.not_in([*ended, RunState.WAITING.value]), runs.c.parent_id.is_(None))
        .order_by(runs.c.id)
    )
    return [(user_id, run_id) for user_id, run_id in connection.execute(statement)]


def parked(connection: Connection) -> list[int]:
    """The numbers of all runs that wait, children too, of all users."""
    return list(connection.execute(select(runs.c.id).where(runs.c.state == RunState.WAITING.value)).scalars())


def waking(connection: Connection, until: datetime) -> tuple[list[tuple[int, int]], datetime | None]:
    """(user id, run id) of the root runs that are to wake until then, and when the next one after that is."""
    waits = runs.c.state == RunState.WAITING.value
    limit = to_micros(until)
    due = (
        select(agents.c.user_id, runs.c.id)
        .join(agents, runs.c.agent_id == agents.c.id)
        .where(waits, runs.c.parent_id.is_(None), runs.c.wake_time <= limit)
        .order_by(runs.c.wake_time, runs.c.id)
    )
    after = select(func.min(runs.c.wake_time)).where(
        waits, runs.c.parent_id.is_(None), runs.c.wake_time > limit
    )
    next_time = connection.execute(after).scalar()
    found = [(user_id, run_id) for user_id, run_id in connection.execute(due)]
    return found, None if next_time is None else from_micros(next_time)


def answered(connection: Connection) -> list[tuple[int, int]]:
    """(user id, run id) of the root runs that wait although what a call of theirs waits for has come.

    That is an answer, of a person or another agent, or the result of a channel's function. It is kept in one
    transaction, and the run woken in another: a crash between them leaves such a run.
    """
    found: set[tuple[int, int]] = set()
    asked = select(hive_calls).where(hive_calls.c.waits.is_(True)).subquery()
    opens = ((questions, QuestionState.OPEN), (channel_calls, CallState.OPEN), (asked, CallState.OPEN))
    for table, still in opens:
        told = select(journal.c.seq).where(
            journal.c.run_id == table.c.run_id,
            # An approval is kept under the negative number of the call that needs it.
            journal.c.call == func.abs(table.c.call),
            journal.c.kind == EntryKind.SETTLED.value,
        )
        statement = (
            select(agents.c.user_id, runs.c.id)
            .join(agents, runs.c.agent_id == agents.c.id)
            .join(table, table.c.root_id == runs.c.id)
            .where(runs.c.state == RunState.WAITING.value, table.c.state != still.value, ~told.exists())
        )
        found.update((user_id, run_id) for user_id, run_id in connection.execute(statement))
    return sorted(found, key=lambda each: each[1])


def held_up(connection: Connection) -> list[tuple[int, int, int]]:
    """(user id, agent id, run id) of the root runs that wait because a budget is used up, oldest first."""
    statement = (
        select(agents.c.user_id, runs.c.agent_id, runs.c.id)
        .join(agents, runs.c.agent_id == agents.c.id)
        .where(runs.c.state == RunState.WAITING.value, runs.c.parent_id.is_(None), runs.c.reason != "")
        .order_by(runs.c.id)
    )
    return [(user_id, agent_id, run_id) for user_id, agent_id, run_id in connection.execute(statement)]


def _missing(run_id: int) -> NotFound:
    return NotFound(f"there is no run {run_id}", field="name", remedy="List the runs that exist.")


def _usage(sums: Sequence[Any]) -> Usage:
    return Usage(
        input_tokens=sums[0],
        output_tokens=sums[1],
        cached_tokens=sums[2],
        model_calls=sums[3],
        estimated=bool(sums[4]),
        cost=sums[5],
        unpriced=sums[6],
    )


def _label(group: str, key: Any, agent: str) -> str:
    match group:
        case "agent":
            return f"agents/{key}"
        case "run":
            return f"agents/{agent}/runs/{key}"
        case "schedule":
            return f"agents/{agent}/schedules/{key}"
    return str(key)


def _run(row: Any, counts: tuple[int, int], usage: Usage) -> Run:
    event = Event(
        id=row.woke_id,
        kind=row.woke_kind,
        channel=row.woke_channel,
        sender=row.woke_sender,
        text=row.woke_text,
        time=from_micros(row.woke_time),
        message=row.woke_message_id,
        attachments=json.loads(row.woke_attachments),
    )
    return Run(
        id=row.id,
        agent=row.agent_name,
        state=RunState(row.state),
        reason=row.reason,
        event=event,
        parent=row.parent_id,
        root=row.root_id or row.id,
        depth=row.depth,
        limits=RunLimits(**json.loads(row.limits)),
        seed=row.seed,
        attempts=row.attempts,
        origin=Origin(row.origin),
        create_time=from_micros(row.create_time),
        start_time=None if row.start_time is None else from_micros(row.start_time),
        end_time=None if row.end_time is None else from_micros(row.end_time),
        result=None if row.result is None else json.loads(row.result),
        steps=counts[0],
        calls=counts[1],
        usage=usage,
    )
