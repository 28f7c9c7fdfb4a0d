"""The service Admin."""

from __future__ import annotations

import asyncio

from google.protobuf.empty_pb2 import Empty
from sqlalchemy import Connection

from rlmd.errors import PermissionDenied
from rlmd.memory.accounts import Accounts
from rlmd.memory.names import MAX_NOTE, check_text
from rlmd.memory.records import RunState, User
from rlmd.memory.store import Transaction
from rlmd.proto.rlmd.v1 import admin_pb2 as pb
from rlmd.proto.rlmd.v1.admin_pb2_grpc import AdminServicer

from . import convert
from .auth import Context, caller
from .errors import about
from .names import token_of, user_of
from .pages import cut, place, size_of
from .service import Service
from .values import time_from, time_to, unknown

FIRST_AGENT = "main"
MOST_COUNTED = 1_000
"""Active runs that are counted."""
_ACTIVE = [state for state in RunState if not state.ended]
_GROUPS = {
    pb.USAGE_GROUPING_UNSPECIFIED: "",
    pb.USAGE_GROUPING_AGENT: "agent",
    pb.USAGE_GROUPING_MODEL: "model",
    pb.USAGE_GROUPING_DAY: "day",
    pb.USAGE_GROUPING_RUN: "run",
    pb.USAGE_GROUPING_SCHEDULE: "schedule",
}


class Admin(Service, AdminServicer):
    async def GetStatus(self, request: pb.GetStatusRequest, context: Context) -> pb.Status:
        facts = self.backend.facts
        index = self.backend.searcher.status()
        counts, active = self.store().read(
            lambda tx: (
                tx.counts(),
                tx.runs.page(states=_ACTIVE, children=True, most=MOST_COUNTED),
            )
        )
        stopped = self.backend.engine.stopped(caller())
        local = context.peer().startswith("unix:") or caller().administrator
        return pb.Status(
            version=facts.version,
            pid=facts.pid,
            data=facts.data if local else "",
            addresses=facts.addresses,
            model=facts.model,
            model_name=facts.model_name,
            embedder=facts.embedder,
            index=pb.IndexStatus(
                state=index.state.value,
                pending=index.pending,
                detail=index.detail,
            ),
            start_time=time_to(facts.start_time),
            agents=counts[0],
            variables=counts[1],
            messages=counts[2],
            active_runs=len(active),
            stop=None if stopped is None else convert.stop(stopped),
        )

    async def GetSelf(self, request: pb.GetSelfRequest, context: object) -> pb.User:
        return convert.user(caller())

    # -- users ------------------------------------------------------------------------------------

    async def CreateUser(self, request: pb.CreateUserRequest, context: object) -> pb.CreateUserResponse:
        house = self.backend.house

        def work(connection: Connection) -> pb.CreateUserResponse:
            now = house.clock.now()
            accounts = Accounts(connection, now)
            user = accounts.create_user(request.user_id, administrator=request.administrator)
            tx = Transaction(connection, now, user)
            tx.agents.create(FIRST_AGENT)
            tx.budgets.defaults(self.backend.engine.default_budgets)
            _, secret = accounts.create_token(user, "first")
            return pb.CreateUserResponse(user=convert.user(user), secret=secret)

        return await asyncio.wrap_future(house.database.write(work))

    async def ListUsers(self, request: pb.ListUsersRequest, context: object) -> pb.ListUsersResponse:
        after, most = place(request, str) or "", size_of(request) + 1
        found = self.backend.house.read(lambda accounts: accounts.users(after=after, most=most))
        page, token = cut(request, found, lambda user: user.name)
        return pb.ListUsersResponse(users=map(convert.user, page), next_page_token=token)

    # -- tokens -----------------------------------------------------------------------------------

    async def CreateToken(self, request: pb.CreateTokenRequest, context: object) -> pb.CreateTokenResponse:
        user = self._whose(request.parent)
        expire = time_from(request, "expire_time")
        token, secret = await asyncio.wrap_future(
            self.backend.house.write(
                lambda accounts: accounts.create_token(user, request.label, expire_time=expire)
            )
        )
        return pb.CreateTokenResponse(token=convert.token(token), secret=secret)

    async def ListTokens(self, request: pb.ListTokensRequest, context: object) -> pb.ListTokensResponse:
        user = self._whose(request.parent)
        before, most = place(request, int), size_of(request) + 1
        found = self.backend.house.read(lambda accounts: accounts.tokens(user, before=before, most=most))
        page, token = cut(request, found, lambda token: token.id)
        return pb.ListTokensResponse(tokens=map(convert.token, page), next_page_token=token)

    async def RevokeToken(self, request: pb.RevokeTokenRequest, context: object) -> Empty:
        name, token_id = token_of(request.name)
        user = self._user(name, "name")
        await asyncio.wrap_future(self.backend.house.write(lambda accounts: accounts.revoke(user, token_id)))
        return Empty()

    def _whose(self, parent: str) -> User:
        return self._user(user_of(parent, "parent"), "parent") if parent else caller()

    def _user(self, name: str, field: str) -> User:
        """The caller, or anybody for an administrator; whether others exist is told to nobody else."""
        if name == caller().name:
            return caller()
        if not caller().administrator:
            raise PermissionDenied(
                "only administrators may see and make tokens of others",
                field=field,
                remedy="Ask one of them.",
            )
        with about(field):
            return self.backend.house.read(lambda accounts: accounts.user(name))

    # -- usage ------------------------------------------------------------------------------------

    async def GetUsage(self, request: pb.GetUsageRequest, context: object) -> pb.GetUsageResponse:
        group = _GROUPS.get(request.group_by)
        if group is None:
            raise unknown(request.group_by, "group_by", pb.UsageGrouping.keys())
        since, until = time_from(request, "after"), time_from(request, "before")
        rows = await asyncio.to_thread(
            self.store().read, lambda tx: tx.runs.usage(group, since=since, until=until)
        )
        return pb.GetUsageResponse(
            rows=[pb.UsageRow(group=name, usage=convert.usage(usage)) for name, usage in rows]
        )

    # -- everything at once -----------------------------------------------------------------------

    async def StopAll(self, request: pb.StopAllRequest, context: object) -> pb.StopAllResponse:
        whose = self._all_of(request.everyone)
        reason = check_text(request.reason, "reason", limit=MAX_NOTE)
        stop, count = await self.backend.engine.stop_all(whose, by=caller().name, reason=reason)
        return pb.StopAllResponse(stop=convert.stop(stop), interrupted_runs=count)

    async def ResumeAll(self, request: pb.ResumeAllRequest, context: object) -> pb.ResumeAllResponse:
        count = await self.backend.engine.resume_all(self._all_of(request.everyone))
        return pb.ResumeAllResponse(resumed_runs=count)

    def _all_of(self, everyone: bool) -> User | None:
        """The caller, or None for everybody."""
        if everyone and not caller().administrator:
            raise PermissionDenied(
                "only administrators may stop everybody", field="everyone", remedy="Ask one of them."
            )
        return None if everyone else caller()
