"""A channel that a task of the event loop keeps connected: `async with client.channel("home") as channel`."""

from __future__ import annotations

import asyncio
import logging
import math
from types import TracebackType
from typing import TYPE_CHECKING, Self

import grpc

from rlmd.clients.check import check_bool, check_seconds, check_str
from rlmd.clients.decode import last
from rlmd.clients.errors import from_rpc
from rlmd.clients.patience import Patience
from rlmd.errors import Cancelled, DeadlineExceeded, Exhausted, PreconditionFailed, RlmdError, Unavailable
from rlmd.proto.rlmd.v1 import channels_pb2 as pb
from rlmd.proto.rlmd.v1.channels_pb2_grpc import ChannelsStub

from .declaring import Declared, Declaring
from .outgoing import Outgoing
from .serving import Serving
from .threads import Threads

if TYPE_CHECKING:
    from rlmd.clients.aio.connection import Connection
    from rlmd.clients.aio.runs import Run
    from rlmd.clients.records import Question

THREADS = 32
"""Plain functions and handlers of one channel that run at a time."""
GRACE = 10.0
"""Seconds that calls under way get to finish when a channel is closed."""
FAREWELL = 2.0
"""Seconds for what is still to be sent when a channel is closed."""
MOST_QUESTIONS = 10_000
"""Open questions of all channels that are looked through for those of this one."""
STOPPED = "The client was stopped before the call had ended."

log = logging.getLogger("rlmd.channel")


