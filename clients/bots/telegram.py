"""Telegram, by its Bot API: long polling, private chats only.

An update is confirmed by asking for the next ones. That happens when the daemon has what this one said, so a
bot that is killed in between gets it again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import warnings
from collections.abc import Awaitable, Iterator, Sequence
from datetime import timedelta
from typing import Any, Self, TypeVar

import telegram
from telegram import error as failures
from telegram.constants import ChatType
from telegram.request import HTTPXRequest

from rlmd import errors
from rlmd.clients.patience import Patience

from .bot import PASSING, Bot
from .wire import File, Letter, Wire

POLL_SECONDS = 20
"""How long the API may wait with its answer until there are updates."""
WAIT_SECONDS = 10.0
MOST_UPDATES = 100
KINDS = ["message", "callback_query"]
_PRESSED = "rlmd:"
"""What stands before the question and the number of the choice in what a button sends."""
_START = "/start"
"""What Telegram says by itself for who writes to a bot for the first time."""
_NO_TOKEN = errors.Unauthenticated(
    "Telegram does not know this token.", remedy="Get one from @BotFather, and put it into the file."
)

T = TypeVar("T")
log = logging.getLogger("rlmd.bot")


class Telegram(Wire):
    """One bot of Telegram's."""

    name = "telegram"
    longest = 4096

    def __init__(self, token: str, api: str = "https://api.telegram.org") -> None:
        base = api.rstrip("/")
        try:
            self._api = telegram.Bot(
                token,
                base_url=f"{base}/bot",
                base_file_url=f"{base}/file/bot",
                request=_request(),
                get_updates_request=_request(),
            )
        except failures.InvalidToken as exc:
            raise _NO_TOKEN from exc

    def width(self, text: str) -> int:
        # It counts as UTF-16 does.
        return len(text.encode("utf-16-le")) // 2

    async def __aenter__(self) -> Self:
        await _do(self._api.initialize())
        log.info("this is @%s", self._api.username)
        return self

    async def __aexit__(self, *exc: Any) -> None:
        await self._api.shutdown()

    async def listen(self, bot: Bot) -> None:
        patience = Patience(math.inf)
        confirmed = 0
        while True:
            try:
                updates = await _do(
                    self._api.get_updates(
                        offset=confirmed + 1 if confirmed else None,
                        limit=MOST_UPDATES,
                        timeout=POLL_SECONDS,
                        allowed_updates=KINDS,
                    )
                )
            except PASSING as error:
                log.info("Telegram is not reached: %s", error)
                await asyncio.sleep(patience.next_delay())
                continue
            patience = Patience(math.inf)
            await self._handle(bot, updates)
            confirmed = max((each.update_id for each in updates), default=confirmed)

    async def send(self, person: str, text: str) -> None:
        await _do(self._api.send_message(int(person), text))

    async def ask(self, person: str, text: str, choices: Sequence[str], question: str) -> telegram.Message:
        rows = [
            [telegram.InlineKeyboardButton(choice, callback_data=f"{_PRESSED}{question}:{number}")]
            for number, choice in enumerate(choices)
        ]
        markup = telegram.InlineKeyboardMarkup(rows) if rows else None
        return await _do(self._api.send_message(int(person), text, reply_markup=markup))

    async def settle(self, message: Any, text: str) -> None:
        await _do(self._api.edit_message_text(text, message.chat_id, message.message_id))

    async def _handle(self, bot: Bot, updates: Sequence[telegram.Update]) -> None:
        """Each person's updates in order, people beside each other."""
        by_person: dict[int, list[telegram.Update]] = {}
        for update in updates:
            if update.effective_user is not None:
                by_person.setdefault(update.effective_user.id, []).append(update)
        async with asyncio.TaskGroup() as group:
            for several in by_person.values():
                group.create_task(self._in_order(bot, several))

    async def _in_order(self, bot: Bot, updates: Sequence[telegram.Update]) -> None:
        for update in updates:
            if update.callback_query is not None:
                await self._pressed(bot, update.callback_query)
            elif update.message is not None and update.message.chat.type == ChatType.PRIVATE:
                await bot.heard(self._letter(update.update_id, update.message))

    async def _pressed(self, bot: Bot, query: telegram.CallbackQuery) -> None:
        question, _, number = (query.data or "").removeprefix(_PRESSED).partition(":")
        known = number.isdecimal() and await bot.pressed(str(query.from_user.id), question, int(number))
        # It only ends the button's waiting, and comes too late if this took a minute.
        with contextlib.suppress(errors.RlmdError):
            text = None if known else "This is no longer asked."
            await _do(self._api.answer_callback_query(query.id, text))

    def _letter(self, update: int, message: telegram.Message) -> Letter:
        assert message.from_user is not None
        return Letter(
            id=f"{self._api.id}-{update}",
            sender=str(message.from_user.id),
            name=message.from_user.full_name,
            text="" if message.text == _START else message.text or message.caption or "",
            files=[*self._files(message)],
        )

    def _files(self, message: telegram.Message) -> Iterator[File]:
        if message.photo:
            # The same picture in several sizes, the largest last.
            yield self._file(message.photo[-1], f"photo-{message.message_id}.jpg")
        for kind, ending in (("voice", "ogg"), ("audio", "mp3"), ("video", "mp4"), ("document", "bin")):
            if (found := getattr(message, kind)) is not None:
                name = getattr(found, "file_name", None) or f"{kind}-{message.message_id}.{ending}"
                yield self._file(found, name)

    def _file(self, found: Any, name: str) -> File:
        async def fetch() -> bytes:
            file = await _do(self._api.get_file(found.file_id))
            return bytes(await _do(file.download_as_bytearray()))

        return File(name=name, size=found.file_size or 0, fetch=fetch)


def _request() -> HTTPXRequest:
    return HTTPXRequest(
        read_timeout=WAIT_SECONDS,
        write_timeout=WAIT_SECONDS,
        connect_timeout=WAIT_SECONDS,
        pool_timeout=WAIT_SECONDS,
    )


async def _do(work: Awaitable[T]) -> T:
    """Telegram's errors as rlmd's. None tells the token, which stands in every address."""
    try:
        return await work
    except failures.RetryAfter as exc:
        await asyncio.sleep(_seconds(exc))
        raise errors.Exhausted("Telegram takes no more messages for a while.") from exc
    except failures.BadRequest as exc:
        raise errors.InvalidInput(f"Telegram does not take it: {exc.message}.") from exc
    except failures.NetworkError as exc:
        raise errors.Unavailable(f"Telegram is not reached: {exc.message}.") from exc
    except (failures.InvalidToken, failures.EndPointNotFound) as exc:
        raise _NO_TOKEN from exc
    except failures.Forbidden as exc:
        raise errors.PermissionDenied(f"Telegram does not allow it: {exc.message}.") from exc
    except failures.Conflict as exc:
        raise errors.Conflict(
            "Another program asks for this bot's messages.", remedy="End it, or delete its webhook."
        ) from exc
    except failures.TelegramError as exc:
        raise errors.InternalError(f"Telegram: {exc.message}.") from exc


def _seconds(exc: failures.RetryAfter) -> float:
    with warnings.catch_warnings():
        # It warns that the type of this will change; both are taken here.
        warnings.simplefilter("ignore")
        wait = exc.retry_after
    return wait.total_seconds() if isinstance(wait, timedelta) else wait
