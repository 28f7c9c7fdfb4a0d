"""A channel for plain code: `with client.channel("home") as channel`. A thread keeps the async one."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rlmd.clients.check import check_bool, check_seconds
from rlmd.clients.decode import last
from rlmd.errors import PreconditionFailed

from . import background
from .declaring import Declared, Declaring

if TYPE_CHECKING:
    from rlmd.clients.aio.connection import Connection as AsyncConnection
    from rlmd.clients.sync.connection import Connection
    from rlmd.clients.sync.runs import Run

    from . import task

GRACE = 10.0
"""Seconds that calls under way get to finish when a channel is closed."""


class Channel(Declaring):
    """A standing connection as a channel. Use it in a `with` block: leaving it lets calls finish.

    Declare functions and handlers first, then `serve`, or `start` and go on with something else. From then on
    it stays connected, over restarts of the daemon, and neither loses nor repeats anything while it lives.
    Functions and handlers run on threads of their own, and may use this channel and its client.
    """

    def __init__(
        self, connection: Connection, name: str, *, external: bool = False, grace: float = GRACE
    ) -> None:
        super().__init__(name, Declared())
        self._connection = connection
        self._external = check_bool(external, "external")
        self._grace = check_seconds(grace, "grace")
        self._lock = threading.Lock()
        self._inner: tuple[task.Channel, AsyncConnection] | None = None
        self._closed = False

    @property
    def connected(self) -> bool:
        """Whether the connection stands at this moment."""
        inner = self._inner
        return inner is not None and inner[0].connected

    def start(self) -> None:
        """Connect, if it is not done yet, and go on in the background.

        Raises:
            InvalidInput: the daemon does not take the channel's name, or a function's schema.
            Unavailable: no daemon is there.
        """
        background.run(self._opened().start())

    def serve(self) -> None:
        """Connect, and serve until the channel is closed, or until Ctrl-C.

        Raises:
            RlmdError: the daemon does not take the channel, as with `start`. That it is away is no reason.
        """
        try:
            background.run(self._opened().serve())
        except KeyboardInterrupt:
            # The usual end of a bot. Leaving the block lets its calls finish, unless it comes once more.
            return

    def say(self, text: str, agent: str = "main", *, sender: str = "", request_id: str = "") -> Run:
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
        from rlmd.clients.sync.runs import Run

        said = background.run(self._opened().hand_over(text, agent, sender, request_id))
        return Run(self._connection, agent, last(said.run), said.after_sequence)

    def close(self) -> None:
        """Let calls under way finish, for some seconds, tell the others as failed, and leave."""
        with self._lock:
            inner, self._inner, self._closed = self._inner, None, True
        if inner is None:
            return
        channel, connection = inner
        try:
            background.run(channel.close())
        finally:
            background.run(connection.close())
            background.leave()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and not self._closed:
            self._warn(self._inner is not None)
        self.close()

    def _opened(self) -> task.Channel:
        """The async channel, made at its first use."""
        with self._lock:
            if self._closed:
                raise PreconditionFailed("The channel was closed.", remedy="Make a new one.")
            if self._inner is None:
                background.join()
                self._inner = background.run(self._make())
            return self._inner[0]

    async def _make(self) -> tuple[task.Channel, AsyncConnection]:
        from rlmd.clients.aio.connection import Connection

        from . import task

        connection = Connection(self._connection.address, self._connection.timeout)
        return task.Channel(
            connection, self.name, external=self._external, grace=self._grace, declared=self._declared
        ), connection

    def _offers_changed(self) -> None:
        if (inner := self._inner) is not None:
            background.soon(inner[0]._offers_changed)

    def _questions_wanted(self) -> None:
        if (inner := self._inner) is not None:
            background.soon(inner[0]._questions_wanted)
