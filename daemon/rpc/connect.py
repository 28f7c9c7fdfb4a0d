"""A client that is connected as a channel: what is for it is sent as it comes, what it asks for is done.

Nothing is kept here for a client that does not read. What waits for it stands in tables and is looked up, a
few rows at a time, when gRPC has taken what was sent before; and no requests are read while many answers
wait. Of the outbox, only so much is sent before the client acknowledges.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from dataclasses import dataclass

from rlmd.daemon.router import Line
from rlmd.errors import InvalidInput, RlmdError
from rlmd.memory.records import Channel, ChannelCall, Parcel, ParcelKind
from rlmd.memory.store import Store, Transaction
from rlmd.proto.rlmd.v1 import channels_pb2 as pb

from . import convert
from .api import Backend
from .names import agent_name, channel_name, question_name, run_name
from .offers import functions_from
from .requests import Requests
from .values import time_to

AHEAD = 256
"""Things of the outbox that are sent before the first of them is acknowledged."""
PAGE = 16
"""Rows that are read together: each may be a message of a megabyte."""


async def connect(
    backend: Backend, store: Store, requests: AsyncIterator[pb.ConnectRequest]
) -> AsyncGenerator[pb.ConnectResponse, None]:
    """Serve one stream.

    Raises:
        InvalidInput: what it offers cannot be, or a request breaks the rules of the stream.
        Exhausted: there are too many channels, or clients of this one.
    """
    hello = await _first(requests)
    functions = await asyncio.to_thread(functions_from, hello.functions)

    def begin(tx: Transaction) -> Channel:
        channel = tx.channels.connect(hello.channel, functions, external=hello.external)
        if not 0 <= hello.after_sequence <= channel.sent:
            raise InvalidInput(
                f"{hello.after_sequence} was never sent on this channel",
                field="hello.after_sequence",
                remedy="Leave it out to get what nobody has acknowledged.",
            )
        tx.channels.acknowledge(channel, hello.after_sequence)
        return tx.channels.get(hello.channel)

    channel = await store.write(begin)
    with backend.engine.router.line(channel.id) as line:
        try:
            connection = _Connection(backend, store, channel, line, hello.after_sequence)
            async with contextlib.aclosing(connection.responses(requests)) as responses:
                async for response in responses:
                    yield response
        finally:
            # Nobody waits for it, and it does not matter if it fails.
            store.submit(lambda tx: tx.channels.seen(channel))


async def _first(requests: AsyncIterator[pb.ConnectRequest]) -> pb.Hello:
    async for request in requests:
        if request.WhichOneof("request") == "hello":
            return request.hello
        break
    raise InvalidInput("the first request is not `hello`", field="hello", remedy="Say which channel it is.")


@dataclass(frozen=True, kw_only=True)
class _News:
    """What was found in the tables, in one state of the store."""

    parcels: list[tuple[int, pb.ConnectResponse | None]]
    """With their sequence numbers; None where what it tells of is gone."""
    withdrawn: list[int]
    calls: list[tuple[ChannelCall, str]]
    """With their keys."""


class _Connection:
    def __init__(self, backend: Backend, store: Store, channel: Channel, line: Line, after: int) -> None:
        self._router = backend.engine.router
        self._store = store
        self._channel = channel
        self._line = line
        self._at = after or channel.acknowledged
        """The last sequence number that was sent."""
        self._requests = Requests(backend, store, channel, line, self._at)

    async def responses(
        self, requests: AsyncIterator[pb.ConnectRequest]
    ) -> AsyncGenerator[pb.ConnectResponse, None]:
        """What is sent, until the client has said all it wants."""
        reading = asyncio.create_task(self._requests.serve(requests), name=f"channel {self._channel.name}")
        reading.add_done_callback(lambda _: self._line.news.set())
        try:
            name = channel_name(self._channel.name)
            yield pb.ConnectResponse(
                welcome=pb.Welcome(channel=name, acknowledged=self._channel.acknowledged)
            )
            while True:
                self._line.news.clear()
                over = reading.done()
                for response in self._next():
                    yield response
                if over:
                    await reading
                    return
                if not self._line.rung:
                    self._line.free = True
                    await self._line.news.wait()
                    self._line.free = False
        finally:
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError, RlmdError):
                await reading

    def _next(self) -> Iterator[pb.ConnectResponse]:
        """What there is to send now: answers, a page of the outbox, and calls."""
        while (answer := self._requests.next_answer()) is not None:
            yield answer
        if not self._line.rung:
            return
        self._line.rung = False
        news = self._store.read(self._look)
        if len(news.parcels) == PAGE:
            # There may be more behind.
            self._line.rung = True
        for sequence, response in news.parcels:
            self._at = self._requests.sent = sequence
            if response is not None:
                self._requests.ahead.append(sequence)
                yield response
        for number in news.withdrawn:
            self._line.calls.discard(number)
            yield pb.ConnectResponse(withdrawn=pb.Withdrawn(call=str(number)))
        for called, key in news.calls:
            yield _invoke(called, key)

    def _look(self, tx: Transaction) -> _News:
        room = min(PAGE, AHEAD - len(self._requests.ahead))
        parcels = tx.outbox.after(self._channel, self._at, room) if room > 0 else []
        sent = self._line.calls - self._line.answered
        open_still = tx.channel_calls.still_open(sent) if sent else sent
        taken = self._router.take(self._channel.id, self._line, self._waiting(tx))
        calls = [tx.channel_calls.get(number) for number in taken]
        return _News(
            parcels=[(parcel.sequence, _parcel(tx, parcel)) for parcel in parcels],
            withdrawn=sorted(sent - open_still),
            calls=[(called, tx.channel_calls.key(called)) for called in calls],
        )

    def _waiting(self, tx: Transaction) -> Iterator[int]:
        """Numbers of the channel's open calls, oldest first."""
        after = 0
        while numbers := tx.channel_calls.waiting(self._channel, after=after):
            yield from numbers
            after = numbers[-1]


def _parcel(tx: Transaction, parcel: Parcel) -> pb.ConnectResponse | None:
    """None if what it tells of is gone."""
    sent = pb.ConnectResponse(sequence=parcel.sequence)
    if parcel.kind is ParcelKind.MESSAGE:
        message = tx.log(parcel.agent).several([parcel.item]).get(parcel.item)
        if message is None:
            return None
        sent.message.CopyFrom(convert.message(message))
        return sent
    asked = tx.questions.get(parcel.item)
    if parcel.kind is ParcelKind.QUESTION:
        sent.question.CopyFrom(convert.question(asked))
        return sent
    sent.closed.CopyFrom(
        pb.QuestionClosed(
            question=question_name(asked.agent, asked.id),
            state=convert.QUESTION_STATES[asked.state],
            answered_by=asked.answered_by,
        )
    )
    return sent


def _invoke(called: ChannelCall, key: str) -> pb.ConnectResponse:
    return pb.ConnectResponse(
        invoke=pb.Invoke(
            call=str(called.id),
            function=called.function,
            arguments_json=called.arguments,
            key=key,
            deadline=time_to(called.expire_time),
            agent=agent_name(called.agent),
            run=run_name(called.agent, called.run),
        )
    )
