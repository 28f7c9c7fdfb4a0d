"""Clock, sleep and files as programs see them: calls of the sandbox to its operating system.

The clock is read through the host, which journals what it answered, so that a replay sees the same
times. Everything else that would touch a system is refused with what to do instead.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from pydantic_monty import OSPolicy

CLOCK = {"datetime.now": "sys.now", "date.today": "sys.now", "time.time": "sys.time"}
"""Calls of the sandbox that read the clock, and the calls of the host that answer them: `sys.now` with an
aware datetime in the owner's zone, `sys.time` with seconds since 1970."""

SLEEP = frozenset({"time.sleep", "asyncio.sleep", "system.sleep", "system.async_sleep"})
AWAITED_SLEEP = frozenset({"asyncio.sleep", "system.async_sleep"})

_NO_FILES = (
    "there are no files here: keep data with memory.set(name, value) and read it with memory.get(name)"
)
_NO_ENVIRONMENT = "there is no environment here: settings belong in memory variables"


def policy(now: datetime) -> OSPolicy:
    """Clock and sleep by the host, the owner's zone as the local one. Each step seeds its randomness."""
    zone = now.tzinfo
    policy = OSPolicy(datetime="call_host", sleep="call_host", random_start={"seed": 0})
    if isinstance(zone, ZoneInfo) and zone.key:
        policy["timezone"] = zone.key
    else:
        offset = now.utcoffset() or timedelta()
        policy["timezone"] = {"offset_seconds": int(offset.total_seconds()), "name": now.tzname() or "UTC"}
    return policy


def clock_answer(function: str, args: tuple[Any, ...], answer: Any) -> Any:
    """The host's answer in the shape that the sandbox's function gives.

    Raises:
        TypeError: the host did not answer with a time.
    """
    if function == "time.time":
        return float(answer)
    if not isinstance(answer, datetime) or answer.tzinfo is None:
        raise TypeError(f"sys.now gave {answer!r}, not an aware datetime")
    if function == "date.today":
        return answer.date()
    zone = args[0] if args else None
    # As in Python, now() without a zone is naive and local.
    return answer.astimezone(zone) if isinstance(zone, tzinfo) else answer.replace(tzinfo=None)


def sleep_seconds(args: tuple[Any, ...]) -> float:
    """Seconds of a sleep.

    Raises:
        ValueError: not a number of seconds.
    """
    seconds = float(args[0]) if args else 0.0
    if not math.isfinite(seconds) or seconds < 0:
        raise ValueError(f"sleep length must be a number of seconds, not {seconds}")
    return seconds


def refusal(function: str) -> dict[str, Any]:
    """The answer to a call for something that the sandbox has not."""
    if function in ("os.getenv", "os.environ"):
        return {"exc_type": "PermissionError", "message": _NO_ENVIRONMENT}
    if function == "open" or function.startswith("Path."):
        return {"exc_type": "PermissionError", "message": _NO_FILES}
    return {"exc_type": "PermissionError", "message": f"{function} is not available here"}
