"""The service Agents."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from google.protobuf.empty_pb2 import Empty

from rlmd.errors import InvalidInput, PreconditionFailed, RlmdError
from rlmd.memory.names import short
from rlmd.memory.quiet import check_quiet
from rlmd.memory.records import RunLimits
from rlmd.memory.store import Transaction
from rlmd.proto.rlmd.v1 import agents_pb2 as pb
from rlmd.proto.rlmd.v1 import runs_pb2
from rlmd.proto.rlmd.v1.agents_pb2_grpc import AgentsServicer

from . import convert
from .errors import about
from .names import agent_of, permit_of
from .pages import cut, place, size_of
from .service import Service

log = logging.getLogger(__name__)

TEXTS = ("instructions", "model", "sub_model")
LIMITS = ("steps", "depth", "seconds", "model_calls", "tokens", "money")
PATHS = (*TEXTS, "quiet", "limits", *(f"limits.{name}" for name in LIMITS))
DELETE_TRIES = 3
"""A message may come between the cancelling of runs and the delete; then once more."""


class Agents(Service, AgentsServicer):
    async def CreateAgent(self, request: pb.CreateAgentRequest, context: object) -> pb.Agent:
        def work(tx: Transaction) -> pb.Agent:
            texts = {name: getattr(request.agent, name) for name in TEXTS}
            limits = convert.limits_from(request.agent.limits)
            with _inside_agent():
                quiet = check_quiet(request.agent.quiet, self.backend.engine.timezone)
                made = tx.agents.create(request.agent_id, limits=limits, quiet=quiet, **texts)
                return convert.agent(made)

        return await self.once(request, work, pb.Agent)

    async def CloneAgent(self, request: pb.CloneAgentRequest, context: object) -> pb.Agent:
        agent = agent_of(request.name)
        return await self.once(
            request,
            lambda tx: convert.agent(tx.agents.clone(agent, request.agent_id, memory=request.copy_memory)),
            pb.Agent,
        )

    async def GetAgent(self, request: pb.GetAgentRequest, context: object) -> pb.Agent:
        agent = agent_of(request.name)
        return convert.agent(self.store().read(lambda tx: tx.agents.get(agent)))

    async def ListAgents(self, request: pb.ListAgentsRequest, context: object) -> pb.ListAgentsResponse:
        after, most = place(request, str), size_of(request) + 1
        found = self.store().read(lambda tx: tx.agents.page(after=after or "", most=most))
        page, token = cut(request, found, lambda agent: agent.name)
        return pb.ListAgentsResponse(agents=map(convert.agent, page), next_page_token=token)

    async def UpdateAgent(self, request: pb.UpdateAgentRequest, context: object) -> pb.Agent:
        agent = agent_of(request.agent.name, "agent.name")
        paths = _checked(request.update_mask.paths)

        def work(tx: Transaction) -> pb.Agent:
            with about("agent.name"):
                limits = tx.agents.get(agent).limits
            changes = _changes(request.agent, paths, limits)
            with _inside_agent():
                if "quiet" in paths:
                    changes["quiet"] = check_quiet(request.agent.quiet, self.backend.engine.timezone)
                return convert.agent(tx.agents.update(agent, changes))

        return await self.once(request, work, pb.Agent)

    async def DeleteAgent(self, request: pb.DeleteAgentRequest, context: object) -> Empty:
        agent = agent_of(request.name)

        def work(tx: Transaction) -> Empty:
            tx.agents.delete(agent)
            return Empty()

        for left in reversed(range(DELETE_TRIES)):
            try:
                done = await self.once(request, work, Empty)
                # The agent is gone; what only it reached goes in the background.
                asyncio.get_running_loop().run_in_executor(None, self._sweep)
                return done
            except PreconditionFailed:
                if not request.force or not left:
                    raise
            await self.backend.engine.cancel_agent(self.store(), agent, "the agent is being deleted")
        raise AssertionError("the last try returns or raises")

    async def TidyAgent(self, request: pb.TidyAgentRequest, context: object) -> runs_pb2.Run:
        agent = agent_of(request.name)
        return convert.run(await self.backend.engine.tidy(self.store(), agent, request.request_id))

    async def ListPermits(self, request: pb.ListPermitsRequest, context: object) -> pb.ListPermitsResponse:
        agent = agent_of(request.parent, "parent")
        with about("parent"):
            found = self.store().read(lambda tx: tx.permits.page(agent))
        return pb.ListPermitsResponse(permits=map(convert.permit, found))

    async def CreatePermit(self, request: pb.CreatePermitRequest, context: object) -> pb.Permit:
        agent = agent_of(request.parent, "parent")
        return convert.permit(await self.store().write(lambda tx: tx.permits.add(agent, request.what)))

    async def DeletePermit(self, request: pb.DeletePermitRequest, context: object) -> Empty:
        agent, what = permit_of(request.name)
        await self.store().write(lambda tx: tx.permits.remove(agent, what))
        return Empty()

    def _sweep(self) -> None:
        try:
            self.backend.house.sweep()
        except RlmdError as error:
            log.info("the sweep after a delete will be made later: %s", error)


@contextlib.contextmanager
def _inside_agent() -> Iterator[None]:
    """What memory says about an agent's field is about that field of the request's `agent`."""
    try:
        yield
    except InvalidInput as error:
        if error.field not in PATHS:
            raise
        raise InvalidInput(error.reason, field=f"agent.{error.field}", remedy=error.remedy) from error


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


def _changes(given: pb.Agent, paths: list[str], limits: RunLimits) -> dict[str, Any]:
    """What `Agents.update` of memory takes, for the fields that are named."""
    changes: dict[str, Any] = {path: getattr(given, path) for path in paths if path in TEXTS}
    new = convert.limits_from(given.limits)
    named = LIMITS if "limits" in paths else [name for name in LIMITS if f"limits.{name}" in paths]
    if named:
        changes["limits"] = replace(limits, **{name: getattr(new, name) for name in named})
    return changes
