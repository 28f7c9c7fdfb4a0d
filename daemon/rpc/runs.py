"""The service Runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from rlmd.daemon.loop.fork import MISSING
from rlmd.errors import InvalidInput
from rlmd.memory.changes import Change
from rlmd.memory.names import MAX_NOTE, check_text
from rlmd.memory.records import Author, Delivery, Origin, Run, RunState
from rlmd.memory.store import Transaction
from rlmd.memory.variables import Writing
from rlmd.proto.rlmd.v1 import runs_pb2 as pb
from rlmd.proto.rlmd.v1.runs_pb2_grpc import RunsServicer

from . import convert
from .auth import caller
from .errors import about
from .names import agent_of, run_of
from .pages import cut, place, size_of
from .service import Service
from .updates import follow, steps
from .values import given, unknown

ALL_AGENTS = "-"
_STATES = {number: state for state, number in convert.STATES.items()}


class Runs(Service, RunsServicer):
    async def ListRuns(self, request: pb.ListRunsRequest, context: object) -> pb.ListRunsResponse:
        parent = agent_of(request.parent, "parent")
        agent = None if parent == ALL_AGENTS else parent
        before, most = place(request, int), size_of(request) + 1
        states = [_state(number) for number in request.states]

        def work(tx: Transaction) -> tuple[list[Run], dict[int, Delivery]]:
            if agent is not None:
                tx.agents.get(agent)
            found = tx.runs.page(
                agent=agent,
                states=states,
                kind="schedule" if request.background else "",
                children=request.show_children,
                before=before,
                most=most,
            )
            return found, tx.deliveries.of(found)

        with about("parent"):
            found, deliveries = self.store().read(work)
        page, token = cut(request, found, lambda run: run.id)
        runs = [convert.run(run, delivery=deliveries.get(run.id)) for run in page]
        return pb.ListRunsResponse(runs=runs, next_page_token=token)

    async def GetRun(self, request: pb.GetRunRequest, context: object) -> pb.Run:
        agent, run_id = run_of(request.name)

        def work(tx: Transaction) -> pb.Run:
            message = convert.run(tx.runs.get(run_id, agent=agent), whole=True)
            message.steps.extend(steps(tx.journal(run_id).entries()))
            return message

        return await asyncio.to_thread(self.store().read, work)

    def WatchRun(self, request: pb.WatchRunRequest, context: object) -> AsyncGenerator[pb.RunUpdate, None]:
        agent, run_id = run_of(request.name)
        after = request.after_sequence
        if after < 0:
            raise InvalidInput(
                f"{after} is not a place in a journal", field="after_sequence", remedy="0 is the beginning."
            )
        store = self.store()
        store.read(lambda tx: tx.runs.get(run_id, agent=agent))
        return follow(store, self.backend.engine, agent, run_id, after)

    async def CancelRun(self, request: pb.CancelRunRequest, context: object) -> pb.Run:
        agent, run_id = run_of(request.name)
        reason = check_text(request.reason, "reason", limit=MAX_NOTE)
        store = self.store()
        run = store.read(lambda tx: tx.runs.get(run_id, agent=agent))
        if not run.state.ended:
            run = await self.backend.engine.cancel(store, run_id, reason)
        return convert.run(run)

    async def ReplayRun(self, request: pb.ReplayRunRequest, context: object) -> pb.ReplayRunResponse:
        agent, run_id = run_of(request.name)
        store = self.store()
        store.read(lambda tx: tx.runs.get(run_id, agent=agent))
        found = await self.backend.engine.replay(store, run_id)
        return pb.ReplayRunResponse(
            equal=not found.difference,
            difference=found.difference,
            step_count=found.steps,
            call_count=found.calls,
            seconds=found.seconds,
        )

    async def ForkRun(self, request: pb.ForkRunRequest, context: object) -> pb.Run:
        agent, run_id = run_of(request.name)
        store = self.store()
        store.read(lambda tx: tx.runs.get(run_id, agent=agent))
        if request.at_call < 1:
            raise InvalidInput(
                f"{request.at_call} is not a call", field="at_call", remedy="Calls count from 1."
            )
        answer = given(request.answer) if request.HasField("answer") else MISSING
        forked = await self.backend.engine.fork(store, run_id, request.at_call, answer, request.request_id)
        return convert.run(forked)

    async def ListChanges(self, request: pb.ListChangesRequest, context: object) -> pb.ListChangesResponse:
        agent, run_id = run_of(request.parent, "parent")
        after, most = place(request, int) or 0, size_of(request) + 1

        def work(tx: Transaction) -> list[Change]:
            return tx.changes.page(tx.runs.get(run_id, agent=agent), after=after, most=most)

        with about("parent"):
            found = await asyncio.to_thread(self.store().read, work)
        page, token = cut(request, found, lambda change: change.variable)
        return pb.ListChangesResponse(changes=map(convert.change, page), next_page_token=token)

    async def UndoRun(self, request: pb.UndoRunRequest, context: object) -> pb.UndoRunResponse:
        agent, run_id = run_of(request.name)
        writing = Writing(
            author=Author(user=caller().name), origin=Origin.OWNER, note=f"as it was before run {run_id}"
        )

        def work(tx: Transaction) -> pb.UndoRunResponse:
            run = tx.runs.get(run_id, agent=agent)
            found = tx.changes.undo(run, writing, keep_later=request.keep_later)
            return pb.UndoRunResponse(undone_count=found.undone, kept_count=found.kept)

        return await self.once(request, work, pb.UndoRunResponse)


def _state(number: int) -> RunState:
    state = _STATES.get(pb.RunState.ValueType(number))
    if state is None:
        raise unknown(number, "states", pb.RunState.keys()[1:])
    return state
