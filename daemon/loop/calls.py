"""The calls of `memory` and `log`: what each does, what the program gets, what the journal keeps.

A result that stands in memory is kept by reference to its version, which never changes; the rest is
kept whole. Reads take a transaction and a `Place`; writes also say who writes and why.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import datetime, tzinfo
from typing import Any

from rlmd.daemon.repl import records
from rlmd.daemon.repl.hive import MARK
from rlmd.errors import InvalidInput, NotFound, PreconditionFailed, TooLarge
from rlmd.memory.hive_records import Verb
from rlmd.memory.records import Kind, Message, Origin, Passage, Schedule, Variable, Version
from rlmd.memory.store import Transaction
from rlmd.memory.variables import Space, Writing

from . import sharing
from .sharing import Place as Place
from .sharing import Spot, Use

MAX_GET = 32 * 1024 * 1024
"""Largest value, in bytes, that a program gets as a whole."""
MAX_SLICE = 8 * 1024 * 1024
"""Most characters, or bytes, of one slice."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a call gave."""

    value: Any
    """To the program."""
    kept: Any
    """To the journal: JSON data."""
    origin: Origin = Origin.OWNER
    """Lowest origin of what was read."""
    uses: Sequence[Use] = ()
    """What was read in hives of other users."""


def moment(text: str | datetime, zone: tzinfo, field: str) -> datetime:
    """A time that a program gave as ISO text, aware.

    Raises:
        InvalidInput: it is not one.
    """
    try:
        time = text if isinstance(text, datetime) else datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput(
            f"{text!r} is not a time", field=field, remedy="Write it like '2026-11-01' or '2026-11-01T18:30'."
        ) from None
    return time if time.tzinfo else time.replace(tzinfo=zone)


# -- reads ----------------------------------------------------------------------------------------


def _get(
    tx: Transaction, place: Place, name: str, *, version: int | None = None, as_of: str | None = None
) -> Answer:
    spot = sharing.spot(tx, place, Verb.READ, name)
    when = None if as_of is None else moment(as_of, place.zone, "as_of")
    try:
        _check_size(spot.space.find(spot.name))
        found = spot.space.get(spot.name, version=version, as_of=when)
    except NotFound:
        return Answer(value=None, kept={"missing": name}, uses=_uses(spot))
    return _found(spot, found, found.value)


def _names(tx: Transaction, place: Place, prefix: str = "") -> Answer:
    found, uses = sharing.spans(tx, place, Verb.READ, prefix)
    names = [span.mark + name for span in found for name in span.space.names(span.prefix) if span.lets(name)]
    return Answer(value=names, kept=names, uses=uses)


def _version(tx: Transaction, place: Place, name: str) -> Answer:
    spot = sharing.spot(tx, place, Verb.READ, name)
    found = spot.space.find(spot.name)
    number = 0 if found is None else found.version.number
    return Answer(value=number, kept=number, uses=_uses(spot))


def _history(tx: Transaction, place: Place, name: str) -> Answer:
    spot = sharing.spot(tx, place, Verb.READ, name)
    try:
        versions = spot.space.history(spot.name, most=10_000)
    except NotFound:
        versions = []
    shown = [shown_version(version, place) for version in reversed(versions)]
    return replace(_whole(shown, spot.origin), uses=_uses(spot))


def _diff(tx: Transaction, place: Place, name: str, a: int, b: int) -> Answer:
    spot = sharing.spot(tx, place, Verb.READ, name)
    text = spot.space.diff(spot.name, a, b).text
    return Answer(value=text, kept=text, origin=spot.origin, uses=_uses(spot))


def _size(tx: Transaction, place: Place, name: str) -> Answer:
    spot = sharing.spot(tx, place, Verb.READ, name)
    found = spot.space.find(spot.name)
    if found is None:
        raise NotFound(f"there is no variable {name!r}", field="name", remedy="memory.names() lists them.")
    size = found.version.characters if found.version.kind is Kind.TEXT else found.version.size
    if found.version.kind is Kind.JSON:
        _check_size(found)
        value = spot.space.get(spot.name).value
        size = len(value) if isinstance(value, list | dict) else 1
    return Answer(value=size, kept=size, uses=_uses(spot))


def _slice(tx: Transaction, place: Place, name: str, start: int, end: int) -> Answer:
    spot = sharing.spot(tx, place, Verb.READ, name)
    found = spot.space.facts(spot.name)
    return _found(spot, found, part(spot.space, found, start, end))


