"""Schedules, and what became of each instant at which one was due.

A schedule knows the next instant at which it is due; that is all the state that it has. When the instant has
come, its occurrence, the run that is made for it and the next instant commit together, and no occurrence
can be twice: so each happens once, whatever crashes, and whoever looks how often.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Select, bindparam, insert, select, update

from rlmd.errors import AlreadyExists, InvalidInput, NotFound, PreconditionFailed

from .catching_up import Planned, rule_of
from .clock import from_micros, to_micros
from .instants import MICRO, Rule, checked, jittered
from .names import check_channel, check_id, check_text, short
from .records import (
    Agent,
    Author,
    Fate,
    Missed,
    Occurrence,
    Origin,
    Run,
    RunState,
    Schedule,
    ScheduleState,
    User,
)
from .tables import agents, occurrences, runs, schedules, variables, versions

MAX_TEXT = 20_000
MAX_CAUGHT_UP = 100
LONGEST = timedelta(days=366)
"""Of a jitter or a grace."""
OVER = [state.value for state in ScheduleState if state.over]

_mine: Select[Any] = select(schedules, agents.c.name.label("agent_name")).join(
    agents, schedules.c.agent_id == agents.c.id
)
_one = _mine.where(schedules.c.id == bindparam("schedule"), agents.c.user_id == bindparam("user"))
_made: Select[Any] = (
    select(occurrences, agents.c.name.label("agent_name"))
    .join(schedules, occurrences.c.schedule_id == schedules.c.id)
    .join(agents, schedules.c.agent_id == agents.c.id)
)
_at_work = (
    select(runs.c.id)
    .join(occurrences, occurrences.c.run_id == runs.c.id)
    .where(
        occurrences.c.schedule_id == bindparam("schedule"),
        occurrences.c.end_time.is_(None),
        runs.c.state.in_([RunState.QUEUED.value, RunState.RUNNING.value]),
    )
    .limit(1)
)
_at = select(occurrences.c.id).where(
    occurrences.c.schedule_id == bindparam("schedule"), occurrences.c.due_time == bindparam("due")
)
_add_occurrence = insert(occurrences)
_ended = (
    update(occurrences)
    .where(occurrences.c.run_id == bindparam("run"), occurrences.c.end_time.is_(None))
    .values(fate=bindparam("to"), reason=bindparam("why"), end_time=bindparam("time"))
)
_of_run = select(occurrences.c.timing, occurrences.c.reason).where(
    occurrences.c.run_id == bindparam("run"), occurrences.c.end_time.is_(None)
)


@dataclass(frozen=True, kw_only=True)
class Draft:
    """What a schedule is to be: what people and programs say about it."""

    kind: str
    spec: str
    text: str
    timezone: str = "UTC"
    name: str = ""
    channel: str = "chat"
    condition: str = ""
    start_time: datetime | None = None
    end_time: datetime | None = None
    jitter: timedelta = timedelta()
    missed: Missed = Missed.ONCE
    most: int = 1
    grace: timedelta = timedelta(minutes=10)

    def rule(self, anchor: datetime) -> Rule:
        """Raises InvalidInput: it can never be due, and why."""
        spec = checked(self.kind, self.spec, self.timezone)
        if self.start_time is not None and self.end_time is not None and self.end_time < self.start_time:
            raise InvalidInput(
                f"it would end at {self.end_time.isoformat()}, before it starts",
                field="end_time",
                remedy="Give an end after the start.",
            )
        return Rule(
            kind=self.kind,
            spec=spec,
            zone=self.timezone,
            # An interval that is to start at a time is due at that time, too.
            anchor=anchor if self.start_time is None else self.start_time,
            start=self.start_time,
            end=self.end_time,
        )

    def checked(self) -> Draft:
        """Raises InvalidInput: a text, name, channel or length that cannot be."""
        if self.name:
            check_id(self.name, "name")
        check_channel(self.channel)
        check_text(self.text, "text", limit=MAX_TEXT)
        if not self.text.strip():
            raise InvalidInput("there is no text", field="text", remedy="Say what is to be done.")
        _check_condition(self.condition)
        for field, length in (("jitter", self.jitter), ("grace", self.grace)):
            if not timedelta() <= length <= LONGEST:
                raise InvalidInput(
                    f"{length} is not between 0 and a year", field=field, remedy="Give another."
                )
        if not 1 <= self.most <= MAX_CAUGHT_UP:
            raise InvalidInput(
                f"{self.most} is not between 1 and {MAX_CAUGHT_UP}",
                field="most",
                remedy="Say how many are caught up on at most.",
            )
        return self


@dataclass(frozen=True, kw_only=True)
class Changed:
    """Variables that have new versions."""

    names: Sequence[str]
    time: datetime
    """When the last of them was written."""


class Schedules:
    """The schedules of one user's agents, over one connection."""

    def __init__(self, connection: Connection, now: datetime, user: User) -> None:
        self._connection = connection
        self._now = now
        self._user = user

    # -- making and changing ----------------------------------------------------------------------

    def create(self, agent: Agent, draft: Draft, *, author: Author, origin: Origin) -> Schedule:
        """A schedule that is active.

        Raises:
            InvalidInput: something about it cannot be, or it would never be due.
            AlreadyExists: the agent has one of this name.
        """
        rule = draft.checked().rule(self._now)
        due = _first(rule, self._now)
        self._check_name(agent.id, draft.name)
        now = to_micros(self._now)
        row = {
            **_row(draft, rule),
            "agent_id": agent.id,
            "state": ScheduleState.ACTIVE.value,
            "reason": "",
            "author_user": author.user,
            "author_run": author.run,
            "author_call": author.call,
            "origin": int(origin),
            "create_time": now,
            "update_time": now,
        }
        added = self._connection.execute(insert(schedules).returning(schedules.c.id), row).scalar_one()
        self._connection.execute(_change(added), self._dues(added, draft.jitter, due))
        return self.get(added)

    def edit(self, schedule: Schedule, changes: Mapping[str, Any]) -> Schedule:
        """Change fields of its draft; what is due next is reckoned anew if its rule changes.

        Raises:
            InvalidInput: something about it cannot be, or it would never be due.
            AlreadyExists: the agent has one of this name.
            PreconditionFailed: it is deleted.
        """
        self._check_there(schedule)
        old = _draft(schedule)
        draft = replace(old, **changes).checked()
        timed = (draft.kind, draft.spec, draft.timezone, draft.start_time, draft.end_time)
        same = timed == (old.kind, old.spec, old.timezone, old.start_time, old.end_time)
        rule = draft.rule(schedule.anchor if (draft.kind, draft.spec) == (old.kind, old.spec) else self._now)
        if draft.name != schedule.name:
            self._check_name(self._agent_id(schedule), draft.name)
        values = {**_row(draft, rule), "update_time": to_micros(self._now)}
        if not same:
            paused = schedule.state is ScheduleState.PAUSED
            due = _first(rule, self._now)
            values |= {"state": ScheduleState.ACTIVE.value, "reason": ""} if not paused else {}
            values |= self._dues(schedule.id, draft.jitter, None if paused else due)
        elif schedule.due_time is not None:
            values |= self._dues(schedule.id, draft.jitter, schedule.due_time)
        self._connection.execute(_change(schedule.id), values)
        return self.get(schedule.id)

    def pause(self, schedule: Schedule) -> Schedule:
        """Nothing is due until it is resumed. No effect on one that is over or paused."""
        self._check_there(schedule)
        if schedule.state is not ScheduleState.ACTIVE:
            return schedule
        return self._set(schedule, ScheduleState.PAUSED, None)

    def resume(self, schedule: Schedule) -> Schedule:
        """It is due again from now on; what was due meanwhile is not made up for.

        Raises:
            InvalidInput: it would never be due again.
        """
        self._check_there(schedule)
        if schedule.state is ScheduleState.ACTIVE:
            return schedule
        resumed = self._set(schedule, ScheduleState.ACTIVE, _first(rule_of(schedule), self._now))
        if schedule.kind == "change":
            self._connection.execute(_change(schedule.id), {"anchor": to_micros(self._now)})
        return resumed

    def delete(self, schedule: Schedule) -> Schedule:
        """Nothing is due any more. What became of it stays to be seen."""
        return self._set(schedule, ScheduleState.DELETED, None)

    def set_aside(self, schedule: Schedule, reason: str) -> Schedule:
        """It failed by itself; it must not hold up others, and waits until somebody looks at it."""
        return self._set(schedule, ScheduleState.BROKEN, None, reason=reason)

    # -- what is due ------------------------------------------------------------------------------

    def advance(self, schedule: Schedule, following: datetime | None) -> datetime | None:
        """What was due is dealt with, and `following` is due next; gives when that fires."""
        if following is None:
            self._set(schedule, ScheduleState.ENDED, None)
            return None
        self._connection.execute(_change(schedule.id), self._dues(schedule.id, schedule.jitter, following))
        return jittered(schedule.id, following, schedule.jitter)

    def judged(self, schedule: Schedule, truth: bool) -> None:
        """What its condition is now."""
        self._connection.execute(_change(schedule.id), {"truth": truth})

    def changes(self, schedule: Schedule) -> Changed | None:
        """What a schedule waits for and has changed, but not by its own runs; None if nothing has."""
        own = select(occurrences.c.run_id).where(
            occurrences.c.schedule_id == schedule.id, occurrences.c.run_id.is_not(None)
        )
        of_whom = versions.c.author_run.is_(None) | versions.c.author_run.not_in(own)
        # A clock that was set back must not keep what comes now from being new.
        seen = min(schedule.anchor, self._now - timedelta(seconds=1))
        statement = (
            select(variables.c.name, versions.c.write_time)
            .join(agents, agents.c.space_id == variables.c.space_id)
            .join(
                versions, (versions.c.variable_id == variables.c.id) & (versions.c.number == variables.c.head)
            )
            .where(
                agents.c.id == self._agent_id(schedule),
                variables.c.name >= schedule.spec,
                variables.c.name < schedule.spec + chr(0x10FFFF),
                versions.c.write_time > to_micros(seen),
                of_whom,
            )
            .order_by(versions.c.write_time)
        )
        found = [(row.name, row.write_time) for row in self._connection.execute(statement)]
        if not found:
            return None
        return Changed(names=[name for name, _ in found], time=from_micros(found[-1][1]))

    def seen(self, schedule: Schedule, changed: Changed) -> None:
        """These changes are dealt with."""
        self._connection.execute(_change(schedule.id), {"anchor": to_micros(changed.time)})

    def busy(self, schedule: Schedule) -> str:
        """Why it cannot run now: what was made for an earlier instant is at work. Else empty."""
        run = self._connection.execute(_at_work, {"schedule": schedule.id}).scalar()
        return "" if run is None else f"run {run}, made for the one before, was still at work"

    def record(self, schedule: Schedule, planned: Planned, run: Run | None) -> None:
        """Write down what is to become of a due instant."""
        now = to_micros(self._now)
        row = {
            "schedule_id": schedule.id,
            "due_time": to_micros(planned.due),
            "run_id": None if run is None else run.id,
            "fate": planned.fate.value if run is None else Fate.PENDING.value,
            "timing": planned.fate.value,
            "reason": planned.reason,
            "create_time": now,
            "end_time": now if run is None else None,
        }
        self._connection.execute(_add_occurrence, row)

    def by_hand(self, schedule: Schedule, run: Run) -> None:
        """Somebody had it run now. Raises PreconditionFailed: it is deleted."""
        self._check_there(schedule)
        when = self._now
        while self._connection.execute(_at, {"schedule": schedule.id, "due": to_micros(when)}).first():
            when += MICRO  # It is due at this very moment.
        planned = Planned(due=when, fate=Fate.RAN, runs=True, reason="by hand")
        self.record(schedule, planned, run)

    def ended(self, run: Run, state: RunState, reason: str) -> None:
        """The run that was made for an instant is over: with that, its fate is known."""
        row = self._connection.execute(_of_run, {"run": run.id}).first()
        if row is None:
            return
        well = state is RunState.DONE
        given = {
            "run": run.id,
            "to": row.timing if well else Fate.FAILED.value,
            "why": row.reason if well else reason,
            "time": to_micros(self._now),
        }
        self._connection.execute(_ended, given)

    # -- reading ----------------------------------------------------------------------------------

    def get(self, schedule_id: int, *, agent: str | None = None) -> Schedule:
        """Raises NotFound, also for a schedule of another user or agent."""
        row = self._connection.execute(_one, {"schedule": schedule_id, "user": self._user.id}).first()
        if row is None or agent not in (None, row.agent_name):
            raise _missing(str(schedule_id))
        return _schedule(row)

    def find(self, label: str, *, agent: str | None = None) -> Schedule:
        """By number, or by name: the one that is not over, or else the latest. Raises NotFound."""
        if label.isascii() and label.isdecimal() and len(label) <= 18:
            return self.get(int(label), agent=agent)
        statement = (
            _mine.where(agents.c.user_id == self._user.id, schedules.c.name == label, schedules.c.name != "")
            .order_by(schedules.c.state.in_(OVER), schedules.c.id.desc())
            .limit(1)
        )
        if agent is not None:
            statement = statement.where(agents.c.name == agent)
        row = self._connection.execute(statement).first()
        if row is None:
            raise _missing(short(label))
        return _schedule(row)

    def page(
        self,
        *,
        agent: str | None = None,
        over: bool = False,
        before: int | None = None,
        most: int = 100,
    ) -> list[Schedule]:
        """Schedules, newest first, those that are over only if asked for; `before` ends the last page."""
        statement = _mine.where(agents.c.user_id == self._user.id).order_by(schedules.c.id.desc()).limit(most)
        if agent is not None:
            statement = statement.where(agents.c.name == agent)
        if not over:
            statement = statement.where(schedules.c.state.not_in(OVER))
        if before is not None:
            statement = statement.where(schedules.c.id < before)
        return [_schedule(row) for row in self._connection.execute(statement)]

    def occurrences(
        self,
        *,
        agent: str | None = None,
        schedule: int | None = None,
        run_ids: Sequence[int] | None = None,
        before: int | None = None,
        most: int = 100,
    ) -> list[Occurrence]:
        """What was due, newest first; `before` is the id at which the last page ended."""
        statement = (
            _made.where(agents.c.user_id == self._user.id).order_by(occurrences.c.id.desc()).limit(most)
        )
        if agent is not None:
            statement = statement.where(agents.c.name == agent)
        if schedule is not None:
            statement = statement.where(occurrences.c.schedule_id == schedule)
        if run_ids is not None:
            statement = statement.where(occurrences.c.run_id.in_(run_ids))
        if before is not None:
            statement = statement.where(occurrences.c.id < before)
        return [_occurrence(row) for row in self._connection.execute(statement)]

    # -- within -----------------------------------------------------------------------------------

    def _set(
        self, schedule: Schedule, state: ScheduleState, due: datetime | None, *, reason: str = ""
    ) -> Schedule:
        values = {
            "state": state.value,
            "reason": reason,
            "update_time": to_micros(self._now),
            **self._dues(schedule.id, schedule.jitter, due),
        }
        self._connection.execute(_change(schedule.id), values)
        return self.get(schedule.id)

    def _dues(self, schedule_id: int, jitter: timedelta, due: datetime | None) -> dict[str, int | None]:
        if due is None:
            return {"due_time": None, "next_time": None}
        return {
            "due_time": to_micros(due),
            "next_time": to_micros(jittered(schedule_id, due, jitter)),
        }

    def _agent_id(self, schedule: Schedule) -> int:
        statement = select(schedules.c.agent_id).where(schedules.c.id == schedule.id)
        found: int = self._connection.execute(statement).scalar_one()
        return found

    def _check_name(self, agent_id: int, name: str) -> None:
        if not name:
            return
        statement = select(schedules.c.id).where(
            schedules.c.agent_id == agent_id, schedules.c.name == name, schedules.c.state.not_in(OVER)
        )
        if self._connection.execute(statement).first() is not None:
            raise AlreadyExists(
                f"there is a schedule {short(name)} already",
                field="name",
                remedy="Choose another name, edit that one, or delete it.",
            )

    def _check_there(self, schedule: Schedule) -> None:
        if schedule.state is ScheduleState.DELETED:
            raise PreconditionFailed(
                f"schedule {schedule.label} is deleted", field="name", remedy="Make a new one."
            )


