"""Schedules: what wakes your agents at a time, and what became of it."""

from __future__ import annotations

from datetime import datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask

from rlmd.clients import decode
from rlmd.clients.check import check_bool, check_int, check_span, check_str
from rlmd.clients.records import Occurrence, Preview, Schedule
from rlmd.clients.values import to_time
from rlmd.errors import InvalidInput
from rlmd.proto.rlmd.v1 import schedules_pb2
from rlmd.proto.rlmd.v1.schedules_pb2_grpc import SchedulesStub

from .connection import Connection, request_id
from .questions import ANY_AGENT
from .runs import Run

GRACE = timedelta(minutes=10)
Occurrences = list[Occurrence]


class Schedules:
    """The schedules of your agents. Each is named by its number, or by the name that it was given."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._stub = SchedulesStub(connection.channel)

    async def add(
        self,
        when: str,
        text: str,
        *,
        agent: str = "main",
        name: str = "",
        timezone: str = "",
        channel: str = "chat",
        condition: str = "",
        start: datetime | str | None = None,
        end: datetime | str | None = None,
        jitter: timedelta | float = 0,
        missed: str | int = "once",
        grace: timedelta | float = GRACE,
    ) -> Schedule:
        """Have an agent woken at a time, or again and again.

        Args:
            when: `20m`, `tomorrow at 9`, `2026-12-24 18:00`, `every 2h`, `every weekday at 8:30`,
                or a crontab line such as `0 9 * * 1-5`.
            text: What the event says that wakes it.
            name: A name for people, of which the agent has no other schedule.
            timezone: In which `when` is meant, such as `Europe/Berlin`; empty means the daemon's.
            channel: On which the outcome is told.
            condition: Python that only reads and ends in an expression: it is looked at at each due instant,
                without a model, and the agent is woken only when it has become true.
            start: Nothing is due before; an interval is due at this time first.
            end: Nothing is due after.
            jitter: Each occurrence fires up to so many seconds later, by chance.
            missed: What becomes of due instants that were missed: `skip` lets them go, `once` runs the last,
                a number runs that many of them.
            grace: Seconds; what fires later than this is missed.

        Raises:
            InvalidInput: it is not understood, or would never be due; says what was understood.
            NotFound: there is no such agent.
            AlreadyExists: the name is taken.
        """
        policy, most = _policy(missed)
        schedule = schedules_pb2.Schedule(
            when=check_str(when, "when"),
            text=check_str(text, "text"),
            label=check_str(name, "name"),
            timezone=check_str(timezone, "timezone"),
            channel=check_str(channel, "channel"),
            condition=check_str(condition, "condition"),
            start_time=to_time(start, "start"),
            end_time=to_time(end, "end"),
            jitter=_duration(jitter, "jitter"),
            missed=policy,
            most=most,
            grace=_duration(grace, "grace"),
        )
        request = schedules_pb2.CreateScheduleRequest(
            parent=f"agents/{check_str(agent, 'agent')}", schedule=schedule, request_id=request_id()
        )
        return decode.schedule(await self._connection.call(self._stub.CreateSchedule, request))

    async def list(self, *, agent: str = "", ended: bool = False, n: int = 100) -> list[Schedule]:
        """Schedules, newest first; with `ended` also those that are over.

        Args:
            agent: Only of this agent; empty means of all.
            n: How many at most.

        Raises:
            NotFound: there is no such agent.
        """
        parent = f"agents/{check_str(agent, 'agent') or ANY_AGENT}"
        most = check_int(n, "n", 0)
        request = schedules_pb2.ListSchedulesRequest(
            parent=parent, show_ended=check_bool(ended, "ended"), page_size=min(most, 1000)
        )
        found: list[Schedule] = []
        if not most:
            return found
        async for message in self._connection.pages(self._stub.ListSchedules, request, "schedules"):
            found.append(decode.schedule(message))
            if len(found) == most:
                break
        return found

    async def get(self, id: str, *, agent: str = "") -> Schedule:
        """One schedule. Raises NotFound: there is none."""
        request = schedules_pb2.GetScheduleRequest(name=_name(id, agent))
        return decode.schedule(await self._connection.call(self._stub.GetSchedule, request))

    async def edit(
        self,
        id: str,
        *,
        agent: str = "",
        when: str | None = None,
        text: str | None = None,
        name: str | None = None,
        timezone: str | None = None,
        channel: str | None = None,
        condition: str | None = None,
        start: datetime | str | None = None,
        end: datetime | str | None = None,
        jitter: timedelta | float | None = None,
        missed: str | int | None = None,
        grace: timedelta | float | None = None,
    ) -> Schedule:
        """Change what is given, as in `add`. If that says when it is due, that is reckoned anew.

        Raises:
            NotFound: there is no such schedule.
            InvalidInput: it is not understood, or would never be due.
            AlreadyExists: the name is taken.
            PreconditionFailed: it is deleted.
        """
        policy, most = _policy("once" if missed is None else missed)
        schedule = schedules_pb2.Schedule(
            name=_name(id, agent),
            when=check_str(when or "", "when"),
            text=check_str(text or "", "text"),
            label=check_str(name or "", "name"),
            timezone=check_str(timezone or "", "timezone"),
            channel=check_str(channel or "", "channel"),
            condition=check_str(condition or "", "condition"),
            start_time=to_time(start, "start"),
            end_time=to_time(end, "end"),
            jitter=_duration(jitter or 0, "jitter"),
            missed=policy,
            most=most,
            grace=_duration(grace or 0, "grace"),
        )
        given = {
            "when": when,
            "text": text,
            "label": name,
            "timezone": timezone,
            "channel": channel,
            "condition": condition,
            "start_time": start,
            "end_time": end,
            "jitter": jitter,
            "missed": missed,
            "most": missed,
            "grace": grace,
        }
        mask = FieldMask(paths=[path for path, value in given.items() if value is not None])
        request = schedules_pb2.UpdateScheduleRequest(
            schedule=schedule, update_mask=mask, request_id=request_id()
        )
        return decode.schedule(await self._connection.call(self._stub.UpdateSchedule, request))

    async def pause(self, id: str, *, agent: str = "") -> Schedule:
        """Nothing is due until it is resumed. Raises NotFound, or PreconditionFailed: it is deleted."""
        request = schedules_pb2.PauseScheduleRequest(name=_name(id, agent))
        return decode.schedule(await self._connection.call(self._stub.PauseSchedule, request))

    async def resume(self, id: str, *, agent: str = "") -> Schedule:
        """It is due again from now on; what would have been due meanwhile is not made up for.

        Raises:
            NotFound: there is no such schedule.
            InvalidInput: it would never be due again.
            PreconditionFailed: it is deleted.
        """
        request = schedules_pb2.ResumeScheduleRequest(name=_name(id, agent))
        return decode.schedule(await self._connection.call(self._stub.ResumeSchedule, request))

    async def delete(self, id: str, *, agent: str = "") -> Schedule:
        """End it for good. What became of it stays to be seen. Raises NotFound: there is none."""
        request = schedules_pb2.DeleteScheduleRequest(name=_name(id, agent), request_id=request_id())
        return decode.schedule(await self._connection.call(self._stub.DeleteSchedule, request))

    async def run(self, id: str, *, agent: str = "") -> Run:
        """Have it run now, beside what it has due. Raises NotFound, or PreconditionFailed: it is deleted."""
        request = schedules_pb2.RunScheduleRequest(name=_name(id, agent), request_id=request_id())
        made = await self._connection.call(self._stub.RunSchedule, request)
        return Run(self._connection, made.run.split("/")[1], decode.last(made.run))

    async def preview(
        self,
        when: str,
        *,
        timezone: str = "",
        start: datetime | str | None = None,
        end: datetime | str | None = None,
        n: int = 10,
    ) -> Preview:
        """How a phrase is understood, and when that would be due. Makes nothing.

        Raises:
            InvalidInput: it is not understood; says what was.
        """
        schedule = schedules_pb2.Schedule(
            when=check_str(when, "when"),
            timezone=check_str(timezone, "timezone"),
            start_time=to_time(start, "start"),
            end_time=to_time(end, "end"),
        )
        request = schedules_pb2.PreviewScheduleRequest(schedule=schedule, count=check_int(n, "n", 1, 1000))
        return decode.preview(await self._connection.call(self._stub.PreviewSchedule, request))

    async def occurrences(self, id: str = "", *, agent: str = "", n: int = 100) -> Occurrences:
        """What was due, newest first, with what became of it: of one schedule, or of all.

        Args:
            agent: Only of this agent; empty means of all.
            n: How many at most.

        Raises:
            NotFound: there is no such agent or schedule.
        """
        most = check_int(n, "n", 0)
        request = schedules_pb2.ListOccurrencesRequest(
            parent=_name(check_str(id, "schedule") or ANY_AGENT, agent), page_size=min(most, 1000)
        )
        found: list[Occurrence] = []
        if not most:
            return found
        async for message in self._connection.pages(self._stub.ListOccurrences, request, "occurrences"):
            found.append(decode.occurrence(message))
            if len(found) == most:
                break
        return found


def _name(id: str, agent: str) -> str:
    return f"agents/{check_str(agent, 'agent') or ANY_AGENT}/schedules/{check_str(id, 'schedule')}"


def _policy(missed: str | int) -> tuple[schedules_pb2.MissedPolicy.ValueType, int]:
    if isinstance(missed, int) and not isinstance(missed, bool):
        return schedules_pb2.MISSED_POLICY_ALL, check_int(missed, "missed", 1, 100)
    if missed in ("skip", "once"):
        return decode.POLICIES[missed], 1
    raise InvalidInput(
        f"{missed!r} is no way with what was missed.", field="missed", remedy="Give skip, once or a number."
    )


def _duration(length: timedelta | float, field: str) -> Duration:
    made = Duration()
    made.FromTimedelta(check_span(length, field))
    return made
