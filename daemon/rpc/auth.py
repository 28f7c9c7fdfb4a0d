"""Who may call what, decided in one place before a request is read.

The user comes from the bearer token and from nothing else. A method that is not in `POLICY` is refused,
so that a new one is closed until somebody has decided. Whose a token is, is remembered only until
something is committed, whatever it is; and a stream asks again, once a second at most, before a message
goes through: a revoked token ends at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeAlias

import grpc

from rlmd.errors import PermissionDenied, Unauthenticated, Unavailable
from rlmd.memory.accounts import Holder
from rlmd.memory.records import User
from rlmd.memory.store import House

from .errors import abort

# Subscripted only for type checkers: at run time these classes are not generic.
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


class Access(Enum):
    PUBLIC = "anybody who can reach the socket"
    USER = "whoever has a valid token"
    ADMINISTRATOR = "administrators"


POLICY: dict[str, dict[str, Access]] = {
    "grpc.health.v1.Health": {"Check": Access.PUBLIC, "Watch": Access.PUBLIC, "List": Access.PUBLIC},
    "grpc.reflection.v1alpha.ServerReflection": {"ServerReflectionInfo": Access.USER},
    "rlmd.v1.Agents": {
        "CreateAgent": Access.USER,
        "CloneAgent": Access.USER,
        "GetAgent": Access.USER,
        "ListAgents": Access.USER,
        "UpdateAgent": Access.USER,
        "DeleteAgent": Access.USER,
        "TidyAgent": Access.USER,
        "ListPermits": Access.USER,
        "CreatePermit": Access.USER,
        "DeletePermit": Access.USER,
    },
    "rlmd.v1.Budgets": {
        "ListBudgets": Access.USER,
        "SetBudget": Access.USER,
        "DeleteBudget": Access.USER,
        "ListPrices": Access.USER,
        "SetPrice": Access.USER,
        "DeletePrice": Access.USER,
    },
    "rlmd.v1.Forgetting": {
        "ListRetentions": Access.USER,
        "SetRetention": Access.USER,
        "DeleteRetention": Access.USER,
        "PurgeVariables": Access.USER,
        "ListPurges": Access.USER,
    },
    "rlmd.v1.Memory": {
        "GetVariable": Access.USER,
        "ListVariables": Access.USER,
        "SetVariable": Access.USER,
        "BatchSetVariables": Access.USER,
        "WriteVariable": Access.USER,
        "ReadVariable": Access.USER,
        "AppendVariable": Access.USER,
        "DeleteVariable": Access.USER,
        "UndeleteVariable": Access.USER,
        "RevertVariable": Access.USER,
        "ListVersions": Access.USER,
        "DiffVersions": Access.USER,
        "ReadSlice": Access.USER,
        "Grep": Access.USER,
        "Search": Access.USER,
    },
    "rlmd.v1.Channels": {
        "Send": Access.USER,
        "Chat": Access.USER,
        "Connect": Access.USER,
        "ListChannels": Access.USER,
        "ListMessages": Access.USER,
        "SearchMessages": Access.USER,
    },
    "rlmd.v1.Questions": {
        "ListQuestions": Access.USER,
        "GetQuestion": Access.USER,
        "AnswerQuestion": Access.USER,
    },
    "rlmd.v1.Hives": {
        "CreateHive": Access.USER,
        "GetHive": Access.USER,
        "ListHives": Access.USER,
        "DissolveHive": Access.USER,
        "JoinHive": Access.USER,
        "LeaveHive": Access.USER,
        "InviteToHive": Access.USER,
        "ListGrants": Access.USER,
        "CreateGrant": Access.USER,
        "RevokeGrant": Access.USER,
        "ListCrossings": Access.USER,
    },
    "rlmd.v1.Schedules": {
        "CreateSchedule": Access.USER,
        "GetSchedule": Access.USER,
        "ListSchedules": Access.USER,
        "UpdateSchedule": Access.USER,
        "DeleteSchedule": Access.USER,
        "PauseSchedule": Access.USER,
        "ResumeSchedule": Access.USER,
        "RunSchedule": Access.USER,
        "PreviewSchedule": Access.USER,
        "ListOccurrences": Access.USER,
    },
    "rlmd.v1.Runs": {
        "ListRuns": Access.USER,
        "GetRun": Access.USER,
        "WatchRun": Access.USER,
        "CancelRun": Access.USER,
        "ReplayRun": Access.USER,
        "ForkRun": Access.USER,
        "ListChanges": Access.USER,
        "UndoRun": Access.USER,
    },
    "rlmd.v1.Admin": {
        "GetStatus": Access.USER,
        "GetSelf": Access.USER,
        "CreateUser": Access.ADMINISTRATOR,
        "ListUsers": Access.ADMINISTRATOR,
        "CreateToken": Access.USER,
        "ListTokens": Access.USER,
        "RevokeToken": Access.USER,
        "GetUsage": Access.USER,
        "StopAll": Access.USER,
        "ResumeAll": Access.USER,
    },
}
"""Service, method, and who may call it. Whose tokens may be seen and made, their methods check themselves."""

_caller: contextvars.ContextVar[User] = contextvars.ContextVar("rlmd_caller")


def caller() -> User:
    """The user whose call is being served."""
    return _caller.get()


class Gate(grpc.GenericRpcHandler):
    """Lets a call through to its service, as its user, and turns what the service raises into statuses.

    It is all that the server knows: services are added here, by the functions that gRPC generates. (A
    server of gRPC keeps a task waiting for each method that it knows itself, and with every call goes
    through all of them.)
    """

    def __init__(self, house: House) -> None:
        self._keyring = Keyring(house)
        self._handlers: dict[str, Handler] = {}
        self._streams: set[asyncio.Task[Any]] = set()
        """Those that wait in a service, and not in gRPC for a message to be sent."""
        self._draining = False

    def add_generic_rpc_handlers(self, handlers: object) -> None:
        """The same methods as in `add_registered_method_handlers`, which is called too."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Handler]) -> None:
        self._handlers |= {f"/{service}/{name}": handler for name, handler in handlers.items()}

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Handler | None:
        """What serves a call that has come in, of which nothing is read yet but its headers."""
        method = handler_call_details.method
        service, _, name = method.removeprefix("/").rpartition("/")
        access = POLICY.get(service, {}).get(name)
        handler = self._handlers.get(method)
        if access is Access.PUBLIC:
            return handler
        try:
            visit = _Visit(self._keyring, _secret(handler_call_details.invocation_metadata), method)
            user = visit.user()
            if handler is None:
                return None  # gRPC answers UNIMPLEMENTED: a client newer than the daemon.
            if access is None:
                raise PermissionDenied(
                    "this method is closed", remedy="It has no rule about who may call it."
                )
            if access is Access.ADMINISTRATOR and not user.administrator:
                raise PermissionDenied("only administrators may do this", remedy="Ask one of them.")
        except Exception as error:
            return _refusing(error, method)
        return self._guarded(handler, visit)

    def drain(self) -> None:
        """End the streams that are open, so that their clients go elsewhere or come back."""
        self._draining = True
        for task in tuple(self._streams):
            task.cancel()

    def _guarded(self, handler: Handler, visit: _Visit) -> Handler:
        """The same handler, run as the visitor."""
        if handler.unary_unary is not None:
            return grpc.unary_unary_rpc_method_handler(
                _answering(handler.unary_unary, visit),
                handler.request_deserializer,
                handler.response_serializer,
            )
        if handler.stream_unary is not None:
            return grpc.stream_unary_rpc_method_handler(
                self._receiving(handler.stream_unary, visit),
                handler.request_deserializer,
                handler.response_serializer,
            )
        make: Any = grpc.stream_stream_rpc_method_handler
        if handler.unary_stream is not None:
            make = grpc.unary_stream_rpc_method_handler
        inner = handler.unary_stream or handler.stream_stream
        guarded: Handler = make(
            self._streaming(inner, visit, receives=handler.unary_stream is None),
            handler.request_deserializer,
            handler.response_serializer,
        )
        return guarded

    def _streaming(self, inner: Any, visit: _Visit, *, receives: bool) -> Any:
        """`receives`: the request is a stream too."""

        async def stream(request: Any, context: Context) -> AsyncIterator[Any]:
            if receives:
                request = _checked(request, visit)
            async with self._open(context, visit), contextlib.aclosing(inner(request, context)) as messages:
                task = _task()
                async for message in _checked(messages, visit):
                    # While gRPC sends it the task must not be cancelled: nobody would tell the client why.
                    self._streams.discard(task)
                    yield message
                    self._enter(task)

        return stream

    def _receiving(self, inner: Any, visit: _Visit) -> Any:
        async def receive(requests: AsyncIterator[Any], context: Context) -> Any:
            async with self._open(context, visit):
                return await inner(_checked(requests, visit), context)

        return receive

    @contextlib.asynccontextmanager
    async def _open(self, context: Context, visit: _Visit) -> AsyncIterator[None]:
        """A stream's time: as the visitor, ended by `drain`, and with statuses for errors."""
        task = _task()
        try:
            self._enter(task)
            _caller.set(visit.user())
            yield
        except asyncio.CancelledError:
            if not self._draining:
                raise
            task.uncancel()
            await abort(context, _stopping(), visit.method)
        except Exception as error:
            await abort(context, error, visit.method)
        finally:
            self._streams.discard(task)

    def _enter(self, task: asyncio.Task[Any]) -> None:
        """From now on `drain` ends the task. Raises Unavailable: it has drained already."""
        if self._draining:
            raise _stopping()
        self._streams.add(task)