def due(connection: Connection, now: datetime, most: int) -> list[tuple[int, int]]:
    """(user id, schedule id) of what fires by now, of all users, the longest due first."""
    statement = (
        select(agents.c.user_id, schedules.c.id)
        .join(agents, schedules.c.agent_id == agents.c.id)
        .where(schedules.c.next_time <= to_micros(now))
        .order_by(schedules.c.next_time, schedules.c.id)
        .limit(most)
    )
    return [(user_id, schedule_id) for user_id, schedule_id in connection.execute(statement)]


def waiting(connection: Connection) -> list[tuple[int, int]]:
    """(user id, schedule id) of what waits for changes, of all users."""
    statement = (
        select(agents.c.user_id, schedules.c.id)
        .join(agents, schedules.c.agent_id == agents.c.id)
        .where(schedules.c.kind == "change", schedules.c.state == ScheduleState.ACTIVE.value)
    )
    return [(user_id, schedule_id) for user_id, schedule_id in connection.execute(statement)]


def times(connection: Connection, until: datetime) -> dict[int, datetime]:
    """When each schedule of all users fires next, of those that do until then."""
    statement = select(schedules.c.id, schedules.c.next_time).where(schedules.c.next_time <= to_micros(until))
    return {schedule_id: from_micros(time) for schedule_id, time in connection.execute(statement)}


