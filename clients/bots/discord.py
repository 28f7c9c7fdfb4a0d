"""Discord, by its gateway: direct messages only.

The gateway tells once what happens, and nothing of what was said while nobody listened. So it is only a bell:
then the history is read, from the last message on that the daemon has.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

import aiohttp
import discord

from rlmd import errors
from rlmd.clients.patience import Patience

from .bot import PASSING, Bot
from .marks import Marks
from .wire import File, Letter, Wire

_PRESSED = "rlmd:"
"""What stands before the question and the number of the choice in the id of a button."""
_NO_TOKEN = errors.Unauthenticated(
    "Discord does not know this token.",
    remedy="Take one from the Developer Portal, and put it into the file.",
)

T = TypeVar("T")
log = logging.getLogger("rlmd.bot")


class Discord(Wire):
    """One bot of Discord's."""

    name = "discord"
    longest = 2000

    def __init__(self, token: str, folder: Path, proxy: str | None = None) -> None:
        """`folder` is where it keeps how far it has read, `proxy` an HTTP proxy, if Discord is behind one."""
        self._token = token
        self._marks = Marks(folder / "discord.json")
        self._client = _Client(intents=_intents(), proxy=proxy, max_messages=None)
        self._bells: dict[str, asyncio.Event] = {}

    def width(self, text: str) -> int:
        # It counts as UTF-16 does.
        return len(text.encode("utf-16-le")) // 2

    async def __aenter__(self) -> Self:
        try:
            await _do(self._client.login(self._token))
        except BaseException:
            await self._client.close()
            raise
        return self

    async def __aexit__(self, *exc: Any) -> None:
        await self._client.close()

    async def listen(self, bot: Bot) -> None:
        async with asyncio.TaskGroup() as group:
            self._client.begin(self, bot, group)
            await _do(self._client.connect())
            # It goes on for ever, or ends with an error; or because it was closed.
            raise errors.Unavailable("Discord has closed the connection.")

    async def send(self, person: str, text: str) -> None:
        channel = await self._channel(person)
        sent = await _do(channel.send(text, allowed_mentions=discord.AllowedMentions.none()))
        if self._marks.get(person) is None:
            # The first that anybody hears is that they are strangers. What they said until then is not read.
            self._marks.set(person, sent.id)

    async def ask(self, person: str, text: str, choices: Sequence[str], question: str) -> discord.Message:
        view = discord.ui.View(timeout=None)
        for number, choice in enumerate(choices):
            view.add_item(discord.ui.Button(label=choice, custom_id=f"{_PRESSED}{question}:{number}"))
        channel = await self._channel(person)
        # An empty view is refused.
        return await _do(channel.send(text, view=view) if choices else channel.send(text))

    async def settle(self, message: Any, text: str) -> None:
        await _do(message.edit(content=text, view=None))

    # -- what comes -------------------------------------------------------------------------------

    def ring(self, bot: Bot, group: asyncio.TaskGroup, person: str) -> None:
        """Somebody who was let in may have said something."""
        if person not in self._bells:
            self._bells[person] = asyncio.Event()
            group.create_task(self._follow(bot, person, self._bells[person]))
        self._bells[person].set()

    def ring_all(self, bot: Bot, group: asyncio.TaskGroup) -> None:
        """The connection stands anew: anybody may have said something meanwhile."""
        for person in bot.people():
            self.ring(bot, group, person)

    async def said(self, bot: Bot, group: asyncio.TaskGroup, message: discord.Message) -> None:
        """The gateway tells of a direct message."""
        person = str(message.author.id)
        mark = self._marks.get(person)
        if person not in bot.people():
            await bot.heard(_letter(message))
            if mark is not None:
                self._marks.set(person, message.id)
            return
        if mark is None:
            # What was said before somebody was let in is not read.
            self._marks.set(person, message.id - 1)
        self.ring(bot, group, person)

    async def pressed(self, bot: Bot, interaction: discord.Interaction) -> None:
        """Somebody presses a button."""
        data: Any = interaction.data or {}
        given = str(data.get("custom_id", ""))
        question, _, number = given.removeprefix(_PRESSED).partition(":")
        known = number.isdecimal() and await bot.pressed(str(interaction.user.id), question, int(number))
        response = interaction.response
        # It only ends the button's waiting.
        with contextlib.suppress(errors.RlmdError):
            if known:
                await _do(response.defer())
            else:
                await _do(response.send_message("This is no longer asked.", ephemeral=True))

    async def _follow(self, bot: Bot, person: str, bell: asyncio.Event) -> None:
        """Read on in what a person has said, whenever the bell rings."""
        patience = Patience(math.inf)
        while True:
            await bell.wait()
            bell.clear()
            try:
                await self._read(bot, person)
                patience = Patience(math.inf)
            except PASSING as error:
                log.info("Discord is not reached: %s", error)
                bell.set()
                await asyncio.sleep(patience.next_delay())
            except errors.RlmdError as error:
                log.warning("what %s said cannot be read: %s", person, error)

    async def _read(self, bot: Bot, person: str) -> None:
        mark = self._marks.get(person)
        if mark is None:
            return
        channel = await self._channel(person)
        after = channel.history(limit=None, after=discord.Object(mark), oldest_first=True)
        while (message := await _do(anext(after, None))) is not None:
            if str(message.author.id) == person:
                await bot.heard(_letter(message))
            self._marks.set(person, message.id)

    async def _channel(self, person: str) -> discord.DMChannel:
        return await _do(self._client.create_dm(discord.Object(int(person))))


