"""A whole daemon in the test's process: store, index, loop, sandbox and server, all real, on a socket."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from rlmd.daemon.feed import Feed
from rlmd.daemon.loop.engine import Engine
from rlmd.daemon.loop.equipment import Equipment
from rlmd.daemon.models.builtin import BuiltinModel
from rlmd.daemon.repl.sandbox import Sandbox
from rlmd.daemon.rpc.api import Backend, Facts
from rlmd.daemon.rpc.server import FILES, MAX_MESSAGE, Server
from rlmd.memory.accounts import Accounts
from rlmd.memory.clock import ManualClock
from rlmd.memory.records import EntryKind, Run, RunLimits, RunState, User
from rlmd.memory.search import Index
from rlmd.memory.source import Texts
from rlmd.memory.store import House, Store, Transaction
from rlmd.settings import Settings

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
Metadata = tuple[tuple[str, str], ...]
Row = tuple[EntryKind, dict[str, Any], int, int, str]
"""Of a journal: kind, data, step, call, name."""
STARTED: Row = (EntryKind.STARTED, {"model": "m"}, 0, 0, "")


@dataclass(frozen=True)
class Method:
    """An RPC of the contract."""

    service: str
    name: str
    request: type[Message]
    response: type[Message]
    streams: bool
    """Whether the answer is a stream."""
    receives: bool
    """Whether the request is one."""

    @property
    def path(self) -> str:
        return f"/{self.service}/{self.name}"


def methods() -> list[Method]:
    """Every RPC that the contract's files describe, so that a new one is in every table of the tests."""
    return [
        Method(
            service.full_name,
            method.name,
            method.input_type._concrete_class,
            method.output_type._concrete_class,
            method.server_streaming,
            method.client_streaming,
        )
        for file in FILES
        for service in file.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    ]


METHODS = {method.name: method for method in methods()}


@dataclass(frozen=True)
class Refusal:
    """A failed call, as a client sees it."""

    code: str
    kind: str
    reason: str
    field: str
    remedy: str
    details: tuple[str, ...]
    """Types of all its details."""


class Client:
    """Calls of one user."""

    def __init__(self, channel: grpc.aio.Channel, secret: str) -> None:
        self.channel = channel
        self.secret = secret
        self.metadata: Metadata = (("authorization", f"Bearer {secret}"),)

    async def call(self, rpc: str, /, **fields: Any) -> Any:
        """Call an RPC by its name; of a stream, all messages."""
        method = METHODS[rpc]
        return await self.send(method, method.request(**fields), self.metadata)

    async def write(self, *requests: Message) -> Any:
        """Call WriteVariable with these messages."""
        method = METHODS["WriteVariable"]
        make: Any = self.channel.stream_unary
        call = make(method.path, method.request.SerializeToString, method.response.FromString)
        return await call(iter(requests), metadata=self.metadata, timeout=20)

    async def send(self, method: Method, request: Message, metadata: Metadata) -> Any:
        if method.streams:
            return [message async for message in self._open(method, request, metadata)]
        return await self._open(method, request, metadata)

    def stream(self, rpc: str, seconds: float = 20, /, **fields: Any) -> Any:
        """The open call of a streaming RPC, with a deadline."""
        return self._open(METHODS[rpc], METHODS[rpc].request(**fields), self.metadata, seconds)

    def _open(self, method: Method, request: Message, metadata: Metadata, seconds: float = 20) -> Any:
        make: Any = self.channel.unary_stream if method.streams else self.channel.unary_unary
        if method.receives:
            make = self.channel.stream_stream if method.streams else self.channel.stream_unary
        call = make(method.path, method.request.SerializeToString, method.response.FromString)
        return call(iter([request]) if method.receives else request, metadata=metadata, timeout=seconds)

    async def refused(self, rpc: str, /, **fields: Any) -> Refusal:
        """The refusal of a call that must fail."""
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self.call(rpc, **fields)
        return refusal(caught.value)


