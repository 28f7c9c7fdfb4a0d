"""WhatsApp's export: a text file in which each message begins with a date as the telephone writes it.

    [08.05.23, 13:56:01] Ann: Hi            iOS
    5/8/23, 1:56 PM - Ann: Hi               Android
    5/8/23, 1:57 PM - Ann added Bob         nobody said it

What does not begin with a date goes on with the message before. Whether day or month comes first is seen from
all dates of the file: from a number above 12, else from dots, else from the order in which no time goes
back. If all that does not tell, it is not guessed. One text a day.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise

from .chats import Turn, days
from .records import DateOrder, Options, Problem, Read, Source
from .text import is_text, lines, odd

_HEAD = re.compile(
    r"(?P<open>\[)?(?P<a>\d{1,4})(?P<mark>[./-])(?P<b>\d{1,2})(?P=mark)(?P<c>\d{4}|\d{2})\.?"
    r"(?P<comma>,)?\s+(?P<hour>\d{1,2})[:.](?P<minute>\d\d)(?:[:.](?P<second>\d\d))?"
    r"(?:\s?(?P<half>[aApP])\.?\s?[mM]\.?)?(?(open)\]|\s+[-–])(?:\s+(?P<rest>.*)|$)"
)
_SAID = re.compile(r"(?P<speaker>[^:\"“„«]{1,100}):(?: (?P<text>.*)|$)")
_INVISIBLE = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
"""Marks of the direction of writing, which WhatsApp puts around names and attachments."""
_TITLE = re.compile(r"WhatsApp[ _]Chat(?:[ _]with|[ _]*-)?[ _]+(.+)", re.IGNORECASE)
_LOOK = 50
"""Lines in which somebody must have spoken, if it is an export."""


@dataclass(kw_only=True)
class _Message:
    line: int
    head: re.Match[str]
    text: list[str] = field(default_factory=list)


def is_whatsapp(text: str) -> bool:
    """Whether a text file is such an export: its first line begins a message, and soon somebody speaks."""
    heads: list[re.Match[str] | None] = []
    for number, line in lines(text[:100_000]):
        if number > _LOOK:
            break
        if line.strip():
            heads.append(_head(line))
    return bool(heads) and heads[0] is not None and any(h and _SAID.match(h["rest"] or "") for h in heads)


def read_whatsapp(text: str, source: Source, options: Options) -> Read:
    """The chat, a text a day."""
    messages: list[_Message] = []
    for number, line in lines(text):
        head = _head(line)
        if not is_text(line):
            yield Problem(where=source.at(number), reason=odd(line))
        elif head is not None:
            messages.append(_Message(line=number, head=head, text=[head["rest"] or ""]))
        elif messages:
            messages[-1].text.append(_INVISIBLE.sub("", line))
        elif line.strip():
            yield Problem(where=source.at(number), reason="It stands before the first message.")
    order = options.date_order or _order([message.head for message in messages])
    if order is None:
        reason = "Whether day or month comes first cannot be told. Say so: --date-order dmy, or mdy."
        yield Problem(where=str(source.path), reason=reason)
        return
    turns: list[Turn] = []
    for message in messages:
        time = _time(message.head, order)
        said = "\n".join(message.text).strip()
        if time is None:
            reason = f"Its date is none if read as {order}: {message.head[0][:40]!r}."
            yield Problem(where=source.at(message.line), reason=reason)
        elif said:
            found = _SAID.match(said.partition("\n")[0])
            speaker = found["speaker"].strip() if found else ""
            body = said[found.end("speaker") + 1 :] if found else said
            turns.append(
                Turn(
                    speaker=speaker, text=body.strip() or "[nothing]", time=time.replace(tzinfo=options.zone)
                )
            )
    for chat in days(turns, title=_title(source), label="whatsapp", where=str(source.path)):
        yield chat.item(options)


def _head(line: str) -> re.Match[str] | None:
    found = _HEAD.match(_INVISIBLE.sub("", line))
    # Logs of programs look like "[2023-05-08 13:56:00] error: no"; telephones put a comma there.
    return found if found and (found["comma"] or len(found["a"]) < 3) else None


def _title(source: Source) -> str:
    """Whom it is with: from the file's name, or that of the folder which was a zip archive."""
    stem = source.path.stem
    if stem.lower() == "_chat":
        stem = source.path.resolve().parent.name
    found = _TITLE.fullmatch(stem)
    return found[1] if found else stem


def _order(heads: Sequence[re.Match[str]]) -> DateOrder | None:
    """How all the dates are to be read; None if that cannot be told."""
    if all(len(head["a"]) == 4 for head in heads):
        return DateOrder.YMD
    # A broken line must not turn the others: what most dates allow counts.
    first = sum(int(head["a"]) > 12 for head in heads)
    second = sum(int(head["b"]) > 12 for head in heads)
    if first != second:
        return DateOrder.DMY if first > second else DateOrder.MDY
    if all(head["mark"] == "." for head in heads):
        # Nobody writes a month, a dot and a day.
        return DateOrder.DMY
    back = {order: _steps_back(heads, order) for order in (DateOrder.DMY, DateOrder.MDY)}
    if back[DateOrder.DMY] == back[DateOrder.MDY]:
        return None
    return min(back, key=lambda order: back[order])


def _steps_back(heads: Sequence[re.Match[str]], order: DateOrder) -> int:
    times = [time for head in heads if (time := _time(head, order)) is not None]
    return sum(later.date() < earlier.date() for earlier, later in pairwise(times))


def _time(head: re.Match[str], order: DateOrder) -> datetime | None:
    """The time by the clock of the telephone; None if there is no such."""
    a, b, c = int(head["a"]), int(head["b"]), int(head["c"])
    match order:
        case _ if len(head["a"]) == 4:
            year, month, day = a, b, c
        case DateOrder.DMY:
            day, month, year = a, b, c
        case DateOrder.MDY:
            month, day, year = a, b, c
        case DateOrder.YMD:
            year, month, day = a, b, c
    hour = int(head["hour"])
    if head["half"]:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if head["half"] in "pP" else 0)
    try:
        return datetime(  # noqa: DTZ001 - the zone is the reader's to say
            year + (2000 if year < 100 else 0),
            month,
            day,
            hour,
            int(head["minute"]),
            int(head["second"] or 0),
        )
    except ValueError:
        return None
