# Generated from clients/aio/client.py by scripts/unasync.py. Do not edit.
"""The door: `connect`, and the client that it gives."""

from __future__ import annotations

import os
from collections.abc import Collection
from types import TracebackType
from typing import Self

from rlmd.clients import decode
from rlmd.clients.address import find
from rlmd.clients.channels.thread import Channel
from rlmd.clients.check import check_str
from rlmd.clients.records import AgentInfo, ChannelInfo, Limits, RunInfo, RunState, Status
from rlmd.proto.rlmd.v1 import admin_pb2, agents_pb2, channels_pb2
from rlmd.proto.rlmd.v1.admin_pb2_grpc import AdminStub
from rlmd.proto.rlmd.v1.agents_pb2_grpc import AgentsStub
from rlmd.proto.rlmd.v1.channels_pb2_grpc import ChannelsStub

from .admin import Admin
from .agents import Agent, list_runs, to_limits
from .budgets import Budgets
from .connection import Connection, request_id
from .hives import Hives
from .questions import Questions
from .schedules import Schedules


def connect(
    address: str | None = None,
    *,
    data: str | os.PathLike[str] | None = None,
    token: str | None = None,
    timeout: float = 30,
) -> Client:
    """A client of the daemon on a data directory, or at an address.

    Args:
        address: `127.0.0.1:PORT` or `unix:/path`; None means the socket of the data directory.
        data: The data directory; None means `RLMD_DATA`, or else the default.
        token: By which to call; None means the one in the data directory.
        timeout: Seconds for each call, with all its tries. Waiting for an agent's answer is not bounded.

    Raises:
        Unavailable: no daemon is there.
        Unauthenticated: there is no token to be read.
        InvalidInput: an argument cannot be.
    """
    return Client(Connection(find(address, data, token), timeout))


class Client:
    """A user's view of a daemon. Use it in a `with` block, or close it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._agents = AgentsStub(connection.channel)
        self.admin = Admin(connection)
        self.budgets = Budgets(connection)
        self.questions = Questions(connection)
        self.hives = Hives(connection)
        self.schedules = Schedules(connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection. Runs go on without it."""
        self._connection.close()

    def status(self) -> Status:
        """What the daemon is at this moment."""
        stub = AdminStub(self._connection.channel)
        return decode.status(self._connection.call(stub.GetStatus, admin_pb2.GetStatusRequest()))

    def agent(self, name: str = "main") -> Agent:
        """A handle on an agent, by its name. Asks the daemon nothing yet."""
        return Agent(self._connection, name)

    def channel(self, name: str, *, external: bool = False, grace: float = 10) -> Channel:
        """A standing connection as a channel. It connects when it starts, serves or says something.

        Args:
            external: Whether it carries what others say: text from outside, and not your own word.
            grace: Seconds that calls under way get to finish when it is closed.
        """
        return Channel(self._connection, name, external=external, grace=grace)

    def channels(self) -> list[ChannelInfo]:
        """Your channels that have ever connected, in the order of their names."""
        stub = ChannelsStub(self._connection.channel)
        request = channels_pb2.ListChannelsRequest(page_size=1000)
        pages = self._connection.pages(stub.ListChannels, request, "channels")
        return [decode.channel(message) for message in pages]

    def agents(self) -> list[AgentInfo]:
        """Your agents, in the order of their names."""
        request = agents_pb2.ListAgentsRequest(page_size=1000)
        pages = self._connection.pages(self._agents.ListAgents, request, "agents")
        return [decode.agent(message) for message in pages]

    def runs(
        self,
        *,
        states: Collection[RunState] = (),
        children: bool = False,
        background: bool = False,
        n: int | None = None,
    ) -> list[RunInfo]:
        """The runs of all your agents, newest first, without their steps; see `Agent.runs`."""
        return list_runs(self._connection, "agents/-", states, children, background, n)

    def create_agent(
        self,
        name: str,
        *,
        instructions: str = "",
        model: str = "",
        sub_model: str = "",
        limits: Limits | None = None,
        quiet: str = "",
    ) -> Agent:
        """Make an agent with an empty home space.

        Raises:
            AlreadyExists: the name is taken.
        """
        agent = agents_pb2.Agent(
            instructions=check_str(instructions, "instructions"),
            model=check_str(model, "model"),
            sub_model=check_str(sub_model, "sub_model"),
            limits=to_limits(limits),
            quiet=check_str(quiet, "quiet"),
        )
        request = agents_pb2.CreateAgentRequest(
            agent_id=check_str(name, "agent"), agent=agent, request_id=request_id()
        )
        self._connection.call(self._agents.CreateAgent, request)
        return self.agent(name)
