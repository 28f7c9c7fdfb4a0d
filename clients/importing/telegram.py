"""Telegram's export, `result.json`: one chat, or all of an account below `chats.list`. One text a day."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from .chats import Turn, days
from .records import Options, Problem, Read
from .text import is_text

_MEDIA = ("photo", "file", "location_information", "contact_information", "poll")


def is_chat(data: Any) -> bool:
    """Whether it is one chat."""
    return (
        isinstance(data, dict)
        and isinstance(data.get("messages"), list)
        and isinstance(data.get("type"), str)
        and "id" in data
    )


def chats(data: Any) -> list[Any] | None:
    """All chats of an export, those that were left too; None if it is no export of Telegram."""
    if is_chat(data):
        return [data]
    if not isinstance(data, dict):
        return None
    lists = [
        found["list"]
        for key in ("chats", "left_chats")
        if isinstance(found := data.get(key), dict) and isinstance(found.get("list"), list)
    ]
    return [chat for found in lists for chat in found] if lists else None


def read_telegram(data: Any, where: str, title: str, options: Options) -> Read:
    """One chat; `title` is for one that has no name."""
    if not is_chat(data):
        yield Problem(where=where, reason="Not a chat: it has no messages.")
        return
    turns: list[Turn] = []
    for position, message in enumerate(data["messages"], 1):
        try:
            turns.append(_turn(message, options))
        except ValueError as exc:
            name = message.get("id") if isinstance(message, dict) else None
            yield Problem(where=f"{where}, message {name or f'number {position}'}", reason=str(exc))
    name = data.get("name")
    titled = name if isinstance(name, str) and name else title
    for chat in days(turns, title=titled, label="telegram", where=where):
        yield chat.item(options)


def _turn(message: Any, options: Options) -> Turn:
    """One message.

    Raises:
        ValueError: it cannot be taken; the message is for people.
    """
    if not isinstance(message, dict):
        raise ValueError("Not an object.")
    time = _time(message, options)
    if message.get("type") == "service":
        speaker, text = "", _happened(message)
    else:
        speaker = message.get("from") or "deleted account"
        text = " ".join(filter(None, [*_about(message), _text(message.get("text"))]))
    if not (isinstance(speaker, str) and text.strip()):
        raise ValueError("It has neither a text nor anything attached.")
    if not is_text(speaker + text):
        raise ValueError("It holds half of a surrogate pair, which is no character.")
    return Turn(speaker=speaker, text=text, time=time)


def _time(message: Mapping[str, Any], options: Options) -> datetime:
    """When it was sent: `date_unixtime` is exact, `date` is by the clock of the telephone."""
    try:
        if (seconds := message.get("date_unixtime")) is not None:
            return datetime.fromtimestamp(int(seconds), UTC).astimezone(options.zone)
        time = datetime.fromisoformat(message["date"])
    except (KeyError, TypeError, ValueError, OverflowError, OSError):
        raise ValueError(f"Its date {message.get('date')!r} is not ISO 8601.") from None
    return time.replace(tzinfo=options.zone) if time.tzinfo is None else time.astimezone(options.zone)


def _text(text: Any) -> str:
    """A text is a string, or a list of strings and of objects for links, mentions and bold words."""
    if isinstance(text, str):
        return text
    if not isinstance(text, list):
        return ""
    return "".join(_entity(part) for part in text)


def _entity(part: Any) -> str:
    if isinstance(part, str):
        return part
    said = part.get("text") if isinstance(part, dict) else None
    if not isinstance(said, str):
        return ""
    target = part.get("href")
    return f"{said} ({target})" if isinstance(target, str) and target != said else said


def _about(message: Mapping[str, Any]) -> Iterator[str]:
    """What is attached, and whose words these are, in brackets."""
    if isinstance(origin := message.get("forwarded_from"), str):
        yield f"[forwarded from {origin}]"
    for key in _MEDIA:
        if key not in message:
            continue
        kind = message.get("media_type") if key == "file" else None
        kind = kind if isinstance(kind, str) else key.removesuffix("_information")
        detail = message.get("sticker_emoji") or message.get("file_name") if key == "file" else None
        question = message[key].get("question") if isinstance(message[key], dict) else None
        more = next((text for text in (detail, question) if isinstance(text, str)), "")
        yield f"[{kind.replace('_', ' ')}{f': {more}' if more else ''}]"


def _happened(message: Mapping[str, Any]) -> str:
    """What nobody said: somebody joined, a call, a new title."""
    members = message.get("members")
    words = [
        message.get("actor"),
        str(message.get("action") or "").replace("_", " "),
        message.get("title"),
        ", ".join(name for name in members if isinstance(name, str)) if isinstance(members, list) else "",
    ]
    return " ".join(word for word in words if isinstance(word, str) and word)