def _check_condition(code: str) -> None:
    """Raises InvalidInput: it is no Python, or does not end in an expression."""
    check_text(code, "condition", limit=MAX_TEXT)
    if not code.strip():
        return
    try:
        body = ast.parse(code).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise InvalidInput(f"it is no Python: {error}", field="condition", remedy="Correct it.") from None
    if not body or not isinstance(body[-1], ast.Expr):
        raise InvalidInput(
            "its last line has no value", field="condition", remedy="End it in an expression: true or false."
        )


def _change(schedule_id: int) -> Any:
    return update(schedules).where(schedules.c.id == schedule_id)


def _first(rule: Rule, now: datetime) -> datetime | None:
    """When it is due first; None if no time makes it due. Raises InvalidInput: never."""
    if rule.kind == "change":
        return None
    due = rule.after(now)
    if due is None:
        what = f"{rule.spec} is past" if rule.kind == "at" else f"{short(rule.spec)} would never be due"
        until = "" if rule.end is None else f" until {rule.end.isoformat(timespec='seconds')}"
        raise InvalidInput(
            what + until,
            field=rule.kind,
            remedy=f"It is now {now.isoformat(timespec='seconds')}. Give a time that is to come.",
        )
    return due


def _row(draft: Draft, rule: Rule) -> dict[str, Any]:
    return {
        "name": draft.name,
        "kind": rule.kind,
        "spec": rule.spec,
        "timezone": rule.zone,
        "anchor": to_micros(rule.anchor),
        "start_time": None if draft.start_time is None else to_micros(draft.start_time),
        "end_time": None if draft.end_time is None else to_micros(draft.end_time),
        "jitter": draft.jitter // MICRO,
        "text": draft.text,
        "channel": draft.channel,
        "condition": draft.condition,
        "missed": Missed(draft.missed).value,
        "most": draft.most,
        "grace": draft.grace // MICRO,
    }


