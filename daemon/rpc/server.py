"""The gRPC server: a Unix socket, TCP on loopback if asked for, health, reflection, and an end with grace.

    async with Server(backend, socket=path, listen="127.0.0.1:0") as server:
        server.addresses     # unix:/.../rlmd.sock, 127.0.0.1:41234

Whoever makes one holds the lock of the data directory: a socket that is found there is a dead daemon's.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from rlmd.daemon.lock import private_folder
from rlmd.errors import PreconditionFailed
from rlmd.proto.rlmd.v1 import (
    admin_pb2,
    admin_pb2_grpc,
    agents_pb2,
    agents_pb2_grpc,
    budgets_pb2,
    budgets_pb2_grpc,
    channels_pb2,
    channels_pb2_grpc,
    forgetting_pb2,
    forgetting_pb2_grpc,
    hives_pb2,
    hives_pb2_grpc,
    memory_pb2,
    memory_pb2_grpc,
    questions_pb2,
    questions_pb2_grpc,
    runs_pb2,
    runs_pb2_grpc,
    schedules_pb2,
    schedules_pb2_grpc,
)

from .admin import Admin
from .agents import Agents
from .api import Backend
from .auth import Gate
from .budgets import Budgets
from .channels import Channels
from .forgetting import Forgetting
from .hives import Hives
from .memory import Memory
from .questions import Questions
from .runs import Runs
from .schedules import Schedules

MAX_MESSAGE = 32 * 1024 * 1024
"""Bytes: a value of 16 MiB whose JSON text is escaped by the client still arrives."""
GRACE_SECONDS = 5.0
FILES = (
    admin_pb2,
    agents_pb2,
    budgets_pb2,
    channels_pb2,
    forgetting_pb2,
    hives_pb2,
    memory_pb2,
    questions_pb2,
    runs_pb2,
    schedules_pb2,
)
SERVICES = tuple(service.full_name for file in FILES for service in file.DESCRIPTOR.services_by_name.values())
_LOOPBACK = re.compile(r"(127\.0\.0\.1|\[::1\]|localhost):\d{1,5}")
_OPTIONS = (
    # Two daemons on one port would both be served connections, without an error.
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", MAX_MESSAGE),
    ("grpc.max_send_message_length", MAX_MESSAGE),
)


class Server:
    """All services over one backend. Use it in `async with`, or `start` and `stop` it."""

    def __init__(
        self, backend: Backend, *, socket: Path, listen: str | None = None, grace: float = GRACE_SECONDS
    ) -> None:
        """`grace`: seconds that calls have to end when the server stops."""
        self._backend = backend
        self._socket = socket
        self._listen = listen
        self._grace = grace
        self._gate = Gate(backend.house)
        self._health: Any = health.aio.HealthServicer()
        self._server: grpc.aio.Server | None = None
        self.addresses: tuple[str, ...] = ()

    async def start(self) -> None:
        """Bind, then serve.

        Raises:
            PreconditionFailed: the socket or port is taken, or the address is not on loopback.
        """
        server = grpc.aio.server(options=_OPTIONS)
        try:
            self.addresses = tuple(self._bind(server))
            self._add_services()
            server.add_generic_rpc_handlers((self._gate,))
            await server.start()
        except BaseException:
            await server.stop(None)
            with contextlib.suppress(PreconditionFailed):
                _remove_socket(self._socket)
            raise
        self._server = server
        for service in ("", *SERVICES):
            await self._health.set(service, health_pb2.HealthCheckResponse.SERVING)

    async def stop(self) -> None:
        """Take no new calls, say so to who asks for our health, end streams, and let the others finish."""
        if self._server is None:
            return
        await self._health.enter_graceful_shutdown()
        self._gate.drain()
        await self._server.stop(self._grace)
        self._server = None
        _remove_socket(self._socket)

    async def __aenter__(self) -> Server:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _bind(self, server: grpc.aio.Server) -> Iterator[str]:
        private_folder(self._socket.parent)
        _remove_socket(self._socket)
        with _private_files():
            _add_port(server, f"unix:{self._socket}")
        self._socket.chmod(0o600)
        yield f"unix:{self._socket}"
        if self._listen:
            if not _LOOPBACK.fullmatch(self._listen):
                raise PreconditionFailed(
                    f"{self._listen} is not on loopback",
                    field="listen",
                    remedy="Listen on 127.0.0.1:PORT or [::1]:PORT: tokens must not cross a network.",
                )
            port = _add_port(server, self._listen)
            yield f"{self._listen.rpartition(':')[0]}:{port}"

    def _add_services(self) -> None:
        facts = replace(self._backend.facts, addresses=self.addresses)
        backend = replace(self._backend, facts=facts)
        # The functions that gRPC generates take whatever has the two methods of a server that they call.
        gate: Any = self._gate
        admin_pb2_grpc.add_AdminServicer_to_server(Admin(backend), gate)
        agents_pb2_grpc.add_AgentsServicer_to_server(Agents(backend), gate)
        budgets_pb2_grpc.add_BudgetsServicer_to_server(Budgets(backend), gate)
        channels_pb2_grpc.add_ChannelsServicer_to_server(Channels(backend), gate)
        forgetting_pb2_grpc.add_ForgettingServicer_to_server(Forgetting(backend), gate)
        hives_pb2_grpc.add_HivesServicer_to_server(Hives(backend), gate)
        memory_pb2_grpc.add_MemoryServicer_to_server(Memory(backend), gate)
        questions_pb2_grpc.add_QuestionsServicer_to_server(Questions(backend), gate)
        runs_pb2_grpc.add_RunsServicer_to_server(Runs(backend), gate)
        schedules_pb2_grpc.add_SchedulesServicer_to_server(Schedules(backend), gate)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, gate)
        described = reflection.aio.ReflectionServicer(
            [*SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME]
        )
        add_reflection: Any = reflection_pb2_grpc.add_ServerReflectionServicer_to_server
        add_reflection(described, gate)


def _add_port(server: grpc.aio.Server, address: str) -> int:
    try:
        return server.add_insecure_port(address)
    except RuntimeError as error:
        raise PreconditionFailed(
            f"cannot listen on {address}",
            field="listen",
            remedy="Is the port taken? Choose another, or port 0 for a free one.",
        ) from error


def _remove_socket(socket: Path) -> None:
    """Raises PreconditionFailed: something else is there."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(socket.lstat().st_mode):
            raise PreconditionFailed(
                f"{socket} is in the way of the daemon's socket", field="data", remedy="Move it away."
            )
        socket.unlink()


@contextlib.contextmanager
def _private_files() -> Iterator[None]:
    """Files made in here are their owner's alone from the first moment."""
    before = os.umask(0o177)
    try:
        yield
    finally:
        os.umask(before)
