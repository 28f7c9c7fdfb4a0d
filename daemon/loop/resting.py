"""What a call waits for that outlives the process."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from .equipment import Tree

LONG = timedelta(seconds=2)
"""What is over sooner is not worth the parking."""


@dataclass(frozen=True)
class Rest:
    """A call that waits; see `RunHost.resting`."""

    until: datetime | None
    reason: str
    run: int | None
    mark: int

    def is_long(self, tree: Tree, now: datetime) -> bool:
        """Whether it waits for long: its time is far, and nothing has happened since it looked."""
        if self.run is not None and tree.wakes(self.run) != self.mark:
            return False
        return self.until is None or self.until - now >= LONG
