"""Schedules as messages of the contract, and what a request says about one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

from google.protobuf.duration_pb2 import Duration

from rlmd.errors import InvalidInput
from rlmd.memory.records import Fate, Missed, Occurrence, Schedule, ScheduleState
from rlmd.proto.rlmd.v1 import schedules_pb2 as pb

from .names import run_name, schedule_name
from .values import time_from, time_to, unknown

_STATES = {
    ScheduleState.ACTIVE: pb.SCHEDULE_STATE_ACTIVE,
    ScheduleState.PAUSED: pb.SCHEDULE_STATE_PAUSED,
    ScheduleState.ENDED: pb.SCHEDULE_STATE_ENDED,
    ScheduleState.BROKEN: pb.SCHEDULE_STATE_BROKEN,
    ScheduleState.DELETED: pb.SCHEDULE_STATE_DELETED,
}
_POLICIES = {
    Missed.SKIP: pb.MISSED_POLICY_SKIP,
    Missed.ONCE: pb.MISSED_POLICY_ONCE,
    Missed.ALL: pb.MISSED_POLICY_ALL,
}
_FATES = {
    Fate.PENDING: pb.FATE_PENDING,
    Fate.RAN: pb.FATE_RAN,
    Fate.LATE: pb.FATE_LATE,
    Fate.CAUGHT_UP: pb.FATE_CAUGHT_UP,
    Fate.SKIPPED: pb.FATE_SKIPPED,
    Fate.MISSED: pb.FATE_MISSED,
    Fate.FAILED: pb.FATE_FAILED,
}
_MISSED = {number: policy for policy, number in _POLICIES.items()}
_GRACE = timedelta(minutes=10)


def schedule(record: Schedule) -> pb.Schedule:
    return pb.Schedule(
        name=schedule_name(record.agent, record.id),
        label=record.name,
        when=_when(record),
        kind=record.kind,
        spec=record.spec,
        timezone=record.timezone,
        text=record.text,
        channel=record.channel,
        condition=record.condition,
        start_time=time_to(record.start_time),
        end_time=time_to(record.end_time),
        jitter=_length_to(record.jitter),
        missed=_POLICIES[record.missed],
        most=record.most,
        grace=_length_to(record.grace),
        state=_STATES[record.state],
        reason=record.reason,
        due_time=time_to(record.due_time),
        next_time=time_to(record.next_time),
        run=run_name(record.agent, record.author.run),
        create_time=time_to(record.create_time),
        update_time=time_to(record.update_time),
    )


def _when(record: Schedule) -> str:
    """As `CreateSchedule` understands it."""
    match record.kind:
        case "every":
            return f"every {record.spec}"
        case "change":
            return f"when {record.spec} changes"
    return record.spec


def occurrence(record: Occurrence) -> pb.Occurrence:
    return pb.Occurrence(
        name=f"{schedule_name(record.agent, record.schedule)}/occurrences/{record.id}",
        due_time=time_to(record.due_time),
        fate=_FATES[record.fate],
        reason=record.reason,
        run=run_name(record.agent, record.run),
        create_time=time_to(record.create_time),
        end_time=time_to(record.end_time),
    )


def given(message: pb.Schedule, paths: Iterable[str]) -> dict[str, Any]:
    """What a request says about these fields, as a draft has it. Raises InvalidInput."""
    fields: dict[str, Any] = {}
    for path in paths:
        fields["name" if path == "label" else path] = FIELDS[path](message)
    return fields


def _missed(message: pb.Schedule) -> Missed:
    if message.missed == pb.MISSED_POLICY_UNSPECIFIED:
        return Missed.ONCE
    policy = _MISSED.get(message.missed)
    if policy is None:
        raise unknown(message.missed, "missed", pb.MissedPolicy.keys()[1:])
    return policy


def _length(message: pb.Schedule, field: str, default: timedelta) -> timedelta:
    if not message.HasField(field):  # type: ignore[arg-type]
        return default
    length: Duration = getattr(message, field)
    try:
        return timedelta(seconds=length.seconds, microseconds=length.nanos // 1000)
    except OverflowError:
        raise InvalidInput(
            f"{length.seconds} s are too long", field=field, remedy="Give 366 days at most."
        ) from None


def _length_to(length: timedelta) -> Duration:
    made = Duration()
    made.FromTimedelta(length)
    return made


FIELDS: dict[str, Callable[[pb.Schedule], Any]] = {
    "label": lambda message: message.label,
    "timezone": lambda message: message.timezone,
    "text": lambda message: message.text,
    "channel": lambda message: message.channel or "chat",
    "condition": lambda message: message.condition,
    "start_time": lambda message: time_from(message, "start_time"),
    "end_time": lambda message: time_from(message, "end_time"),
    "jitter": lambda message: _length(message, "jitter", timedelta()),
    "missed": _missed,
    "most": lambda message: message.most or 1,
    "grace": lambda message: _length(message, "grace", _GRACE),
}
"""The fields that can be given, each with what a request says about it."""