def _found(spot: Spot, found: Variable, value: Any) -> Answer:
    """A value that stands in memory: one's own is kept by reference, a shared one whole."""
    kept = _reference(found) if spot.door is None else {"value": sharing.portable(value)}
    return Answer(value=value, kept=kept, origin=min(found.version.origin, spot.origin), uses=_uses(spot))


def _uses(spot: Spot) -> Sequence[Use]:
    return () if spot.use is None else (spot.use,)


def part(space: Space, found: Variable, start: int, end: int) -> Any:
    """Characters of a text, bytes, or items of a list: those of the version that was found."""
    name, version = found.name, found.version
    if version.kind is Kind.JSON:
        _check_size(found)
        value = space.get(name, version=version.number).value
        if not isinstance(value, list):
            raise PreconditionFailed(
                f"{name!r} is not a text or a list", field="name", remedy="Use memory.get."
            )
        return value[start:end]
    length = version.characters or version.size
    if min(end, length) - start > MAX_SLICE:
        raise TooLarge(
            f"{min(end, length) - start:,} are too much for one slice (most: {MAX_SLICE:,})",
            field="end",
            remedy="Take several slices, or use memory.grep and memory.search.",
        )
    return space.slice(name, start, end, version=version.number).value


def _grep(tx: Transaction, place: Place, pattern: str, prefix: str = "", k: int = 100) -> Answer:
    spans, uses = sharing.spans(tx, place, Verb.READ, prefix)
    found: list[records.Match] = []
    for span in spans:
        matches, _ = span.space.grep(pattern, span.prefix, most=k)
        lines = [match for match in matches if span.lets(match.name)]
        found += [records.Match(name=span.mark + m.name, line=m.line, text=m.text) for m in lines]
    return replace(_whole(found[:k], sharing.lowest(spans)), uses=uses)


def _recent(tx: Transaction, place: Place, n: int = 20) -> Answer:
    if n < 0:
        raise InvalidInput(f"{n} is less than 0", field="n", remedy="Give how many messages you want.")
    messages = tx.log(place.agent).recent(min(n, 1000)) if n else []
    return _messages(list(reversed(messages)), place)


def _between(tx: Transaction, place: Place, a: str, b: str) -> Answer:
    since, until = moment(a, place.zone, "a"), moment(b, place.zone, "b")
    messages = tx.log(place.agent).recent(10_000, since=since, until=until)
    return _messages(list(reversed(messages)), place)


def _step(tx: Transaction, place: Place, n: int) -> Answer:
    rows = tx.journal(place.run).of_step(n)
    written = [entry.data["reply"] for entry in rows if entry.kind.value == "step"]
    shown = [entry.data["full"] for entry in rows if entry.kind.value == "observation"]
    if not written:
        raise NotFound(f"there is no step {n}", field="n", remedy="Steps of this run count from 1.")
    text = "\n\n".join([*written, *shown])
    return Answer(value=text, kept={"step": n})


def _schedules(tx: Transaction, place: Place) -> Answer:
    found = [shown_schedule(each, place) for each in tx.schedules.page(agent=place.agent, most=1_000)]
    return _whole(found[::-1])


Read = Callable[..., Answer]
READS: Mapping[str, Read] = {
    "memory.get": _get,
    "memory.names": _names,
    "memory.version": _version,
    "memory.history": _history,
    "memory.diff": _diff,
    "memory.size": _size,
    "memory.slice": _slice,
    "memory.grep": _grep,
    "log.recent": _recent,
    "log.between": _between,
    "log.step": _step,
    "schedule.list": _schedules,
}
LONG = frozenset({"memory.grep", "memory.slice", "memory.diff", "memory.names", "log.between"})
"""Reads that may take longer than the event loop should wait."""


# -- writes ---------------------------------------------------------------------------------------


def _set(tx: Transaction, place: Place, writing: Writing, name: str, value: Any) -> Answer:
    spot = _to_write(tx, place, name)
    return _written(spot, spot.space.set(spot.name, value, writing), place)


def _append(tx: Transaction, place: Place, writing: Writing, name: str, value: Any) -> Answer:
    spot = _to_write(tx, place, name, Verb.APPEND)
    return _written(spot, spot.space.append(spot.name, value, writing), place)


def _revert(tx: Transaction, place: Place, writing: Writing, name: str, version: int) -> Answer:
    spot = _to_write(tx, place, name)
    return _written(spot, spot.space.revert(spot.name, version, writing), place)


