"""What a space of variables is, in the plainest words: lists of versions in a dict.

The contract's tests run it beside the real one; both must give the same answers and the same errors.
"""

from __future__ import annotations

import json
import unicodedata
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from rlmd.errors import Conflict, InvalidInput, NotFound, PreconditionFailed
from rlmd.memory.records import Kind, Origin
from rlmd.memory.values import readable

DELETED = object()


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One version."""

    value: Any
    origin: Origin
    note: str
    time: datetime

    @property
    def kind(self) -> Kind:
        if self.value is DELETED:
            return Kind.DELETED
        if isinstance(self.value, str):
            return Kind.TEXT
        return Kind.BYTES if isinstance(self.value, bytes) else Kind.JSON

    @property
    def data(self) -> bytes:
        match self.kind:
            case Kind.DELETED:
                return b""
            case Kind.TEXT:
                return bytes(self.value.encode())
            case Kind.BYTES:
                return bytes(self.value)
            case Kind.JSON:
                return json.dumps(self.value, ensure_ascii=False, separators=(",", ":")).encode()

    @property
    def readable(self) -> str:
        return readable(self.kind, self.data)

    def facts(self, number: int) -> tuple[object, ...]:
        characters = len(self.value) if self.kind is Kind.TEXT else 0
        return number, self.kind, len(self.data), characters, self.origin, self.note, self.time


@dataclass
class Model:
    """A space."""

    past: dict[str, list[Entry]] = field(default_factory=dict)

    # -- reading ----------------------------------------------------------------------------------

    def alive(self, name: str) -> bool:
        versions = self.past.get(_nfc(name))
        return versions is not None and versions[-1].value is not DELETED

    def get(self, name: str) -> tuple[int, Entry]:
        if not self.alive(name):
            raise NotFound("")
        versions = self.past[_nfc(name)]
        return len(versions), versions[-1]

    def at_version(self, name: str, number: int) -> tuple[int, Entry]:
        if number < 1:
            raise InvalidInput("")
        number, entry = self._at(name, number)
        if entry.value is DELETED:
            raise NotFound("")
        return number, entry

    def as_of(self, name: str, time: datetime, now: datetime) -> tuple[int, Entry]:
        if time > now + timedelta(seconds=60):
            raise InvalidInput("")
        versions = self.past.get(_nfc(name), [])
        number = sum(entry.time <= time for entry in versions)
        if number == 0 or versions[number - 1].value is DELETED:
            raise NotFound("")
        return number, versions[number - 1]

    def history(self, name: str) -> list[Entry]:
        if _nfc(name) not in self.past:
            raise NotFound("")
        return self.past[_nfc(name)]

    def names(self, prefix: str, *, deleted: bool = False) -> list[str]:
        return sorted(
            name for name in self.past if name.startswith(_nfc(prefix)) and (deleted or self.alive(name))
        )

    def slice(self, name: str, start: int, end: int) -> tuple[Any, int]:
        _, entry = self.get(name)
        if start < 0 or end < start:
            raise InvalidInput("")
        if entry.kind is Kind.JSON:
            raise PreconditionFailed("")
        return entry.value[start:end], len(entry.value)

    def diff(self, name: str, before: int | None, after: int | None) -> tuple[int, int, bool]:
        """Both versions, and whether they differ."""
        last = len(self.past.get(_nfc(name), []))
        later, new = self._at(name, last if after is None else after)
        earlier, old = self._at(name, max(later - 1, 1) if before is None else before)
        return earlier, later, new.readable != old.readable

    def _at(self, name: str, number: int) -> tuple[int, Entry]:
        versions = self.past.get(_nfc(name), [])
        if not 1 <= number <= len(versions):
            raise NotFound("")
        return number, versions[number - 1]

    # -- writing ----------------------------------------------------------------------------------

    def set(self, name: str, entry: Entry, expect: int | None) -> int:
        self._check(name, expect)
        return self._add(name, entry)

    def append(self, name: str, entry: Entry, expect: int | None) -> int:
        self._check(name, expect)
        plain = isinstance(entry.value, str | bytes)
        if not self.alive(name):
            return self._add(name, entry if plain else _with(entry, [entry.value]))
        _, head = self.get(name)
        if head.kind is Kind.JSON:
            if isinstance(entry.value, bytes):
                raise InvalidInput("")
            if not isinstance(head.value, list):
                raise PreconditionFailed("")
            return self._add(name, _with(entry, [*head.value, entry.value], head))
        if entry.kind is not head.kind:
            raise PreconditionFailed("")
        return self._add(name, _with(entry, head.value + entry.value, head))

    def delete(self, name: str, entry: Entry, expect: int | None) -> int:
        self._check(name, expect)
        self.get(name)
        return self._add(name, entry)

    def undelete(self, name: str, entry: Entry, expect: int | None) -> int:
        self._check(name, expect)
        versions = self.history(name)
        if self.alive(name):
            raise PreconditionFailed("")
        return self._again(name, versions[-2], entry)

    def revert(self, name: str, number: int, entry: Entry, expect: int | None) -> int:
        self._check(name, expect)
        self.history(name)
        _, old = self.at_version(name, number)
        return self._again(name, old, entry)

    def _check(self, name: str, expect: int | None) -> None:
        if expect is not None and expect < 0:
            raise InvalidInput("")
        if expect is not None and expect != (len(self.past[_nfc(name)]) if self.alive(name) else 0):
            raise Conflict("")

    def _again(self, name: str, old: Entry, entry: Entry) -> int:
        """An old value is no more to be trusted than it was, nor than who brings it back."""
        origin = min(old.origin, entry.origin)
        return self._add(name, Entry(value=old.value, origin=origin, note=entry.note, time=entry.time))

    def _add(self, name: str, entry: Entry) -> int:
        versions = self.past.setdefault(_nfc(name), [])
        if versions and versions[-1].time > entry.time:
            entry = Entry(value=entry.value, origin=entry.origin, note=entry.note, time=versions[-1].time)
        versions.append(entry)
        return len(versions)


def _with(entry: Entry, value: Any, head: Entry | None = None) -> Entry:
    """What is added to something has the lower origin of both."""
    origin = entry.origin if head is None else min(entry.origin, head.origin)
    return Entry(value=value, origin=origin, note=entry.note, time=entry.time)


def _nfc(name: str) -> str:
    return unicodedata.normalize("NFC", name)
