"""Files and exports of chats as variables: pure, nothing here asks a daemon.

A text file becomes one text, named by its path: `inbox/notes/plan.md`. An export of chats is JSON, and each
session in it becomes one text, such as `chats/conv-26/2023-05-08-session-01`:

    2023-05-08 13:56 · Caroline, Melanie
    Caroline: Hey Mel! Good to see you!
    Melanie: Look at this! [image: a photo of a lake]

Two forms of JSON are read. The general one, also as a list of such objects; what has a `?` may be missing:

    {"name": "trip",                                     ?  else the file's name
     "sessions": [{"id": "s1",                           ?  for the variable's name, instead of session-NN
                   "date": "2023-05-08T13:56:00+02:00",  ?  ISO 8601; without a zone it is the owner's
                   "turns": [{"id": "m1",                ?  for messages about it
                              "speaker": "Caroline",
                              "text": "Hey Mel!",
                              "image": "a caption"}]}]}  ?

and that of the LoCoMo data set: a list of objects with `sample_id` and `conversation`, in which are
`session_1`, `session_1_date_time` ("1:56 pm on 8 May, 2023") and so on, their turns with `speaker`, `dia_id`,
`text` and perhaps `blip_caption`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any

MAX_BYTES = 16 << 20
"""Largest text that one request carries."""
JSON_SUFFIXES = (".json",)
_LOCOMO_TIME = "%I:%M %p on %d %B, %Y"
_SESSION = re.compile(r"session_(\d+)")


@dataclass(frozen=True, kw_only=True)
class Item:
    """A text to be written."""

    name: str
    text: str
    time: datetime | None = None
    """When it was said; aware."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What could not be taken, and why."""

    where: str
    """The file, and the place in it."""
    reason: str


Read = Iterator[Item | Problem]


def read(path: Path, *, prefix: str | None, zone: tzinfo) -> Read:
    """What is in a file, or in all files of a folder and its sub-folders. Hidden ones are passed over.

    Args:
        prefix: What names begin with, instead of `inbox/` and `chats/`.
        zone: In which times are that name none.
    """
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            inside = file.relative_to(path)
            if file.is_file() and not any(part.startswith(".") for part in inside.parts):
                yield from _read_file(file, Path(path.resolve().name) / inside, prefix, zone)
    else:
        yield from _read_file(path, Path(path.name), prefix, zone)


def _read_file(file: Path, named: Path, prefix: str | None, zone: tzinfo) -> Read:
    try:
        raw = file.read_bytes()
        text = raw.decode("utf-8-sig")
    except OSError as exc:
        yield Problem(where=str(file), reason=f"It cannot be read: {exc.strerror}.")
        return
    except UnicodeDecodeError as exc:
        yield Problem(where=str(file), reason=f"Not UTF-8 text: byte {exc.start} is 0x{raw[exc.start]:02x}.")
        return
    if file.suffix.lower() in JSON_SUFFIXES:
        yield from _read_export(text, str(file), file.stem, "chats/" if prefix is None else prefix, zone)
    elif len(raw) > MAX_BYTES:
        yield Problem(where=str(file), reason=f"{len(raw):,} bytes are more than 16 MiB. Cut it into parts.")
    elif not text.strip():
        yield Problem(where=str(file), reason="It is empty.")
    else:
        yield Item(name=("inbox/" if prefix is None else prefix) + named.as_posix(), text=text)


def _read_export(text: str, file: str, stem: str, prefix: str, zone: tzinfo) -> Read:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as exc:
        yield Problem(where=file, reason=f"Not JSON: {exc}.")
        return
    conversations = data if isinstance(data, list) else [data]
    if not conversations:
        yield Problem(where=file, reason="It holds no conversation.")
    for position, conversation in enumerate(conversations, 1):
        where = file if len(conversations) == 1 else f"{file}, conversation {position}"
        fallback = stem if len(conversations) == 1 else f"{stem}-{position}"
        if isinstance(conversation, dict) and isinstance(conversation.get("conversation"), dict):
            name = _slug(conversation.get("sample_id")) or _slug(fallback)
            yield from _locomo(conversation["conversation"], where, f"{prefix}{name}", zone)
        elif isinstance(conversation, dict) and isinstance(conversation.get("sessions"), list):
            name = _slug(conversation.get("name")) or _slug(fallback)
            yield from _general(conversation["sessions"], where, f"{prefix}{name}", zone)
        else:
            reason = 'Not an export of chats: it has neither "sessions" nor "conversation".'
            yield Problem(where=where, reason=f"{reason} See `rlmd memory import --help`.")


