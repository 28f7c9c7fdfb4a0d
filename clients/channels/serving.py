"""What a channel does about what it is sent: messages in order, questions and calls beside each other.

Messages are acknowledged when they have been handled; after a crash those that were not come again. Calls and
questions are acknowledged when they arrive, so that one that takes days holds nothing up: the daemon keeps a
call until it has a result, and a question that is still open is found again by `recover`.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from rlmd.clients import decode
from rlmd.clients.errors import from_code
from rlmd.clients.records import Question, QuestionState
from rlmd.errors import RlmdError
from rlmd.proto.rlmd.v1 import channels_pb2 as pb

from .calls import Calls
from .declaring import Declared
from .outgoing import Outgoing
from .threads import Threads

ATTEMPTS = 3
"""How often a question is given to its handler, if the answers do not fit."""

log = logging.getLogger("rlmd.channel")


Find = Callable[[str], Awaitable[Question]]
"""Gives a question as it is now, by its id."""


@dataclass(slots=True)
class _Asked:
    question: Question
    attempts: int = 0
    task: asyncio.Task[None] | None = None


class Serving:
    """One channel's work. Belongs to one event loop."""

    def __init__(self, declared: Declared, out: Outgoing, threads: Threads, find: Find) -> None:
        self.calls = Calls(declared, out, threads)
        self._declared = declared
        self._out = out
        self._threads = threads
        self._find = find
        self._closing: set[asyncio.Task[None]] = set()
        self._received = 0
        self._arrived: deque[tuple[int, pb.Message | None]] = deque()
        """Sequence numbers as they came, and the message where one is still to be handled."""
        self._asked: dict[str, _Asked] = {}
        self._talking: asyncio.Task[None] | None = None

    @property
    def tasks(self) -> list[asyncio.Task[None]]:
        """What is under way and should get to its end: calls, and the handling of messages and of answers."""
        return [*self.calls.tasks, *self._closing, *([self._talking] if self._talking else [])]

    def take(self, response: pb.ConnectResponse) -> None:
        """Begin what a response asks for. What was taken before is passed over."""
        if response.sequence:
            if response.sequence <= self._received:
                return
            self._received = response.sequence
            message = response.message if response.HasField("message") else None
            self._arrived.append((response.sequence, message))
        match response.WhichOneof("response"):
            case "question":
                self._ask(decode.question(response.question))
            case "closed":
                self._close(response.closed.question)
            case "invoke":
                self.calls.invoke(response.invoke)
            case "withdrawn":
                self.calls.withdraw(response.withdrawn.call)
            case "said":
                self._out.said(response.said)
            case "failure":
                self._fail(response.failure)
        self._advance()

    def recover(self, questions: Iterable[Question]) -> None:
        """Give those to the handler that are open and not in its hands."""
        for question in questions:
            self._ask(question)

    def stop_talking(self) -> None:
        """Handle no more messages after the one that is being handled; the others come again another time."""
        while len(self._arrived) > 1:
            self._arrived.pop()

    def abandon(self, reason: str) -> None:
        """Stop all that is under way, and tell the calls as failed."""
        self.calls.abandon(reason)
        for asked in self._asked.values():
            if asked.task is not None:
                asked.task.cancel()
        self._asked.clear()
        self._arrived.clear()
        for task in self._closing:
            task.cancel()
        if self._talking is not None:
            self._talking.cancel()

    def _advance(self) -> None:
        """Acknowledge what is processed, up to the first message that is not; and have that one handled."""
        if self._talking is not None:
            return
        processed = 0
        while self._arrived and (self._arrived[0][1] is None or self._declared.on_message is None):
            processed, _ = self._arrived.popleft()
        if processed:
            self._out.ack(processed)
        if self._arrived:
            self._talking = asyncio.create_task(self._talk())

    async def _talk(self) -> None:
        try:
            _, message = self._arrived[0]
            if message is not None and (handler := self._declared.on_message) is not None:
                await self._handle(handler, decode.message(message))
            sequence, _ = self._arrived.popleft()
            self._out.ack(sequence)
        finally:
            self._talking = None
        self._advance()

    async def _handle(self, handler: Callable[[Any], object], given: object) -> object:
        """What a handler gives; None if it fails. Plain ones run on a thread, where they may block."""
        try:
            return await self._threads.run(handler, given)
        except Exception:
            log.warning("the handler of a %s failed", type(given).__name__.lower(), exc_info=True)
            return None

    def _ask(self, question: Question) -> None:
        name = f"agents/{question.agent}/questions/{question.id}"
        if question.state is not QuestionState.OPEN or self._declared.on_question is None:
            return
        if name not in self._asked:
            asked = self._asked[name] = _Asked(question)
            asked.task = asyncio.create_task(self._answer(name, asked))

    async def _answer(self, name: str, asked: _Asked) -> None:
        assert self._declared.on_question is not None
        asked.attempts += 1
        answer = await self._handle(self._declared.on_question, asked.question)
        if answer is None or self._asked.get(name) is not asked:
            return
        try:
            text = answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)
        except (TypeError, ValueError) as exc:
            log.warning("the answer to question %s cannot be sent: %s", asked.question.id, exc)
            return
        self._out.answer(name, text)

    def _close(self, name: str) -> None:
        self._out.settled(name)
        asked = self._asked.pop(name, None)
        if asked is not None and asked.task is not None:
            asked.task.cancel()
        if self._declared.on_closed is not None:
            task = asyncio.create_task(self._tell(decode.last(name), self._declared.on_closed))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def _tell(self, id: str, handler: Callable[[Question], object]) -> None:
        try:
            question = await self._find(id)
        except RlmdError as error:
            log.warning("question %s has ended, and nobody could be told: %s", id, error)
            return
        await self._handle(handler, question)

    def _fail(self, failure: pb.Failure) -> None:
        error = from_code(failure.code, failure.reason, failure.field, failure.remedy)
        if self._out.refused(failure.about, error):
            return
        self._out.settled(failure.about)
        asked = self._asked.get(failure.about)
        if asked is None:
            log.warning("the daemon refused what it was sent about %s: %s", failure.about, error)
            return
        log.warning("the answer to question %s was refused: %s", asked.question.id, error)
        if failure.code == "INVALID_ARGUMENT" and asked.attempts < ATTEMPTS:
            asked.task = asyncio.create_task(self._answer(failure.about, asked))
