"""Runs: look at one, follow it, stop it. Following goes on over a restart of the daemon."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc

from rlmd.clients import decode
from rlmd.clients.check import INT32, check_bool, check_int, check_str
from rlmd.clients.errors import from_rpc
from rlmd.clients.patience import Patience
from rlmd.clients.records import Change, Replayed, RunInfo, Undone
from rlmd.clients.updates import Ended, Halted, Update, Waiting
from rlmd.errors import Exhausted, Unavailable
from rlmd.proto.rlmd.v1 import channels_pb2, runs_pb2
from rlmd.proto.rlmd.v1.channels_pb2_grpc import ChannelsStub
from rlmd.proto.rlmd.v1.runs_pb2_grpc import RunsStub

from .connection import Connection, request_id

ANEW = object()
"""The call of a fork is made anew."""


class Run:
    """A handle on one run. Holds nothing but its name: making one asks the daemon nothing."""

    def __init__(self, connection: Connection, agent: str, id: str, after: int = 0) -> None:
        self._connection = connection
        self.after = after
        """Where `watch` begins by itself: before what was sent, if that answered a question of the run."""
        self._runs = RunsStub(connection.channel)
        self.agent = agent
        self.id = id
        self._name = f"agents/{agent}/runs/{id}"

    def __repr__(self) -> str:
        return f"Run({self._name!r})"

    async def get(self) -> RunInfo:
        """The run as it stands, with its steps and their calls.

        Raises:
            NotFound: there is no such run.
        """
        request = runs_pb2.GetRunRequest(name=self._name)
        return decode.run(await self._connection.call(self._runs.GetRun, request))

    async def watch(
        self, after: int | None = None, on_lost: Callable[[], None] | None = None
    ) -> AsyncIterator[Update]:
        """What the run did after a sequence number, then what it does, until it has ended.

        Each update that has a sequence number comes exactly once, also over a restart of the daemon.

        Args:
            on_lost: Called each time that the daemon is lost, before it is looked for again.

        Raises:
            NotFound: there is no such run.
            Unavailable: the daemon went away and did not come back within the timeout.
        """
        start = self.after if after is None else check_int(after, "after")
        async for update in follow(self._connection, None, self._name, start, on_lost):
            yield update

    async def cancel(self, reason: str = "") -> RunInfo:
        """Stop the run and its children. What it did is kept. No effect on one that has ended."""
        request = runs_pb2.CancelRunRequest(name=self._name, reason=check_str(reason, "reason"))
        return decode.run(await self._connection.call(self._runs.CancelRun, request))

    async def replay(self) -> Replayed:
        """Do the run, which must be over, again from its journal: without effects, and compared.

        Raises:
            NotFound: there is no such run.
            PreconditionFailed: it is not over.
        """
        request = runs_pb2.ReplayRunRequest(name=self._name)
        return decode.replayed(await self._connection.call(self._runs.ReplayRun, request))

    async def fork(self, at: int, answer: Any = ANEW) -> Run:
        """Begin a run that shares this one's past up to call `at`, and differs from there.

        Args:
            answer: What that call gives in the new run; by itself it is made anew.

        Raises:
            NotFound: there is no such run or call.
            InvalidInput: the answer does not fit.
            PreconditionFailed: it is a child.
        """
        text: str | None = None
        if answer is not ANEW:
            text = answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)
        request = runs_pb2.ForkRunRequest(
            name=self._name,
            at_call=check_int(at, "at", 1, INT32),
            answer=text,
            request_id=request_id(),
        )
        forked = decode.run(await self._connection.call(self._runs.ForkRun, request))
        return Run(self._connection, self.agent, forked.id)

    async def changes(self) -> list[Change]:
        """What the run and those below it have changed in memory, a variable each."""
        request = runs_pb2.ListChangesRequest(parent=self._name, page_size=1000)
        pages = self._connection.pages(self._runs.ListChanges, request, "changes")
        return [decode.change(message) async for message in pages]

    async def undo(self, *, keep_later: bool = False) -> Undone:
        """Give everything that the run, which must be over, changed in memory its value from before.

        Nothing is lost: these are new versions, written in one transaction.

        Args:
            keep_later: Leave alone what somebody else has written since, instead of refusing.

        Raises:
            PreconditionFailed: the run is not over.
            Conflict: somebody else has written some of it since.
        """
        request = runs_pb2.UndoRunRequest(
            name=self._name, keep_later=check_bool(keep_later, "keep_later"), request_id=request_id()
        )
        done = await self._connection.call(self._runs.UndoRun, request)
        return Undone(undone=done.undone_count, kept=done.kept_count)

    async def wait(self) -> RunInfo:
        """The run when it has ended, however long that takes."""
        async for update in self.watch():
            if isinstance(update, Ended):
                break
        return await self.get()


async def follow(
    connection: Connection,
    say: channels_pb2.SendRequest | None,
    name: str,
    after: int,
    on_lost: Callable[[], None] | None = None,
) -> AsyncIterator[Update]:
    """The updates of a run until it has ended, or after `say` until it stands still; over any connections.

    Args:
        say: What begins the run; None if `name` is there already. Saying it again joins the run it began.
    """
    channels, runs = ChannelsStub(connection.channel), RunsStub(connection.channel)
    patience: Patience | None = None
    while True:
        connection.check_open()
        began = time.monotonic()
        watch = runs_pb2.WatchRunRequest(name=name, after_sequence=after)
        stream = (
            channels.Chat(say, metadata=connection.metadata)
            if say is not None and not name
            else runs.WatchRun(watch, metadata=connection.metadata)
        )
        cause: grpc.RpcError | None = None
        try:
            async for message in stream:
                patience, name = None, message.run or name
                if 0 < message.sequence <= after:
                    continue
                after = message.sequence or after
                update = decode.update(message)
                if update is not None:
                    yield update
                still = isinstance(update, Halted) or (isinstance(update, Waiting) and not update.passing)
                if isinstance(update, Ended) or (still and say is not None):
                    return
        except grpc.RpcError as exc:
            cause = exc
        finally:
            stream.cancel()
        # A stream that simply stops was let go by a daemon that shuts down; one that is exhausted, because
        # we were slow. In both cases the rest comes from the next. A stream that stood longer than our
        # patience was connected, even if nothing happened on it.
        error = from_rpc(cause, connection.address.place) if cause else Unavailable("The stream ended early.")
        if on_lost is not None and isinstance(error, Unavailable):
            on_lost()
        if patience is None or time.monotonic() - began > connection.timeout:
            patience = Patience(connection.timeout)
        if not isinstance(error, Unavailable | Exhausted) or not patience.can_wait:
            raise error from cause
        await asyncio.sleep(patience.next_delay())
