"""What the client gives out about hives: frozen records, the same for the sync and the async face."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True)
class Member:
    """An agent in a hive."""

    name: str
    """What the others call it."""
    user: str
    agent: str
    """What you call it, if it is yours; else empty."""
    about: str
    """What the others are told of it."""
    join_time: datetime


@dataclass(frozen=True, kw_only=True)
class Hive:
    """Agents that share a space and call each other."""

    name: str
    owner: str
    members: Sequence[Member]
    space: str
    create_time: datetime


@dataclass(frozen=True, kw_only=True)
class Grant:
    """What members of a hive may do."""

    id: str
    member: str
    """Empty: all."""
    pattern: str
    verbs: Sequence[str]
    rate: int
    """Calls a minute from one member to another; 0: the usual."""
    create_time: datetime
    expire_time: datetime | None = None
    revoke_time: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Crossing:
    """Something that went between you and another user."""

    hive: str
    time: datetime
    member: str
    """Your member; for what was done to a shared space of yours, that."""
    peer: str
    """The other member, or the space."""
    outward: bool
    """Whether your side did it."""
    verb: str
    target: str
    """The variable, or the beginning of what was said."""
    run: str
    """Number of your run; empty if there is none."""


@dataclass(frozen=True, kw_only=True)
class Invitation:
    """By which an agent of another user can join."""

    code: str
    expire_time: datetime
