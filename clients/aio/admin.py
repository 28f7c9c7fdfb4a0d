"""The daemon's users, tokens and usage."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from rlmd.clients import decode
from rlmd.clients.check import check_bool, check_choice, check_str
from rlmd.clients.records import Stop, Token, Usage, User
from rlmd.clients.values import to_time
from rlmd.proto.rlmd.v1 import admin_pb2 as pb
from rlmd.proto.rlmd.v1.admin_pb2_grpc import AdminStub

from .connection import Connection

Grouping = Literal["", "agent", "model", "day", "run", "schedule"]

_GROUPINGS = {
    "": pb.USAGE_GROUPING_UNSPECIFIED,
    "agent": pb.USAGE_GROUPING_AGENT,
    "model": pb.USAGE_GROUPING_MODEL,
    "day": pb.USAGE_GROUPING_DAY,
    "run": pb.USAGE_GROUPING_RUN,
    "schedule": pb.USAGE_GROUPING_SCHEDULE,
}


class Admin:
    """Users and tokens of others are for administrators; the first user is one."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._stub = AdminStub(connection.channel)

    async def whoami(self) -> User:
        """The user whose token this is."""
        return decode.user(await self._connection.call(self._stub.GetSelf, pb.GetSelfRequest()))

    async def users(self) -> list[User]:
        """All users, in the order of their names.

        Raises:
            PermissionDenied: you are no administrator.
        """
        pages = self._connection.pages(self._stub.ListUsers, pb.ListUsersRequest(page_size=1000), "users")
        return [decode.user(message) async for message in pages]

    async def create_user(self, name: str, *, administrator: bool = False) -> tuple[User, str]:
        """Make a user with an agent `main`; gives the user and their first token's secret, shown only now.

        Raises:
            AlreadyExists: the name is taken.
            PermissionDenied: you are no administrator.
        """
        request = pb.CreateUserRequest(
            user_id=check_str(name, "user"), administrator=check_bool(administrator, "administrator")
        )
        answer = await self._connection.call(self._stub.CreateUser, request, once=True)
        return decode.user(answer.user), answer.secret

    async def tokens(self, user: str = "") -> list[Token]:
        """A user's tokens, without their secrets, newest first; your own if no user is named."""
        request = pb.ListTokensRequest(parent=_parent(user), page_size=1000)
        pages = self._connection.pages(self._stub.ListTokens, request, "tokens")
        return [decode.token(message) async for message in pages]

    async def create_token(
        self, label: str = "", *, user: str = "", expires: datetime | str | None = None
    ) -> tuple[Token, str]:
        """Make a token for yourself or another user; gives it and its secret, which is shown only now."""
        request = pb.CreateTokenRequest(
            parent=_parent(user), label=check_str(label, "label"), expire_time=to_time(expires, "expires")
        )
        answer = await self._connection.call(self._stub.CreateToken, request, once=True)
        return decode.token(answer.token), answer.secret

    async def revoke_token(self, name: str) -> None:
        """End a token at once, by its full name `users/{user}/tokens/{token}`.

        Raises:
            NotFound: there is no such token.
        """
        request = pb.RevokeTokenRequest(name=check_str(name, "token"))
        await self._connection.call(self._stub.RevokeToken, request)

    async def usage(
        self,
        by: Grouping = "",
        *,
        after: datetime | str | None = None,
        before: datetime | str | None = None,
    ) -> list[Usage]:
        """What your agents used: one total, or a row for each agent, model, day, run or schedule."""
        request = pb.GetUsageRequest(
            group_by=check_choice(by, _GROUPINGS, "by"),
            after=to_time(after, "after"),
            before=to_time(before, "before"),
        )
        answer = await self._connection.call(self._stub.GetUsage, request)
        return [decode.usage(row.usage, row.group) for row in answer.rows]

    async def stop_all(self, reason: str = "", *, everyone: bool = False) -> tuple[Stop, int]:
        """Stop all your runs where they are, at once; gives what holds now, and how many were at work.

        Nothing of yours is set to work any more, also by a daemon that is started later, until `resume_all`.
        Messages are taken, and wait.

        Args:
            everyone: Stop the runs of all users; for administrators.

        Raises:
            PermissionDenied: you are no administrator.
        """
        request = pb.StopAllRequest(
            everyone=check_bool(everyone, "everyone"), reason=check_str(reason, "reason")
        )
        answer = await self._connection.call(self._stub.StopAll, request)
        return decode.stop(answer.stop), answer.interrupted_runs

    async def resume_all(self, *, everyone: bool = False) -> int:
        """Let all your runs go on where they were; gives how many had waited for it.

        Args:
            everyone: End a stop of all users; for administrators.

        Raises:
            PreconditionFailed: everybody is stopped, and `everyone` is not set.
            PermissionDenied: you are no administrator.
        """
        request = pb.ResumeAllRequest(everyone=check_bool(everyone, "everyone"))
        return int((await self._connection.call(self._stub.ResumeAll, request)).resumed_runs)


def _parent(user: str) -> str:
    return f"users/{user}" if check_str(user, "user") else ""
