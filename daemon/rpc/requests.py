"""What a connected client asks for, done one request after another.

What cannot be done is told in a `failure`, and the stream goes on; what breaks its rules ends it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable

from rlmd.daemon.router import Line
from rlmd.errors import InternalError, InvalidInput, PreconditionFailed, RlmdError, Unavailable
from rlmd.memory import questions
from rlmd.memory.names import check_text
from rlmd.memory.records import Channel, Origin, QuestionState
from rlmd.memory.store import Store
from rlmd.proto.rlmd.v1 import channels_pb2 as pb

from .api import Backend
from .auth import caller
from .errors import about
from .names import agent_of, call_of, message_name, question_of, run_name
from .offers import failure
from .runs import ALL_AGENTS
from .values import given

ANSWERS = 64
"""Answers that wait to be sent, at most; then no more requests are read."""


class Requests:
    """The requests of one connection. Await `serve` once; `answers` are to be sent."""

    def __init__(self, backend: Backend, store: Store, channel: Channel, line: Line, sent: int) -> None:
        """`sent` is the last sequence number that was sent before."""
        self._backend = backend
        self._store = store
        self._channel = channel
        self._line = line
        self.sent = max(sent, channel.acknowledged)
        """The last sequence number that was sent: what lies behind cannot be acknowledged."""
        self.ahead: deque[int] = deque()
        """Sequence numbers that were sent on this connection, and are not acknowledged."""
        self._answers: deque[pb.ConnectResponse] = deque()
        self._room = asyncio.Event()
        self._room.set()

    def next_answer(self) -> pb.ConnectResponse | None:
        """What is to be sent next; None if there is nothing."""
        if not self._answers:
            return None
        self._room.set()
        return self._answers.popleft()

    async def serve(self, requests: AsyncIterator[pb.ConnectRequest]) -> None:
        """Do what the client asks for, until it has said all it wants.

        Raises:
            InvalidInput: it breaks the rules of the stream.
        """
        async for request in requests:
            match request.WhichOneof("request"):
                case "say":
                    await self._try(request.say.request_id, self._say(request.say))
                case "ack":
                    await self._acknowledge(request.ack.sequence)
                case "result":
                    await self._try(request.result.call, self._settle(request.result))
                case "answer":
                    answer = request.answer
                    await self._try(answer.request_id or answer.question, self._give(answer))
                case "hello":
                    raise InvalidInput(
                        "only the first request is `hello`",
                        field="hello",
                        remedy="Connect anew to offer something else.",
                    )
                case _:
                    raise InvalidInput(
                        "a request has nothing in it", field="request", remedy="Set one of its fields."
                    )

    async def _try(self, what: str, work: Awaitable[pb.ConnectResponse | None]) -> None:
        try:
            answer = await work
        except (Unavailable, InternalError):
            # Nobody knows whether it was done: the client connects again, and says it again.
            raise
        except RlmdError as error:
            answer = failure(what, error)
        if answer is not None:
            self._answers.append(answer)
            self._line.news.set()
            if len(self._answers) >= ANSWERS:
                self._room.clear()
                await self._room.wait()

    async def _say(self, say: pb.Say) -> pb.ConnectResponse:
        with about("say.agent"):
            accepted = await self._backend.engine.accept(
                self._store,
                agent_of(say.agent, "say.agent"),
                text=say.text,
                channel=self._channel.name,
                sender=say.sender or caller().name,
                request_id=say.request_id,
                origin=Origin.EXTERNAL if self._channel.external else Origin.OWNER,
            )
        return pb.ConnectResponse(
            said=pb.Said(
                request_id=say.request_id,
                message=message_name(accepted.message.agent, accepted.message.id),
                run=run_name(accepted.run.agent, accepted.run.id),
                after_sequence=accepted.after,
            )
        )

    async def _acknowledge(self, sequence: int) -> None:
        if not 0 <= sequence <= self.sent:
            raise InvalidInput(
                f"{sequence} was never sent on this channel",
                field="ack.sequence",
                remedy="Acknowledge the `sequence` of a response.",
            )
        while self.ahead and self.ahead[0] <= sequence:
            self.ahead.popleft()
        await self._store.write(lambda tx: tx.channels.acknowledge(self._channel, sequence))
        # There is room for more now.
        self._line.ring()

    async def _settle(self, result: pb.CallResult) -> pb.ConnectResponse | None:
        number = call_of(result.call, "result.call")
        kind = result.WhichOneof("outcome")
        # Its commit rings the line before we are told of it: the call is over, but not withdrawn.
        self._line.answered.add(number)
        try:
            fault = await self._backend.engine.settle(
                self._store,
                self._channel,
                number,
                result.result_json if kind == "result_json" else None,
                result.error if kind == "error" else None,
            )
        finally:
            self._line.answered.discard(number)
        if not fault:
            return None
        remedy = "The program was told that the call failed. Give what the offer promises."
        return failure(result.call, InvalidInput(fault, field=f"result.{kind or 'outcome'}", remedy=remedy))

    async def _give(self, answer: pb.GiveAnswer) -> None:
        agent, number = question_of(answer.question, "answer.question")
        with about("answer.question"):
            self._store.read(
                lambda tx: tx.questions.get(number, agent=None if agent == ALL_AGENTS else agent)
            )
        value = given(check_text(answer.answer, "answer.answer", limit=questions.MAX_TEXT))
        by, on = caller().name, self._channel.name
        try:
            await self._backend.engine.answer(self._store, number, value, by=by, on=on)
        except PreconditionFailed:
            # What a client says again after a break is not late: it was heard the first time.
            asked = self._store.read(lambda tx: tx.questions.get(number))
            heard = (asked.state, asked.answered_by, asked.answered_on) == (QuestionState.ANSWERED, by, on)
            if not heard or asked.answer != questions.fit(asked.form, value):
                raise
