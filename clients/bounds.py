"""What bounds an agent, as records: budgets, prices, how long variables are kept, and what was erased."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True)
class Budget:
    """How much may be used in a time, and how much is."""

    agent: str
    """Empty: all of the user's agents together."""
    schedule: str
    """The number of the agent's schedule, if it bounds only the runs of one."""
    period: str
    """`day`, `month` or `total`."""
    measure: str
    """`money` (in dollars), `tokens`, `model_calls`, `steps` or `seconds` (at work)."""
    limit: float
    spent: float
    """With what is reserved for model calls under way."""
    by_default: bool
    """Whether it comes from the daemon's settings."""
    end_time: datetime | None
    """When the time is over; None: never."""


@dataclass(frozen=True, kw_only=True)
class Purge:
    """That something was erased: how much, and nothing of what."""

    id: int
    space: str
    variables: int
    versions: int
    runs: int
    """Whose journals lost what they said."""
    messages: int
    note: str
    time: datetime


@dataclass(frozen=True, kw_only=True)
class Retention:
    """How long variables are kept whose names begin so."""

    prefix: str
    """Of a pinned one it is the whole name."""
    seconds: int | None
    """Since the last write; then they are hidden."""
    versions: int | None
    """The last ones; older ones are erased."""
    pinned: bool


@dataclass(frozen=True, kw_only=True)
class Erased:
    """What a purge has done."""

    purge: Purge | None
    """None if it only finished another one."""
    copies: Sequence[str]
    """Copies of the database from before upgrades, in which it may still stand."""


@dataclass(frozen=True, kw_only=True)
class Price:
    """What a model costs, in dollars for a million tokens."""

    model: str
    """Its name; `*` in it stands for any text."""
    input: float
    cached: float
    output: float
    own: bool
    """Whether you have set it; else it came with rlmd."""
