"""One clock for the whole daemon, so that tests can move time."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Protocol

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Clock(Protocol):
    """Tells the time. Everything that asks for the time asks this."""

    def now(self) -> datetime:
        """The time, aware, in UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class ManualClock:
    """A clock that stands still until it is moved."""

    def __init__(self, start: datetime) -> None:
        self._now = start.astimezone(UTC)
        self._lock = threading.Lock()

    def now(self) -> datetime:
        with self._lock:
            return self._now

    def move(self, by: timedelta) -> datetime:
        with self._lock:
            self._now += by
            return self._now


def to_micros(time: datetime) -> int:
    """Microseconds since 1970 in UTC, exactly; how times are stored."""
    if time.tzinfo is None:
        raise RuntimeError("a naive datetime reached the store; times are aware everywhere in rlmd")
    return (time - EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """The aware UTC time of `to_micros`."""
    return EPOCH + timedelta(microseconds=micros)
