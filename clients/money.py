"""Money as people give it and as the contract has it: dollars, and whole micro-dollars."""

from __future__ import annotations

import math

from rlmd.errors import InvalidInput

from .check import INT64, check_int

MILLION = 1_000_000


def check_money(value: object, field: str) -> int:
    """Dollars as micro-dollars.

    Raises:
        InvalidInput: it is no number, negative, or more than the contract can carry.
    """
    remedy = "Give dollars, 0 or more, such as 2.50."
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise InvalidInput(f"{str(value)[:40]!r} is no sum of money.", field=field, remedy=remedy)
    if not 0 <= value <= INT64 // MILLION or (isinstance(value, float) and math.isnan(value)):
        raise InvalidInput("this sum of money cannot be.", field=field, remedy=remedy)
    return round(value * MILLION)


def check_amount(value: object, measure: str, field: str) -> int:
    """An amount of what a budget bounds, in the unit of the contract. Raises InvalidInput."""
    return check_money(value, field) if measure == "money" else check_int(value, field, 0)


def amount(value: int, measure: str) -> float:
    """The reverse of `check_amount`."""
    return value / MILLION if measure == "money" else value


def dollars(value: float) -> str:
    """Money as people read it: cents, and more places where it is less than a cent or odd."""
    return f"${value:,.2f}" if round(value * MILLION) % 10_000 == 0 or value >= 10 else f"${value:.4f}"
