"""What an import is made of: files that were found, what is in them, and what could not be taken."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, tzinfo
from enum import StrEnum
from pathlib import Path
from typing import Any


class DateOrder(StrEnum):
    """How a date in digits is read."""

    DMY = "dmy"
    MDY = "mdy"
    YMD = "ymd"


@dataclass(frozen=True, kw_only=True)
class Options:
    """How files are read."""

    zone: tzinfo
    """In which times are that name none, and by which a chat is cut into days."""
    prefix: str | None = None
    """What names begin with, instead of `inbox/` and `chats/`."""
    date_order: DateOrder | None = None
    """None means that it is found out."""

    def files(self) -> str:
        """What names of files begin with."""
        return "inbox/" if self.prefix is None else self.prefix

    def chats(self) -> str:
        """What names of chats begin with."""
        return "chats/" if self.prefix is None else self.prefix


@dataclass(frozen=True, kw_only=True)
class Source:
    """A file to be read."""

    path: Path
    named: tuple[str, ...]
    """Its path as the variable's name shows it: from the folder that was asked for, or the file alone."""
    size: int
    """Bytes."""
    time: datetime | None
    """When it was last changed."""

    def at(self, line: int) -> str:
        """A place in it, as editors and terminals know it."""
        return f"{self.path}:{line}"


@dataclass(frozen=True, kw_only=True)
class Item:
    """A value to be written."""

    name: str
    value: Any
    """A text, or JSON data; the path of a file that is UTF-8, if it is too large to be held."""
    where: str
    """The file, and the place in it."""
    time: datetime | None = None
    """When what it tells happened; aware, in whole seconds."""
    dated: bool = False
    """Whether the content itself says when. A file's time alone changes when it is merely copied."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What could not be taken, and why."""

    where: str
    """The file, and the place in it."""
    reason: str


Entry = Item | Problem
Read = Iterator[Entry]
