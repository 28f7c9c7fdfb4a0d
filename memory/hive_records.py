"""The records of hives: frozen, complete, and free of any database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from .records import CallState, Origin


class Verb(StrEnum):
    """What a grant lets a member do: the first four to shared variables, the others to members."""

    READ = "read"
    SEARCH = "search"
    APPEND = "append"
    WRITE = "write"
    ASK = "ask"
    TELL = "tell"


CALLING = (Verb.ASK, Verb.TELL)
"""Verbs whose patterns name members."""


@dataclass(frozen=True, kw_only=True)
class Member:
    id: int
    name: str
    """What the others call it."""
    user: str
    """Whose agent it is."""
    agent: str
    """What its user calls it; empty to other users."""
    about: str
    """What the others are told of it."""
    create_time: datetime


@dataclass(frozen=True, kw_only=True)
class Hive:
    """A hive as a user sees it: one that they own, or in which an agent of theirs is."""

    id: int
    name: str
    owner: str
    members: Sequence[Member]
    create_time: datetime


@dataclass(frozen=True, kw_only=True)
class Grant:
    """What a member may do, or all."""

    id: int
    member: str
    """Empty: every member."""
    pattern: str
    verbs: Sequence[Verb]
    rate: int | None
    """Calls a minute from one member to another; None: the usual."""
    create_time: datetime
    expire_time: datetime | None
    revoke_time: datetime | None

    def holds(self, now: datetime) -> bool:
        """Whether it is in force."""
        return self.revoke_time is None and (self.expire_time is None or self.expire_time > now)


@dataclass(frozen=True, kw_only=True)
class HiveCall:
    """What one member has asked or told another."""

    id: int
    hive: str
    caller: str
    callee: str
    user: int
    """Id of the caller's user."""
    run: int
    root: int
    call: int
    callee_run: int
    crosses: bool
    """Whether they belong to two users."""
    state: CallState
    result: Any
    """JSON data; None while there is none."""
    error: str
    """Why there is no result."""
    origin: Origin
    """The lowest of what the answer comes from."""
    expire_time: datetime | None


@dataclass(frozen=True, kw_only=True)
class Spent:
    """What others have used of models to answer a run."""

    model_calls: int = 0
    tokens: int = 0
    money: int = 0
    """Micro-dollars."""


@dataclass(frozen=True, kw_only=True)
class Crossing:
    """Something that went from one user to another, as one of them sees it."""

    id: int
    hive: str
    time: datetime
    member: str
    """One's own."""
    peer: str
    """The other member, or the hive for its shared variables."""
    outward: bool
    """Whether one's own member did it."""
    verb: str
    target: str
    """A variable, or the beginning of what was said."""
    run: int | None
    """One's own, if there is one."""
