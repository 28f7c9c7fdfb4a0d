"""A messenger's people as channels of the daemon: what is said on one side is carried to the other.

Each person who was let in has a standing connection of their own. What one says is on the daemon's disk
before the messenger is told that it arrived; what agents say is acknowledged when the messenger has taken it.
So nothing is lost, whoever of the three is restarted; what was under way in that moment may come twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import math
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

from rlmd.clients.aio.client import Client
from rlmd.clients.channels.task import Channel
from rlmd.clients.patience import Patience
from rlmd.clients.records import Message, Origin, Question
from rlmd.errors import DeadlineExceeded, Exhausted, RlmdError, Unavailable

from . import texts
from .book import Book, Person
from .wire import File, Letter, Wire

LOOK_SECONDS = 0.5
"""Between looks at who was let in."""
QUIET_SECONDS = 60.0
"""For so long a stranger who writes again is not answered."""
FETCH_SECONDS = 60.0
"""For so long a file that cannot be had is tried again; then the message goes without it."""
MOST_FILE = 20_000_000
"""Bytes of a file that is taken."""

PASSING = (Unavailable, DeadlineExceeded, Exhausted)
"""Errors that go away by themselves: what failed is tried again."""

T = TypeVar("T")
log = logging.getLogger("rlmd.bot")


@dataclass
class _Asked:
    """A question that was put to a person."""

    choices: tuple[str, ...]
    answer: asyncio.Future[str]
    message: asyncio.Future[Any]


@dataclass
class _Line:
    """A person who was let in, and their standing connection."""

    person: Person
    channel: Channel
    keeping: asyncio.Task[None]
    asked: dict[str, _Asked] = field(default_factory=dict)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class Bot:
    """One messenger, between its people and one agent."""

    def __init__(self, client: Client, wire: Wire, book: Book, agent: str) -> None:
        self._client = client
        self._wire = wire
        self._book = book
        self._agent = agent
        self._lines: dict[str, _Line] = {}
        self._answered: OrderedDict[str, float] = OrderedDict()
        """When a stranger was last answered."""
        self._work: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        """Carry, until this is cancelled.

        Raises:
            RlmdError: the messenger does not take this bot.
        """
        async with self._wire:
            self._meet(greet=False)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._look())
                    group.create_task(self._wire.listen(self))
            except* RlmdError as several:
                raise several.exceptions[0] from None
            finally:
                await asyncio.gather(*self._work, *map(self._part, list(self._lines)), return_exceptions=True)

    def people(self) -> Collection[str]:
        """Who was let in, by their ids."""
        self._meet()
        return self._lines.keys()

    async def heard(self, letter: Letter) -> None:
        """Somebody says something. Returns when it is on the daemon's disk, or was refused."""
        self._meet()
        line = self._lines.get(letter.sender)
        if line is None:
            await self._refuse(letter)
            return
        async with line.turn:
            notes = [await self._keep(line, file) for file in letter.files]
            text = "\n".join(filter(None, [letter.text.strip(), *notes]))
            if text:
                await self._say(line, text, f"{self._wire.name}-{letter.id}")

    async def pressed(self, sender: str, question: str, choice: int) -> bool:
        """Somebody presses a button; whether that answers anything."""
        self._meet()
        line = self._lines.get(sender)
        asked = line.asked.get(question) if line is not None else None
        if asked is None or not 0 <= choice < len(asked.choices) or asked.answer.done():
            return False
        asked.answer.set_result(asked.choices[choice])
        return True

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self._meet()

    def _meet(self, *, greet: bool = True) -> None:
        """Have a line to each person who is let in now, and to nobody else."""
        people = {each.id: each for each in self._book.people() if each.bot == self._wire.name}
        for sender, line in list(self._lines.items()):
            if people.get(sender) != line.person:
                self._soon(self._part(sender))
        for sender, person in people.items():
            if sender not in self._lines:
                self._lines[sender] = self._line(person)
                if greet:
                    self._soon(self._send(person, f"You are known now, as {person.channel}. Say something."))

    def _soon(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    def _line(self, person: Person) -> _Line:
        channel = self._client.channel(person.channel, external=person.external)
        line = _Line(person, channel, asyncio.ensure_future(_keep_connected(channel)))

        @channel.on_message
        async def said(message: Message) -> None:
            await self._send(person, message.text)

        @channel.on_question
        async def asked(question: Question) -> str:
            return await self._ask(line, question)

        @channel.on_closed
        async def closed(question: Question) -> None:
            await self._settle(line, question)

        return line

    async def _part(self, sender: str) -> None:
        line = self._lines.pop(sender, None)
        if line is not None:
            await line.channel.close()
            line.keeping.cancel()
            await asyncio.gather(line.keeping, return_exceptions=True)

    async def _refuse(self, letter: Letter) -> None:
        now = time.monotonic()
        if now - self._answered.get(letter.sender, -math.inf) < QUIET_SECONDS:
            return
        self._answered[letter.sender] = now
        self._answered.move_to_end(letter.sender)
        while len(self._answered) > 10_000:
            self._answered.popitem(last=False)
        try:
            stranger = self._book.introduce(self._wire.name, letter.sender, letter.name)
            text = (
                f"I do not know you, and did not read this. My owner can let you in with: "
                f"rlmd bot pair {stranger.code}"
            )
        except Exhausted as error:
            text = str(error)
        with contextlib.suppress(RlmdError):
            await self._wire.send(letter.sender, text)

    async def _keep(self, line: _Line, file: File) -> str:
        """Put a file into the agent's memory; the line about it in the message."""
        name = f"inbox/{line.person.channel}/{texts.file_name(file.name)}"
        if file.size > MOST_FILE:
            return f"[{file.name} was sent, but not taken: it has {file.size:,} bytes]"
        try:
            data = await _persist(file.fetch, FETCH_SECONDS)
            note = f"sent by {line.person.name} on {self._wire.name}"
            memory = self._client.agent(self._agent).memory

            async def upload() -> None:
                # Whoever sends it: what stands in it, somebody else may have written.
                await memory.upload(
                    name, io.BytesIO(data), text=texts.is_text(data), note=note, origin=Origin.EXTERNAL
                )

            await _persist(upload)
        except RlmdError as error:
            return f"[{file.name} was sent, but not taken: {error.reason}]"
        return f"[file {name}, {len(data):,} bytes]"

    async def _say(self, line: _Line, text: str, request_id: str) -> None:
        async def say() -> None:
            await line.channel.say(text, self._agent, sender=line.person.name, request_id=request_id)

        try:
            await _persist(say)
        except RlmdError as error:
            log.warning("what %s said was not taken: %s", line.person.channel, error)
            await self._send(line.person, f"That was not taken: {error}")

    async def _send(self, person: Person, text: str) -> None:
        for part in texts.parts(text, self._wire.longest, self._wire.width):

            async def send(part: str = part) -> None:
                await self._wire.send(person.id, part)

            try:
                await _persist(send)
            except RlmdError as error:
                log.warning("%s could not be told something: %s", person.channel, error)
                return

    async def _ask(self, line: _Line, question: Question) -> str:
        """Put a question to a person; the choice whose button they press, if they do."""
        found = line.asked.get(question.id)
        if found is None or found.answer.done():
            choices = texts.choices(question)
            *before, last = texts.parts(
                texts.asked(question, bool(choices)), self._wire.longest, self._wire.width
            )
            for part in before:
                await self._send(line.person, part)

            async def put() -> Any:
                return await self._wire.ask(line.person.id, last, choices, question.id)

            loop = asyncio.get_running_loop()
            # Not cancelled with this: when the question has ended, the message is to say so.
            message = asyncio.ensure_future(_persist(put))
            found = line.asked[question.id] = _Asked(choices, loop.create_future(), message)
        await asyncio.shield(found.message)
        return await found.answer

    async def _settle(self, line: _Line, question: Question) -> None:
        asked = line.asked.pop(question.id, None)
        if asked is None:
            return
        text = texts.ended(question)
        if self._wire.width(text) > self._wire.longest:
            text = next(texts.parts(text, self._wire.longest, self._wire.width))

        async def settle() -> None:
            await self._wire.settle(await asked.message, text)

        try:
            await _persist(settle)
        except RlmdError as error:
            log.info("a question to %s could not be marked as ended: %s", line.person.channel, error)


async def _keep_connected(channel: Channel) -> None:
    try:
        await _persist(channel.serve)
    except RlmdError as error:
        log.warning("the daemon does not take channel %s: %s", channel.name, error)


async def _persist(do: Callable[[], Awaitable[T]], seconds: float = math.inf) -> T:
    """Try until it succeeds, or fails for good, or has failed for so long."""
    patience = Patience(seconds)
    while True:
        try:
            return await do()
        except PASSING as error:
            if not patience.can_wait:
                raise
            log.info("trying again: %s", error)
        await asyncio.sleep(patience.next_delay())