def _draft(schedule: Schedule) -> Draft:
    return Draft(
        kind=schedule.kind,
        spec=schedule.spec,
        text=schedule.text,
        timezone=schedule.timezone,
        name=schedule.name,
        channel=schedule.channel,
        condition=schedule.condition,
        start_time=schedule.start_time,
        end_time=schedule.end_time,
        jitter=schedule.jitter,
        missed=schedule.missed,
        most=schedule.most,
        grace=schedule.grace,
    )


def _missing(label: str) -> NotFound:
    return NotFound(f"there is no schedule {label}", field="name", remedy="List the schedules that exist.")


def _time(micros: int | None) -> datetime | None:
    return None if micros is None else from_micros(micros)


def _schedule(row: Any) -> Schedule:
    return Schedule(
        id=row.id,
        agent=row.agent_name,
        name=row.name,
        kind=row.kind,
        spec=row.spec,
        timezone=row.timezone,
        anchor=from_micros(row.anchor),
        start_time=_time(row.start_time),
        end_time=_time(row.end_time),
        jitter=row.jitter * MICRO,
        text=row.text,
        channel=row.channel,
        condition=row.condition,
        truth=bool(row.truth),
        missed=Missed(row.missed),
        most=row.most,
        grace=row.grace * MICRO,
        state=ScheduleState(row.state),
        reason=row.reason,
        due_time=_time(row.due_time),
        next_time=_time(row.next_time),
        author=Author(
            user=row.author_user,
            agent=row.agent_name if row.author_run is not None else "",
            run=row.author_run,
            call=row.author_call,
        ),
        origin=Origin(row.origin),
        create_time=from_micros(row.create_time),
        update_time=from_micros(row.update_time),
    )


def _occurrence(row: Any) -> Occurrence:
    return Occurrence(
        id=row.id,
        schedule=row.schedule_id,
        agent=row.agent_name,
        due_time=from_micros(row.due_time),
        run=row.run_id,
        fate=Fate(row.fate),
        reason=row.reason,
        create_time=from_micros(row.create_time),
        end_time=_time(row.end_time),
    )
