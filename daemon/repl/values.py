"""Values at the border: what programs are given, and what they may give.

Inward, every record is a namedtuple of the same name, because models write `hit.text`, never
`hit["text"]`. Outward, everything becomes JSON; what cannot is refused with the path of the bad
value. The sandbox turns functions and un-awaited coroutines into text as they cross, so a few texts
that it alone writes are refused too: storing them would destroy the value that was meant.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections import namedtuple
from collections.abc import Callable, Container, Mapping, Sequence, Set
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from pathlib import PurePath
from typing import Any

from pydantic_monty import ExternalModule, MontyClassProxy, MontyClassTypeProxy, MontyStdTypeProxy

from .channels import NAMED

MAX_DEPTH = 100
"""Levels of lists and dicts in one value."""

_ATOMS = (bool, int, float, bytes, datetime, date, time, timedelta, Decimal, type(None))
_PENDING = re.compile(r"<coroutine external_future\((\d+)\)>")
_COROUTINE = re.compile(r"<coroutine object \w+>")
_FUNCTION = re.compile(r"<function '[^']*' (?:at 0x[0-9a-f]+|external)>")
_ITERATOR = re.compile(r"<\w+_iterator object>")
_RANGE = re.compile(r"range\(-?\d+, -?\d+(, -?\d+)?\)")


def inward(value: Any) -> Any:
    """A value of the host as the program gets it: dataclasses become namedtuples, the rest stays plain.

    Raises:
        TypeError: it holds something that cannot enter the sandbox, or a text that is not valid Unicode.
    """
    if isinstance(value, str):
        _check_unicode(value, "the value")
        return value
    if isinstance(value, _ATOMS):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = tuple(f.name for f in dataclasses.fields(value) if not f.name.startswith("_"))
        return _record(type(value).__name__, names)(*[inward(getattr(value, name)) for name in names])
    if isinstance(value, Mapping):
        return {inward(key): inward(item) for key, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return _record(type(value).__name__, value._fields)(*map(inward, value))
    if isinstance(value, tuple):
        return tuple(map(inward, value))
    if isinstance(value, Set):
        return set(map(inward, value))
    if isinstance(value, Sequence):
        return list(map(inward, value))
    raise TypeError(f"{type(value).__name__} cannot enter the sandbox")


def named(name: str, fields: Mapping[str, Any]) -> Any:
    """A namedtuple `name` with these fields."""
    return _record(name, tuple(fields))(*map(inward, fields.values()))


@lru_cache(maxsize=256)
def _record(name: str, fields: tuple[str, ...]) -> Callable[..., Any]:
    # From any other module than __main__ the sandbox prints the class with its module in front.
    return namedtuple(name, fields, module="__main__")


def outward(
    value: Any, path: str = "value", *, pending: Container[int] = (), takes_bytes: bool = False
) -> Any:
    """A value of the program as JSON.

    Namedtuples become dicts; tuples lists; sets sorted lists; dates, times and decimals text. Keys
    of dicts that are numbers, booleans, None or dates become text as `json.dumps` writes it. A channel
    is its name.

    Args:
        path: How messages name the value.
        pending: Numbers of the coroutines that nobody has awaited yet.
        takes_bytes: Whether the whole value may be bytes.

    Raises:
        TypeError: a part of it cannot cross; the message names its path and what to do.
    """
    if takes_bytes and isinstance(value, bytes):
        return value
    if isinstance(value, str) and _RANGE.fullmatch(value):
        raise TypeError(f"{path}: a range, not a value. Give list(range(...))")
    return _Outward(pending).convert(value, path, ())


class _Outward:
    def __init__(self, pending: Container[int]) -> None:
        self._pending = pending

    def convert(self, value: Any, path: str, above: tuple[int, ...]) -> Any:
        if isinstance(value, str):
            return self._text(value, path)
        if value is None or isinstance(value, (bool, int)):
            return value
        if isinstance(value, float):
            if not math.isfinite(value):
                raise TypeError(f"{path}: {value} is not a JSON number. Give None or a text instead")
            return value
        if isinstance(value, (datetime, date, time)):
            return value.isoformat()
        if isinstance(value, (Decimal, PurePath)):
            return str(value)
        if id(value) in above:
            raise TypeError(f"{path}: it contains itself. Give a copy without the cycle")
        if len(above) >= MAX_DEPTH:
            raise TypeError(f"{path}: more than {MAX_DEPTH} levels deep. Give a flatter value")
        return self._container(value, path, (*above, id(value)))

    def _container(self, value: Any, path: str, above: tuple[int, ...]) -> Any:
        if isinstance(value, Mapping):
            return self._mapping(value, path, above)
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            fields = zip(value._fields, value, strict=True)
            return {name: self.convert(item, f"{path}.{name}", above) for name, item in fields}
        if isinstance(value, (list, tuple)):
            return [self.convert(item, f"{path}[{at}]", above) for at, item in enumerate(value)]
        if isinstance(value, Set):
            items = [self.convert(item, f"{path}{{{item!r}}}", above) for item in value]
            # Sets have no order, and the journal must find the same call again.
            return sorted(items, key=lambda item: (type(item).__name__, json.dumps(item, sort_keys=True)))
        if isinstance(value, MontyClassProxy) and isinstance(name := value.attributes.get(NAMED), str):
            return name
        raise TypeError(f"{path}: {_describe(value)}")

    def _mapping(self, value: Mapping[Any, Any], path: str, above: tuple[int, ...]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, item in value.items():
            text = self._key(key, path)
            if text in found:
                raise TypeError(f"{path}: two keys are {text!r} once they are text. Make them differ")
            found[text] = self.convert(item, f"{path}[{key!r}]", above)
        return found

    def _key(self, key: Any, path: str) -> str:
        if isinstance(key, str):
            return self._text(key, f"{path}: key {key!r}")
        if isinstance(key, float) and not math.isfinite(key):
            raise TypeError(f"{path}: key {key} is not a JSON number. Give a text instead")
        if key is None or isinstance(key, (bool, int, float)):
            return json.dumps(key)
        if isinstance(key, (datetime, date)):
            return key.isoformat()
        raise TypeError(
            f"{path}: key {key!r} is a {type(key).__name__}. Keys must be texts: make it str(...)"
        )

    def _text(self, text: str, path: str) -> str:
        _check_unicode(text, path)
        if not text.count("<"):
            return text
        if any(int(number) in self._pending for number in _PENDING.findall(text)) or _COROUTINE.fullmatch(
            text
        ):
            raise TypeError(
                f"{path}: the result of a call that was not awaited. Put `await` in front of the call"
            )
        if _FUNCTION.fullmatch(text):
            raise TypeError(f"{path}: a function. Give its result, or its source as text")
        if _ITERATOR.fullmatch(text):
            raise TypeError(f"{path}: an iterator. Give list(...) of it")
        return text


def _describe(value: Any) -> str:
    if isinstance(value, bytes):
        return "bytes. They can only be the whole value of memory.set; otherwise .decode() or base64 them"
    if isinstance(value, timedelta):
        return "a timedelta. Give its .total_seconds()"
    if isinstance(value, complex):
        return "a complex number. Give a text instead"
    if isinstance(value, MontyClassProxy):
        return f"an object of your class {value.name}. Give a dict of its fields"
    if isinstance(value, (MontyClassTypeProxy, MontyStdTypeProxy, type)):
        return "a class or function. Give a value"
    if isinstance(value, ExternalModule):
        return "a module. Give a value"
    return f"a {type(value).__name__}. Only JSON, namedtuples, tuples, sets and dates can leave the sandbox"


def _check_unicode(text: str, path: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        raise TypeError(
            f"{path}: not valid Unicode at character {exc.start}. Remove the lone surrogate"
        ) from exc
