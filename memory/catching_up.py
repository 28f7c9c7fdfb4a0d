"""What becomes of the instants of a schedule that are due: which runs, and which does not, and why.

Usually that is one instant, a moment ago. After a sleep of the machine, a jump of its clock or a time
without a daemon there may be thousands: the last is run if it is not later than the grace, and the
schedule's policy says what becomes of the others.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from .instants import Rule, jittered
from .records import Fate, Missed, Schedule

LATE = timedelta(seconds=30)
"""What fires later than this was late."""
ROWS = 1_000
"""Instants of which each has a row of its own, of those that are found due at once."""
HOP = 1_000
"""Instants that are counted before half of what is left is leapt over."""


@dataclass(frozen=True, kw_only=True)
class Planned:
    """What is to become of a due instant."""

    due: datetime
    fate: Fate
    """If all goes well, where it runs."""
    runs: bool
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Plan:
    instants: Sequence[Planned]
    """In order."""
    following: datetime | None
    """The next due instant."""


def plan(schedule: Schedule, now: datetime, *, busy: str = "") -> Plan:
    """What is to be done about a schedule that is due; `busy`: why it cannot run now, if it cannot."""
    assert schedule.due_time is not None, "it is due"
    rule = rule_of(schedule)
    due = _due(rule, schedule, now)
    last = due[-1]
    lateness = now - jittered(schedule.id, last, schedule.jitter)
    if lateness > schedule.grace:
        planned = _missed(schedule, due, now)
    else:
        planned = [*_missed(schedule, due[:-1], now, covered_by=last), _last(last, lateness, busy)]
    if due[0] != schedule.due_time:
        reason = f"missed with all that were due before {_time(due[0])}: too many to be told one by one"
        folded = Planned(due=schedule.due_time, fate=Fate.MISSED, runs=False, reason=reason)
        planned = [folded, *planned]
    return Plan(instants=planned, following=rule.after(last))


def rule_of(schedule: Schedule) -> Rule:
    return Rule(
        kind=schedule.kind,
        spec=schedule.spec,
        zone=schedule.timezone,
        anchor=schedule.anchor,
        start=schedule.start_time,
        end=schedule.end_time,
    )


def _due(rule: Rule, schedule: Schedule, now: datetime) -> list[datetime]:
    """The instants that are due now, in order: all of them, or of very many the last."""
    assert schedule.due_time is not None
    kept = deque([schedule.due_time], maxlen=ROWS)
    counted = 0
    while (due := _next(rule, schedule, kept[-1], now)) is not None:
        kept.append(due)
        counted += 1
        # Each second for a year would be counted until tomorrow.
        if counted % HOP == 0 and (leap := _next(rule, schedule, due + (now - due) / 2, now)) is not None:
            kept.clear()
            kept.append(leap)
    return list(kept)


def _next(rule: Rule, schedule: Schedule, moment: datetime, now: datetime) -> datetime | None:
    """The next instant after a moment, if it fires by now."""
    due = rule.after(moment)
    return due if due is not None and jittered(schedule.id, due, schedule.jitter) <= now else None


def _last(due: datetime, lateness: timedelta, busy: str) -> Planned:
    """What becomes of an instant that was seen in time."""
    if busy:
        return Planned(due=due, fate=Fate.SKIPPED, runs=False, reason=busy)
    if lateness > LATE:
        return Planned(due=due, fate=Fate.LATE, runs=True, reason=f"{_length(lateness)} late")
    return Planned(due=due, fate=Fate.RAN, runs=True)


def _missed(
    schedule: Schedule, due: Sequence[datetime], now: datetime, *, covered_by: datetime | None = None
) -> list[Planned]:
    """What becomes of instants that nobody saw in time."""
    if schedule.missed is Missed.SKIP:
        reason = f"seen only at {_time(now)}; its policy is to skip what was missed"
        return [Planned(due=each, fate=Fate.MISSED, runs=False, reason=reason) for each in due]
    most = schedule.most if schedule.missed is Missed.ALL else 1
    if schedule.missed is Missed.ONCE and covered_by is not None:
        most = 0
    cut = max(len(due) - most, 0)
    run, skipped = due[cut:], due[:cut]
    standing = run[0] if run else covered_by
    told = "" if standing is None else f"missed; the one due at {_time(standing)} stands for it"
    return [
        *(Planned(due=each, fate=Fate.SKIPPED, runs=False, reason=told) for each in skipped),
        *(
            Planned(due=each, fate=Fate.CAUGHT_UP, runs=True, reason=f"{_length(now - each)} late")
            for each in run
        ),
    ]


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")


def _length(length: timedelta) -> str:
    """Roughly, for people."""
    seconds = length.total_seconds()
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"