def refusal(error: grpc.aio.AioRpcError) -> Refusal:
    status = rpc_status.from_call(error)  # type: ignore[arg-type]
    info = error_details_pb2.ErrorInfo()
    for detail in [] if status is None else status.details:
        detail.Unpack(info)
    return Refusal(
        code=error.code().name,
        kind=info.reason,
        reason=info.metadata["reason"],
        field=info.metadata["field"],
        remedy=info.metadata["remedy"],
        details=() if status is None else tuple(d.type_url.rpartition(".")[2] for d in status.details),
    )


def dial(address: str) -> grpc.aio.Channel:
    return grpc.aio.insecure_channel(address, options=[("grpc.max_receive_message_length", MAX_MESSAGE)])


@dataclass(frozen=True)
class Daemon:
    house: House
    clock: ManualClock
    engine: Engine
    server: Server
    alice: Client
    """An administrator."""
    bob: Client

    def store(self, name: str) -> Store:
        return self.house.store(self.house.read(lambda accounts: accounts.user(name)))

    @contextlib.asynccontextmanager
    async def client(self, secret: str) -> AsyncIterator[Client]:
        async with dial(self.server.addresses[0]) as channel:
            yield Client(channel, secret)

    async def run(self, user: str = "alice", text: str = "hello") -> Run:
        """A run that nobody carries out, so that a test can write its journal."""

        def work(tx: Transaction) -> Run:
            limits = RunLimits(steps=3, depth=0, seconds=60, model_calls=5)
            agent = tx.agents.get("main")
            return tx.runs.start(
                tx.runs.create(agent, kind="message", text=text, limits=limits, channel="chat")
            )

        return await self.store(user).write(work)

    async def write(self, run: Run, *rows: Row) -> None:
        """Rows of a run's journal, and a wake-up, as the loop does it."""

        def work(tx: Transaction) -> None:
            for kind, data, step, call, name in rows:
                tx.journal(run.id).add(kind, data, step=step, call=call, name=name)
                if kind is EntryKind.ENDED:
                    tx.runs.end(run, RunState(data["state"]), reason=data["reason"], result=data["result"])

        await self.store("alice").write(work)
        self.engine.feed.push(run.id)


@contextlib.asynccontextmanager
async def daemon(folder: Path, **options: Any) -> AsyncIterator[Daemon]:
    """A daemon with the users alice (an administrator) and bob, each with an agent `main`."""
    clock = ManualClock(NOW)
    async with contextlib.AsyncExitStack() as stack:
        house = stack.enter_context(House.open(folder / "rlmd.db", clock))
        index = stack.enter_context(_indexing(folder / "index", house))
        sandbox = await stack.enter_async_context(Sandbox(max_processes=8))
        equipment = Equipment(
            clock=clock,
            zone=UTC,
            settings=Settings(data=folder),
            model=BuiltinModel(),
            sandbox=sandbox,
            searcher=index,
            feed=Feed(),
        )
        engine = Engine(house, equipment)
        stack.push_async_callback(engine.stop, 0)
        facts = Facts(
            version="0.0",
            pid=1,
            data=str(folder),
            model="rules",
            model_name="builtin",
            embedder="words",
            start_time=NOW,
        )
        backend = Backend(house=house, engine=engine, searcher=index, facts=facts)
        options = {"socket": folder / "rlmd.sock", "grace": 3.0, **options}
        server = await stack.enter_async_context(Server(backend, **options))
        clients = []
        for name, administrator in (("alice", True), ("bob", False)):
            secret = _user(house, name, administrator)
            channel = await stack.enter_async_context(dial(server.addresses[0]))
            clients.append(Client(channel, secret))
        yield Daemon(house, clock, engine, server, *clients)


@contextlib.contextmanager
def _indexing(folder: Path, house: House) -> Iterator[Index]:
    index = Index(folder, house.database, None, Texts())
    index.start()
    try:
        yield index
    finally:
        index.close()


def _user(house: House, name: str, administrator: bool) -> str:
    def work(accounts: Accounts) -> tuple[User, str]:
        user = accounts.create_user(name, administrator=administrator)
        return user, accounts.create_token(user, "test")[1]

    user, secret = house.write(work).result()
    house.store(user).submit(lambda tx: tx.agents.create("main")).result()
    return secret
