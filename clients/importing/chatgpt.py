"""ChatGPT's export, `conversations.json`: a list of conversations, each a tree of messages.

Somebody who edits a message or asks again makes a branch. What counts is the branch that was last in view:
the way from `current_node` up to the root. One text a conversation.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from .chats import Chat, Turn
from .names import slug
from .records import Options, Problem, Read
from .text import is_text

_HIDDEN_KINDS = ("thoughts", "reasoning_recap", "user_editable_context", "model_editable_context")
"""Kinds of content that are no part of what was said."""


def is_chatgpt(data: Any) -> bool:
    """Whether it is a conversation of such an export."""
    return isinstance(data, dict) and isinstance(data.get("mapping"), dict)


def read_chatgpt(data: Mapping[str, Any], where: str, title: str, options: Options) -> Read:
    """One conversation; `title` is for one that has none."""
    turns: list[Turn] = []
    for node in _branch(data):
        message = node.get("message")
        try:
            turn = _turn(message, options) if isinstance(message, dict) else None
        except ValueError as exc:
            yield Problem(where=f"{where}, message {node.get('id')}", reason=str(exc))
            continue
        if turn is not None:
            turns.append(turn)
    if not turns:
        yield Problem(where=where, reason="It has no message that can be taken.")
        return
    time = _time(data.get("create_time"), options) or next((turn.time for turn in turns if turn.time), None)
    label = slug(data.get("conversation_id") or data.get("id"))[:8] or "chatgpt"
    named = slug(data.get("title")) or title
    yield Chat(title=named, label=label, time=time, turns=turns, where=where).item(options)


def _branch(data: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The nodes from the root to the one in view. Without that, to the youngest."""
    mapping = {key: node for key, node in data["mapping"].items() if isinstance(node, dict)}
    key = data.get("current_node")
    if not isinstance(key, str) or key not in mapping:
        key = max(mapping, key=lambda key: _created(mapping[key]), default=None)
    branch: list[Mapping[str, Any]] = []
    while isinstance(key, str) and key in mapping:
        # Taken out, so that a damaged file in which nodes go round comes to an end.
        node = mapping.pop(key)
        branch.append(node)
        key = node.get("parent")
    return branch[::-1]


def _created(node: Mapping[str, Any]) -> float:
    message = node.get("message")
    seconds = message.get("create_time") if isinstance(message, dict) else None
    return seconds if isinstance(seconds, int | float) else float("-inf")


def _turn(message: Mapping[str, Any], options: Options) -> Turn | None:
    """A message; None if it was never shown.

    Raises:
        ValueError: it cannot be taken; the message is for people.
    """
    author, content, metadata = (_dict(message.get(key)) for key in ("author", "content", "metadata"))
    role = author.get("role")
    if metadata.get("is_visually_hidden_from_conversation") or content.get("content_type") in _HIDDEN_KINDS:
        return None
    if not isinstance(role, str) or not role:
        raise ValueError("It has no role.")
    text = _text(content)
    if not text.strip():
        return None
    if not is_text(text):
        raise ValueError("It holds half of a surrogate pair, which is no character.")
    name = author.get("name")
    speaker = f"{role} ({name})" if isinstance(name, str) and name else role
    return Turn(speaker=speaker, text=text, time=_time(message.get("create_time"), options))


def _text(content: Mapping[str, Any]) -> str:
    parts = content.get("parts")
    if not isinstance(parts, list):
        parts = [content.get("text") or content.get("result")]
    return "\n".join(filter(None, map(_part, parts)))


def _part(part: Any) -> str:
    if isinstance(part, str):
        return part
    kind = _dict(part).get("content_type")
    if not isinstance(kind, str):
        return ""
    said = _dict(part).get("text")
    return said if isinstance(said, str) else f"[{kind.split('_')[0]}]"


def _dict(data: Any) -> Mapping[str, Any]:
    return data if isinstance(data, dict) else {}


def _time(seconds: Any, options: Options) -> datetime | None:
    """Seconds since 1970.

    Raises:
        ValueError: no calendar has it.
    """
    if not isinstance(seconds, int | float) or isinstance(seconds, bool):
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC).astimezone(options.zone)
    except (ValueError, OverflowError, OSError):
        raise ValueError(f"Its time {seconds!r} is none.") from None
