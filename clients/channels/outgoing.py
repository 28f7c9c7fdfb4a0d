"""What is to be sent on a channel's connection, over as many connections as it takes.

Messages and answers are kept until the daemon has told what became of them, and are sent again on the next
connection; that is harmless, as a message has a `request_id` and a question takes one answer. Results are not
kept here: the daemon asks again for a result that it did not get. Of acknowledgements the newest matters.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable

from rlmd.errors import RlmdError
from rlmd.proto.rlmd.v1 import channels_pb2 as pb

_ACK = pb.ConnectRequest(ack=pb.Ack())
"""Stands in the queue for the newest acknowledgement."""


class Outgoing:
    """The requests of one channel. Belongs to one event loop."""

    def __init__(self) -> None:
        self.processed = 0
        """The sequence number up to which all is processed."""
        self._says: dict[str, tuple[pb.Say, asyncio.Future[pb.Said]]] = {}
        self._answers: dict[str, pb.GiveAnswer] = {}
        self._queue: asyncio.Queue[pb.ConnectRequest | None] | None = None
        self._ack_queued = False

    def begin(
        self, channel: str, functions: Iterable[pb.Function], external: bool
    ) -> AsyncIterator[pb.ConnectRequest]:
        """The requests of a new connection. What was under way on the last one comes first."""
        self._queue = asyncio.Queue()
        self._ack_queued = False
        hello = pb.Hello(
            channel=channel, functions=functions, after_sequence=self.processed, external=external
        )
        self._put(pb.ConnectRequest(hello=hello))
        for say, _ in self._says.values():
            self._put(pb.ConnectRequest(say=say))
        for answer in self._answers.values():
            self._put(pb.ConnectRequest(answer=answer))
        return self._requests(self._queue)

    def end(self) -> None:
        """Nothing more is sent on this connection, once what is queued has been."""
        if self._queue is not None:
            self._queue.put_nowait(None)
            self._queue = None

    def say(self, say: pb.Say) -> asyncio.Future[pb.Said]:
        """Send a message; the future has what became of it."""
        future: asyncio.Future[pb.Said] = asyncio.get_running_loop().create_future()
        self._says[say.request_id] = say, future
        self._put(pb.ConnectRequest(say=say))
        return future

    def said(self, said: pb.Said) -> None:
        """A message is on disk."""
        if (kept := self._says.pop(said.request_id, None)) is not None and not kept[1].done():
            kept[1].set_result(said)

    def refused(self, about: str, error: RlmdError) -> bool:
        """Something was not taken; whether it was a message."""
        if (kept := self._says.pop(about, None)) is None:
            return False
        if not kept[1].done():
            kept[1].set_exception(error)
        return True

    def forget(self, request_id: str) -> None:
        """Do not send a message again: nobody waits for it."""
        self._says.pop(request_id, None)

    def fail(self, error: RlmdError) -> None:
        """There will be no more connections."""
        for request_id in list(self._says):
            self.refused(request_id, error)

    def answer(self, question: str, answer: str) -> None:
        """Answer a question; on each connection, until it is `settled`."""
        given = self._answers[question] = pb.GiveAnswer(question=question, answer=answer)
        self._put(pb.ConnectRequest(answer=given))

    def settled(self, question: str) -> None:
        """An answer need not be sent again."""
        self._answers.pop(question, None)

    def result(self, result: pb.CallResult) -> None:
        """Send what a call came to."""
        self._put(pb.ConnectRequest(result=result))

    def ack(self, sequence: int) -> None:
        """All up to this sequence number is processed."""
        self.processed = sequence
        if not self._ack_queued and self._queue is not None:
            self._ack_queued = True
            self._put(_ACK)

    def _put(self, request: pb.ConnectRequest) -> None:
        if self._queue is not None:
            self._queue.put_nowait(request)

    async def _requests(
        self, queue: asyncio.Queue[pb.ConnectRequest | None]
    ) -> AsyncIterator[pb.ConnectRequest]:
        while (request := await queue.get()) is not None:
            if request is _ACK:
                self._ack_queued = False
                request = pb.ConnectRequest(ack=pb.Ack(sequence=self.processed))
            yield request
