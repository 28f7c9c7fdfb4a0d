"""The calls of `schedule`: what each does, what the program gets, what the journal keeps.

A schedule and the row of the call that made it commit together, so that a program that is fed again after a
crash has made it once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from rlmd.daemon.repl.api import Call
from rlmd.daemon.schedules import phrases
from rlmd.errors import InvalidInput
from rlmd.memory.names import short
from rlmd.memory.records import Author, Missed, Origin, Run, Schedule
from rlmd.memory.schedules import Draft
from rlmd.memory.store import Store, Transaction

from .calls import Answer, Place, kept, moment, shown_schedule
from .desk import DEFAULT_CHANNEL
from .equipment import Equipment
from .scribe import Row, Scribe


@dataclass(frozen=True, kw_only=True)
class Planner:
    """Who plans, and how times are meant that do not say it."""

    place: Place
    now: datetime
    zone: str
    """Name of the owner's time zone."""
    channel: str
    """Where the outcome is told by itself: where the run was spoken to."""
    author: Author
    origin: Origin


Plan = Callable[[Transaction], Schedule]
"""What a call does to the schedules, once its words are understood, which may take long."""


def _after(planner: Planner, delay: Any, text: str, **more: Any) -> Plan:
    return _make(planner, "at", (planner.now + phrases.length(delay)).isoformat(), text, **more)


def _at(planner: Planner, when: str, text: str, *, timezone: str | None = None, **more: Any) -> Plan:
    zone = timezone or planner.zone
    spec = phrases.moment(when, planner.now, zone).isoformat()
    return _make(planner, "at", spec, text, timezone=zone, **more)


def _every(planner: Planner, interval: Any, text: str, **more: Any) -> Plan:
    if isinstance(interval, str) and not phrases.is_length(interval):
        found = phrases.understand(f"every {interval}", planner.now, planner.zone)
        return _make(planner, found.kind, found.spec, text, **more)
    return _make(planner, "every", phrases.interval(interval), text, **more)


def _cron(planner: Planner, line: str, text: str, **more: Any) -> Plan:
    return _make(planner, "cron", line, text, **more)


def _watch(planner: Planner, condition: str, text: str, *, every: Any = 60, **more: Any) -> Plan:
    if not condition.strip():
        raise InvalidInput("there is no condition", field="condition", remedy="Give an expression as a text.")
    return _make(planner, "every", phrases.interval(every), text, condition=condition, **more)


def _changes(planner: Planner, names: str, text: str, **more: Any) -> Plan:
    return _make(planner, "change", names.rstrip("*"), text, **more)


def _make(
    planner: Planner,
    kind: str,
    spec: str,
    text: str,
    *,
    name: str | None = None,
    channel: str | None = None,
    condition: str = "",
    timezone: str | None = None,
    start: str | None = None,
    end: str | None = None,
    jitter: Any = None,
    missed: str | int | None = None,
) -> Plan:
    zone = planner.place.zone
    policy, most = _policy(missed)
    draft = Draft(
        kind=kind,
        spec=spec,
        text=text,
        timezone=timezone or planner.zone,
        name=name or "",
        channel=channel or planner.channel,
        condition=condition,
        start_time=None if start is None else moment(start, zone, "start"),
        end_time=None if end is None else moment(end, zone, "end"),
        jitter=timedelta() if jitter is None else phrases.length(jitter),
        missed=policy,
        most=most,
    )
    return lambda tx: tx.schedules.create(
        tx.agents.get(planner.place.agent), draft, author=planner.author, origin=planner.origin
    )


def _policy(given: str | int | None) -> tuple[Missed, int]:
    if given is None:
        return Missed.ONCE, 1
    if isinstance(given, int):
        return Missed.ALL, given
    if given in (Missed.SKIP, Missed.ONCE):
        return Missed(given), 1
    raise InvalidInput(
        f"{short(given)} is no way with what was missed",
        field="missed",
        remedy='Give "skip", "once", or how many are caught up on at most.',
    )


def _cancel(planner: Planner, name: str | int) -> Plan:
    return lambda tx: tx.schedules.delete(_find(tx, planner, name))


def _pause(planner: Planner, name: str | int) -> Plan:
    return lambda tx: tx.schedules.pause(_find(tx, planner, name))


def _resume(planner: Planner, name: str | int) -> Plan:
    return lambda tx: tx.schedules.resume(_find(tx, planner, name))


def _find(tx: Transaction, planner: Planner, name: str | int) -> Schedule:
    return tx.schedules.find(str(name), agent=planner.place.agent)


PLANS: Mapping[str, Callable[..., Plan]] = {
    "schedule.after": _after,
    "schedule.at": _at,
    "schedule.every": _every,
    "schedule.cron": _cron,
    "schedule.watch": _watch,
    "memory.watch": _changes,
    "schedule.cancel": _cancel,
    "schedule.pause": _pause,
    "schedule.resume": _resume,
}


async def carry_out(
    planner: Planner, call: Call, scribe: Scribe, row: Callable[[Answer], Row]
) -> tuple[Schedule, Answer]:
    """Do a call: the schedule, and the row that `row` gives for its answer, commit together.

    Raises:
        InvalidInput: a time that is not understood, or another argument that cannot be.
        NotFound, AlreadyExists, PreconditionFailed: as memory's `Schedules` says.
    """
    plan = await asyncio.to_thread(PLANS[call.name], planner, *call.args, **call.kwargs)

    def work(tx: Transaction) -> tuple[tuple[Schedule, Answer], Row]:
        schedule = plan(tx)
        shown = shown_schedule(schedule, planner.place)
        answer = Answer(value=shown, kept=kept(shown))
        return (schedule, answer), row(answer)

    made = await scribe.commit(work)
    assert made is not None, "a plan gives a schedule"
    return made


def planner(
    equipment: Equipment, store: Store, run: Run, place: Place, author: Author, origin: Origin
) -> Planner:
    """Who plans, when a run does. What a child plans is told where its root was spoken to."""
    root = run if run.parent is None else store.read(lambda tx: tx.runs.get(run.root))
    return Planner(
        place=place,
        now=equipment.clock.now(),
        zone=equipment.settings.timezone,
        channel=root.event.channel or DEFAULT_CHANNEL,
        author=author,
        origin=min(Origin.AGENT, origin),
    )


def told(name: str, kept: Mapping[str, Any]) -> str:
    """What a call did, in a few words for the observation, from what the journal keeps of it."""
    what = f"schedule {kept['name']}"
    if name == "schedule.cancel":
        return f"{what} is cancelled"
    return f"{what} is paused" if kept["next"] is None else f"{what} -> {kept['next'][:16]}"
