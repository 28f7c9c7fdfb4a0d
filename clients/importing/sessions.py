"""Exports of chats in sessions: the general form, and that of the LoCoMo data set.

The general form, also as a list of such objects; what has a `?` may be missing:

    {"name": "trip",                                     ?  else the file's name
     "sessions": [{"id": "s1",                           ?  for the variable's name, instead of session-NN
                   "date": "2023-05-08T13:56:00+02:00",  ?  ISO 8601; without a zone it is the owner's
                   "turns": [{"id": "m1",                ?  for messages about it
                              "speaker": "Caroline",
                              "text": "Hey Mel!",
                              "date": "2023-05-08T13:57",?  when this was said
                              "image": "a caption"}]}]}  ?

LoCoMo: `sample_id` and `conversation`, in which are `session_1`, `session_1_date_time` ("1:56 pm on 8 May,
2023") and so on, their turns with `speaker`, `dia_id`, `text` and perhaps `blip_caption`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from .chats import Chat, Turn
from .names import slug
from .records import Options, Problem, Read
from .text import is_text

_LOCOMO_TIME = "%I:%M %p on %d %B, %Y"
_SESSION = re.compile(r"session_(\d+)")


def is_general(data: Any) -> bool:
    """Whether it is a conversation in the general form."""
    return isinstance(data, dict) and isinstance(data.get("sessions"), list)


def is_locomo(data: Any) -> bool:
    """Whether it is a conversation as LoCoMo has it."""
    return isinstance(data, dict) and isinstance(data.get("conversation"), dict)


def read_general(data: Mapping[str, Any], where: str, title: str, options: Options) -> Read:
    """The sessions of one conversation; `title` is for one that has no name."""
    for number, session in enumerate(data["sessions"], 1):
        place = f"{where}, session {number}"
        if not isinstance(session, dict):
            yield Problem(where=place, reason="Not an object.")
            continue
        try:
            time = _time(session.get("date"), options)
        except ValueError as exc:
            yield Problem(where=place, reason=str(exc))
            continue
        label = slug(session.get("id")) or f"session-{number:02}"
        named = slug(data.get("name")) or title
        yield from _session(session.get("turns"), place, named, label, time, "image", options)


def read_locomo(data: Mapping[str, Any], where: str, title: str, options: Options) -> Read:
    """The sessions of one conversation; `title` is for one that has no `sample_id`."""
    conversation = data["conversation"]
    numbers = [int(match[1]) for key in conversation if (match := _SESSION.fullmatch(key))]
    for number in sorted(numbers):
        place = f"{where}, session_{number}"
        date = conversation.get(f"session_{number}_date_time")
        try:
            time = datetime.strptime(date, _LOCOMO_TIME).replace(tzinfo=options.zone) if date else None
        except (TypeError, ValueError):
            yield Problem(where=place, reason=f"Its date {date!r} is not such as '1:56 pm on 8 May, 2023'.")
            continue
        turns, named = conversation[f"session_{number}"], slug(data.get("sample_id")) or title
        yield from _session(turns, place, named, f"session-{number:02}", time, "blip_caption", options)


def _time(date: Any, options: Options) -> datetime | None:
    """A time of the general form, in its own zone if it names one.

    Raises:
        ValueError: it is none; the message is for people.
    """
    try:
        time = datetime.fromisoformat(date) if date is not None else None
    except (TypeError, ValueError):
        raise ValueError(f"Its date {date!r} is not ISO 8601.") from None
    return time.replace(tzinfo=options.zone) if time is not None and time.tzinfo is None else time


def _session(
    turns: Any, where: str, title: str, label: str, time: datetime | None, image: str, options: Options
) -> Read:
    if not isinstance(turns, list):
        yield Problem(where=where, reason="It has no list of turns.")
        return
    taken: list[Turn] = []
    for position, data in enumerate(turns, 1):
        try:
            taken.append(_turn(data, image, options))
        except ValueError as exc:
            name = (data.get("dia_id") or data.get("id")) if isinstance(data, dict) else None
            yield Problem(where=f"{where}, turn {name or position}", reason=str(exc))
    if not taken:
        yield Problem(where=where, reason="It has no turn that can be taken.")
        return
    yield Chat(title=title, label=label, time=time, turns=taken, where=where).item(options)


def _turn(data: Any, image: str, options: Options) -> Turn:
    """One turn.

    Raises:
        ValueError: it cannot be taken; the message is for people.
    """
    reason = "It needs a speaker, and a text or an image."
    if not isinstance(data, dict):
        raise ValueError(reason)
    speaker, text, caption = (data.get(key) or "" for key in ("speaker", "text", image))
    if not (isinstance(speaker, str) and isinstance(text, str) and isinstance(caption, str)):
        raise ValueError(reason)
    said = text.strip()
    if caption.strip():
        said = f"{said} [image: {' '.join(caption.split())}]".strip()
    if not (speaker.strip() and said):
        raise ValueError(reason)
    if not is_text(speaker + said):
        raise ValueError("It holds half of a surrogate pair, which is no character.")
    return Turn(speaker=speaker, text=said, time=_time(data.get("date"), options))