class Channel(Declaring):
    """A standing connection as a channel. Use it in a `with` block: leaving it lets calls finish.

    Declare functions and handlers first, then `serve`, or `start` and go on with something else. From then on
    it stays connected, over restarts of the daemon, and neither loses nor repeats anything while it lives.
    """

    def __init__(
        self,
        connection: Connection,
        name: str,
        *,
        external: bool = False,
        grace: float = GRACE,
        declared: Declared | None = None,
    ) -> None:
        super().__init__(name, declared or Declared())
        self._connection = connection
        self._external = check_bool(external, "external")
        self._grace = check_seconds(grace, "grace")
        self._out = Outgoing()
        self._serving = Serving(self._declared, self._out, Threads(THREADS), self._find)
        self._keeping: asyncio.Task[None] | None = None
        self._recovering: asyncio.Task[None] | None = None
        self._stream: grpc.aio.StreamStreamCall[pb.ConnectRequest, pb.ConnectResponse] | None = None
        self._welcome = asyncio.Event()
        self._connected = self._renewing = self._closing = False

    @property
    def connected(self) -> bool:
        """Whether the connection stands at this moment."""
        return self._connected

    async def start(self) -> None:
        """Connect, if it is not done yet, and go on in the background.

        Raises:
            InvalidInput: the daemon does not take the channel's name, or a function's schema.
            Unavailable: no daemon is there.
        """
        keeping = self._begin()
        welcome = asyncio.create_task(self._welcome.wait())
        try:
            await asyncio.wait({welcome, keeping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            welcome.cancel()
        if keeping.done():
            self._check_open()
            keeping.result()

    async def serve(self) -> None:
        """Connect, and serve until the channel is closed, or this task is cancelled.

        Raises:
            RlmdError: the daemon does not take the channel, as with `start`. That it is away is no reason.
        """
        keeping = self._begin()
        # Unlike `await`, it leaves the connection alone when this task is cancelled.
        await asyncio.wait({keeping})
        if not self._closing:
            keeping.result()

    async def say(self, text: str, agent: str = "main", *, sender: str = "", request_id: str = "") -> Run:
        """Say something to an agent on this channel; returns as soon as it is on disk, with its run.

        What the agent replies comes to `on_message`.

        Args:
            sender: Who says it; empty means the user's name.
            request_id: Names the message: said again with the same, it is one message. Empty means a new one.

        Raises:
            InvalidInput: there is no text, or too much.
            NotFound: there is no such agent.
            Unavailable: the daemon is away, for longer than the client's timeout.
        """
        from rlmd.clients.aio.runs import Run

        said = await self.hand_over(text, agent, sender, request_id)
        return Run(self._connection, agent, last(said.run), said.after_sequence)

    async def hand_over(self, text: str, agent: str, sender: str, request_id: str) -> pb.Said:
        """`say`, with the daemon's answer as it stands."""
        from rlmd.clients.aio.connection import request_id as new_id

        say = pb.Say(
            agent=f"agents/{check_str(agent, 'agent')}",
            text=check_str(text, "text"),
            sender=check_str(sender, "sender"),
            request_id=check_str(request_id, "request_id") or new_id(),
        )
        await self.start()
        try:
            async with asyncio.timeout(self._connection.timeout):
                return await self._out.say(say)
        except TimeoutError as exc:
            if self._connected:
                raise DeadlineExceeded("The daemon did not take the message in time.") from exc
            remedy = "Say it again when it is back."
            raise Unavailable("The daemon went away, and is not back.", remedy=remedy) from exc
        finally:
            self._out.forget(say.request_id)

    async def close(self) -> None:
        """Let calls under way finish, for some seconds, tell the others as failed, and leave."""
        if self._closing:
            return
        self._closing = True
        self._serving.stop_talking()
        try:
            if tasks := self._serving.tasks:
                await asyncio.wait(tasks, timeout=self._grace)
        finally:
            self._serving.abandon(STOPPED)
            self._out.end()
            await self._leave()
            self._out.fail(Cancelled("The channel was closed."))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._warn(self._keeping is not None)
        await self.close()

    async def _leave(self) -> None:
        if self._recovering is not None:
            self._recovering.cancel()
        if self._keeping is None:
            return
        if self._connected:
            await asyncio.wait({self._keeping}, timeout=FAREWELL)
        self._keeping.cancel()
        # Why it could not go on has been told by `start` or `serve`, if anybody asked.
        await asyncio.gather(self._keeping, return_exceptions=True)

    def _begin(self) -> asyncio.Task[None]:
        """The task that keeps the connection."""
        self._check_open()
        if self._keeping is None:
            self._keeping = asyncio.create_task(self._keep())
        return self._keeping

    def _check_open(self) -> None:
        if self._closing:
            raise PreconditionFailed("The channel was closed.", remedy="Make a new one.")

    async def _keep(self) -> None:
        """Connect, again and again. Ends when the channel is closed; fails when the daemon refuses it."""
        patience = Patience(self._connection.timeout)
        while not self._closing:
            self._renewing = False
            cause: grpc.RpcError | None = None
            try:
                await self._connect()
            except grpc.RpcError as exc:
                cause = exc
            if self._connected:
                # There is such a daemon: it is waited for as long as it takes.
                patience, self._connected = Patience(math.inf), False
            if self._closing or self._renewing:
                continue
            # A stream that simply ends was let go by a daemon that shuts down.
            place = self._connection.address.place
            error = from_rpc(cause, place) if cause else Unavailable("The stream ended early.")
            if not isinstance(error, Unavailable | Exhausted | Cancelled) or not patience.can_wait:
                self._out.fail(error)
                raise error from cause
            await asyncio.sleep(patience.next_delay())

    async def _connect(self) -> None:
        """One connection, from its beginning to its end."""
        stub = ChannelsStub(self._connection.channel)
        requests = self._out.begin(
            self.name, [each.message for each in self._declared.functions.values()], self._external
        )
        stream = self._stream = stub.Connect(requests, metadata=self._connection.metadata)
        try:
            async for response in stream:
                if response.HasField("welcome"):
                    self._welcomed(response.welcome)
                elif not (self._closing and response.HasField("invoke")):
                    self._serving.take(response)
        except asyncio.CancelledError:
            # gRPC raises it where a stream was cancelled from here; else it is meant for this task.
            if not self._renewing:
                raise
        finally:
            self._stream = None
            stream.cancel()
            # What is said from now on is for the next connection.
            self._out.end()

    def _welcomed(self, welcome: pb.Welcome) -> None:
        self._connected = True
        if not self._welcome.is_set():
            self._out.processed = welcome.acknowledged
            self._welcome.set()
            self._questions_wanted()

    def _offers_changed(self) -> None:
        """What is offered is told at the beginning of a connection: begin another one."""
        if self._stream is not None and not self._renewing and not self._closing:
            self._renewing = True
            self._stream.cancel()

    def _questions_wanted(self) -> None:
        """Find the questions that were open before there was anybody here to answer them."""
        wanted = self._welcome.is_set() and self._declared.on_question is not None
        if wanted and self._recovering is None:
            self._recovering = asyncio.create_task(self._find_questions())

    async def _find(self, id: str) -> Question:
        from rlmd.clients.aio.questions import Questions

        return await Questions(self._connection).get(id)

    async def _find_questions(self) -> None:
        from rlmd.clients.aio.questions import Questions

        try:
            found = await Questions(self._connection).list(n=MOST_QUESTIONS)
        except RlmdError as error:
            log.warning("the open questions could not be listed: %s", error)
            return
        finally:
            self._recovering = None
        # Oldest first.
        self._serving.recover(question for question in reversed(found) if question.channel == self.name)
