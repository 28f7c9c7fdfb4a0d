"""What programs are given by calls: the host makes these, the program sees namedtuples of the same name.

They are smaller than the records of memory on purpose: every field here is one that a model reads in
its prompt and in what it prints.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Hit:
    """A passage that a search found."""

    name: str
    version: int
    text: str
    time: datetime
    """When what it tells happened if that is known, else when it was written. Aware, in the owner's zone."""
    score: float
    """From 0 to 1, comparable within one search."""
    start: int
    """Character at which the passage starts in the variable's text."""


@dataclass(frozen=True, kw_only=True)
class Version:
    """One entry of a variable's history."""

    version: int
    time: datetime
    author: str
    note: str
    size: int
    """Bytes."""


@dataclass(frozen=True, kw_only=True)
class Message:
    """Something said on a channel."""

    time: datetime
    channel: str
    sender: str
    text: str
    from_agent: bool
    """Whether you said it."""


@dataclass(frozen=True, kw_only=True)
class Match:
    """A line that a pattern matched."""

    name: str
    line: int
    """From 1."""
    text: str


@dataclass(frozen=True, kw_only=True)
class Attachment:
    """A file that came with an event; its content is the variable `name`."""

    name: str
    size: int
    """Bytes."""
    kind: str


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Something that will wake you."""

    name: str
    """By which it is paused and cancelled."""
    next: datetime | None
    """When; None if it is paused or over."""
    kind: str
    """`at`, `every` or `cron`."""
    spec: str
    text: str
    channel: str
    state: str


@dataclass(frozen=True, kw_only=True)
class Council:
    """What the members of a hive have answered."""

    answers: Mapping[str, Any]
    """By the members' names."""
    missing: Mapping[str, str]
    """Why others have not."""


@dataclass(frozen=True, kw_only=True)
class Vote:
    """How the members of a hive have chosen."""

    winner: str | None
    """The choice with most votes; None if there is no single one."""
    counts: Mapping[str, int]
    """Votes for each choice, the most first."""
    votes: Mapping[str, str]
    """The choice of each member."""
    missing: Mapping[str, str]
    """Why others have not chosen."""


RECORDS: tuple[type, ...] = (Hit, Version, Message, Match, Attachment, Schedule)
"""Those that every program meets."""
HIVE_RECORDS: tuple[type, ...] = (Council, Vote)
"""Those of members of hives, which the prompts of others need not explain."""
