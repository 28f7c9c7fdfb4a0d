"""How long to go on trying, and how long to wait between tries."""

from __future__ import annotations

import time

FIRST_DELAY = 0.05
LONGEST_DELAY = 1.0
"""Seconds between tries: the first, and what doubling leads up to."""


class Patience:
    """A bounded time for tries of one thing."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds
        self._delay = FIRST_DELAY

    @property
    def left(self) -> float:
        """Seconds that are left; a little more than 0 at the end, so that a last try can be made."""
        return max(self._end - time.monotonic(), 0.001)

    @property
    def can_wait(self) -> bool:
        """Whether there is time for the next delay."""
        return time.monotonic() + self._delay < self._end

    def next_delay(self) -> float:
        """Seconds to wait before the next try."""
        delay, self._delay = self._delay, min(self._delay * 2, LONGEST_DELAY)
        return delay
