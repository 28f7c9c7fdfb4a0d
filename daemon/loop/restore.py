"""From the journal back to the program: what a recorded call had given, as the same value or the same error.

The reverse of what `calls.py` and `host.py` keep. A value that stands in memory was kept by reference to its
version, which never changes; it is read again from there.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any

import rlmd.errors
from rlmd.daemon.repl import records
from rlmd.daemon.repl.api import Call, Ended, Outcome, Raised, Returned
from rlmd.memory.records import Origin
from rlmd.memory.store import Transaction

from . import calls, sharing
from .calling import ChannelFailed
from .calls import Place
from .hiving import MemberFailed
from .host import ChildFailed

_ALL = (*records.RECORDS, *records.HIVE_RECORDS)
_RECORDS: Mapping[str, Callable[..., Any]] = {record.__name__: record for record in _ALL}
_OWN = {kind.__name__: kind for kind in (ChildFailed, ChannelFailed, MemberFailed)}
_MOMENTS = {
    record.__name__: frozenset(field.name for field in fields(record) if "datetime" in str(field.type))
    for record in _ALL
}


def outcome(tx: Transaction, place: Place, call: Call, data: Mapping[str, Any]) -> Outcome:
    """What a call came to, from the `data` of the row that has its result or error."""
    error = data.get("error")
    if call.name == "done" and error is None:
        return Raised(Ended())
    if error is not None:
        return Raised(_error(error))
    return Returned(_value(tx, place, call, data["result"]))


def settled(data: Mapping[str, Any]) -> bool:
    """Whether a row has the outcome of its call."""
    return "result" in data or "error" in data


def origin(data: Mapping[str, Any]) -> Origin:
    """The lowest origin of what the call had read."""
    return Origin(data.get("origin", Origin.OWNER))


def _value(tx: Transaction, place: Place, call: Call, kept: Any) -> Any:
    match call.name:
        case "memory.get" if "missing" in kept:
            return None
        case "memory.get" | "memory.slice" if "value" in kept:
            return sharing.restored(kept["value"])
        case "memory.get":
            return tx.space(kept["space"]).get(kept["variable"], version=kept["version"]).value
        case "memory.slice":
            _, start, end = call.args
            space = tx.space(kept["space"])
            found = space.facts(kept["variable"], version=kept["version"])
            return calls.part(space, found, start, end)
        case "memory.set" | "memory.append" | "memory.revert" if "shown" in kept:
            return _restored(kept["shown"], place)
        case "memory.set" | "memory.append" | "memory.revert":
            space = tx.space(kept["space"])
            return calls.shown_version(space.facts(kept["variable"], version=kept["version"]).version, place)
        case "memory.delete" | "memory.undelete" | "reply" | "channels.tell" | "done" | "sys.sleep":
            return None
        case "hive.tell" | "hive.tell_all" | "hive.log":
            return None
        case "ask" | "channels.call" | "hive.ask":
            # Somebody else's data, that may look like a record of ours.
            return kept
        case "log.step":
            return calls.READS[call.name](tx, place, kept["step"]).value
        case "sys.now":
            return _moment(kept, place)
        case "sys.time":
            return _moment(kept, place).timestamp()
    return _restored(kept, place)


def _restored(kept: Any, place: Place) -> Any:
    if isinstance(kept, list):
        return [_restored(item, place) for item in kept]
    if isinstance(kept, dict) and kept.get("record") in _RECORDS:
        name = kept["record"]
        given = {
            key: _moment(value, place) if key in _MOMENTS[name] and value is not None else value
            for key, value in kept.items()
            if key != "record"
        }
        return _RECORDS[name](**given)
    return kept


def _moment(text: str, place: Place) -> datetime:
    return datetime.fromisoformat(text).astimezone(place.zone)


def _error(kept: Mapping[str, str]) -> Exception:
    """An error that arrives in the program with the same type and message."""
    name, message = kept["type"], kept["message"]
    kind: Any = getattr(rlmd.errors, name, None)
    if kind is None:
        kind = _OWN.get(name)
    if kind is None:
        kind = getattr(builtins, name, RuntimeError)
    return kind(message) if isinstance(kind, type) and issubclass(kind, Exception) else RuntimeError(message)
