"""What can be counted and bounded, and what a call of a model costs.

Money is whole micro-dollars and time whole microseconds, so that sums are exact. A price is micro-dollars for
a million tokens.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from enum import StrEnum
from fnmatch import fnmatchcase

MILLION = 1_000_000
PRICED_ON = "2026-06-01"
"""When the prices that come with rlmd were looked up. Providers change them; yours come first."""


class Scope(StrEnum):
    """Whose spending a budget bounds."""

    USER = "user"
    """All agents of a user together."""
    AGENT = "agent"
    SCHEDULE = "schedule"
    """All runs of a schedule."""


class Period(StrEnum):
    """The time for which a budget is; days and months begin in the owner's time zone."""

    DAY = "day"
    MONTH = "month"
    TOTAL = "total"


class Measure(StrEnum):
    """What a budget bounds."""

    MONEY = "money"
    TOKENS = "tokens"
    MODEL_CALLS = "model_calls"
    STEPS = "steps"
    SECONDS = "seconds"


@dataclass(frozen=True, kw_only=True)
class Amounts:
    """What is used, of everything that can be bounded."""

    money: int = 0
    tokens: int = 0
    model_calls: int = 0
    steps: int = 0
    micros: int = 0
    """Time at work; what a run waits for takes none."""

    def of(self, measure: Measure) -> int:
        """In the unit in which budgets of it are kept: for time, whole seconds."""
        if measure is Measure.SECONDS:
            return self.micros // MILLION
        amount: int = getattr(self, measure.value)
        return amount

    def __sub__(self, other: Amounts) -> Amounts:
        return Amounts(
            money=self.money - other.money,
            tokens=self.tokens - other.tokens,
            model_calls=self.model_calls - other.model_calls,
            steps=self.steps - other.steps,
            micros=self.micros - other.micros,
        )


@dataclass(frozen=True, kw_only=True)
class Price:
    """What a model costs, in micro-dollars for a million tokens."""

    model: str
    """Its name; `*` in it stands for any text."""
    input: int
    cached: int
    """Of input that the provider had cached."""
    output: int
    own: bool = True
    """Whether the user has set it; else it came with rlmd."""

    def of(self, input_tokens: int, output_tokens: int, cached_tokens: int = 0) -> int:
        """Micro-dollars, rounded up. `cached_tokens` are among `input_tokens`."""
        fresh = max(input_tokens - cached_tokens, 0)
        total = fresh * self.input + cached_tokens * self.cached + output_tokens * self.output
        return -(-total // MILLION)


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a call may cost at most, as far as that is known before it is made."""

    input_tokens: int
    output_tokens: int

    @property
    def tokens(self) -> int:
        return self.input_tokens + self.output_tokens


def _shipped(model: str, input: float, cached: float, output: float) -> Price:
    costs = [round(each * MILLION) for each in (input, cached, output)]
    return Price(model=model, input=costs[0], cached=costs[1], output=costs[2], own=False)


SHIPPED: Sequence[Price] = [
    _shipped("builtin", 0, 0, 0),
    _shipped("gpt-5.5", 5, 0.5, 30),
    _shipped("gpt-5.4", 2.5, 0.25, 15),
    _shipped("gpt-5.4-mini", 0.75, 0.075, 4.5),
    _shipped("gpt-5.4-nano", 0.2, 0.02, 1.25),
    _shipped("gpt-5.1", 1.25, 0.125, 10),
    _shipped("gpt-5", 1.25, 0.125, 10),
    _shipped("gpt-5-mini", 0.25, 0.025, 2),
    _shipped("gpt-5-nano", 0.05, 0.005, 0.4),
    _shipped("gpt-4.1", 2, 0.5, 8),
    _shipped("gpt-4.1-mini", 0.4, 0.1, 1.6),
    _shipped("gpt-4.1-nano", 0.1, 0.025, 0.4),
    _shipped("gpt-4o", 2.5, 1.25, 10),
    _shipped("gpt-4o-mini", 0.15, 0.075, 0.6),
    _shipped("o3", 2, 0.5, 8),
    _shipped("o4-mini", 1.1, 0.275, 4.4),
]
"""Well-known models, in dollars as their provider listed them on `PRICED_ON`."""


_DATE = re.compile(r"-20\d\d-?\d\d-?\d\d$")


def price_of(model: str, own: Sequence[Price]) -> Price | None:
    """The price of a model: one that the user has set, else one that came with rlmd; None if nobody knows.

    The same name comes before a pattern, and a longer pattern before a shorter one. A name stands for its
    dated versions too, such as `gpt-5-2025-08-07`.
    """
    undated = _DATE.sub("", model)
    for prices in (own, SHIPPED):
        fitting = [p for p in prices if fnmatchcase(model, p.model) or p.model == undated]
        if fitting:
            return max(fitting, key=lambda price: (price.model == model, len(price.model)))
    return None


def next_start(period: Period, day: str, zone: tzinfo) -> datetime | None:
    """When the period that `day` is in is over; None: never."""
    today = date.fromisoformat(day)
    match period:
        case Period.DAY:
            first = today + timedelta(days=1)
        case Period.MONTH:
            first = (today.replace(day=1) + timedelta(days=32)).replace(day=1)
        case Period.TOTAL:
            return None
    return datetime.combine(first, time(), zone)


def shown(measure: Measure, amount: int) -> str:
    """An amount as people read it."""
    match measure:
        case Measure.MONEY:
            return dollars(amount)
        case Measure.MODEL_CALLS:
            return f"{amount:,} model calls"
    return f"{amount:,} {measure.value}"


def dollars(micros: int) -> str:
    """Money as people read it: cents, and more places where there is less."""
    value = micros / MILLION
    return f"${value:,.2f}" if micros % 10_000 == 0 or value >= 10 else f"${value:.4f}"