async def _checked(messages: AsyncIterator[Any], visit: _Visit) -> AsyncIterator[Any]:
    """The messages, as long as the visitor may go on."""
    async for message in messages:
        visit.user()
        yield message


RECHECK_SECONDS = 1.0
"""A call outlives the revocation of its token by so much at most."""


class Keyring:
    """Whose a token is. What was looked up is forgotten as soon as anything is committed."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._known: dict[str, Holder] = {}
        self._commits = -1

    def user(self, secret: str) -> User | None:
        """None if the token is nobody's, expired or revoked."""
        commits = self._house.database.commits
        if commits != self._commits:
            self._known, self._commits = {}, commits
        holder = self._known.get(secret)
        if holder is None:
            # Read after the count was: a commit between them only makes it forgotten too early.
            holder = self._house.read(lambda accounts: accounts.holder(secret))
            if holder is None:
                return None
            self._known[secret] = holder
        return None if holder.expired(self._house.clock.now()) else holder.user


@dataclass
class _Visit:
    """One call's right to be served."""

    keyring: Keyring
    secret: str
    method: str
    seen: tuple[float, User] | None = None
    """When the token was last looked up, and whose it was."""

    def user(self) -> User:
        """Whose call it is, by what was true at most `RECHECK_SECONDS` ago. Raises Unauthenticated."""
        now = time.monotonic()
        if self.seen is not None and now - self.seen[0] <= RECHECK_SECONDS:
            return self.seen[1]
        user = self.keyring.user(self.secret) if self.secret else None
        if user is None:
            raise Unauthenticated(
                "the call has no valid token",
                remedy="Send `authorization: Bearer <token>`; the first user's is in the data directory's"
                " file `token`.",
            )
        self.seen = now, user
        return user


def _secret(metadata: Any) -> str:
    """The bearer token, or nothing if there is none, several, or one of another scheme."""
    values = [value for key, value in metadata or () if key == "authorization"]
    if len(values) != 1 or not isinstance(values[0], str):
        return ""
    scheme, _, secret = values[0].partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else ""


def _refusing(error: Exception, method: str) -> Handler:
    """A handler that ends the call. It is a stream on both sides, whatever was asked: so it reads nothing."""

    async def refuse(_: AsyncIterator[Any], context: Context) -> None:
        await abort(context, error, method)

    return grpc.stream_stream_rpc_method_handler(refuse)


def _answering(inner: Any, visit: _Visit) -> Any:
    async def answer(request: Any, context: Context) -> Any:
        try:
            _caller.set(visit.user())
            return await inner(request, context)
        except Exception as error:
            await abort(context, error, visit.method)

    return answer


def _task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task


def _stopping() -> Unavailable:
    return Unavailable("the daemon is stopping", remedy="Try again when it runs; nothing is lost.")
