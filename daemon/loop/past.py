"""What a run has done so far, as its journal tells it: steps that are over, and calls with what they gave.

A step is over when its observation is there. The last one may lack it: that is where the daemon stopped.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from rlmd.daemon.models.api import Reply, Usage
from rlmd.daemon.repl.channels import Listing
from rlmd.memory.records import Entry, EntryKind, Origin

from .observe import Observation
from .restore import origin, settled

_BEGINS = (EntryKind.STARTED, EntryKind.RESTARTED, EntryKind.WOKEN)
"""With these rows the run begins to work, or begins again: it did not between the row before and them."""


@dataclass(frozen=True, kw_only=True)
class PastStep:
    """A step as it was written, and what came of it."""

    number: int
    reply: Reply
    blocks: tuple[str, ...]
    observation: Observation | None
    """None where the daemon stopped in the step."""
    ran: int = 0
    """How many of its blocks the sandbox ran, the failing one included."""
    lost: bool = False
    """Whether the names of the run were lost in it."""
    there: Listing = field(default_factory=dict)
    """The channels that it found."""

    @property
    def code(self) -> str:
        return "\n\n".join(self.blocks)


@dataclass(frozen=True, kw_only=True)
class Past:
    """All of it. Empty for a run that begins."""

    steps: Sequence[PastStep] = ()
    calls: Mapping[int, Entry] = field(default_factory=dict)
    """The rows of calls, by their number."""
    settled: Mapping[int, Entry] = field(default_factory=dict)
    """The rows with the outcomes of those that settled later."""
    arrived: Mapping[int, Entry] = field(default_factory=dict)
    """The rows with the outcomes of calls that were there, but which the program may not have got."""
    started: bool = False
    parked_at: int = 0
    """The place of the row by which it was parked, if since then it was only woken; else 0."""
    waits: bool = False
    """Whether it was parked, and not even woken since."""
    origin: Origin = Origin.OWNER
    """The lowest origin of what it had read, as far as the journal tells."""
    worked: float = 0.0
    """Seconds for which the run was at work; what a crash has cut off is not counted."""

    @property
    def kept_from(self) -> int:
        """The first step whose names are still there: those before the last loss are gone."""
        return max((step.number + 1 for step in self.steps if step.lost), default=1)

    def last_call(self, before: int) -> int:
        """The number of the last call made before a step."""
        return max((entry.call for entry in self.calls.values() if entry.step < before), default=0)

    def order(self, first: int) -> deque[int]:
        """Numbers of the calls of step `first` and after that settled later, in their order of settling."""
        rows = sorted((entry for entry in self.settled.values() if entry.step >= first), key=lambda e: e.seq)
        return deque(entry.call for entry in rows)


def context(entries: Sequence[Entry]) -> Sequence[Any]:
    """What the run was passed by its parent, from the first row of its journal."""
    return entries[0].data.get("context", ()) if entries and entries[0].kind is EntryKind.STARTED else ()


def read(entries: Sequence[Entry]) -> Past:
    """A run's past from its journal."""
    observations = {entry.step: entry.data for entry in entries if entry.kind is EntryKind.OBSERVATION}
    return Past(
        steps=tuple(_step(e, observations.get(e.step)) for e in entries if e.kind is EntryKind.STEP),
        calls={entry.call: entry for entry in entries if entry.kind is EntryKind.CALL},
        settled={
            entry.call: entry for entry in entries if entry.kind is EntryKind.SETTLED and settled(entry.data)
        },
        arrived={entry.call: entry for entry in entries if entry.kind is EntryKind.ARRIVED},
        started=any(entry.kind is EntryKind.STARTED for entry in entries),
        parked_at=_parked_at(entries),
        waits=bool(entries) and entries[-1].kind is EntryKind.WAITING,
        origin=min((origin(entry.data) for entry in entries), default=Origin.OWNER),
        worked=_worked(entries),
    )


def _step(entry: Entry, seen: Mapping[str, Any] | None) -> PastStep:
    data = entry.data
    return PastStep(
        number=entry.step,
        reply=Reply(
            text=data["reply"],
            usage=Usage(**data["usage"]),
            model=data["model"],
            finish=data["finish"],
            note=data["note"],
        ),
        blocks=tuple(data["blocks"]),
        observation=None
        if seen is None
        else Observation(shown=seen["text"], full=seen["full"], fault=seen["fault"]),
        ran=0 if seen is None else seen["ran"],
        lost=False if seen is None else seen["lost"],
        there=data.get("channels", {}),
    )


def _parked_at(entries: Sequence[Entry]) -> int:
    last = next((entry for entry in reversed(entries) if entry.kind is not EntryKind.WOKEN), None)
    return last.seq if last is not None and last.kind is EntryKind.WAITING else 0


def _worked(entries: Sequence[Entry]) -> float:
    return sum(
        max((entry.time - before.time).total_seconds(), 0.0)
        for before, entry in pairwise(entries)
        if before.kind is not EntryKind.WAITING and entry.kind not in _BEGINS
    )
