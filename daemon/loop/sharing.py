"""Where a name points: into the agent's own space, or with an `@` in front into that of one of its hives.

    plan              the variable of one's own
    @team/plan        the one of the hive `team`, by a grant that is in force now

What was read in a hive is kept whole in the reader's journal, not by reference: it may be gone tomorrow, or
no longer the reader's to see, and a replay must give what was seen. What crosses to or from another user is
written down on both sides.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

from rlmd.daemon.repl.hive import MARK
from rlmd.errors import InvalidInput, PermissionDenied
from rlmd.memory.grants import fits
from rlmd.memory.hive_records import Verb
from rlmd.memory.records import Agent, Origin
from rlmd.memory.search import Part, Shelf
from rlmd.memory.shared import Door, Shared
from rlmd.memory.store import Transaction
from rlmd.memory.variables import Space


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a run's calls act."""

    user: str
    whose: Agent
    zone: tzinfo
    """The owner's: times are shown in it, and times without zone are meant in it."""
    run: int

    @property
    def agent(self) -> str:
        return self.whose.name

    @property
    def space(self) -> str:
        """Name of the agent's own space."""
        return self.whose.space


@dataclass(frozen=True, kw_only=True)
class Use:
    """What was done in a hive of another user."""

    door: Door
    verb: Verb
    target: str


@dataclass(frozen=True, kw_only=True)
class Spot:
    """A variable's space and its name there."""

    space: Space
    name: str
    door: Door | None = None
    use: Use | None = None

    @property
    def mark(self) -> str:
        """What stands before the names of this space; nothing in one's own."""
        return _mark(self.door)

    @property
    def origin(self) -> Origin:
        """The lowest origin of what may be there, whatever the versions say of their own."""
        return _origin(self.door)


@dataclass(frozen=True, kw_only=True)
class Span:
    """A part of a space: the names that begin with `prefix`, of which `pattern` lets through some."""

    space: Space
    prefix: str
    pattern: str = "*"
    door: Door | None = None

    @property
    def mark(self) -> str:
        return _mark(self.door)

    def lets(self, name: str) -> bool:
        return self.door is None or fits(self.pattern, name, self.door.member)


def spot(tx: Transaction, place: Place, verb: Verb, name: str) -> Spot:
    """Where a name points.

    Raises:
        NotFound: the agent is in no such hive.
        PermissionDenied: no grant lets it do this there.
    """
    if not isinstance(name, str) or not name.startswith(MARK):
        return Spot(space=tx.space(place.space), name=name)
    hive, rest = _parted(name)
    if not rest:
        raise InvalidInput(f"{name!r} names no variable", field="name", remedy=f"Write {MARK}{hive}/name.")
    shared = _shared(tx, place)
    door = shared.door(hive)
    space = shared.space(door, verb, rest)
    return Spot(space=space, name=rest, door=door, use=_use(shared, door, verb, name))


def spans(tx: Transaction, place: Place, verb: Verb, prefix: str) -> tuple[list[Span], list[Use]]:
    """The parts of a space, one's own or a hive's, in which names begin so and that the agent may see."""
    if not prefix.startswith(MARK):
        return [Span(space=tx.space(place.space), prefix=prefix)], []
    hive, rest = _parted(prefix)
    shared = _shared(tx, place)
    door = shared.door(hive)
    use = _use(shared, door, verb, prefix)
    return _within(shared, door, verb, rest), [use] if use else []


def everywhere(tx: Transaction, place: Place, verb: Verb, prefix: str) -> tuple[list[Span], list[Use]]:
    """As `spans`; without a prefix, those of one's own space and of all hives that let the agent do this."""
    found, uses = spans(tx, place, verb, prefix)
    if prefix:
        return found, uses
    shared = _shared(tx, place)
    for door in shared.doors():
        try:
            found += _within(shared, door, verb, "")
        except PermissionDenied:
            continue
        use = _use(shared, door, verb, MARK + door.hive)
        uses += [use] if use else []
    return found, uses


def parts(found: Iterable[Span]) -> list[Part]:
    """What the search is to look through."""
    return [Part(shelf=Shelf(space_id=span.space.id), prefix=span.prefix, mark=span.mark) for span in found]


def lowest(found: Iterable[Span]) -> Origin:
    """The lowest origin of what may be in these parts."""
    return min((_origin(span.door) for span in found), default=Origin.OWNER)


def lets(found: Iterable[Span], name: str) -> bool:
    """Whether a name that was found in these parts is the agent's to see."""
    own = [span for span in found if name.startswith(span.mark) and bool(span.mark) == name.startswith(MARK)]
    return any(span.lets(name.removeprefix(span.mark)) for span in own)


def note(tx: Transaction, place: Place, uses: Iterable[Use]) -> None:
    """Write down what crosses to another user, or from one."""
    shared = _shared(tx, place)
    for use in uses:
        shared.note(use.door, use.verb, use.target, place.run)


def portable(value: Any) -> Any:
    """A value of memory as JSON data for the journal."""
    return {"base64": base64.b64encode(value).decode()} if isinstance(value, bytes) else {"json": value}


def restored(kept: Any) -> Any:
    """The reverse of `portable`."""
    return base64.b64decode(kept["base64"]) if "base64" in kept else kept["json"]


def _within(shared: Shared, door: Door, verb: Verb, prefix: str) -> list[Span]:
    """Raises PermissionDenied: nothing there is the agent's to see."""
    space, patterns = shared.space_within(door, verb)
    found: list[Span] = []
    for pattern in patterns:
        low = pattern.removesuffix("*")
        if not (low.startswith(prefix) or (prefix.startswith(low) and pattern != low)):
            continue
        begin = max(low, prefix, key=len)
        # One part does not lie in another, or a name would come twice.
        if any(begin.startswith(other.prefix) and other.pattern.endswith("*") for other in found):
            continue
        found.append(Span(space=space, prefix=begin, pattern=pattern, door=door))
    return found


def _use(shared: Shared, door: Door, verb: Verb, target: str) -> Use | None:
    return Use(door=door, verb=verb, target=target) if shared.foreign(door) else None


def _shared(tx: Transaction, place: Place) -> Shared:
    return tx.shared(place.whose)


def _parted(name: str) -> Sequence[str]:
    """The hive in a name, and the rest."""
    hive, _, rest = name[len(MARK) :].partition("/")
    return hive, rest


def _origin(door: Door | None) -> Origin:
    """Where agents of several users write, all may be somebody else's."""
    return Origin.OWNER if door is None or not door.mixed else Origin.EXTERNAL


def _mark(door: Door | None) -> str:
    return "" if door is None else f"{MARK}{door.hive}/"
