"""The service Schedules."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import islice
from typing import Any

from rlmd.daemon.schedules import phrases
from rlmd.errors import InvalidInput
from rlmd.memory.names import check_page, short
from rlmd.memory.records import Author, Occurrence, Origin, Schedule
from rlmd.memory.schedules import Draft
from rlmd.memory.schedules import Schedules as Kept
from rlmd.memory.store import Transaction
from rlmd.proto.rlmd.v1 import schedules_pb2 as pb
from rlmd.proto.rlmd.v1.schedules_pb2_grpc import SchedulesServicer

from . import schedule_messages as messages
from .errors import about
from .names import agent_of, run_name, schedule_of
from .pages import cut, place, size_of
from .runs import ALL_AGENTS
from .service import Service
from .values import time_from, time_to

PATHS = (*messages.FIELDS, "when")
PREVIEWED = 10


class Schedules(Service, SchedulesServicer):
    async def CreateSchedule(self, request: pb.CreateScheduleRequest, context: object) -> pb.Schedule:
        agent = agent_of(request.parent, "parent")
        draft = await self._draft(request.schedule, messages.given(request.schedule, messages.FIELDS))

        def work(tx: Transaction) -> pb.Schedule:
            with about("parent"):
                owner = tx.agents.get(agent)
            author = Author(user=tx.user.name)
            return messages.schedule(tx.schedules.create(owner, draft, author=author, origin=Origin.OWNER))

        return self._told(await self.once(request, work, pb.Schedule))

    async def GetSchedule(self, request: pb.GetScheduleRequest, context: object) -> pb.Schedule:
        find = _finding(request.name)
        return messages.schedule(self.store().read(lambda tx: find(tx.schedules)))

    async def ListSchedules(
        self, request: pb.ListSchedulesRequest, context: object
    ) -> pb.ListSchedulesResponse:
        agent = _agent(agent_of(request.parent, "parent"))
        before, most = place(request, int), size_of(request) + 1

        def work(tx: Transaction) -> list[Schedule]:
            if agent is not None:
                tx.agents.get(agent)
            return tx.schedules.page(agent=agent, over=request.show_ended, before=before, most=most)

        with about("parent"):
            found = self.store().read(work)
        page, token = cut(request, found, lambda schedule: schedule.id)
        return pb.ListSchedulesResponse(schedules=map(messages.schedule, page), next_page_token=token)

    async def UpdateSchedule(self, request: pb.UpdateScheduleRequest, context: object) -> pb.Schedule:
        find = _finding(request.schedule.name, "schedule.name")
        paths = _checked(request.update_mask.paths)
        changes = messages.given(request.schedule, [path for path in paths if path != "when"])
        if "timezone" in changes:
            changes["timezone"] = changes["timezone"] or self.backend.engine.timezone
        with about("schedule.name"):
            found = self.store().read(lambda tx: find(tx.schedules))
        if "when" in paths:
            changes |= await self._understood(request.schedule, changes.get("timezone", found.timezone))

        def work(tx: Transaction) -> pb.Schedule:
            return messages.schedule(tx.schedules.edit(tx.schedules.get(found.id), changes))

        return self._told(await self.once(request, work, pb.Schedule))

    async def DeleteSchedule(self, request: pb.DeleteScheduleRequest, context: object) -> pb.Schedule:
        find = _finding(request.name)

        def work(tx: Transaction) -> pb.Schedule:
            return messages.schedule(tx.schedules.delete(find(tx.schedules)))

        return self._told(await self.once(request, work, pb.Schedule))

    async def PauseSchedule(self, request: pb.PauseScheduleRequest, context: object) -> pb.Schedule:
        return await self._change(request.name, lambda kept, found: kept.pause(found))

    async def ResumeSchedule(self, request: pb.ResumeScheduleRequest, context: object) -> pb.Schedule:
        return await self._change(request.name, lambda kept, found: kept.resume(found))

    async def RunSchedule(self, request: pb.RunScheduleRequest, context: object) -> pb.RunScheduleResponse:
        find = _finding(request.name)
        store = self.store()
        found = store.read(lambda tx: find(tx.schedules))
        run = await self.backend.engine.run_schedule(store, found.id, request.request_id)
        return pb.RunScheduleResponse(run=run_name(run.agent, run.id))

    async def PreviewSchedule(
        self, request: pb.PreviewScheduleRequest, context: object
    ) -> pb.PreviewScheduleResponse:
        count = check_page(request.count, default=PREVIEWED, field="count")
        fields = messages.given(request.schedule, ("timezone", "start_time", "end_time"))

        draft = await self._draft(request.schedule, {**fields, "text": ""})
        now = self.backend.house.clock.now()
        rule = draft.rule(now)
        first = rule.after(now)
        times = [] if first is None else islice(rule.from_(first), count)
        return pb.PreviewScheduleResponse(
            kind=rule.kind, spec=rule.spec, timezone=rule.zone, times=map(time_to, times)
        )

    async def ListOccurrences(
        self, request: pb.ListOccurrencesRequest, context: object
    ) -> pb.ListOccurrencesResponse:
        name, label = schedule_of(request.parent, "parent")
        agent = _agent(name)
        before, most = place(request, int), size_of(request) + 1

        def work(tx: Transaction) -> list[Occurrence]:
            if agent is not None:
                tx.agents.get(agent)
            chosen = None if label == ALL_AGENTS else tx.schedules.find(label, agent=agent).id
            return tx.schedules.occurrences(agent=agent, schedule=chosen, before=before, most=most)

        with about("parent"):
            found = self.store().read(work)
        page, token = cut(request, found, lambda occurrence: occurrence.id)
        return pb.ListOccurrencesResponse(occurrences=map(messages.occurrence, page), next_page_token=token)

    # -- within -----------------------------------------------------------------------------------

    async def _draft(self, given: pb.Schedule, fields: dict[str, Any]) -> Draft:
        zone = fields.get("timezone") or self.backend.engine.timezone
        return Draft(**{**fields, "timezone": zone, **await self._understood(given, zone)})

    async def _understood(self, given: pb.Schedule, zone: str) -> dict[str, str]:
        """Kind and spec, from words; what knows words takes its time."""
        now = self.backend.house.clock.now()
        when = await asyncio.to_thread(phrases.understand, given.when, now, zone)
        return {"kind": when.kind, "spec": when.spec}

    async def _change(self, name: str, change: Callable[[Kept, Schedule], Schedule]) -> pb.Schedule:
        find = _finding(name)
        changed = await self.store().write(lambda tx: change(tx.schedules, find(tx.schedules)))
        return self._told(messages.schedule(changed))

    def _told(self, schedule: pb.Schedule) -> pb.Schedule:
        """Whoever rings is told, now that it is on disk."""
        _, number = schedule_of(schedule.name)
        self.backend.engine.alarm.set(int(number), time_from(schedule, "next_time"))
        return schedule


def _agent(name: str) -> str | None:
    return None if name == ALL_AGENTS else name


def _finding(name: str, field: str = "name") -> Callable[[Kept], Schedule]:
    agent, label = schedule_of(name, field)
    return lambda kept: kept.find(label, agent=_agent(agent))


def _checked(paths: Any) -> list[str]:
    if not paths:
        raise InvalidInput(
            "it names no field", field="update_mask", remedy=f"Name what to change: {', '.join(PATHS)}."
        )
    for path in paths:
        if path not in PATHS:
            raise InvalidInput(
                f"{short(path)} is not a field that can be changed",
                field="update_mask",
                remedy=f"There are: {', '.join(PATHS)}.",
            )
    return list(paths)
