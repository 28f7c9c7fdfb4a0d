"""Output: laid out on a terminal, plain in a pipe, JSON where it is asked for.

What was remembered may hold control characters, which a terminal would obey: there they are shown instead.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from rlmd.clients.records import Variable

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def is_terminal() -> bool:
    """Whether a person reads stdout."""
    return sys.stdout.isatty()


def safe(text: str) -> str:
    """The text with its control characters made visible, but for tabs and ends of lines."""
    return _CONTROLS.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def say(text: str = "") -> None:
    """A line on stdout; as it is in a pipe, made safe on a terminal."""
    print(safe(text) if is_terminal() else text)


def note(text: str) -> None:
    """A line for the person, on stderr, so that stdout stays what was asked for."""
    print(safe(text), file=sys.stderr, flush=True)


def print_json(data: Any, *, indent: int | None = 2) -> None:
    """One JSON document on stdout."""
    print(json.dumps(plain(data), ensure_ascii=False, indent=indent))


def plain(data: Any) -> Any:
    """Records as JSON data. Bytes become {"base64": ...}, times ISO 8601, spans seconds."""
    if isinstance(data, Variable):
        version = {key: value for key, value in plain(data.version).items() if key != "number"}
        whole = {"name": data.name, "version": data.version.number, **version}
        return whole | {"characters": data.characters, "value": plain(data.value)}
    if dataclasses.is_dataclass(data) and not isinstance(data, type):
        return {item.name: plain(getattr(data, item.name)) for item in dataclasses.fields(data)}
    if isinstance(data, datetime):
        return data.isoformat()
    if isinstance(data, timedelta):
        return data.total_seconds()
    if isinstance(data, bytes):
        return {"base64": base64.b64encode(data).decode()}
    if isinstance(data, Mapping):
        return {str(key): plain(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [plain(value) for value in data]
    return data


def local(time: datetime | None) -> str:
    """A time for people, in the machine's zone; in a pipe with its offset."""
    if time is None:
        return ""
    here = time.astimezone()
    return f"{here:%Y-%m-%d %H:%M:%S}" if is_terminal() else here.isoformat(timespec="seconds")


def within(time: datetime, zone: str) -> str:
    """A time as the clocks of a time zone show it; in a pipe with its offset."""
    try:
        there = time.astimezone(ZoneInfo(zone))
    except (LookupError, ValueError, OSError):  # The daemon's machine knows it, this one does not.
        there = time.astimezone()
    return f"{there:%a %Y-%m-%d %H:%M:%S %Z}" if is_terminal() else there.isoformat(timespec="seconds")


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str = "") -> None:
    """Rows under a head on a terminal; a row a line, parted by tabs, in a pipe."""
    if not is_terminal():
        for row in rows:
            print("\t".join(" ".join(str(cell).split()) for cell in row))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    made = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        made.add_column(column, overflow="fold")
    for row in rows:
        made.add_row(*(Text(safe(str(cell))) for cell in row))
    if made.row_count:
        Console().print(made)
    elif empty:
        note(empty)


def bar(part: float, whole: float, width: int = 20) -> str:
    """A bar as long as the part is of the whole, on a terminal; in a pipe the share."""
    share = min(part / whole, 1.0) if whole else 1.0
    if not is_terminal():
        return f"{share:.0%}"
    eighths = round(share * width * 8)
    return "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()


def fields(pairs: Mapping[str, object]) -> None:
    """One thing's fields, a line each."""
    width = max(map(len, pairs), default=0)
    for name, value in pairs.items():
        say(f"{name:<{width}}  {value}" if is_terminal() else f"{name}\t{value}")


def cut(text: str, width: int = 80) -> str:
    """The text on one line, at most so long."""
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 1] + "…"