class _Client(discord.Client):
    """Hands over what the gateway tells."""

    def begin(self, wire: Discord, bot: Bot, group: asyncio.TaskGroup) -> None:
        self._wire, self._bot, self._group = wire, bot, group

    async def on_ready(self) -> None:
        self._wire.ring_all(self._bot, self._group)

    async def on_resumed(self) -> None:
        self._wire.ring_all(self._bot, self._group)

    async def on_message(self, message: discord.Message) -> None:
        if message.guild is None and not message.author.bot:
            await self._wire.said(self._bot, self._group, message)

    async def on_interaction(self, interaction: discord.Interaction) -> None:
        if interaction.type is discord.InteractionType.component and interaction.guild_id is None:
            await self._wire.pressed(self._bot, interaction)


def _intents() -> discord.Intents:
    found = discord.Intents.none()
    found.dm_messages = True
    return found


def _letter(message: discord.Message) -> Letter:
    return Letter(
        id=str(message.id),
        sender=str(message.author.id),
        name=message.author.display_name,
        text=message.content,
        files=[_file(each) for each in message.attachments],
    )


def _file(attachment: discord.Attachment) -> File:
    async def fetch() -> bytes:
        return await _do(attachment.read())

    return File(name=attachment.filename, size=attachment.size, fetch=fetch)


async def _do(work: Awaitable[T]) -> T:
    """Discord's errors as rlmd's."""
    try:
        return await work
    except discord.LoginFailure as exc:
        raise _NO_TOKEN from exc
    except discord.Forbidden as exc:
        raise errors.PermissionDenied(f"Discord does not allow it: {exc.text}.") from exc
    except (discord.DiscordServerError, discord.RateLimited, discord.GatewayNotFound) as exc:
        raise errors.Unavailable(f"Discord is not reached: {exc}.") from exc
    except discord.HTTPException as exc:
        raise errors.InvalidInput(f"Discord does not take it: {exc.text}.") from exc
    except discord.ConnectionClosed as exc:
        if exc.code == 4004:
            raise _NO_TOKEN from exc
        raise errors.Unavailable(f"Discord has closed the connection: {exc}.") from exc
    except (aiohttp.ClientError, OSError, TimeoutError) as exc:
        raise errors.Unavailable(f"Discord is not reached: {exc}.") from exc