def _general(sessions: list[Any], where: str, prefix: str, zone: tzinfo) -> Read:
    for number, session in enumerate(sessions, 1):
        place = f"{where}, session {number}"
        if not isinstance(session, dict):
            yield Problem(where=place, reason="Not an object.")
            continue
        date = session.get("date")
        try:
            time = datetime.fromisoformat(date) if date is not None else None
        except (TypeError, ValueError):
            yield Problem(where=place, reason=f"Its date {date!r} is not ISO 8601.")
            continue
        label = _slug(session.get("id")) or f"session-{number:02}"
        yield from _session(session.get("turns"), place, prefix, label, _aware(time, zone), "image")


def _locomo(conversation: Mapping[str, Any], where: str, prefix: str, zone: tzinfo) -> Read:
    numbers = [int(match[1]) for key in conversation if (match := _SESSION.fullmatch(key))]
    for number in sorted(numbers):
        place = f"{where}, session_{number}"
        date = conversation.get(f"session_{number}_date_time")
        try:
            time = datetime.strptime(date, _LOCOMO_TIME).replace(tzinfo=zone) if date else None
        except (TypeError, ValueError):
            yield Problem(where=place, reason=f"Its date {date!r} is not such as '1:56 pm on 8 May, 2023'.")
            continue
        turns = conversation[f"session_{number}"]
        yield from _session(turns, place, prefix, f"session-{number:02}", time, "blip_caption")


def _session(turns: Any, where: str, prefix: str, label: str, time: datetime | None, image: str) -> Read:
    if not isinstance(turns, list):
        yield Problem(where=where, reason="It has no list of turns.")
        return
    speakers: list[str] = []
    lines: list[str] = []
    for position, turn in enumerate(turns, 1):
        line = _line(turn, image)
        if line is None:
            name = (turn.get("dia_id") or turn.get("id")) if isinstance(turn, dict) else None
            reason = "It needs a speaker, and a text or an image."
            yield Problem(where=f"{where}, turn {name or position}", reason=reason)
            continue
        speaker, said = line
        speakers += [speaker] if speaker not in speakers else []
        lines.append(f"{speaker}: {said}")
    if not lines:
        yield Problem(where=where, reason="It has no turn that can be taken.")
        return
    head = " · ".join(filter(None, [time.strftime("%Y-%m-%d %H:%M") if time else "", ", ".join(speakers)]))
    name = "-".join(filter(None, [time.strftime("%Y-%m-%d") if time else "", label]))
    yield Item(name=f"{prefix}/{name}", text="\n".join([head, *lines]) + "\n", time=time)


def _line(turn: Any, image: str) -> tuple[str, str] | None:
    """Speaker and text of a turn, each on one line; None if it cannot be taken."""
    if not isinstance(turn, dict):
        return None
    speaker, text, caption = (turn.get(key) for key in ("speaker", "text", image))
    text, caption = text or "", caption or ""
    if not (isinstance(speaker, str) and isinstance(text, str) and isinstance(caption, str)):
        return None
    said = " ".join(text.split())
    if caption.strip():
        said = f"{said} [image: {' '.join(caption.split())}]".strip()
    speaker = " ".join(speaker.split())
    return (speaker, said) if speaker and said and _is_unicode(speaker + said) else None


def _is_unicode(text: str) -> bool:
    """JSON may hold halves of surrogate pairs, which no UTF-8 carries."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _aware(time: datetime | None, zone: tzinfo) -> datetime | None:
    return time.replace(tzinfo=zone) if time is not None and time.tzinfo is None else time


def _slug(name: object) -> str:
    """A name as one segment of a variable's name."""
    text = str(name) if isinstance(name, str | int) and not isinstance(name, bool) else ""
    return re.sub(r"[^\w.@+-]+", "-", text).strip("-.")[:100]