def _delete(tx: Transaction, place: Place, writing: Writing, name: str) -> Answer:
    spot = _to_write(tx, place, name)
    return replace(_written(spot, spot.space.delete(spot.name, writing), place), value=None)


def _undelete(tx: Transaction, place: Place, writing: Writing, name: str) -> Answer:
    spot = _to_write(tx, place, name)
    return replace(_written(spot, spot.space.undelete(spot.name, writing), place), value=None)


def _to_write(tx: Transaction, place: Place, name: str, verb: Verb = Verb.WRITE) -> Spot:
    spot = sharing.spot(tx, place, verb, name)
    sharing.note(tx, place, _uses(spot))
    return spot


Write = Callable[..., Answer]
WRITES: Mapping[str, Write] = {
    "memory.set": _set,
    "memory.append": _append,
    "memory.revert": _revert,
    "memory.delete": _delete,
    "memory.undelete": _undelete,
}


# -- shapes ---------------------------------------------------------------------------------------


def hits(
    passages: list[Passage], place: Place, shared: Origin = Origin.OWNER, uses: Sequence[Use] = ()
) -> Answer:
    """What a search of memory gives; `shared` is the lowest origin of what was found in hives."""
    found = [
        records.Hit(
            name=passage.key,
            version=passage.version,
            text=passage.text,
            time=passage.time.astimezone(place.zone),
            score=round(passage.score, 4),
            start=passage.start,
        )
        for passage in passages
    ]
    origins = [
        min(passage.origin, shared) if passage.key.startswith(MARK) else passage.origin
        for passage in passages
    ]
    return replace(_whole(found, min(origins, default=Origin.OWNER)), uses=uses)


def _messages(messages: list[Message], place: Place) -> Answer:
    shown = [shown_message(message, place.zone) for message in messages]
    return _whole(shown, min((message.origin for message in messages), default=Origin.OWNER))


def found_messages(messages: list[Message], place: Place) -> Answer:
    """What a search of the log gives."""
    return _messages(messages, place)


def shown_message(message: Message, zone: tzinfo) -> records.Message:
    return records.Message(
        time=message.time.astimezone(zone),
        channel=message.channel,
        sender=message.sender,
        text=message.text,
        from_agent=message.from_agent,
    )


def shown_version(version: Version, place: Place) -> records.Version:
    author = version.author
    who = author.agent if author.user == place.user else f"{author.user}/{author.agent}"
    return records.Version(
        version=version.number,
        time=version.write_time.astimezone(place.zone),
        author=author.user if author.run is None else f"{who} (run {author.run})",
        note=version.note,
        size=version.size,
    )


def shown_schedule(schedule: Schedule, place: Place) -> records.Schedule:
    return records.Schedule(
        name=schedule.label,
        next=None if schedule.next_time is None else schedule.next_time.astimezone(place.zone),
        kind=schedule.kind,
        spec=schedule.spec,
        text=schedule.text,
        channel=schedule.channel,
        state=schedule.state.value,
    )


def _written(spot: Spot, variable: Variable, place: Place) -> Answer:
    shown = shown_version(variable.version, place)
    kept_of = _reference(variable)
    if spot.door is not None:
        kept_of |= {"variable": spot.mark + variable.name, "shown": kept(shown)}
    return Answer(value=shown, kept=kept_of)


def _reference(variable: Variable) -> dict[str, Any]:
    return {"variable": variable.name, "space": variable.space, "version": variable.version.number}


def _whole(values: list[Any], origin: Origin = Origin.OWNER) -> Answer:
    return Answer(value=values, kept=[kept(value) for value in values], origin=origin)


def kept(value: Any) -> Any:
    """A record as JSON data for the journal: its fields and the name of its type."""
    if is_dataclass(value) and not isinstance(value, type):
        named = {field.name: kept(getattr(value, field.name)) for field in fields(value)}
        return {"record": type(value).__name__, **named}
    return value.isoformat() if isinstance(value, datetime) else value


def as_text(value: Any) -> str:
    """A value as the text that a model or a person reads."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)


def _check_size(variable: Variable | None) -> None:
    if variable is not None and variable.version.size > MAX_GET:
        raise TooLarge(
            f"{variable.name!r} has {variable.version.size:,} bytes, too much to get as a whole",
            field="name",
            remedy="Use memory.slice, memory.grep and memory.search.",
        )
